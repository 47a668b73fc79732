from __future__ import annotations

import asyncio
import operator
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, TypedDict

import ormsgpack
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from flowloom.core.errors import FlowError
from flowloom.core.events import NodeStarted
from flowloom.runs.checkpoints import open_saver
from flowloom.runs.store import RunRow, RunStore


class State(TypedDict):
    steps: Annotated[list[dict[str, Any]], operator.add]


CONFIG: RunnableConfig = {"configurable": {"thread_id": "run1"}}


def chain(saver: Any) -> Any:
    graph = StateGraph(State)
    graph.add_node("one", lambda _: {"steps": [{"text": "一"}]})
    graph.add_node("two", lambda _: {"steps": [{"text": "二"}]})
    graph.add_edge(START, "one")
    graph.add_edge("one", "two")
    graph.add_edge("two", END)
    return graph.compile(checkpointer=saver)


async def test_state_is_read_back_by_another_saver(tmp_path: Path) -> None:
    path = tmp_path / "data" / "runs.db"
    async with open_saver(path) as saver:
        await chain(saver).ainvoke({"steps": []}, CONFIG, durability="sync")
    async with open_saver(path) as saver:
        state = await chain(saver).aget_state(CONFIG)
    assert state.values == {"steps": [{"text": "一"}, {"text": "二"}]}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_checkpoints_lie_beside_the_rows_of_the_store(store: RunStore, row: RunRow) -> None:
    config = {"configurable": {"thread_id": row.id}}
    async with open_saver(store.path) as saver:
        await chain(saver).ainvoke({"steps": []}, config, durability="sync")
    store.update_run(row.id, status="done")
    assert store.query("SELECT count(*) FROM checkpoints WHERE thread_id = ?", (row.id,))[0][0] > 0
    store.remove_run(row.id)
    assert store.query("SELECT (SELECT count(*) FROM checkpoints) + (SELECT count(*) FROM writes)")[0][0] == 0


async def test_question_and_fan_out_survive_the_serializer(tmp_path: Path) -> None:
    def ask(state: State) -> dict[str, Any]:
        return {"steps": [{"answer": interrupt({"text": "よいですか", "choices": ["yes", "no"]})}]}

    graph = StateGraph(State)
    graph.add_node("ask", ask)
    graph.add_node("item", lambda item: {"steps": [item]})
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", lambda _: [Send("item", {"n": n}) for n in range(2)], ["item"])
    path = tmp_path / "runs.db"
    async with open_saver(path) as saver:
        asking: Any = graph.compile(checkpointer=saver)
        await asking.ainvoke({"steps": []}, CONFIG, durability="sync")
    async with open_saver(path) as saver:
        app: Any = graph.compile(checkpointer=saver)
        question = (await app.aget_state(CONFIG)).interrupts[0]
        result = await app.ainvoke(Command(resume={question.id: {"choice": "yes"}}), CONFIG, durability="sync")
    assert question.value == {"text": "よいですか", "choices": ["yes", "no"]}
    assert result["steps"] == [{"answer": {"choice": "yes"}}, {"n": 0}, {"n": 1}]


@pytest.mark.parametrize("kind", ["msgpack", "pickle", "json"])
async def test_planted_row_is_never_executed(tmp_path: Path, store: RunStore, kind: str) -> None:
    mark = tmp_path / "executed"
    command = f"touch {mark}"
    # Extension 0 is "call this with one argument" in the serializer's format.
    call = ormsgpack.packb(("os", "system", command))
    payloads = {
        "msgpack": ormsgpack.packb({"steps": ormsgpack.Ext(0, call)}),
        "pickle": b"cos\nsystem\n(S'" + command.encode() + b"'\ntR.",
        "json": b'{"lc": 2, "type": "constructor", "id": ["os", "system"], "args": ["' + command.encode() + b'"]}',
    }
    async with open_saver(store.path) as saver:
        await chain(saver).ainvoke({"steps": []}, CONFIG, durability="sync")
        with store.change() as db:
            db.execute("UPDATE checkpoints SET type = ?, checkpoint = ?", (kind, payloads[kind]))
            db.execute("UPDATE writes SET type = ?, value = ?", (kind, payloads[kind]))
        try:
            await chain(saver).aget_state(CONFIG)
        except (NotImplementedError, TypeError, KeyError, AttributeError) as refused:
            assert refused
    assert not mark.exists()


async def test_store_may_write_while_the_saver_is_writing(store: RunStore, row: RunRow) -> None:
    async def save(saver: Any, thread: str) -> None:
        await chain(saver).ainvoke({"steps": []}, {"configurable": {"thread_id": thread}}, durability="sync")

    async with open_saver(store.path) as saver:
        saving = asyncio.gather(*(save(saver, f"t{n}") for n in range(2)))
        # A lock that the saver held from one call to the next would end this after the busy timeout, in an error.
        while not saving.done():
            store.append_event(row.id, "a", NodeStarted("set", 1))
            await asyncio.sleep(0)
        await saving
    assert store.usage(row.id).last_seq > 2


async def test_writes_of_one_task_are_kept_all_or_none(tmp_path: Path) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "c"}}
    async with open_saver(tmp_path / "runs.db") as saver:
        await saver.conn.execute(
            "CREATE TRIGGER full BEFORE INSERT ON writes WHEN NEW.idx = 1 BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        with pytest.raises(Exception, match="full"):
            await saver.aput_writes(config, [("a", 1), ("b", 2)], "task")
        rows = await (await saver.conn.execute("SELECT count(*) FROM writes")).fetchone()
        assert rows is not None
        assert rows[0] == 0


def test_killed_process_leaves_a_database_that_loads(tmp_path: Path) -> None:
    code = """
import asyncio, operator, os, signal, sys
from pathlib import Path
from typing import Annotated, TypedDict
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from flowloom.runs.checkpoints import open_saver

class State(TypedDict):
    n: Annotated[list[int], operator.add]

def step(state):
    if len(state["n"]) == 20 and sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"n": [len(state["n"])]}

async def main():
    graph = StateGraph(State)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda s: "step" if len(s["n"]) < 40 else "__end__", ["step", "__end__"])
    config = {"configurable": {"thread_id": "t"}, "recursion_limit": 100}
    async with open_saver(Path(sys.argv[1])) as saver:
        start = {"n": []} if sys.argv[2] == "kill" else None
        result = await graph.compile(checkpointer=saver).ainvoke(start, config, durability="sync")
        print(result["n"] == list(range(40)), end="")

asyncio.run(main())
"""
    run = [sys.executable, "-c", code, str(tmp_path / "runs.db")]
    killed = subprocess.run([*run, "kill"], capture_output=True, text=True)
    resumed = subprocess.run([*run, "resume"], capture_output=True, text=True, timeout=60)
    assert killed.returncode == -9
    assert resumed.stdout == "True", resumed.stderr


def test_process_ends_although_the_run_failed_inside_the_saver(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from flowloom.runs.checkpoints import open_saver\n"
        "async def main():\n"
        "    async with open_saver(Path(sys.argv[1])):\n"
        "        raise KeyError('boom')\n"
        "asyncio.run(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "db")], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert "boom" in done.stderr


async def test_file_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "runs.db").write_bytes(os.urandom(4096))
    with pytest.raises(FlowError, match="cannot be used"):
        async with open_saver(tmp_path / "runs.db"):
            pass
