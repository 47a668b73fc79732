"""Counting a whole prompt with the server's own tokenizer: tools, template and all. Called by wire_chat.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from .ask import json_object
from .servers import ServerKind

_TIMEOUT_S = 5.0
"""Both questions are answered in milliseconds; a server that takes longer has other things to do."""
_NOT_OF_THE_PROMPT = frozenset({"stream", "stream_options", "return_progress", "max_tokens", "temperature"})


async def count_prompt(http: httpx.AsyncClient, root: str, kind: ServerKind, body: Mapping[str, Any]) -> int | None:
    """Return the tokens of the prompt that a server makes of a chat request; None = it does not tell.

    vLLM counts a conversation itself. llama-server renders it with the model's template, and counts that.

    Args:
        root: the server's address without /v1.
        body: of the chat request.

    Source: llama.cpp tools/server/README.md (/apply-template, /tokenize); vLLM
    vllm/entrypoints/serve/tokenize/protocol.py.
    """
    asked = {name: value for name, value in body.items() if name not in _NOT_OF_THE_PROMPT}
    try:
        if kind == "vllm":
            return _count(await _post(http, f"{root}/tokenize", {**asked, "add_generation_prompt": True}))
        if kind == "llama.cpp":
            prompt = (await _post(http, f"{root}/apply-template", asked)).get("prompt")
            if not isinstance(prompt, str):
                return None
            text = {"model": body.get("model"), "content": prompt, "add_special": True, "parse_special": True}
            return _count(await _post(http, f"{root}/tokenize", text))
    except httpx.HTTPError:
        return None  # the estimate has to do
    return None


async def _post(http: httpx.AsyncClient, url: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return json_object(await http.post(url, json=dict(body), timeout=_TIMEOUT_S))


def _count(answer: Mapping[str, Any]) -> int | None:
    count, tokens = answer.get("count"), answer.get("tokens")
    if isinstance(count, int) and count > 0:
        return count
    return len(tokens) if isinstance(tokens, list) and tokens else None
