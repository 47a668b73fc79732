"""A small server that speaks Ollama's API on the loopback, answering from a function.

Tests, the demo and replays put it behind the real client; it runs no model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Unpack

from .answers import (
    Answer,
    Answers,
    Call,
    ChatRequest,
    Fault,
    RawReply,
    Reply,
    last_part,
    merge_parts,
    scripted,
)
from .loopback import LoopbackHandler, LoopbackServer, ServerOptions

__all__ = ["Answer", "Answers", "Call", "ChatRequest", "Fault", "OllamaServer", "RawReply", "Reply", "scripted"]

_PULLED = ({"status": "pulling manifest"}, {"status": "verifying sha256 digest"}, {"status": "success"})


class _Handler(LoopbackHandler):
    server_version = "Ollama"
    stream_type = "application/x-ndjson"

    def answer_get(self) -> None:
        owner: OllamaServer = self.owner
        if self.path == "/":
            self.send_body(200, b"Ollama is running", "text/plain")
        elif self.path == "/api/version":
            self.send_json(200, {"version": owner.version})
        elif self.path == "/api/tags":
            self.send_json(200, {"models": [_listing(name) for name in owner.models]})
        elif self.path == "/api/ps":
            self.send_json(200, {"models": [{**_listing(name), **owner.loaded(name)} for name in owner.models]})
        else:
            self.send_body(404, b"404 page not found", "text/plain")

    def answer_post(self, body: dict[str, Any]) -> None:
        name = body.get("model") or body.get("name")
        if self.path == "/api/pull":
            self._pull(str(name))
        elif self.path not in ("/api/chat", "/api/show"):
            self.send_body(404, b"404 page not found", "text/plain")
        elif not self.owner.has_model(name):
            self.send_error_text(404, f"model '{name}' not found")
        elif self.path == "/api/show":
            self.send_json(200, _details(self.owner, str(name)))
        elif not body.get("messages"):
            self.owner.note_preload(body)
            self.send_json(200, last_part(str(name), "load"))
        else:
            options = body.get("options")
            one_token = isinstance(options, dict) and options.get("num_predict") == 1
            self.chat(body, one_token=one_token, stream=body.get("stream", True) is not False)

    def encode(self, parts: Sequence[Mapping[str, Any]]) -> list[bytes]:
        return [_line(part) for part in parts]

    def whole(self, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return merge_parts(parts)

    def error_line(self, text: str) -> bytes:
        return _line({"error": text})

    def error_body(self, status: int, text: str) -> dict[str, Any]:
        return {"error": text}

    def send_loading(self, request: ChatRequest, stream: bool) -> None:
        self.send_parts([last_part(str(request.body.get("model", "")), "load")], stream)

    def _pull(self, name: str) -> None:
        parts = self.owner.pull
        # Known before "success" is sent: who reads that may ask for the model at once.
        if parts and parts[-1].get("status") == "success":
            self.owner.models = (*self.owner.models, name)
        self.send_stream(self.encode(parts))


class OllamaServer(LoopbackServer):
    """A LoopbackServer that speaks Ollama's API; see there for what is not named here.

    Args:
        capabilities: what /api/show reports; without "tools" a request that has some is refused, as Ollama does.
        memory: (bytes, bytes in video memory) of a loaded model, as /api/ps reports them.
        windows: by model, where it is another one than `context_length`.
        pull: the parts that /api/pull answers with; a last one of "success" makes the model known.
    """

    handler = _Handler

    def __init__(
        self,
        answers: Answers,
        *,
        capabilities: Sequence[str] = ("completion", "tools"),
        version: str = "0.12.0",
        memory: tuple[int, int] = (0, 0),
        windows: Mapping[str, int] = MappingProxyType({}),
        pull: Sequence[Mapping[str, Any]] = _PULLED,
        **options: Unpack[ServerOptions],
    ) -> None:
        super().__init__(answers, **options)
        self.capabilities = tuple(capabilities)
        self.version = version
        self.memory = memory
        self.windows = windows
        self.pull = tuple(pull)

    def window(self, name: str) -> int:
        """Return the tokens of a model's window."""
        return self.windows.get(name, self.context_length)

    def loaded(self, name: str) -> dict[str, Any]:
        """Return what /api/ps says of a model beside its listing."""
        size, in_vram = self.memory
        window = {"context_length": self.window(name), "expires_at": "2026-01-01T00:10:00Z"}
        return {**window, "size": size, "size_vram": in_vram}

    def _refusal(self, body: Mapping[str, Any]) -> str:
        if body.get("tools") and "tools" not in self.capabilities:
            return f"registry.ollama.ai/library/{body.get('model')} does not support tools"
        return super()._refusal(body)


def _line(part: Mapping[str, Any]) -> bytes:
    return json.dumps(part, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _listing(name: str) -> dict[str, Any]:
    details = {"format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "24B"}
    return {
        "name": name,
        "model": name,
        "size": 0,
        "digest": "0" * 64,
        "modified_at": "2026-01-01T00:00:00Z",
        "details": details,
    }


def _details(owner: OllamaServer, name: str) -> dict[str, Any]:
    return {
        "template": "{{ .Prompt }}",
        "details": {"format": "gguf", "family": "llama", "families": ["llama"]},
        "model_info": {"general.architecture": "llama", "llama.context_length": owner.window(name)},
        "capabilities": list(owner.capabilities),
    }
