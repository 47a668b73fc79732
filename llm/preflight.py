"""One request for one token before a run: is the model loaded, with which window, does it take tools, where is it.

It also loads the model, so the run's first request need not wait for that.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from ..core.errors import FlowError
from ..core.messages import Message
from .ask import Asked, ask, json_object
from .attempts import ask_until_whole
from .capabilities import Capabilities, told_capabilities
from .faults import BrokenStream, Patience, Refused, Verdict, error_text, judge, says_no_tools
from .http_client import http_options, key_headers
from .probe import choose_window, probe_server
from .probe_openai import count_tokens
from .server_info import ModelDetails, ServerInfo
from .servers import api_base
from .tokens import EstimatingCounter, count_request

_TOOL = {
    "type": "function",
    "function": {"name": "ping", "description": "Answers pong.", "parameters": {"type": "object", "properties": {}}},
}
# Long enough that the speed of reading it means something, short enough for a CPU. Prose, code and Japanese, since
# the estimate of tokens is compared on it too.
_MEASURED_PROMPT = "\n".join(
    f"Line {number}: the quick brown fox jumps over the lazy dog.\n"
    f"def area_{number}(width: float, height: float) -> float:\n    return width * height  # {number}\n"
    f"{number}行目：素早い茶色の狐がのろまな犬を飛び越える。"
    for number in range(12)
)
_MEASURED_TOKENS = 48


@dataclass(slots=True)
class _Try:
    """What one request brought."""

    answer: dict[str, Any] = field(default_factory=dict)


async def preflight(
    info: ServerInfo,
    details: ModelDetails,
    window: int,
    *,
    assumed: bool = False,
    keep_alive: str = "10m",
    patience: Patience | None = None,
    api_key: str = "",
) -> Capabilities:
    """Return what the model was found to do.

    Args:
        window: tokens to ask for.
        assumed: nobody said how many, so a server that tells once the model is loaded is believed.

    Raises:
        FlowError: the server or the model does not work; as from OllamaChat and OpenAIChat.
    """
    asking = _Asking(info, details.name, window, keep_alive, patience or Patience(), api_key)
    found = told_capabilities(info, details, window)
    began = time.monotonic()
    # llama-server tells what its template could do, also where it was started without --jinja and refuses tools.
    if found.tools is None or (found.tools and info.kind == "llama.cpp"):
        answer, tools = await asking.with_tool()
        found = replace(found, tools=tools)
    else:
        answer = await asking.tokens(1)
    load_s = _seconds(answer.get("load_duration")) if info.kind == "ollama" else time.monotonic() - began
    found = await _with_loaded(replace(found, load_s=load_s), info, assumed, asking.patience.connect_s, api_key)
    return replace(found, token_ratio=await _token_ratio(info, found.model, asking.patience.connect_s, api_key))


async def measure_speed(
    info: ServerInfo,
    found: Capabilities,
    *,
    keep_alive: str = "10m",
    patience: Patience | None = None,
    api_key: str = "",
) -> Capabilities:
    """Return the record with the speeds of one longer request and how its tokens compare with our estimate.

    What the server does not tell stays None.

    Raises:
        FlowError: as from preflight.
    """
    asking = _Asking(info, found.model, found.window_asked, keep_alive, patience or Patience(), api_key)
    # A new beginning each time, so that nothing of the prompt was computed before.
    text = f"{time.time_ns()} {_MEASURED_PROMPT}"
    answer = await asking.tokens(_MEASURED_TOKENS, text)
    ratio = await _token_ratio(info, found.model, asking.patience.connect_s, api_key)
    if ratio is None and (read := _prompt_tokens(answer)):
        ratio = read / count_request([Message("user", text)], (), EstimatingCounter())
    timings = answer.get("timings")
    if isinstance(timings, dict):
        speeds = (timings.get("prompt_per_second"), timings.get("predicted_per_second"))
    else:
        speeds = (
            _per_second(answer, "prompt_eval_count", "prompt_eval_duration"),
            _per_second(answer, "eval_count", "eval_duration"),
        )
    prefill, decode = (float(speed) if isinstance(speed, (int, float)) and speed > 0 else None for speed in speeds)
    return replace(found, prefill_per_s=prefill, decode_per_s=decode, token_ratio=ratio)


@dataclass(frozen=True, slots=True)
class _Asking:
    """Requests for a few tokens of one model."""

    info: ServerInfo
    model: str
    window: int
    keep_alive: str
    patience: Patience
    api_key: str

    async def with_tool(self) -> tuple[dict[str, Any], bool]:
        """Return the answer to a request with a tool, and whether the model takes one; asked without when not."""
        try:
            return await self.tokens(1, tool=True), True
        except FlowError as err:
            if not says_no_tools(str(err)):
                raise
        return await self.tokens(1), False

    async def tokens(self, count: int, text: str = "Hi", *, tool: bool = False) -> dict[str, Any]:
        """Return the server's answer to a request for so many tokens."""
        last = _Try()

        def made() -> _Try:
            return last

        async def attempt(current: _Try) -> dict[str, Any]:
            current.answer = await self._post(self._body(count, text, tool))
            return current.answer

        return await ask_until_whole(made, attempt, self._judged, self.patience)

    def _judged(self, err: Exception, current: _Try) -> Verdict:
        return judge(err, url=self.info.url, model=self.model, replaying=False, kind=self.info.kind)

    def _body(self, count: int, text: str, tool: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "messages": [{"role": "user", "content": text}], "stream": False}
        if tool:
            body["tools"] = [_TOOL]
        if self.info.kind != "ollama":
            return {**body, "max_tokens": count, "temperature": 0}
        options = {"num_ctx": self.window, "num_predict": count, "temperature": 0}
        return {**body, "options": options, "keep_alive": self.keep_alive}

    async def _post(self, body: Mapping[str, Any]) -> dict[str, Any]:
        url, path = (
            (self.info.url, "/api/chat")
            if self.info.kind == "ollama"
            else (api_base(self.info.url), "/chat/completions")
        )
        timeout = httpx.Timeout(self.patience.first_token_s, connect=self.patience.connect_s)
        async with httpx.AsyncClient(headers=key_headers(self.api_key), **http_options(url, timeout)) as http:
            response = await http.post(url + path, json=dict(body))
        if response.status_code >= 300:
            raise Refused(response.status_code, error_text(response.content))
        answer = json_object(response)
        if not ("message" in answer or "choices" in answer):
            raise BrokenStream(f"the answer is none ({response.content[:80]!r})")
        return answer


async def _with_loaded(
    found: Capabilities, info: ServerInfo, assumed: bool, timeout_s: float, api_key: str
) -> Capabilities:
    """Return the record with the window that the server gave and the memory that it took, as far as it says."""
    if info.kind == "ollama":
        (response,) = await ask(info.url, timeout_s, [Asked("GET", "/api/ps")], api_key=api_key)
        return _with_ollama_memory(found, json_object(response).get("models"), found.window)
    if info.kind == "lmstudio" and info.listing(found.model).window is None:
        # It was not loaded when it was listed; now it is.
        info = await probe_server(info.url, timeout_s, wanted="openai", api_key=api_key)
    granted = info.listing(found.model).window
    if granted is None:
        return found
    if assumed:
        window = choose_window(0, granted)
        return replace(found, window=window, window_asked=window)
    return replace(found, window=min(found.window, granted))


async def _token_ratio(info: ServerInfo, model: str, timeout_s: float, api_key: str) -> float | None:
    """Return what the server's tokenizer counts for one token that is estimated; None = it has none to ask."""
    counted = await count_tokens(info, model, _MEASURED_PROMPT, timeout_s, api_key)
    return None if counted is None else counted / EstimatingCounter().count(_MEASURED_PROMPT)


def _with_ollama_memory(found: Capabilities, running: object, window: int) -> Capabilities:
    models = [model for model in running if isinstance(model, dict)] if isinstance(running, list) else []
    loaded = next((model for model in models if found.model in (model.get("name"), model.get("model"))), {})
    granted, size, in_vram = loaded.get("context_length"), loaded.get("size"), loaded.get("size_vram")
    return replace(
        found,
        window=min(window, granted) if isinstance(granted, int) and granted > 0 else window,
        memory_bytes=size if isinstance(size, int) and size > 0 else None,
        vram_bytes=in_vram if isinstance(in_vram, int) and isinstance(size, int) and size > 0 else None,
    )


def _prompt_tokens(answer: Mapping[str, Any]) -> int | None:
    usage = answer.get("usage")
    count = usage.get("prompt_tokens") if isinstance(usage, dict) else answer.get("prompt_eval_count")
    return count if isinstance(count, int) and count > 0 else None


def _per_second(answer: Mapping[str, Any], count: str, duration: str) -> float | None:
    tokens, nanoseconds = answer.get(count), answer.get(duration)
    if not isinstance(tokens, int) or not isinstance(nanoseconds, int) or nanoseconds <= 0:
        return None
    return tokens * 1e9 / nanoseconds


def _seconds(nanoseconds: object) -> float | None:
    return nanoseconds / 1e9 if isinstance(nanoseconds, int) else None
