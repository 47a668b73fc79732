"""What the engine adds to LangGraph: a loop and a fan-out that do nothing, from a graph file and by hand."""

from __future__ import annotations

import asyncio
import operator
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any, cast

from typing_extensions import TypedDict

from flowloom.app.sink import StoreSink
from flowloom.core.events import Event, EventRecord, Phase
from flowloom.core.ports import EventSink
from flowloom.core.run_ports import PlannedCall, StepGate
from flowloom.graphs.facts import Facts
from flowloom.graphs.find import find_graph
from flowloom.graphs.spec import Limits
from flowloom.nodes.deps import NodeDeps, NoEnds
from flowloom.runs.ends import VisitEnds
from flowloom.runs.limits import RunLimits
from flowloom.runs.store import RunStore

from .rows import Row

STEPS = 1_000
ITEMS = 100
_ROUNDS = 5
_FAN_OUTS = 9

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


_FAN_OUT = f"""flow: 1
name: fan-out
input: {{items: {{type: list}}}}
state: {{seen: {{type: list, reduce: append}}}}
output: state.seen
nodes:
  one: {{type: set, each: input.items, parallel: {ITEMS}, value: {{seen: "{{{{ item }}}}"}}}}
edges:
  - [START, one, END]
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

    def bound(self, visit: str, tokens: int | None = None, **limits: float | None) -> None:
        return None

    def release(self, visit: str) -> None:
        return None

    def time_left(self, visit: str) -> float | None:
        return None

    @asynccontextmanager
    async def model_call(self, visit: str, planned: PlannedCall, key: str = "") -> AsyncIterator[int]:
        yield planned.max_tokens

    def calls_left(self, visit: str, planned: PlannedCall) -> int | None:
        return None


class Count(TypedDict):
    """State of the loop written by hand."""

    count: Annotated[int, operator.add]


class Seen(TypedDict):
    """State of the fan-out written by hand."""

    items: list[int]
    seen: Annotated[list[int], operator.add]


@dataclass(frozen=True, slots=True)
class Loop:
    """One way to run a graph: what compiles with a saver, the first state, and what tells how often a state ran."""

    graph: Any
    first: dict[str, Any]
    done: Callable[[dict[str, Any]], int]


@dataclass(frozen=True, slots=True)
class Took:
    """What one step or item took, in milliseconds: of the clock, and of the processor."""

    clock: float
    processor: float


def run() -> list[Row]:
    """Return the times of a step in the loops and of an item of the fan-outs, and the size of what the loops left.

    The times are the middle of several rounds. What is held to a limit is the processor's time, which other work on
    the machine does not change; both write the same files in the same way.
    """
    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(_measure(Path(name)))


async def _measure(folder: Path) -> list[Row]:
    loops = await _rounds(folder / "loop", ("flow", "run", "raw"), STEPS, _ROUNDS)
    fans = await _rounds(folder / "fan", ("fan", "fan-raw"), ITEMS, _FAN_OUTS)
    sizes = {kind: _megabytes(folder / "loop" / f"{kind}-0") for kind in ("flow", "raw")}
    return [
        Row("engine: a step of a graph file", _clock(loops["flow"]), "ms", beside=_by_hand(loops["raw"])),
        Row("engine: over LangGraph by hand, same saver", _over(loops["flow"], loops["raw"]), "x", limit=1.25),
        Row(
            "engine: a step with events and limits",
            _clock(loops["run"]),
            "ms",
            beside="two events and the end, on disk",
        ),
        Row(f"engine: database after {STEPS:,} steps", sizes["flow"], "MB", beside=f"by hand: {sizes['raw']:.2f} MB"),
        Row(f"engine: an item of {ITEMS} at once", _clock(fans["fan"]), "ms", beside=_by_hand(fans["fan-raw"])),
        Row(f"engine: {ITEMS} items over LangGraph by hand", _over(fans["fan"], fans["fan-raw"]), "x", limit=1.25),
    ]


def _clock(rounds: list[Took]) -> float:
    return median(each.clock for each in rounds)


def _by_hand(rounds: list[Took]) -> str:
    return f"LangGraph by hand: {_clock(rounds):.2f} ms"


def _over(ours: list[Took], plain: list[Took]) -> float:
    """Return the middle of the rounds' ratios: both of a round ran one after the other."""
    return median(one.processor / other.processor for one, other in zip(ours, plain, strict=True))


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6


async def _rounds(folder: Path, kinds: Sequence[str], count: int, rounds: int) -> dict[str, list[Took]]:
    """Return what a step or an item took by the way of running, a round each."""
    times: dict[str, list[Took]] = {kind: [] for kind in kinds}
    folder.mkdir()
    for number in range(rounds):
        # Taken in turns, so that a busy machine slows all of them down.
        for kind in kinds:
            database = folder / f"{kind}-{number}" / "runs.db"
            with _loop(kind, folder, database) as loop:
                times[kind].append(await _each(loop, database, count))
    return times


@contextmanager
def _loop(kind: str, folder: Path, database: Path) -> Iterator[Loop]:
    """Give the loop by hand ("raw"), from a file ("flow"), or from a file with all that a run records ("run"); the
    fan-out by hand ("fan-raw") or from a file ("fan")."""
    if kind == "raw":
        yield Loop(ByHand(), {"count": 0}, lambda state: int(state["count"]))
    elif kind == "fan-raw":
        yield Loop(FanByHand(), {"items": list(range(ITEMS)), "seen": []}, lambda state: len(state["seen"]))
    elif kind == "fan":
        yield _flow_loop(folder, Quiet(), Quiet(), _FAN_OUT)
    elif kind == "flow":
        yield _flow_loop(folder, Quiet(), Quiet(), _GRAPH)
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
            sink, ends = StoreSink(store, row.id, Quiet()), VisitEnds(store, row.id)
            yield _flow_loop(folder, sink, gate, _GRAPH, ends)


def _flow_loop(
    folder: Path, events: EventSink, gate: StepGate, text: str, ends: VisitEnds | NoEnds | None = None
) -> Loop:
    from flowloom.graphs.build import Flow

    file = folder / "graph.yaml"
    file.write_text(text, "utf-8")
    loaded = find_graph(
        str(file), workspace=folder / "elsewhere", user_dir=folder / "none", is_trusted=lambda *_: True
    )
    # A `set` node asks for no other port.
    nothing = cast(Any, None)
    deps = NodeDeps(nothing, nothing, nothing, events=events, gate=gate, changes=nothing, ends=ends or NoEnds())
    flow = Flow(loaded.spec, loaded.library, deps, Facts(settings={}, run={"id": "bench"}, git={}))
    first = flow.initial({"items": list(range(ITEMS))} if text == _FAN_OUT else {})
    return Loop(flow, first, lambda state: int(state.get("state_count") or len(state.get("state_seen", ()))))


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


class FanByHand:
    """The fan-out as one would write it in LangGraph."""

    def compile(self, saver: Any) -> Any:
        from langgraph.graph import END, START, StateGraph
        from langgraph.types import Send

        async def begin(state: Seen) -> dict[str, Any]:
            return {}

        async def one(state: dict[str, Any]) -> dict[str, Any]:
            return {"seen": [state["item"]]}

        async def gather(state: Seen) -> dict[str, Any]:
            return {}

        graph = StateGraph(Seen)
        for name, node in (("begin", begin), ("one", one), ("gather", gather)):
            graph.add_node(name, node)
        graph.add_edge(START, "begin")
        graph.add_conditional_edges(
            "begin", lambda state: [Send("one", {"item": item}) for item in state["items"]], ["one"]
        )
        graph.add_edge("one", "gather")
        graph.add_edge("gather", END)
        return graph.compile(checkpointer=saver)


async def _each(loop: Loop, database: Path, count: int) -> Took:
    """Return what one step, or one item, of so many took."""
    from flowloom.runs.checkpoints import open_saver

    config = {"configurable": {"thread_id": "bench"}, "recursion_limit": 10 * STEPS}
    async with open_saver(database) as saver:
        compiled = loop.graph.compile(saver)
        started, began = time.perf_counter(), time.process_time()
        state = await compiled.ainvoke(loop.first, config, durability="sync")
        took = Took((time.perf_counter() - started) / count * 1000, (time.process_time() - began) / count * 1000)
    if (done := loop.done(state)) != count:
        raise RuntimeError(f"{done} were done of {count}")
    return took
