"""The model servers there are: their names, usual addresses, and how a person starts one and gets it a model."""

from __future__ import annotations

from typing import Literal, NamedTuple
from urllib.parse import urlsplit

ServerKind = Literal["ollama", "llama.cpp", "vllm", "lmstudio", "openai"]
"""What answers; "openai" = speaks /v1/chat/completions, and nothing more is known of it."""


class UsualServer(NamedTuple):
    """Where a server listens when nobody changed it."""

    kind: ServerKind
    url: str


# In the order in which one is taken when several could be.
USUAL_SERVERS = (
    UsualServer("ollama", "http://127.0.0.1:11434"),
    UsualServer("llama.cpp", "http://127.0.0.1:8080"),
    UsualServer("vllm", "http://127.0.0.1:8000"),
    UsualServer("lmstudio", "http://127.0.0.1:1234"),
)

TITLES: dict[ServerKind, str] = {
    "ollama": "Ollama",
    "llama.cpp": "llama-server",
    "vllm": "vLLM",
    "lmstudio": "LM Studio",
    "openai": "OpenAI-compatible server",
}


def on_this_machine(url: str) -> bool:
    """Return whether an address is one of this machine's loopback."""
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1", "0.0.0.0")


def start_hint(kind: ServerKind) -> str:
    """Return how a person starts this kind of server, as the beginning of a sentence."""
    commands: dict[ServerKind, str] = {
        "ollama": "Start it with `ollama serve`",
        "llama.cpp": "Start it with `llama-server -m FILE.gguf --jinja -c WINDOW`",
        "vllm": "Start it with `vllm serve MODEL`",
        "lmstudio": "Start it with `lms server start`",
        "openai": "Start it",
    }
    return commands[kind]


def get_model_hint(kind: ServerKind, model: str) -> str:
    """Return how a person gets this kind of server a model, as the beginning of a sentence."""
    commands: dict[ServerKind, str] = {
        "ollama": f"Get it with `ollama pull {model}`",
        "llama.cpp": "Start llama-server with that model (`-m FILE.gguf`)",
        "vllm": f"Start it with `vllm serve {model}`",
        "lmstudio": f"Get it with `lms get {model}`",
        "openai": "Load it on the server",
    }
    return commands[kind]


def api_base(url: str) -> str:
    """Return the address that the paths of OpenAI's API are joined to."""
    return url if url.endswith("/v1") else f"{url}/v1"
