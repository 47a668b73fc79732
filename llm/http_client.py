"""What every HTTP request to a model server has: proxy, certificates, the key, and the name of its call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .servers import on_this_machine

if TYPE_CHECKING:
    import httpx

    from ..core.messages import CallKey

CALL_HEADER = "x-flow-call"


def http_options(url: str, timeout: httpx.Timeout) -> dict[str, Any]:
    """Return the arguments for an httpx client that talks to a model server."""
    return {
        "timeout": timeout,
        "follow_redirects": False,
        # A proxy of the environment has no business between us and this machine.
        "trust_env": not on_this_machine(url),
        # Without TLS there is nothing to verify; loading the certificates takes 30 ms.
        "verify": url.startswith("https:"),
    }


def key_headers(api_key: str) -> dict[str, str]:
    """Return what sends a key as a bearer token; "" = there is none."""
    return {"authorization": f"Bearer {api_key}"} if api_key else {}


def call_headers(key: CallKey) -> dict[str, str]:
    """Return what names a call to a server that replays a cassette."""
    # Node names may hold any character, headers only ASCII.
    return {CALL_HEADER: quote(str(key), safe="#[]/.-_")}
