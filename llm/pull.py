"""Letting an Ollama server download a model, with progress. Only ever asked for by `flow models pull`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from ..core.errors import ModelUnavailable
from .faults import connect_reason, error_text, unreachable
from .http_client import http_options

OnProgress = Callable[[str, int, int], None]
"""Called with what goes on, bytes done and bytes in all; 0 of 0 where there is nothing to count."""


async def pull(
    url: str, name: str, on_progress: OnProgress, *, connect_s: float = 2.0, stall_s: float = 300.0
) -> None:
    """Download a model to the server; what was downloaded before an error is kept there and not fetched again.

    Args:
        stall_s: seconds without a word from the server.

    Raises:
        ModelUnavailable: no server, no such model, or the download broke.
    """
    ended = False
    try:
        async with (
            httpx.AsyncClient(**http_options(url, httpx.Timeout(stall_s, connect=connect_s))) as http,
            http.stream("POST", f"{url}/api/pull", json={"model": name, "stream": True}) as response,
        ):
            if response.status_code >= 300:
                raise _failed(name, error_text(await response.aread()))
            async for line in response.aiter_lines():
                ended = _take(line, name, on_progress) or ended
    except httpx.ConnectError as err:
        raise unreachable(url, connect_reason(err)) from err
    except httpx.TimeoutException as err:
        raise _failed(name, f"the server sent nothing for {stall_s:g} s") from err
    except httpx.HTTPError as err:
        raise _failed(name, f"the connection broke ({type(err).__name__})") from err
    if not ended:
        raise _failed(name, "the server stopped in the middle")


def _take(line: str, name: str, on_progress: OnProgress) -> bool:
    """Show one part of the answer; return whether it ends the download well."""
    if not line.strip():
        return False
    try:
        part = json.loads(line)
    except ValueError as err:
        raise _failed(name, f"the server's answer is no JSON ({line[:80]!r})") from err
    if not isinstance(part, dict):
        return False
    if part.get("error"):
        raise _failed(name, str(part["error"]))
    on_progress(str(part.get("status") or ""), _count(part.get("completed")), _count(part.get("total")))
    return part.get("status") == "success"


def _failed(name: str, text: str) -> ModelUnavailable:
    lowered = text.lower()
    if "file does not exist" in lowered or "not found" in lowered:
        hint = "`flow models list` names models that exist; ollama.com/library has them all."
        return ModelUnavailable(f"there is no model {name!r} to download: {text}.", hint=hint)
    if "newer version of ollama" in lowered:
        return ModelUnavailable(f"model {name!r} was not downloaded: {text}.", hint="Update Ollama.")
    if "no space left" in lowered:
        return ModelUnavailable(
            f"model {name!r} was not downloaded: {text}.", hint="Free space where Ollama keeps it."
        )
    if "dial tcp" in lowered or "lookup" in lowered or "network" in lowered:
        hint = "The server has no way to its library: connect it, or import a file with `ollama create`."
        return ModelUnavailable(f"model {name!r} was not downloaded: {text}.", hint=hint)
    return ModelUnavailable(
        f"model {name!r} was not downloaded: {text}.", hint="Try again: what was fetched is kept by the server."
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
