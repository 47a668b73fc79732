"""One page of the web, fetched for a person who asked for it: public addresses only, bounded in size and time.

Called for `@https://...` in a task. Names are looked up once and the connection goes to the address that was checked,
so a name can not lead somewhere else afterwards; a redirect to another host is refused.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.errors import ToolError
from ..core.texts import decode, visible
from .html_text import html_text

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 20.0
"""For a page as a whole, with its redirects."""
MAX_BYTES = 2_000_000
MAX_REDIRECTS = 4
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_TEXT_KINDS = ("text/", "application/json", "application/xml", "application/xhtml", "application/javascript")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


async def fetch_page(url: str, *, private: bool = False) -> str:
    """Return the text of a page; of HTML what a person would read.

    Args:
        url: http or https.
        private: True = addresses of this machine and of private networks may be read too.

    Raises:
        ToolError: it cannot be fetched, may not be, or is no text; the message is for a person.
    """
    import httpx

    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _followed(httpx.URL(url), private)
    except httpx.InvalidURL as err:
        raise ToolError(f"it is no address: {err}.") from err
    except TimeoutError as err:
        raise ToolError(f"it did not come whole within {TIMEOUT_S:g} s.") from err
    except (httpx.HTTPError, OSError, UnicodeError) as err:
        raise ToolError(f"it cannot be fetched: {visible(str(err)) or type(err).__name__}.") from err


async def _followed(url: httpx.URL, private: bool) -> str:
    for _ in range(MAX_REDIRECTS + 1):
        onward, text = await _one(url, private)
        if onward is None:
            return text
        if _bare(onward.host) != _bare(url.host) or (url.scheme == "https" and onward.scheme != "https"):
            raise ToolError(f"it leads to {visible(str(onward))[:200]}; mention that address if you want it.")
        url = onward
    raise ToolError(f"it was redirected more than {MAX_REDIRECTS} times.")


def _bare(host: str) -> str:
    return host.lower().removeprefix("www.")


async def _one(url: httpx.URL, private: bool) -> tuple[httpx.URL | None, str]:
    """Return where a redirect leads, or None and the text."""
    import httpx

    if url.scheme not in ("http", "https") or not url.host:
        raise ToolError("only http and https addresses are fetched.")
    if url.userinfo:
        raise ToolError("it holds a user name or password; such addresses are not fetched.")
    address = await _address(url, private)
    # Without the environment's proxies, which would look the name up anew.
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=TIMEOUT_S) as client:
        headers = {"Host": url.netloc.decode("ascii"), "Accept": "text/*", "Accept-Encoding": "identity"}
        request = client.build_request("GET", url.copy_with(host=str(address), fragment=None), headers=headers)
        request.extensions["sni_hostname"] = url.raw_host.decode("ascii")
        response = await client.send(request, stream=True)
        try:
            if response.is_redirect:
                return url.join(response.headers["location"]), ""
            return None, await _text(response)
        finally:
            await response.aclose()


async def _address(url: httpx.URL, private: bool) -> Address:
    """Return the address to connect to.

    Raises:
        ToolError: there is none, or one of them is not public.
    """
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            url.raw_host.decode("ascii"), port, type=socket.SOCK_STREAM
        )
    except OSError as err:
        raise ToolError(f"the name {visible(url.host)!r} is not known: {err.strerror or err}.") from err
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not private and (inner := next((each for each in addresses if not is_public(each)), None)):
        raise ToolError(f"{visible(url.host)!r} is {inner}, an address of this machine or of a private network.")
    return addresses[0]


def is_public(address: Address) -> bool:
    """Tell whether an address, and one that is wrapped in it, belongs to the public network."""
    inner: Sequence[Address | None] = ()
    if isinstance(address, ipaddress.IPv6Address):
        low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        teredo = address.teredo[1] if address.teredo else None
        inner = (address.ipv4_mapped, address.sixtofour, teredo, low if address in _NAT64 else None)
        if any(inner):
            return all(is_public(each) for each in inner if each is not None)
    return address.is_global and not address.is_multicast


async def _text(response: httpx.Response) -> str:
    if response.status_code != 200:
        raise ToolError(f"the server answered {response.status_code} {visible(response.reason_phrase)}.")
    kind = response.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    if not kind.startswith(_TEXT_KINDS) and not kind.endswith(("+json", "+xml")):
        raise ToolError(f"it is {visible(kind)!r}, not text.")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ToolError("the server packs what it was asked to send plain.")
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > MAX_BYTES:
            raise ToolError(f"it is larger than {MAX_BYTES:,} bytes.")
    text = _decoded(bytes(data), response.charset_encoding)
    return html_text(text) if "html" in kind else text


def _decoded(data: bytes, charset: str | None) -> str:
    if charset:
        try:
            return data.decode(charset)
        except (LookupError, UnicodeDecodeError):
            pass  # the header is wrong: the bytes decide
    file = decode(data)
    if file is None:
        raise ToolError("it is no text.")
    return file.text
