"""Telling an Ollama server to load a model, before the run has its first request ready."""

from __future__ import annotations

import contextlib

import httpx

from .http_client import http_options


async def preload(url: str, model: str, window: int, keep_alive: str) -> None:
    """Let the server load a model with this window while the run goes on with something else; no error is raised.

    The first request finds the model loaded, and tells whatever is wrong. It has to ask for the same window, or the
    server loads the model once more.
    """
    body = {"model": model, "options": {"num_ctx": window}, "keep_alive": keep_alive}
    with contextlib.suppress(httpx.HTTPError):
        async with httpx.AsyncClient(**http_options(url, httpx.Timeout(None, connect=2.0))) as http:
            await http.post(f"{url}/api/chat", json=body)
