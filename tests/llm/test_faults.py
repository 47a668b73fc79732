from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from flowloom.core.errors import ModelFault, ModelUnavailable, NoRoom
from flowloom.core.events import Phase
from flowloom.core.messages import ToolDef
from flowloom.llm.faults import Patience, Refused, judge, next_delay
from flowloom.llm.ollama_server import Fault, Reply

from .conftest import Connect, Serve, ask, ignore

BROKEN = ["no-done", "truncated-json", "garbage", "error-line", "error-object", "empty", "load", "not-json"]


@pytest.mark.parametrize("kind", [*BROKEN, "drop", "reset", "http-500", "http-503"])
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
        ("garbage", "no whole JSON"),
        ("error-object", "did not keep running"),
        ("drop", "the connection broke"),
        ("reset", "the connection broke"),
        ("http-500", "did not keep running"),
        ("endless", "far beyond its limit of 20 tokens"),
    ],
)
async def test_reply_that_keeps_breaking_is_given_up_after_three_times(
    serve: Serve, connect: Connect, kind: Any, message: str
) -> None:
    server = serve(lambda request: Fault(kind))
    with pytest.raises(ModelUnavailable, match=message):
        await connect(server).complete(ask(max_tokens=20), ignore)
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_server_that_stays_out_is_given_up_after_the_patience(
    serve: Serve, connect: Connect, status: int
) -> None:
    server = serve(lambda request: Fault("http", status=status, text="busy"))
    with pytest.raises(ModelUnavailable, match="answers with an error: HTTP") as caught:
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


async def test_reply_that_comes_after_an_outage_may_break_as_often_as_any_other(
    serve: Serve, connect: Connect
) -> None:
    server = serve([Fault("http-503"), Fault("drop"), Fault("no-done"), Reply("whole")])
    assert (await connect(server).complete(ask(), ignore)).text == "whole"


async def test_each_wait_is_told_and_its_reason_once(serve: Serve, connect: Connect) -> None:
    seen: list[tuple[Phase, int, str]] = []
    server = serve([*[Fault("http-503", text="busy")] * 2, Reply("whole")])
    await connect(server).complete(ask(), lambda phase, amount, fault="": seen.append((phase, amount, fault)))
    waits = [told for told in seen if told[0] == "waiting to ask again"]
    assert [amount for _, amount, _ in waits] == [1, 2]
    assert "HTTP 503, busy" in waits[0][2] and waits[1][2] == ""


@pytest.mark.parametrize("kind", ["double-done", "wrong-type", "slow-drip"])
async def test_whole_reply_with_something_odd_about_it_is_taken(serve: Serve, connect: Connect, kind: Any) -> None:
    server = serve([Fault(kind, text="whole", delay_s=0.05)])
    chat = connect(server, stall_timeout_s=1)
    assert (await chat.complete(ask(), ignore)).text == "whole"
    assert len(server.requests) == 1


def test_delays_double_up_to_half_a_minute_within_the_patience() -> None:
    delays = [next_delay("outage", retries, 0, 0, Patience(retry_s=1000)) for retries in range(9)]
    assert delays == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert next_delay("outage", 0, 0, 119.9, Patience()) is None
    assert next_delay("few", 9, 2, 0, Patience(retry_s=1000)) == 30
    assert next_delay("few", 9, 3, 0, Patience()) is None
    assert next_delay("never", 0, 0, 0, Patience()) is None


def test_loading_server_is_asked_every_two_seconds_for_as_long_as_a_first_token_may_take() -> None:
    assert [next_delay("loading", retries, 0, 0, Patience()) for retries in range(5)] == [0.25, 0.5, 1, 2, 2]
    assert next_delay("loading", 9, 0, 297, Patience()) == 2
    assert next_delay("loading", 9, 0, 299, Patience()) is None
    assert next_delay("loading", 0, 0, 0, Patience(retry_s=0)) is None


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("request (5321 tokens) exceeds the available context size (4096 tokens), try increasing it", 4096),
        ("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens", 8192),
        ("The decoder prompt (length 5321) is longer than the maximum model length of 4096.", 4096),
        ("the server read only 2,500 tokens of a prompt of about 3,649", 2500),
        ("the input length exceeds the context length", 0),
        ("prompt too long; exceeded max context length by 321 tokens", 0),
    ],
)
def test_refusal_for_want_of_room_tells_the_window_where_the_server_does(text: str, window: int) -> None:
    verdict = judge(Refused(400, text), url="http://127.0.0.1:1", model="m", replaying=False)
    assert isinstance(verdict.error, NoRoom) and verdict.retry == "never"
    assert verdict.error.window == window
