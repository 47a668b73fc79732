from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from flowloom.core.errors import ModelUnavailable, ServerBusy
from flowloom.llm.ollama_server import Reply
from flowloom.llm.probe import choose_model, choose_window, describe_model, probe_server
from flowloom.llm.server_info import ServerInfo

from .conftest import Serve

URL = "http://127.0.0.1:11434"


@pytest.fixture
def web() -> Iterator[tuple[str, dict[str, tuple[int, str]]]]:
    """A web server that is no Ollama; paths it knows are put into the second value."""
    pages: dict[str, tuple[int, str]] = {}

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = pages.get(self.path, (404, "not here"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", pages
        server.shutdown()
        thread.join()


def info(*models: str, embedders: tuple[str, ...] = ()) -> ServerInfo:
    return ServerInfo(URL, "0.12.0", models, embedders)


async def test_server_is_described(serve: Serve) -> None:
    server = serve([Reply("")], models=("devstral:24b", "nomic-embed-text:latest"))
    found = await probe_server(server.url)
    assert found.version == "0.12.0"
    assert found.models == ("devstral:24b", "nomic-embed-text:latest")
    assert found.embedders == ("nomic-embed-text:latest",)


async def test_refused_connection_names_address_and_next_steps() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    started = time.monotonic()
    with pytest.raises(ModelUnavailable) as caught:
        await probe_server(url)
    assert time.monotonic() - started < 2.5
    assert str(caught.value).startswith(f"no model server answers at {url!r}: connection refused.")
    for step in ("ollama serve", "-c server.url=URL", "flow demo"):
        assert step in caught.value.hint


async def test_silent_server_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(ModelUnavailable, match=r"no answer within 0\.3 s"):
            await probe_server(url, timeout_s=0.3)
        assert time.monotonic() - started < 1


async def test_server_that_speaks_no_http_is_named() -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(chatter, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(ModelUnavailable, match="does not speak HTTP"):
        await probe_server(url)
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("pages", "reason"),
    [
        ({}, r"no Ollama server \(HTTP 404 for /api/version\)"),
        ({"/api/version": (200, "<html>"), "/api/tags": (200, "<html>")}, "no JSON"),
        ({"/api/version": (200, "{}"), "/api/tags": (200, "[]")}, "not as Ollama does"),
        ({"/api/version": (200, '{"version": 3}'), "/api/tags": (200, '{"models": []}')}, "not as Ollama does"),
        ({"/api/version": (301, ""), "/api/tags": (301, "")}, "HTTP 301"),
    ],
)
async def test_other_server_is_told_from_ollama(
    web: tuple[str, dict[str, tuple[int, str]]], pages: dict[str, tuple[int, str]], reason: str
) -> None:
    url, known = web
    known.update(pages)
    with pytest.raises(ModelUnavailable, match=reason):
        await probe_server(url, wanted="ollama")


@pytest.mark.parametrize("url", ["ftp://x", "localhost", "http://"])
async def test_address_that_is_none_is_said_to_be(url: str) -> None:
    with pytest.raises(ModelUnavailable, match="no address of a server"):
        await probe_server(url)


@pytest.mark.parametrize("host", ["a" * 70, "a..b"])
async def test_host_name_that_cannot_be_is_said_not_to_be_known(host: str) -> None:
    with pytest.raises(ModelUnavailable, match="host name is not known"):
        await probe_server(f"http://{host}:11434")


async def test_model_is_described(serve: Serve) -> None:
    server = serve([], context_length=131072, capabilities=("completion", "tools", "thinking"))
    details = await describe_model(server.url, "scripted")
    assert details.context_length == 131072
    assert details.capabilities == {"completion", "tools", "thinking"}
    assert (details.name, details.family) == ("scripted", "llama")


async def test_missing_model_names_the_command_that_gets_it(serve: Serve) -> None:
    with pytest.raises(ModelUnavailable, match=r"no model 'gemma3:27b'.*ollama pull gemma3:27b"):
        await describe_model(serve([]).url, "gemma3:27b")


async def test_old_server_leaves_details_open(web: tuple[str, dict[str, tuple[int, str]]]) -> None:
    url, known = web
    known["/api/show"] = (200, json.dumps({"details": {"family": "llama"}, "template": "x"}))
    details = await describe_model(url, "m")
    assert (details.context_length, details.capabilities, details.family) == (None, frozenset(), "llama")


LAYERS = {"phi3.block_count": 40, "phi3.attention.head_count_kv": 10}
WIDTHS = {"phi3.embedding_length": 5120, "phi3.attention.head_count": 40}


@pytest.mark.parametrize(
    ("figures", "kv_bytes"),
    [
        ({**LAYERS, **WIDTHS}, 2 * 40 * 10 * (128 + 128)),
        ({**LAYERS, "phi3.attention.key_length": 64, "phi3.attention.value_length": 32}, 2 * 40 * 10 * 96),
        ({**LAYERS, **WIDTHS, "phi3.attention.head_count_kv": [8, 0, 4], "phi3.block_count": 3}, 2 * 12 * 256),
        (LAYERS, None),
        (WIDTHS, None),
        ({**LAYERS, **WIDTHS, "phi3.attention.head_count_kv": "10"}, None),
    ],
)
async def test_the_cache_of_a_token_is_told_where_all_figures_are(
    web: tuple[str, dict[str, tuple[int, str]]], figures: dict[str, Any], kv_bytes: int | None
) -> None:
    url, known = web
    known["/api/show"] = (200, json.dumps({"model_info": {"general.architecture": "phi3", **figures}}))
    assert (await describe_model(url, "m")).kv_bytes_per_token == kv_bytes


@pytest.mark.parametrize(
    ("models", "wanted", "chosen"),
    [
        (["devstral:24b", "gemma3:12b"], "gemma3:12b", "gemma3:12b"),
        (["devstral:24b", "devstral:latest"], "devstral", "devstral:latest"),
        (["devstral:24b", "gemma3:12b"], "devstral", "devstral:24b"),
        (["hf.co/org/model:Q4_K_M"], "hf.co/org/model", "hf.co/org/model:Q4_K_M"),
        (["devstral:24b"], "", "devstral:24b"),
    ],
)
def test_model_is_chosen_by_name_or_by_being_the_only_one(models: list[str], wanted: str, chosen: str) -> None:
    assert choose_model(info(*models), wanted) == chosen


def test_embedding_model_beside_it_leaves_one_chat_model() -> None:
    found = info("e5:latest", "devstral:24b", embedders=("e5:latest",))
    assert choose_model(found, "") == "devstral:24b"


@pytest.mark.parametrize(
    ("models", "wanted", "message"),
    [
        (
            ["devstral:24b"],
            "llama3.3:70b",
            r"no model 'llama3\.3:70b'; it has devstral:24b\. .*ollama pull llama3\.3:70b",
        ),
        (["devstral:24b"], "devstrall:24b", "did you mean `-m devstral:24b`"),
        ([], "devstral", "it has none"),
        ([], "", "has no chat model"),
        (["a:1", "b:2"], "", "several models: a:1, b:2.*-m NAME.*models.main"),
        (["a:1", "a:2"], "a", "several models 'a': a:1, a:2"),
    ],
)
def test_model_that_cannot_be_chosen_lists_what_there_is(models: list[str], wanted: str, message: str) -> None:
    with pytest.raises(ModelUnavailable, match=message) as caught:
        choose_model(info(*models), wanted)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("setting", "length", "window"),
    [
        (0, 131072, 32768),
        (0, 8192, 8192),
        (0, None, 8192),
        (65536, 131072, 65536),
        (65536, 8192, 8192),
        (16384, None, 16384),
    ],
)
def test_window_is_the_setting_within_the_models_context(setting: int, length: int | None, window: int) -> None:
    assert choose_window(setting, length) == window


@pytest.mark.parametrize("wanted", ["auto", "ollama", "openai"])
async def test_server_that_is_loading_its_model_can_be_waited_for(serve: Serve, wanted: Any) -> None:
    server = serve([], busy=1)
    with pytest.raises(ServerBusy, match="still loading its model"):
        await probe_server(server.url, wanted=wanted)
