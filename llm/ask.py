"""Short questions to a server over HTTP, all answered within a time limit, whatever answers there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx

from .faults import check_url, connect_reason, unreachable
from .http_client import http_options, key_headers

NEXT_STEP = (
    "Start it with `ollama serve`, name another server with `-c server.url=URL`, "
    "or see `flow demo`, which needs no model."
)


class Asked(NamedTuple):
    """One question. `body` is sent as JSON; None = nothing is sent."""

    method: str
    path: str
    body: dict[str, Any] | None = None


async def ask(
    url: str, timeout_s: float, asked: Sequence[Asked], *, api_key: str = "", hint: str = NEXT_STEP
) -> list[httpx.Response]:
    """Return the answers, whatever their status; the questions are put side by side, all within `timeout_s`.

    Raises:
        ModelUnavailable: nothing answers there in time, or it does not speak HTTP.
    """
    host, port = check_url(url)
    try:
        async with asyncio.timeout(timeout_s):
            await _resolve(host, port)
            options = http_options(url, httpx.Timeout(timeout_s))
            async with httpx.AsyncClient(base_url=url, headers=key_headers(api_key), **options) as http:
                return await asyncio.gather(*(http.request(q.method, q.path, json=q.body) for q in asked))
    except (TimeoutError, httpx.TimeoutException) as err:
        raise unreachable(url, f"no answer within {timeout_s:g} s", hint=hint) from err
    except httpx.ConnectError as err:
        raise unreachable(url, connect_reason(err), hint=hint) from err
    except OSError as err:
        raise unreachable(url, "its host name is not known", hint=hint) from err
    except httpx.HTTPError as err:
        raise unreachable(url, f"it does not speak HTTP ({type(err).__name__})", hint=hint) from err


def json_object(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of an answer with status 200; {} for every other answer."""
    if response.status_code != 200:
        return {}
    try:
        data = response.json()
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


async def _resolve(host: str, port: int | None) -> None:
    """Look the host name up in a thread that nobody waits for.

    The event loop's own look-up runs in a thread that is joined when the loop ends, so a name server that does not
    answer would hold the command for seconds after the time limit.

    Raises:
        OSError: the name is not known.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: OSError | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def look_up() -> None:
        error: OSError | None = None
        try:
            socket.getaddrinfo(host, port)
        except OSError as err:
            error = err
        except UnicodeError as err:
            error = OSError(str(err))  # a label too long or empty
        # The loop may have ended meanwhile, after the time limit.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=look_up, daemon=True).start()
    await done
