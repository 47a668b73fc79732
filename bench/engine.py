"""What the engine adds to LangGraph: a loop that does nothing, from a graph file and written by hand."""

from __future__ import annotations

import asyncio
import operator
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from typing_extensions import TypedDict

from flowloom.app.sink import StoreSink
from flowloom.core.events import Event, EventRecord, Phase
from flowloom.core.ports import EventSink, PlannedCall, StepGate
from flowloom.graphs.facts import Facts
from flowloom.graphs.find import find_graph
from flowloom.graphs.spec import Limits
from flowloom.nodes.deps import NodeDeps
from flowloom.runs.limits import RunLimits
from flowloom.runs.store import RunStore

from .rows import Row

STEPS = 300
_ROUNDS = 7

_GRAPH = f"""flow: 1
name: loop
state: {{count: {{type: int, reduce: sum}}}}
output: state.count
nodes:
  step: {{type: set, value: {{count: 1}}, max_visits: {STEPS}, on_limit: done}}
  done: {{type: set, value: {{}}}}
edges:
  - [START, step]
  - {{from: step, when: state.count < {STEPS}, to: step, else: END}}
  - [done, END]
"""


class Quiet:
    """Events, limits and a watcher that cost nothing: what they do is the run's, not the engine's."""

    def emit(self, node: str, event: Event) -> None:
        return None

    def progress(self, node: str, phase: Phase, amount: int = 0) -> None:
        return None

    def record(self, record: EventRecord) -> None:
        return None

    def notice(self, text: str) -> None:
        return None

    def before_node(self, node: str) -> bool:
        return True

    def before_tool(self, node: str, call_id: str) -> bool:
        return True

    def bound(self, visit: str, tokens: int) -> None:
        return None

    @asynccontextmanager
    async def model_call(self, visit: str, planned: PlannedCall, key: str = "") -> AsyncIterator[int]:
        yield planned.max_tokens

    def calls_left(self, visit: str, planned: PlannedCall) -> int | None:
        return None


class Count(TypedDict):
    """State of the loop written by hand."""

    count: Annotated[int, operator.add]


@dataclass(frozen=True, slots=True)
class Loop:
    """One way to run the loop. `graph` compiles with a saver; `first` is the first state."""

    graph: Any
    first: dict[str, Any]


def run() -> list[Row]:
    """Return the time of a step in both loops, the best of seven rounds each, and the size of what they left."""
    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(_measure(Path(name)))


async def _measure(folder: Path) -> list[Row]:
    times: dict[str, list[float]] = {"flow": [], "run": [], "raw": []}
    sizes: dict[str, float] = {}
    for number in range(_ROUNDS):
        # Taken in turns, so that a busy machine slows all of them down.
        for kind in times:
            database = folder / f"{kind}-{number}" / "runs.db"
            with _loop(kind, folder, database) as loop:
                times[kind].append(await _step_ms(loop, database))
                sizes[kind] = sum(file.stat().st_size for file in database.parent.iterdir()) / 1e6
    step, recorded, plain = (min(times[kind]) for kind in ("flow", "run", "raw"))
    return [
        Row("engine: a step of a graph file", step, "ms", beside=f"LangGraph by hand: {plain:.2f} ms"),
        Row("engine: over LangGraph by hand, same saver", step / plain, "x", limit=1.25),
        Row("engine: a step with events and limits", recorded, "ms", beside="two events a step, each synced to disk"),
        Row(f"engine: database after {STEPS} steps", sizes["flow"], "MB", beside=f"by hand: {sizes['raw']:.2f} MB"),
    ]


@contextmanager
def _loop(kind: str, folder: Path, database: Path) -> Iterator[Loop]:
    """Give the loop by hand ("raw"), from a file ("flow"), or from a file with all that a run records ("run")."""
    if kind == "raw":
        yield _raw_loop()
    elif kind == "flow":
        yield _flow_loop(folder, Quiet(), Quiet())
    else:
        with RunStore(database) as store:
            row = store.create_run(
                graph="loop",
                graph_source="",
                graph_text="",
                fingerprint="",
                input={},
                options={},
                workspace=folder,
            )
            gate = RunLimits(store, row.id, Limits(node_runs=2 * STEPS))
            yield _flow_loop(folder, StoreSink(store, row.id, Quiet()), gate)


def _flow_loop(folder: Path, events: EventSink, gate: StepGate) -> Loop:
    from flowloom.graphs.build import Flow

    file = folder / "loop.yaml"
    file.write_text(_GRAPH, "utf-8")
    loaded = find_graph(
        str(file), workspace=folder / "elsewhere", user_dir=folder / "none", is_trusted=lambda *_: True
    )
    # A `set` node asks for no other port.
    nothing = cast(Any, None)
    deps = NodeDeps(nothing, nothing, nothing, events=events, gate=gate, changes=nothing)
    flow = Flow(loaded.spec, loaded.library, deps, Facts(settings={}, run={"id": "bench"}, git={}))
    return Loop(flow, flow.initial({}))


class ByHand:
    """The loop as one would write it in LangGraph."""

    def compile(self, saver: Any) -> Any:
        from langgraph.graph import END, START, StateGraph

        async def step(state: Count) -> Count:
            return {"count": 1}

        graph = StateGraph(Count)
        graph.add_node("step", step)
        graph.add_edge(START, "step")
        graph.add_conditional_edges("step", lambda state: "step" if state["count"] < STEPS else END, ["step", END])
        return graph.compile(checkpointer=saver)


def _raw_loop() -> Loop:
    return Loop(ByHand(), {"count": 0})


async def _step_ms(loop: Loop, database: Path) -> float:
    """Return the milliseconds of one step of the whole loop."""
    from flowloom.runs.checkpoints import open_saver

    config = {"configurable": {"thread_id": "bench"}, "recursion_limit": 10 * STEPS}
    async with open_saver(database) as saver:
        compiled = loop.graph.compile(saver)
        started = time.perf_counter()
        state = await compiled.ainvoke(loop.first, config, durability="sync")
        seconds = time.perf_counter() - started
    if (count := state.get("count", state.get("state_count"))) != STEPS:
        raise RuntimeError(f"the loop made {count} steps of {STEPS}")
    return seconds / STEPS * 1000
