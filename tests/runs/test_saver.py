"""The saver against LangGraph's own in-memory one: whatever is done to a run, both must say the same."""

from __future__ import annotations

import operator
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

import aiosqlite
import pytest
from langchain_core.messages import HumanMessage
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from flowloom.core.errors import FlowError
from flowloom.graphs.channels import merge
from flowloom.runs.checkpoints import open_saver
from flowloom.runs.saver import RunSaver

TOTAL = 30


class State(TypedDict, total=False):
    messages: Annotated[list[dict[str, Any]], operator.add]
    histories: Annotated[dict[str, Any], merge]
    answer: str


def joined(old: list[Any], writes: Any) -> list[Any]:
    return [*old, *(each for write in writes for each in write)]


class Branch(TypedDict):
    at: int


class Delta(TypedDict):
    messages: Annotated[list[Any], DeltaChannel(joined)]


def message(number: int) -> dict[str, Any]:
    return {"role": "user", "content": f"{number} 番目", "n": number}


def loop(total: int) -> Any:
    async def step(state: State) -> State:
        return {"messages": [message(len(state["messages"]))]}

    graph = StateGraph(State)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda s: "step" if len(s["messages"]) < total else END, ["step", END])
    return graph


def whole() -> Any:
    """A loop in a node, parallel branches that each grow the list, a question, and a history by name."""
    inner = loop(12).compile()

    async def nested(state: State) -> State:
        said = (await inner.ainvoke({"messages": []}))["messages"]
        return {"messages": said, "histories": {"nested": said}}

    async def branch(state: Branch) -> State:
        at = state["at"]
        return {"messages": [message(100 * at + n) for n in range(10)], "histories": {f"b{at}": [message(at)] * 9}}

    def ask(state: State) -> State:
        return {"answer": interrupt({"text": "よい?", "seen": state["messages"]})}

    graph = StateGraph(State)
    graph.add_node("nested", nested)
    graph.add_node("branch", branch)
    graph.add_node("ask", ask)
    graph.add_edge(START, "nested")
    graph.add_conditional_edges("nested", lambda _: [Send("branch", {"at": n}) for n in range(3)], ["branch"])
    graph.add_edge("branch", "ask")
    return graph


def thread(name: str = "t", **more: Any) -> Any:
    return {"configurable": {"thread_id": name, **more}, "recursion_limit": 1000}


@contextmanager
def by_hand(path: Path) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(path)
    # What the fence of the tables asks: no run here has a lease.
    db.create_function("flow_epoch", 1, lambda _: None)
    with db:
        yield db
    db.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "runs.db"


@pytest.fixture
async def saver(path: Path) -> AsyncIterator[RunSaver]:
    async with open_saver(path) as saver:
        yield saver


async def history(app: Any) -> list[Any]:
    """Return all that a thread's checkpoints say, newest first, without the names that differ from run to run."""
    return [
        (state.values, state.next, [each.value for each in state.interrupts], state.metadata["step"])
        async for state in app.aget_state_history(thread())
    ]


async def both(saver: RunSaver, graph: Any) -> tuple[Any, Any]:
    return graph.compile(checkpointer=saver), graph.compile(checkpointer=InMemorySaver())


async def test_nested_graphs_branches_and_questions_are_stored_as_by_the_oracle(saver: RunSaver) -> None:
    ours, oracle = await both(saver, whole())
    for app in (ours, oracle):
        await app.ainvoke({"messages": []}, thread(), durability="sync")
        question = (await app.aget_state(thread())).interrupts[0]
        assert len(question.value["seen"]) == 42
        await app.ainvoke(Command(resume={question.id: "yes"}), thread(), durability="sync")
    assert await history(ours) == await history(oracle)


async def test_every_past_state_is_read_back_whole(saver: RunSaver) -> None:
    ours, oracle = await both(saver, loop(TOTAL))
    for app in (ours, oracle):
        await app.ainvoke({"messages": []}, thread(), durability="sync")
    found = await history(ours)
    assert found == await history(oracle)
    assert [len(values.get("messages", ())) for values, *_ in found] == [*range(TOTAL, -1, -1), 0]


@pytest.mark.parametrize("at", [3, 9, 20])
async def test_fork_of_an_old_state_goes_on_alone_and_leaves_the_other_as_it_was(saver: RunSaver, at: int) -> None:
    ours, oracle = await both(saver, loop(TOTAL))
    for app in (ours, oracle):
        await app.ainvoke({"messages": []}, thread(), durability="sync")
        old = await anext(
            s async for s in app.aget_state_history(thread()) if len(s.values.get("messages", ())) == at
        )
        fork = await app.aupdate_state(old.config, {"messages": [{"n": "別の道"}]})
        forked = await app.ainvoke(None, {**thread(), **fork}, durability="sync")
        expected = [*map(message, range(at)), {"n": "別の道"}, *map(message, range(at + 1, TOTAL))]
        assert forked["messages"] == expected
    assert await history(ours) == await history(oracle)


async def test_replay_from_an_old_state_repeats_its_steps(saver: RunSaver) -> None:
    app = loop(TOTAL).compile(checkpointer=saver)
    await app.ainvoke({"messages": []}, thread(), durability="sync")
    old = await anext(s async for s in app.aget_state_history(thread()) if len(s.values.get("messages", ())) == 12)
    again = await app.ainvoke(None, {**thread(), **old.config}, durability="sync")
    assert again["messages"] == [*map(message, range(TOTAL))]


async def test_state_survives_the_removal_of_every_older_checkpoint(saver: RunSaver, path: Path) -> None:
    app = loop(TOTAL).compile(checkpointer=saver)
    await app.ainvoke({"messages": []}, thread(), durability="sync")
    with by_hand(path) as db:
        for table in ("checkpoints", "writes"):
            db.execute(f"DELETE FROM {table} WHERE checkpoint_id < (SELECT max(checkpoint_id) FROM checkpoints)")
    async with open_saver(path) as later:
        state = await loop(TOTAL).compile(checkpointer=later).aget_state(thread())
        longer = await loop(TOTAL + 5).compile(checkpointer=later).ainvoke({"messages": []}, thread())
    assert state.values["messages"] == [*map(message, range(TOTAL))]
    assert longer["messages"] == [*map(message, range(TOTAL + 5))]


async def test_checkpoints_stay_small_however_long_the_conversation_is(saver: RunSaver, path: Path) -> None:
    await loop(300).compile(checkpointer=saver).ainvoke({"messages": []}, thread(), durability="sync")
    with by_hand(path) as db:
        assert db.execute("SELECT max(length(checkpoint)) FROM checkpoints").fetchone()[0] < 2_000
        assert db.execute("SELECT count(*) FROM checkpoint_item").fetchone()[0] == 300


async def test_continued_history_is_stored_once(saver: RunSaver, path: Path) -> None:
    def visit(state: State) -> State:
        said = [*state.get("histories", {}).get("a", []), {"content": "x" * 2_000}]
        return {"histories": {"a": said}}

    graph = StateGraph(State)
    graph.add_node("visit", visit)
    graph.add_edge(START, "visit")
    graph.add_conditional_edges("visit", lambda s: "visit" if len(s["histories"]["a"]) < 60 else END, ["visit", END])
    await graph.compile(checkpointer=saver).ainvoke({"messages": []}, thread(), durability="sync")
    with by_hand(path) as db:
        sizes = "SELECT (SELECT sum(length(checkpoint)) FROM checkpoints) + (SELECT sum(length(value)) FROM writes)"
        assert db.execute(sizes).fetchone()[0] < 350_000
        assert db.execute("SELECT count(*) FROM checkpoint_item").fetchone()[0] == 60


KILLED = """
import asyncio, operator, os, signal, sys
from pathlib import Path
from typing import Annotated, TypedDict
from langgraph.graph import END, START, StateGraph
from flowloom.runs.checkpoints import open_saver
from flowloom.runs.saver import RunSaver

place, left = sys.argv[2], 0
for name in ("aput", "aput_writes", "_insert"):
    def counted(name=name, inner=getattr(RunSaver, name)):
        async def call(*args, **kwargs):
            global left
            if place == f"before {name}" and (left := left - 1) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            done = await inner(*args, **kwargs)
            if place == f"after {name}" and (left := left - 1) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return done
        return call
    setattr(RunSaver, name, counted())

class State(TypedDict):
    messages: Annotated[list, operator.add]

async def step(state):
    return {"messages": [{"n": len(state["messages"])}]}

def loop(total):
    graph = StateGraph(State)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda s: "step" if len(s["messages"]) < total else END, ["step", END])
    return graph

async def main():
    inner = loop(15).compile()
    async def nested(state):
        return {"messages": (await inner.ainvoke({"messages": []}))["messages"]}
    graph = StateGraph(State)
    graph.add_node("first", nested)
    graph.add_node("second", nested)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    config = {"configurable": {"thread_id": "t"}}
    async with open_saver(Path(sys.argv[1])) as saver:
        app = graph.compile(checkpointer=saver)
        begun = (await app.aget_state(config)).created_at
        state = await app.ainvoke(None if begun else {"messages": []}, config, durability="sync")
        return [message["n"] for message in state["messages"]] == [*range(15), *range(15)]

for left in (4, 15):
    if os.fork() == 0:  # a new process, without the imports again
        asyncio.run(main())
        sys.exit()
    print(os.waitstatus_to_exitcode(os.wait()[1]))
left = 0
print(asyncio.run(main()))
"""


@pytest.mark.parametrize("place", ["before aput_writes", "after aput_writes", "after aput", "after _insert"])
def test_killed_around_any_write_no_message_is_lost_or_doubled(tmp_path: Path, place: str) -> None:
    database = str(tmp_path / "runs.db")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, database, place], capture_output=True, text=True, timeout=60, check=False
    )
    *killed, whole = done.stdout.split()
    assert whole == "True", done.stderr
    assert {int(code) for code in killed} <= {-signal.SIGKILL, 0} and len(killed) == 2, done.stderr
    assert int(killed[0]) == -signal.SIGKILL
    db = sqlite3.connect(database)
    assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    db.close()


async def test_item_that_is_gone_is_one_clear_error(saver: RunSaver, path: Path) -> None:
    app = loop(TOTAL).compile(checkpointer=saver)
    await app.ainvoke({"messages": []}, thread(), durability="sync")
    with by_hand(path) as db:
        db.execute("DELETE FROM checkpoint_item WHERE rowid = 5")
    async with open_saver(path) as later:
        with pytest.raises(FlowError, match="state of run t is damaged"):
            await loop(TOTAL).compile(checkpointer=later).aget_state(thread())


async def test_two_threads_share_nothing(saver: RunSaver) -> None:
    app = loop(TOTAL).compile(checkpointer=saver)
    for name in ("a", "b"):
        await app.ainvoke({"messages": []}, thread(name), durability="sync")
    await saver.adelete_thread("a")
    assert (await app.aget_state(thread("a"))).values == {}
    assert len((await app.aget_state(thread("b"))).values["messages"]) == TOTAL


async def test_stamp_is_on_every_checkpoint_of_every_namespace(saver: RunSaver) -> None:
    saver.stamp = lambda: {"state_version": 1, "fingerprint": "印"}
    app = whole().compile(checkpointer=saver)
    await app.ainvoke({"messages": []}, thread(), durability="sync")
    await app.aupdate_state(thread(), {"answer": "by hand"})
    found = [saved async for saved in saver.alist({"configurable": {"thread_id": "t"}})]
    assert {saved.config["configurable"]["checkpoint_ns"].partition(":")[0] for saved in found} == {"", "nested"}
    stamps: list[Any] = [dict(saved.metadata) for saved in found]
    assert {(stamp["state_version"], stamp["fingerprint"]) for stamp in stamps} == {(1, "印")}


async def test_why_not_delta_channel_it_loses_a_pruned_conversation_without_a_word(tmp_path: Path) -> None:
    app, config = await delta_loop(tmp_path / "delta.db", {"n": 0})
    connection = app.checkpointer.conn
    for table in ("checkpoints", "writes"):
        await connection.execute(
            f"DELETE FROM {table} WHERE checkpoint_id < (SELECT max(checkpoint_id) FROM checkpoints)"
        )
    await connection.commit()
    assert (await app.aget_state(config)).values["messages"] == []
    await connection.close()


async def test_why_not_delta_channel_it_turns_plain_messages_into_objects(tmp_path: Path) -> None:
    app, config = await delta_loop(tmp_path / "delta.db", {"role": "user", "content": "x", "n": 0})
    found = (await app.aget_state(config)).values["messages"]
    assert all(isinstance(each, HumanMessage) for each in found)
    await app.checkpointer.conn.close()


async def delta_loop(path: Path, item: dict[str, Any]) -> tuple[Any, Any]:
    graph = StateGraph(Delta)
    graph.add_node("step", lambda _: {"messages": [item]})
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda s: "step" if len(s["messages"]) < 12 else END, ["step", END])
    app: Any = graph.compile(checkpointer=AsyncSqliteSaver(await aiosqlite.connect(path)))
    await app.ainvoke({"messages": []}, thread(), durability="sync")
    assert len((await app.aget_state(thread())).values["messages"]) == 12
    return app, thread()
