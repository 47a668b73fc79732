from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from flowloom.core.errors import ToolError
from flowloom.tools.web_page import MAX_BYTES, fetch_page, is_public

PAGES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/page": (200, {"Content-Type": "text/html; charset=shift_jis"}, "<p>合計<script>x</script></p>".encode("cp932")),
    "/plain": (200, {"Content-Type": "text/plain"}, b"<b>as it is</b>"),
    "/json": (200, {"Content-Type": "application/problem+json"}, b'{"a": 1}'),
    "/wrong": (200, {"Content-Type": "text/plain; charset=nonsense"}, "合計".encode()),
    "/pdf": (200, {"Content-Type": "application/pdf"}, b"%PDF"),
    "/zip": (200, {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, b"\x1f\x8b"),
    "/binary": (200, {"Content-Type": "text/plain"}, b"a\0b\xff"),
    "/big": (200, {"Content-Type": "text/plain"}, b"x" * (MAX_BYTES + 1)),
    "/gone": (404, {}, b""),
    "/moved": (302, {"Location": "/plain"}, b""),
    "/away": (302, {"Location": "http://other.example/secret"}, b""),
    "/file": (302, {"Location": "file:///etc/passwd"}, b""),
    "/loop": (302, {"Location": "/loop"}, b""),
}


class _Handler(BaseHTTPRequestHandler):
    hosts: list[str]

    def do_GET(self) -> None:
        self.hosts.append(self.headers["Host"])
        status, headers, body = PAGES[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hosts() -> list[str]:
    return []


@pytest.fixture
def site(hosts: list[str]) -> Iterator[str]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hosts": hosts}))
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    yield f"localhost:{http.server_port}"
    http.shutdown()
    http.server_close()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/page", "合計"),
        ("/plain", "<b>as it is</b>"),
        ("/json", '{"a": 1}'),
        ("/wrong", "合計"),
        ("/moved", "<b>as it is</b>"),
    ],
)
async def test_a_page_comes_as_text(site: str, hosts: list[str], path: str, text: str) -> None:
    assert await fetch_page(f"http://{site}{path}#part", private=True) == text
    assert set(hosts) == {site}


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/pdf", "'application/pdf', not text"),
        ("/zip", "packs"),
        ("/binary", "no text"),
        ("/big", "larger than"),
        ("/gone", "404"),
        ("/away", "leads to http://other.example/secret"),
        ("/file", "leads to file:"),
        ("/loop", "redirected more than"),
    ],
)
async def test_what_is_no_page_is_refused_with_the_reason(site: str, path: str, why: str) -> None:
    with pytest.raises(ToolError, match=why):
        await fetch_page(f"http://{site}{path}", private=True)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
    ],
)
async def test_private_addresses_are_not_read_however_they_are_written(
    site: str, hosts: list[str], host: str
) -> None:
    port = site.partition(":")[2]
    with pytest.raises(ToolError, match=r"private network|not known|no address"):
        await fetch_page(f"http://{host}:{port}/plain")
    assert hosts == []


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://me:pw@localhost/", "user name or password"),
        ("file:///etc/passwd", "only http and https"),
        ("gopher://localhost/", "only http and https"),
        ("http://", "only http and https"),
        ("http://[::1/", "no address"),
    ],
)
async def test_other_addresses_are_refused(url: str, why: str) -> None:
    with pytest.raises(ToolError, match=why):
        await fetch_page(url, private=True)


async def test_no_server_is_told_in_a_line(site: str) -> None:
    with pytest.raises(ToolError, match="cannot be fetched"):
        await fetch_page("http://127.0.0.1:9/x", private=True)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("100.64.0.1", False),
        ("192.168.1.1", False),
        ("224.0.0.1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2002:808:808::", True),
    ],
)
def test_addresses_are_known_by_what_is_wrapped_in_them(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public
