from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from flowloom.core.errors import ModelUnavailable
from flowloom.llm.probe import choose_model, describe_model, find_usual_servers, probe_server
from flowloom.llm.servers import UsualServer

from .conftest import Serve, ServeOpenAI

TOOLS = {"supports_tools": True, "supports_tool_calls": True, "supports_parallel_tool_calls": True}


@pytest.mark.parametrize(
    ("kind", "version"), [("llama.cpp", "b7000"), ("vllm", "b7000"), ("lmstudio", ""), ("openai", "")]
)
async def test_each_server_is_told_from_the_others(serve_openai: ServeOpenAI, kind: str, version: str) -> None:
    server = serve_openai([], kind=kind, models=("devstral:24b",))
    found = await probe_server(server.url)
    assert (found.kind, found.version, found.models) == (kind, version, ("devstral:24b",))


async def test_ollama_is_found_by_the_same_question(serve: Serve) -> None:
    found = await probe_server(serve([]).url)
    assert (found.kind, found.version, found.listing("scripted:latest").digest) == ("ollama", "0.12.0", "0" * 64)


@pytest.mark.parametrize("kind", ["llama.cpp", "vllm", "lmstudio"])
async def test_window_of_the_server_is_the_real_one(serve_openai: ServeOpenAI, kind: str) -> None:
    info = await probe_server(serve_openai([], kind=kind, context_length=12345).url)
    details = await describe_model(info.url, "scripted:latest", info=info)
    assert details.context_length == 12345


async def test_template_of_llama_server_tells_tools_and_order_of_roles(serve_openai: ServeOpenAI) -> None:
    async def told(caps: dict[str, bool] | None) -> tuple[list[str], str]:
        info = await probe_server(serve_openai([], caps=caps).url)
        details = await describe_model(info.url, "scripted:latest", info=info)
        return sorted(details.capabilities), details.grammar

    assert await told(TOOLS) == (["completion", "tools"], "")
    assert await told({**TOOLS, "supports_parallel_tool_calls": False}) == (["completion", "tools"], "llama")
    assert await told({name: False for name in TOOLS}) == (["completion"], "")
    assert await told(None) == ([], "")


async def test_missing_model_names_how_this_server_gets_it(serve_openai: ServeOpenAI) -> None:
    info = await probe_server(serve_openai([], kind="vllm").url)
    with pytest.raises(ModelUnavailable, match=r"has no model 'x'.*vllm serve x"):
        choose_model(info, "x")
    with pytest.raises(ModelUnavailable, match=r"has no model 'x'.*vllm serve x"):
        await describe_model(info.url, "x", info=info)


async def test_address_with_v1_is_understood(serve_openai: ServeOpenAI) -> None:
    found = await probe_server(serve_openai([], kind="vllm").url + "/v1")
    assert (found.kind, found.models) == ("vllm", ("scripted:latest",))


async def test_wanted_api_is_not_taken_for_the_other(serve: Serve, serve_openai: ServeOpenAI) -> None:
    with pytest.raises(ModelUnavailable, match="no Ollama server"):
        await probe_server(serve_openai([]).url, wanted="ollama")
    with pytest.raises(ModelUnavailable, match=r"no model server \(HTTP 404 for /v1/models\)"):
        await probe_server(serve([]).url, wanted="openai")


@pytest.fixture
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def closed_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


async def test_usual_servers_are_looked_for_side_by_side(
    serve: Serve, serve_openai: ServeOpenAI, silent: str
) -> None:
    usual = (
        UsualServer("ollama", serve([]).url),
        UsualServer("llama.cpp", silent),
        UsualServer("vllm", closed_url()),
        UsualServer("lmstudio", serve_openai([], kind="lmstudio").url),
    )
    began = time.monotonic()
    found, missing = await find_usual_servers(0.8, usual=usual)
    assert time.monotonic() - began < 2
    assert [info.kind for info in found] == ["ollama", "lmstudio"]
    assert missing == [
        f"llama-server at {silent}: no answer within 0.8 s",
        f"vLLM at {usual[2].url}: connection refused",
    ]


async def test_web_server_at_a_usual_address_is_none() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    web = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{web.sockets[0].getsockname()[1]}"
    found, missing = await find_usual_servers(usual=(UsualServer("vllm", url),))
    web.close()
    await web.wait_closed()
    assert found == [] and "no model server" in missing[0]
