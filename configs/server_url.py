"""Reads OLLAMA_HOST the way Ollama's own client does, so that one variable serves both."""

from __future__ import annotations

from ..core.errors import ConfigError

DEFAULT_PORT = 11434

_SCHEME_PORTS = {"http": 80, "https": 443}
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def ollama_host_url(host: str) -> str:
    """Return the address a client reaches OLLAMA_HOST under; an empty one gives the default address.

    A scheme, a port or the host may be missing. "0.0.0.0" and "::" are addresses a server listens on, not ones to
    connect to: they become this machine's own.

    Raises:
        ConfigError: no address can be made of it.
    """
    text = host.strip().strip("\"'")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest, port = "http", text, DEFAULT_PORT
    elif scheme in _SCHEME_PORTS:
        port = _SCHEME_PORTS[scheme]
    else:
        raise _bad(host)
    hostport, _, path = rest.partition("/")
    name, given_port = _split(hostport)
    name = _ANY_ADDRESS.get(name, name) or "127.0.0.1"
    if given_port:
        if not (given_port.isascii() and given_port.isdigit() and int(given_port) <= 65535):
            raise _bad(host)
        port = int(given_port)
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}:{port}" + (f"/{path.rstrip('/')}" if path.strip("/") else "")


def _split(hostport: str) -> tuple[str, str]:
    """Return host and port ("" = none); an IPv6 address stands in brackets or, without a port, bare."""
    if hostport.startswith("["):
        name, _, after = hostport[1:].partition("]")
        return name, after.removeprefix(":")
    if hostport.count(":") > 1:
        return hostport, ""
    name, _, port = hostport.partition(":")
    return name, port


def _bad(host: str) -> ConfigError:
    return ConfigError(
        f"OLLAMA_HOST={host!r} is not an address.",
        hint="Write it as host:port, e.g. 127.0.0.1:11434, or set server.url.",
    )
