from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from flowloom.core.errors import LimitReached
from flowloom.core.messages import Message, ModelRequest, ToolDef
from flowloom.llm.answers import Answer, Fault, Reply
from flowloom.llm.prompt_cut import CutWatch

from .conftest import Connect, ConnectOpenAI, Serve, ServeOpenAI, ask, ignore

LONG = Message("user", "def area(width, height): return width * height\n" * 200)
GROWN = (LONG, Message("assistant", "Seen."), Message("user", "and so on, line after line\n" * 300))


@pytest.mark.parametrize("again", [Reply(prompt_tokens=90), Reply(prompt_tokens=400)])
async def test_count_that_stays_far_below_the_prompt_is_an_error_not_a_reply(
    serve: Serve, connect: Connect, again: Reply
) -> None:
    server = serve([Reply("certainly", prompt_tokens=90)], preflight=again)
    with pytest.raises(LimitReached, match=r"read only (90|400) tokens .* than the 8,192 .*models\.num_ctx"):
        await connect(server).complete(ask(LONG), ignore)


async def test_openai_server_that_cuts_the_prompt_is_found_out_too(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI
) -> None:
    cut = Reply("certainly", prompt_tokens=90)
    with pytest.raises(LimitReached, match="read only 90 tokens"):
        await connect_openai(serve_openai([cut], preflight=cut)).complete(ask(LONG), ignore)


async def test_count_without_what_was_cached_is_asked_about_once_and_then_believed(
    serve: Serve, connect: Connect
) -> None:
    server = serve([Reply("one", prompt_tokens=9), Reply("two", prompt_tokens=5)])
    chat = connect(server)
    for text in ("one", "two"):
        assert (await chat.complete(ask(LONG), ignore)).text == text
    # What is asked again begins otherwise, so that nothing of it is cached, and for one token only.
    (again,) = server.preflights
    first = server.requests[0].body["messages"]
    assert again["messages"][1:] == first[1:] and again["messages"][0]["content"].endswith(f") {first[0]['content']}")


@pytest.mark.parametrize("again", [Fault("http-503"), Fault("no-done"), Reply(prompt_tokens=0)])
async def test_what_cannot_be_found_out_is_no_error(serve: Serve, connect: Connect, again: Answer) -> None:
    server = serve([Reply("whole", prompt_tokens=90)], preflight=again)
    assert (await connect(server).complete(ask(LONG), ignore)).text == "whole"


@pytest.mark.parametrize(("second", "cut"), [(4_200, False), (2_050, True)])
async def test_count_of_a_conversation_has_to_grow_with_it(second: int, cut: bool) -> None:
    watch = CutWatch(32_768)
    await watch.check(ask(LONG), 2_048, never)
    if cut:
        with pytest.raises(LimitReached):
            await watch.check(ask(*GROWN, turn=1), second, counts(second))
    else:
        await watch.check(ask(*GROWN, turn=1), second, never)


async def test_prompt_that_loses_its_tools_may_be_shorter() -> None:
    tool = ToolDef("t", "Does a thing. " * 200, {"type": "object", "properties": {}})
    watch = CutWatch(32_768)
    await watch.check(ask(LONG, tools=(tool,)), 3_000, never)
    await watch.check(ask(LONG, Message("assistant", "a"), Message("user", "b"), turn=1), 1_900, never)


async def test_conversation_that_was_made_smaller_may_be_shorter_however_many_messages_it_has() -> None:
    watch = CutWatch(32_768)
    await watch.check(ask(*GROWN), 4_200, never)
    short = Message("user", "and so on [shown short]")
    await watch.check(ask(LONG, GROWN[1], short, GROWN[1], short, turn=1), 2_200, never)


async def never(request: object) -> int | None:
    raise AssertionError("asked again")


def counts(tokens: int) -> Callable[[ModelRequest], Awaitable[int | None]]:
    async def again(request: ModelRequest) -> int | None:
        return tokens

    return again
