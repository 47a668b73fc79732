"""What a model on a server was found to do, and the file in which that is kept from run to run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from .roles import RoleGrammar
from .server_info import ModelDetails, ServerInfo
from .servers import ServerKind

_VERSION = 1

SMALLEST_WINDOW = 8192
"""Tokens below which no agent gets through a step."""

_WIDEN: dict[ServerKind, str] = {
    "ollama": "take a larger one with `-c models.num_ctx=32768`, or a model that has it",
    "llama.cpp": "start llama-server with `-c 32768`",
    "vllm": "start vLLM with `--max-model-len 32768`",
    "lmstudio": "load the model with a longer context",
    "openai": "set the server's real one with `-c models.num_ctx=N`, or start it with a larger one",
}

_TAKES_TOOLS: dict[ServerKind, str] = {
    "llama.cpp": " as llama-server was started (`--jinja` lets it, if its chat template can)",
    "vllm": " as vLLM was started (`--enable-auto-tool-choice --tool-call-parser PARSER` lets it)",
}
"""Where that is a matter of how the server was started."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One model on one server at one window; None = not known.

    Attributes:
        server_version, digest: "" = the server does not say.
        tools: it takes tools and can answer with calls of them.
        thinking: it can reason before it answers.
        schema: the server holds a reply to a JSON schema while it is generated.
        window: tokens that a request is given, prompt and reply together.
        window_asked: tokens that were asked for; a smaller window was granted when it is not `window`.
        role_grammar: what its chat template wants of the order of roles, "" = nothing known.
        load_s: seconds that loading it took, 0 when it was loaded.
        prefill_per_s, decode_per_s: tokens of prompt and of reply a second, as the server measured them.
        token_ratio: tokens that its tokenizer counts for one that Flowloom estimates, on a text of prose, code and
            Japanese; above 1 its requests are taken for that much larger.
        memory_bytes, vram_bytes: what it takes, and how much of that on the GPU.
        calls: how it was seen to call a tool (llm/trial.py); "" = it was not tried.
        holds_schema: it was seen to keep to a JSON schema; None = it was not tried.
    """

    model: str
    server: ServerKind
    server_version: str = ""
    digest: str = ""
    tools: bool | None = None
    thinking: bool | None = None
    schema: bool | None = None
    window: int = 0
    window_asked: int = 0
    role_grammar: RoleGrammar = ""
    load_s: float | None = None
    prefill_per_s: float | None = None
    decode_per_s: float | None = None
    token_ratio: float | None = None
    memory_bytes: int | None = None
    vram_bytes: int | None = None
    calls: str = ""
    holds_schema: bool | None = None

    @property
    def cpu_share(self) -> float | None:
        """Share of the model (0..1) that is not on the GPU; None = the server does not say."""
        if not self.memory_bytes or self.vram_bytes is None:
            return None
        return max(0.0, 1 - self.vram_bytes / self.memory_bytes)

    def notices(self) -> list[str]:
        """Return what a person should know before a run, one line each."""
        found = []
        if self.window < self.window_asked:
            found.append(
                f"{self.model}: the server gives a window of {self.window:,} tokens, not the {self.window_asked:,} "
                "asked for; the run keeps to it."
            )
        if 0 < self.window < SMALLEST_WINDOW:
            found.append(
                f"{self.model}: a window of {self.window:,} tokens is too small for most agents; "
                f"{_WIDEN[self.server]}."
            )
        if share := self.cpu_share:
            found.append(
                f"{self.model}: {share:.0%} of it runs on the CPU, which is slow. A smaller window (models.num_ctx) "
                "or a smaller model (`flow models recommend`) would fit."
            )
        if self.calls == "none":
            found.append(
                f"{self.model} called no tool when `flow models test` told it to, so agents will get nowhere with "
                "it. See `flow models recommend` for others."
            )
        elif self.tools is False:
            how = "" if self.calls else _TAKES_TOOLS.get(self.server, "")
            found.append(f"{self.model} takes no tools{how}, so they are described in its prompt and called as JSON.")
        return found


def told_capabilities(info: ServerInfo, details: ModelDetails, window: int) -> Capabilities:
    """Return what the server says of a model without its being asked for anything."""
    told = details.capabilities
    return Capabilities(
        model=details.name,
        server=info.kind,
        server_version=info.version,
        digest=info.listing(details.name).digest,
        tools="tools" in told if told else None,
        # Only Ollama's list of capabilities has it.
        thinking="thinking" in told if told and info.kind == "ollama" else None,
        schema=None if info.kind == "openai" else True,
        window=window,
        window_asked=window,
        role_grammar=details.grammar,
    )


class CapabilityFile:
    """Capability records kept in one file, by server, version, model and its digest. It can be deleted at any time.

    A record whose server names no digest is not kept: the weights behind the name may have changed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, info: ServerInfo, name: str, window: int) -> Capabilities | None:
        """Return the record of a model asked for this window; None = there is none for this version of both."""
        kept = self._read().get(_key(info, name, window))
        names = {field.name for field in fields(Capabilities)}
        if not isinstance(kept, dict) or kept.keys() != names:
            return None
        return Capabilities(**kept)

    def keep(self, info: ServerInfo, found: Capabilities) -> None:
        """Keep a record; speeds that it does not know are taken over from the one before. A full disk is no error."""
        if not found.digest:
            return
        before = self.find(info, found.model, found.window_asked)
        if before is not None:
            found = replace(
                found,
                prefill_per_s=found.prefill_per_s or before.prefill_per_s,
                decode_per_s=found.decode_per_s or before.decode_per_s,
                token_ratio=found.token_ratio or before.token_ratio,
                calls=found.calls or before.calls,
                holds_schema=before.holds_schema if found.holds_schema is None else found.holds_schema,
            )
        records = {**self._read(), _key(info, found.model, found.window_asked): asdict(found)}
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(json.dumps({"v": _VERSION, "models": records}), "utf-8")
            temporary.replace(self._path)
        except OSError:
            # It is a cache: the next run asks the model once more.
            temporary.unlink(missing_ok=True)

    def _read(self) -> Mapping[str, Any]:
        try:
            data = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        kept = data.get("models") if isinstance(data, dict) and data.get("v") == _VERSION else None
        return kept if isinstance(kept, dict) else {}


def _key(info: ServerInfo, name: str, window: int) -> str:
    digest = info.listing(name).digest
    return "|".join((info.kind, info.version, info.url, name, digest, str(window)))
