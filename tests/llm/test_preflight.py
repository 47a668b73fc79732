from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.errors import ModelUnavailable
from flowloom.llm.answers import Fault, Reply
from flowloom.llm.capabilities import Capabilities, CapabilityFile
from flowloom.llm.faults import Patience
from flowloom.llm.preflight import measure_speed, preflight
from flowloom.llm.probe import describe_model, probe_server
from flowloom.llm.server_info import ListedModel, ServerInfo

from .conftest import Serve, ServeOpenAI


async def look(server: Any, window: int = 8192, **options: Any) -> Capabilities:
    info = await probe_server(server.url)
    details = await describe_model(info.url, info.models[0], info=info)
    return await preflight(info, details, window, **options)


async def test_ollama_tells_window_tools_and_memory(serve: Serve) -> None:
    server = serve([], memory=(20_000_000_000, 15_000_000_000), capabilities=("completion", "tools", "thinking"))
    found = await look(server)
    assert (found.tools, found.thinking, found.schema, found.window) == (True, True, True, 8192)
    assert (found.memory_bytes, found.vram_bytes, found.cpu_share) == (20_000_000_000, 15_000_000_000, 0.25)
    assert "25% of it runs on the CPU" in found.notices()[0]


async def test_one_request_for_one_token_with_the_window_is_all(serve: Serve) -> None:
    server = serve([])
    await look(server, window=16384, keep_alive="5m")
    assert server.requests == []
    (body,) = server.preflights
    assert body["options"] == {"num_ctx": 16384, "num_predict": 1, "temperature": 0}
    assert (body["keep_alive"], body["stream"], "tools" in body) == ("5m", False, False)


async def test_smaller_window_than_asked_for_is_kept_to_and_told(serve: Serve) -> None:
    found = await look(serve([], context_length=4096), window=8192)
    assert (found.window, found.window_asked) == (4096, 8192)
    assert "window of 4,096 tokens, not the 8,192" in found.notices()[0]


async def test_server_that_says_no_memory_leaves_it_open(serve: Serve) -> None:
    found = await look(serve([]))
    assert (found.memory_bytes, found.vram_bytes, found.cpu_share, found.notices()) == (None, None, None, [])


@pytest.mark.parametrize("kind", ["llama.cpp", "vllm", "lmstudio", "openai"])
async def test_openai_servers_are_asked_for_one_token_too(serve_openai: ServeOpenAI, kind: str) -> None:
    server = serve_openai([], kind=kind, context_length=8192)
    found = await look(server)
    assert (found.server, found.window, found.tools) == (kind, 8192, True)
    assert len(server.preflights) == 1 and server.requests == []
    assert server.bodies[0]["max_tokens"] == 1


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("vllm", '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
        ("llama.cpp", "tools param requires --jinja flag"),
    ],
)
async def test_refused_tools_are_found_out(serve_openai: ServeOpenAI, kind: str, text: str) -> None:
    refusal = Fault("http", status=400, text=text)
    server = serve_openai([], kind=kind, preflight=lambda r: refusal if r.body.get("tools") else Reply("Hi"))
    found = await look(server)
    assert found.tools is False
    assert {"vllm": "--tool-call-parser", "llama.cpp": "--jinja"}[kind] in found.notices()[0]
    assert ["tools" in body for body in server.bodies] == [True, False]


async def test_known_capabilities_need_no_tool_in_the_request(serve_openai: ServeOpenAI) -> None:
    server = serve_openai([], kind="llama.cpp", caps={"supports_tools": False})
    found = await look(server)
    assert found.tools is False
    assert "tools" not in server.bodies[0]
    assert "takes no tools" in found.notices()[0]


async def test_llama_server_is_not_believed_to_take_tools_as_it_was_started(serve_openai: ServeOpenAI) -> None:
    refusal = Fault("http", status=500, text="tools param requires --jinja flag")
    server = serve_openai(
        [], caps={"supports_tools": True}, preflight=lambda r: refusal if r.body.get("tools") else Reply("Hi")
    )
    found = await look(server)
    assert found.tools is False and "--jinja" in found.notices()[0]


async def test_busy_server_is_asked_again_within_the_patience(serve: Serve) -> None:
    server = serve([], preflight=Fault("http-503"))
    with pytest.raises(ModelUnavailable, match="HTTP 503"):
        await look(server, patience=Patience(retry_s=0.9))
    assert len(server.preflights) == 3  # at 0, 0.25 and 0.75 s


async def test_model_that_does_not_fit_is_told_with_the_setting(serve: Serve) -> None:
    text = "model requires more system memory (40 GiB) than is available (8 GiB)"
    with pytest.raises(ModelUnavailable, match=r"does not fit.*models\.num_ctx"):
        await look(serve([], preflight=Fault("http", text=text)))


async def test_speed_is_measured_by_a_longer_request(serve: Serve) -> None:
    server = serve([Reply("x", prompt_tokens=500, completion_tokens=48)])
    info = await probe_server(server.url)
    found = await measure_speed(info, await look(server))
    # The scripted server reports half a millisecond for each.
    assert (found.prefill_per_s, found.decode_per_s) == (1_000_000, 96_000)
    assert server.requests[0].body["options"]["num_predict"] == 48


@pytest.mark.parametrize("kind", ["llama.cpp", "vllm"])
async def test_estimate_is_compared_with_the_servers_tokenizer(serve_openai: ServeOpenAI, kind: str) -> None:
    server = serve_openai([Reply("x")], kind=kind)
    info = await probe_server(server.url)
    # The scripted tokenizer counts words and marks. Asking it costs no reply, so a run does it too.
    for found in (looked := await look(server), await measure_speed(info, looked)):
        assert found.token_ratio is not None and 0.1 < found.token_ratio < 1


async def test_estimate_is_compared_with_the_count_of_the_prompt_elsewhere(serve: Serve) -> None:
    server = serve([Reply("x", prompt_tokens=5000)])
    found = await measure_speed(await probe_server(server.url), await look(server))
    assert found.token_ratio is not None and found.token_ratio > 1
    assert found.notices() == []


def info(digest: str = "abc", version: str = "1") -> ServerInfo:
    return ServerInfo("http://127.0.0.1:1", version, ("m",), listed=(ListedModel("m", digest=digest),))


RECORD = Capabilities("m", "ollama", "1", "abc", tools=True, window=8192, window_asked=8192, prefill_per_s=9.0)


def test_record_is_found_again_for_the_same_server_model_and_window(tmp_path: Path) -> None:
    CapabilityFile(tmp_path / "c" / "models.json").keep(info(), RECORD)
    kept = CapabilityFile(tmp_path / "c" / "models.json")
    assert kept.find(info(), "m", 8192) == RECORD
    assert kept.find(info("other"), "m", 8192) is None
    assert kept.find(info(version="2"), "m", 8192) is None
    assert kept.find(info(), "m", 4096) is None


def test_record_without_a_digest_is_not_kept(tmp_path: Path) -> None:
    file = CapabilityFile(tmp_path / "models.json")
    file.keep(info(""), Capabilities("m", "vllm", "1", "", window=1, window_asked=1))
    assert file.find(info(""), "m", 1) is None
    assert not (tmp_path / "models.json").exists()


def test_measured_speed_outlives_a_look_that_measures_none(tmp_path: Path) -> None:
    file = CapabilityFile(tmp_path / "models.json")
    file.keep(info(), RECORD)
    file.keep(info(), Capabilities("m", "ollama", "1", "abc", tools=True, window=8192, window_asked=8192))
    found = file.find(info(), "m", 8192)
    assert found is not None and found.prefill_per_s == 9.0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"v": 99, "models": {}}', '{"v": 1, "models": 3}'])
def test_damaged_file_counts_as_empty_and_is_written_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "models.json"
    path.write_text(text)
    file = CapabilityFile(path)
    assert file.find(info(), "m", 8192) is None
    file.keep(info(), RECORD)
    assert json.loads(path.read_text())["v"] == 1
    assert file.find(info(), "m", 8192) == RECORD


@pytest.mark.parametrize(("assumed", "window"), [(True, 16384), (False, 8192)])
async def test_a_window_told_once_the_model_is_loaded_takes_the_place_of_an_assumed_one(
    serve_openai: ServeOpenAI, assumed: bool, window: int
) -> None:
    server = serve_openai([], kind="lmstudio", context_length=16384)
    probed = await probe_server(server.url)
    before = replace(probed, listed=tuple(replace(one, window=None) for one in probed.listed))
    details = await describe_model(before.url, before.models[0], info=before)
    assert details.context_length is None
    found = await preflight(before, details, 8192, assumed=assumed)
    assert (found.window, found.window_asked) == (window, window)
