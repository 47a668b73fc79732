from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flowloom.core.errors import ModelFault, ModelUnavailable, ReplyCut, ReplyInvalid
from flowloom.core.events import ModelCalled, Phase
from flowloom.core.messages import CallKey, Message, ModelReply, ModelRequest, ToolCall, ToolDef, Usage
from flowloom.core.ports import OnProgress
from flowloom.runs.replies import Replies
from flowloom.runs.store import RunRow, RunStore

REPLY = ModelReply(
    "直します",
    (ToolCall("c1", "edit_file", {"path": "日本.py", "n": 1}),),
    thinking="考え",
    model="m:24b",
    usage=Usage(10, 20, 0.5, None, 1.5),
)
REQUEST = ModelRequest((Message("user", "合計を直して"),), CallKey("implement[a]/code", 1, 0))


class Model:
    name = "m:24b"
    window = 4096

    def __init__(self, *replies: ModelReply | ModelFault) -> None:
        self.replies = list(replies)
        self.asked = 0

    async def complete(self, request: ModelRequest, on_progress: OnProgress) -> ModelReply:
        self.asked += 1
        reply = self.replies.pop(0)
        if isinstance(reply, ModelFault):
            raise reply
        return reply


def quiet(phase: Phase, amount: int, fault: str = "") -> None:
    pass


@pytest.fixture
def replies(store: RunStore, row: RunRow) -> Replies:
    return Replies(store, row.id)


async def ask(replies: Replies, model: Any, request: ModelRequest = REQUEST) -> ModelReply:
    return await replies.of(model).complete(request, quiet)


def next_turn(request: ModelRequest) -> ModelRequest:
    return replace(request, key=replace(request.key, turn=request.key.turn + 1))


async def test_reply_is_given_again_whole_without_asking(replies: Replies) -> None:
    model = Model(REPLY)
    first = await ask(replies, model)
    again = await ask(replies, model)
    assert model.asked == 1
    assert again == first
    assert replace(again, seconds=None) == REPLY
    assert again.seconds is not None


async def test_reply_is_told_once_its_event_is_stored(replies: Replies, store: RunStore, row: RunRow) -> None:
    model = Model(REPLY)
    store.append_event(row.id, "x#1", ModelCalled(str(REQUEST.key), "m", 1.0, 1, 1))
    assert not (await ask(replies, model)).told
    assert not (await ask(replies, model)).told
    store.append_event(row.id, "x#1", ModelCalled(str(REQUEST.key), "m", 1.0, 1, 1))
    assert (await ask(replies, model)).told


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, messages=(Message("user", "別"),)),
        replace(REQUEST, messages=(Message("user", "合計を直して", thinking="x"),)),
        replace(REQUEST, tools=(ToolDef("grep", "find", {"type": "object"}),)),
        replace(REQUEST, schema={"type": "object"}),
        replace(REQUEST, key=CallKey("implement[b]/code", 1, 0)),
        replace(REQUEST, key=CallKey("implement[a]/code", 2, 0)),
        next_turn(REQUEST),
    ],
)
async def test_any_other_request_is_asked(replies: Replies, other: ModelRequest) -> None:
    model = Model(REPLY, ModelReply("別の答え"))
    await ask(replies, model)
    assert (await ask(replies, model, other)).text == "別の答え"


async def test_reply_counts_whatever_its_output_cap_is_now(replies: Replies) -> None:
    model = Model(REPLY)
    await ask(replies, model)
    assert (await ask(replies, model, replace(REQUEST, max_tokens=1))).text == "直します"
    assert model.asked == 1


async def test_another_model_is_asked(replies: Replies) -> None:
    await ask(replies, Model(REPLY))
    other = Model(ModelReply("other"))
    other.name = "other:8b"
    assert (await ask(replies, other)).text == "other"


async def test_reply_of_one_run_is_not_that_of_another(replies: Replies, store: RunStore, row: RunRow) -> None:
    await ask(replies, Model(REPLY))
    assert (await ask(Replies(store, "otherrun"), Model(ModelReply("other")))).text == "other"


async def test_next_turn_removes_the_reply_before_it(replies: Replies, store: RunStore) -> None:
    model = Model(REPLY, REPLY, REPLY)
    await ask(replies, model)
    await ask(replies, model, next_turn(REQUEST))
    await ask(replies, model, replace(REQUEST, key=CallKey("other", 1, 0)))
    rows = store.query("SELECT agent, turn FROM reply ORDER BY agent")
    assert [tuple(found) for found in rows] == [("implement[a]/code#1", 1), ("other#1", 0)]


@pytest.mark.parametrize(
    "fault",
    [ReplyCut("cut", hint="Raise it.", usage=Usage(9, 4096)), ReplyInvalid("JSON が壊れています", usage=Usage())],
)
async def test_reply_that_was_paid_but_unusable_is_not_asked_again(replies: Replies, fault: ModelFault) -> None:
    model = Model(fault)
    for _ in range(2):
        with pytest.raises(type(fault)) as caught:
            await ask(replies, model)
        told = caught.value
        assert (told.message, told.hint, told.usage) == (fault.message, fault.hint, fault.usage)
    assert model.asked == 1


async def test_what_an_unusable_reply_cost_is_given_until_it_is_told(
    replies: Replies, store: RunStore, row: RunRow
) -> None:
    model = Model(ReplyCut("cut", usage=Usage(9, 4096)))

    async def cost() -> Usage | None:
        with pytest.raises(ReplyCut) as caught:
            await ask(replies, model)
        return caught.value.usage

    assert [await cost(), await cost()] == [Usage(9, 4096), Usage(9, 4096)]
    store.append_event(row.id, "x#1", ModelCalled(str(REQUEST.key), "m", 1.0, 9, 4096, fault="cut"))
    assert await cost() is None


async def test_call_without_a_complete_reply_is_asked_again(replies: Replies) -> None:
    broken: Any = (ModelFault("the stream broke"), ModelUnavailable("gone"))
    with pytest.raises(ModelFault):
        await ask(replies, Model(broken[0]))
    assert (await ask(replies, Model(REPLY))).text == "直します"


async def test_dropped_replies_are_asked_again(replies: Replies) -> None:
    await ask(replies, Model(REPLY))
    replies.drop()
    assert (await ask(replies, Model(ModelReply("新しい")))).text == "新しい"


async def test_removed_run_leaves_no_reply(replies: Replies, store: RunStore, row: RunRow) -> None:
    await ask(replies, Model(REPLY))
    store.remove_run(row.id)
    assert store.query("SELECT * FROM reply") == []
