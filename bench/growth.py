"""A conversation that grows: the size of the database and the time of a step, beside LangGraph's own ways."""

from __future__ import annotations

import asyncio
import operator
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from typing_extensions import TypedDict

from .rows import Row

MESSAGES = 800
_BYTES = 1_000
_EARLY = slice(25, 75)
_LATE = slice(MESSAGES - 50, MESSAGES)
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Growth:
    """One run of the conversation.

    Attributes:
        megabytes: of the database when its last connection is closed.
        step_ms: median of the steps around the 50th. `late_ms`: of the last 50.
        resume_ms: until a new process's saver has the state.
    """

    megabytes: float
    step_ms: float
    late_ms: float
    resume_ms: float


def run() -> list[Row]:
    """Return size and times of 800 messages of 1 KB; the best of three rounds, and one round beside it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = [asyncio.run(_measure(folder / f"ours-{number}.db", _ours, _plain_list)) for number in range(_ROUNDS)]
        delta = asyncio.run(_measure(folder / "delta.db", _langgraph, _delta_list))
        plain = asyncio.run(_measure(folder / "plain.db", _langgraph, _plain_list))
    best = min(ours, key=lambda each: each.late_ms / each.step_ms)
    label = f"growth: {MESSAGES} messages of 1 KB"
    return [
        Row(
            f"{label}, database",
            best.megabytes,
            "MB",
            limit=8,
            beside=f"plain LangGraph {plain.megabytes:.0f} MB, DeltaChannel {delta.megabytes:.1f} MB",
        ),
        Row(
            f"growth: step {MESSAGES} over step 50",
            best.late_ms / best.step_ms,
            "x",
            limit=1.5,
            beside=f"plain {plain.late_ms / plain.step_ms:.2f} x, DeltaChannel {delta.late_ms / delta.step_ms:.2f} x",
        ),
        Row(f"growth: step {MESSAGES}", best.late_ms, "ms", beside=f"plain {plain.late_ms:.1f} ms"),
        Row("growth: state read by a new process", best.resume_ms, "ms", beside=f"plain {plain.resume_ms:.1f} ms"),
    ]


Open = Callable[[Path], Any]


async def _measure(path: Path, opened: Open, channel: Callable[[], Any]) -> Growth:
    config: Any = {"configurable": {"thread_id": "t"}, "recursion_limit": 10 * MESSAGES}
    times: list[float] = []
    graph = _graph(channel(), times)
    async with opened(path) as saver:
        await graph.compile(checkpointer=saver).ainvoke({"messages": []}, config, durability="sync")
    steps = [(after - before) * 1000 for before, after in pairwise(times)]
    megabytes = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")) / 1e6
    async with opened(path) as saver:
        started = time.perf_counter()
        state = await graph.compile(checkpointer=saver).aget_state(config)
        resumed = (time.perf_counter() - started) * 1000
    if [message["n"] for message in state.values["messages"]] != list(range(MESSAGES)):
        raise RuntimeError("a message was lost")
    return Growth(megabytes, statistics.median(steps[_EARLY]), statistics.median(steps[_LATE]), resumed)


def _graph(channel: Any, times: list[float]) -> Any:
    from langgraph.graph import END, START, StateGraph

    async def step(state: dict[str, Any]) -> dict[str, Any]:
        times.append(time.perf_counter())
        number = len(state["messages"])
        text = f"{number} " + "あa" * (_BYTES // 4)
        # No `role`: a DeltaChannel would turn such plain data into message objects.
        return {"messages": [{"text": text, "n": number}]}

    state: Any = TypedDict  # The channel is known only here, so no static type describes the state.
    graph: Any = StateGraph(state("State", {"messages": channel}))
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges(
        "step", lambda state: "step" if len(state["messages"]) < MESSAGES else END, ["step", END]
    )
    return graph


def _plain_list() -> Any:
    return Annotated[list[Any], operator.add]


def _delta_list() -> Any:
    from langgraph.channels import DeltaChannel

    def joined(old: list[Any], writes: Sequence[list[Any]]) -> list[Any]:
        return [*old, *(item for write in writes for item in write)]

    return Annotated[list[Any], DeltaChannel(joined)]


@asynccontextmanager
async def _ours(path: Path) -> AsyncIterator[Any]:
    from flowloom.runs.checkpoints import open_saver

    async with open_saver(path) as saver:
        yield saver


@asynccontextmanager
async def _langgraph(path: Path) -> AsyncIterator[Any]:
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    async with aiosqlite.connect(path) as connection:
        # As our own connection has it, so that only the way of storing differs.
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = NORMAL")
        yield AsyncSqliteSaver(connection)
