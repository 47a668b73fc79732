from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from flowloom.core.errors import ModelFault, ModelUnavailable
from flowloom.core.messages import ToolDef
from flowloom.llm.faults import next_delay
from flowloom.llm.ollama_server import Fault, Reply

from .conftest import Connect, Serve, ask, ignore

BROKEN = ["no-done", "truncated-json", "error-line", "empty", "load", "not-json"]


@pytest.mark.parametrize("kind", [*BROKEN, "drop", "http-500", "http-503"])
async def test_fault_that_passes_is_asked_again_at_once(serve: Serve, connect: Connect, kind: Any) -> None:
    server = serve([Fault(kind), Reply("whole")])
    started = time.monotonic()
    reply = await connect(server).complete(ask(), ignore)
    assert reply.text == "whole"
    assert len(server.requests) == 2
    assert time.monotonic() - started < 1.0


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("no-done", "ended without its last part"),
        ("truncated-json", "no whole JSON"),
        ("error-line", "CUDA error"),
        ("empty", "sent nothing"),
        ("load", "loaded the model and generated nothing"),
        ("not-json", "no whole JSON"),
    ],
)
async def test_reply_that_keeps_breaking_is_a_fault_after_three_times(
    serve: Serve, connect: Connect, kind: Any, message: str
) -> None:
    server = serve(lambda request: Fault(kind))
    with pytest.raises(ModelFault, match=message):
        await connect(server).complete(ask(), ignore)
    assert len(server.requests) == 3


@pytest.mark.parametrize("kind", ["http-500", "http-503", "drop"])
async def test_server_that_stays_out_is_given_up_after_the_patience(
    serve: Serve, connect: Connect, kind: Any
) -> None:
    server = serve(lambda request: Fault(kind))
    with pytest.raises(ModelUnavailable, match="no model server answers") as caught:
        await connect(server, retry_patience_s=0.9).complete(ask(), ignore)
    assert caught.value.exit_code == 5
    assert len(server.requests) == 3  # at 0, 0.25 and 0.75 s


async def test_no_server_names_address_reason_and_next_step(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ModelUnavailable) as caught:
        await connect(url, retry_patience_s=0).complete(ask(), ignore)
    assert f"{url!r}: connection refused." in str(caught.value)
    assert "ollama serve" in caught.value.hint


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1:9", "127.0.0.1:11434", "http://", "http://h:99999", "http://[::1", ""]
)
async def test_address_that_is_none_is_refused_at_once(connect: Connect, url: str) -> None:
    with pytest.raises(ModelUnavailable, match="no address of a server"):
        connect(url)


async def test_silence_before_the_first_part_ends_at_its_limit(serve: Serve, connect: Connect) -> None:
    server = serve(lambda request: Fault("slow-start", delay_s=20))
    chat = connect(server, first_token_timeout_s=0.2, stall_timeout_s=9, retry_patience_s=0)
    with pytest.raises(ModelUnavailable, match=r"sent nothing for 0\.2 s"):
        await chat.complete(ask(), ignore)


async def test_silence_between_parts_ends_at_its_limit_and_is_asked_again(serve: Serve, connect: Connect) -> None:
    server = serve([Fault("stall", delay_s=20), Reply("whole")])
    chat = connect(server, first_token_timeout_s=9, stall_timeout_s=0.2)
    assert (await chat.complete(ask(), ignore)).text == "whole"
    assert len(server.requests) == 2


async def test_tool_call_held_back_by_the_server_is_waited_for(serve: Serve, connect: Connect) -> None:
    tool = ToolDef("t", "T.", {"type": "object", "properties": {}})
    server = serve([Fault("stall", text="held back for a while", delay_s=0.6)])
    chat = connect(server, first_token_timeout_s=9, stall_timeout_s=0.2)
    assert (await chat.complete(ask(tools=(tool,)), ignore)).text == "held back for a while"


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (Fault("http-404", text="model 'scripted' not found"), ModelUnavailable, "ollama pull scripted"),
        (Fault("http-404", text="404 page not found"), ModelUnavailable, "no Ollama server"),
        (Fault("http", status=302), ModelUnavailable, "no Ollama server"),
        (Fault("http", status=401, text="unauthorized"), ModelUnavailable, "OLLAMA_API_KEY"),
        (Fault("http", status=400, text='"scripted" does not support tools'), ModelFault, "cannot call tools"),
        (Fault("http", status=400, text='"scripted" does not support thinking'), ModelFault, "models.think"),
        (Fault("http", status=400, text="bad option"), ModelFault, "HTTP 400.*bad option"),
        (Fault("http", status=409, text="conflict"), ModelFault, "HTTP 409.*conflict"),
        (
            Fault("http", text="model requires more system memory (40 GiB) than is available (8 GiB)"),
            ModelUnavailable,
            "does not fit.*num_ctx",
        ),
    ],
)
async def test_refusal_that_stays_is_never_asked_again(
    serve: Serve, connect: Connect, fault: Fault, error: type[Exception], message: str
) -> None:
    server = serve(lambda request: fault)
    with pytest.raises(error, match=message):
        await connect(server).complete(ask(), ignore)
    assert len(server.requests) == 1


async def test_unknown_model_names_the_command_that_gets_it(serve: Serve, connect: Connect) -> None:
    with pytest.raises(ModelUnavailable, match=r"has no model 'llama9:70b'.*ollama pull llama9:70b"):
        await connect(serve([]), model="llama9:70b").complete(ask(), ignore)


def test_delays_double_up_to_half_a_minute_within_the_patience() -> None:
    delays = [next_delay("outage", retries, 0, 1000) for retries in range(9)]
    assert delays == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert next_delay("outage", 0, 119.9, 120) is None
    assert next_delay("few", 1, 0, 120) == 0.5
    assert next_delay("few", 2, 0, 120) is None
    assert next_delay("never", 0, 0, 120) is None
