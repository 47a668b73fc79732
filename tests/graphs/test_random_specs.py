"""Random graphs of loops, branches, joins, items and conditions: valid, drawn, and run to END within their limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flowloom.core.events import Event, Phase
from flowloom.core.run_ports import PlannedCall
from flowloom.graphs.build import Flow
from flowloom.graphs.draw_ascii import ascii_drawing
from flowloom.graphs.draw_mermaid import mermaid
from flowloom.graphs.draw_svg import svg
from flowloom.graphs.facts import Facts
from flowloom.graphs.layout import lay_out
from flowloom.graphs.picture import picture_of
from flowloom.graphs.read import read_text
from flowloom.graphs.spec import GraphSpec
from flowloom.graphs.validate import check
from flowloom.nodes.deps import NodeDeps

MAX_STEPS = 4_000
STATE = "state: {total: {type: int, reduce: sum}, seen: {type: list, reduce: append}}\noutput: state.seen\n"


class Quiet:
    """Events and limits that cost nothing."""

    def emit(self, node: str, event: Event) -> None: ...

    def progress(self, node: str, phase: Phase, amount: int = 0) -> None: ...

    def before_node(self, node: str) -> bool:
        return True

    def before_tool(self, node: str, call_id: str) -> bool:
        return True

    def bound(self, visit: str, tokens: int | None = None, **limits: float | None) -> None: ...

    def release(self, visit: str) -> None: ...

    def time_left(self, visit: str) -> float | None:
        return None

    def calls_left(self, visit: str, planned: PlannedCall) -> int | None:
        return None

    def model_call(self, visit: str, planned: PlannedCall, key: str = "") -> AbstractAsyncContextManager[int]:
        return nullcontext(planned.max_tokens)


# What a graph is made of, as nested tuples: ("node", more), ("chain", parts), ("fan", branches), ("if", test, a, b),
# ("loop", visits, part), and ("leave", test), which may end its way at END.
Part = tuple[Any, ...]

NODES = st.sampled_from(
    [
        "",
        "if: 'state.total % 2 == 0'",
        "each: '[1, 2, 3]'",
        "each: '[1, 2, 3]', parallel: 2",
        "each: '[]', parallel: 2",
        "retry: {max_attempts: 2}",
    ]
)
TESTS = st.sampled_from(["true", "false", "state.total % 2 == 0", "state.total % 3 == 1", "state.seen | length > 6"])


def nested(inner: st.SearchStrategy[Part]) -> st.SearchStrategy[Part]:
    return st.one_of(
        st.tuples(st.just("chain"), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("fan"), st.lists(inner, min_size=2, max_size=3)),
        st.tuples(st.just("if"), TESTS, inner, inner),
        st.tuples(st.just("loop"), st.integers(1, 3), inner),
    )


LEAVES = st.tuples(st.just("node"), NODES)
PARTS = st.recursive(LEAVES, nested, max_leaves=7)
LEAVING = st.recursive(st.one_of(LEAVES, st.tuples(st.just("leave"), TESTS)), nested, max_leaves=7)


@dataclass
class Writer:
    """Writes a part as nodes and edges. `pairs`: fan-outs with their joins, which must run equally often."""

    nodes: list[str] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    count: int = 0

    def node(self, more: str = "") -> str:
        self.count += 1
        name = f"n{self.count}"
        self.nodes.append(f"  {name}: {{type: set, value: {{total: 1, seen: {name}}}{', ' if more else ''}{more}}}")
        return name

    def part(self, part: Part, then: str) -> str:
        """Write a part that leads on to a node, or END; return the node that it begins with."""
        write: Callable[..., str] = getattr(self, f"_{part[0]}")
        return write(then, *part[1:])

    def _node(self, then: str, more: str) -> str:
        name = self.node(more)
        self.edges.append(f"[{name}, {then}]")
        return name

    def _leave(self, then: str, test: str) -> str:
        name = self.node()
        self.edges.append(f"{{from: {name}, when: {test!r}, to: END, else: {then}}}")
        return name

    def _chain(self, then: str, parts: list[Part]) -> str:
        for part in reversed(parts):
            then = self.part(part, then)
        return then

    def _fan(self, then: str, branches: list[Part]) -> str:
        source, join = self.node(), self.node()
        begins = [self.part(branch, join) for branch in branches]
        self.edges += [f"[{source}, [{', '.join(begins)}]]", f"[{join}, {then}]"]
        self.pairs.append((source, join))
        return source

    def _if(self, then: str, test: str, one: Part, other: Part) -> str:
        source, meet = self.node(), self.node()
        self.edges.append(f"[{meet}, {then}]")
        ways = [self.part(part, meet) for part in (one, other)]
        self.edges.append(f"{{from: {source}, when: {test!r}, to: {ways[0]}, else: {ways[1]}}}")
        return source

    def _loop(self, then: str, visits: int, inner: Part) -> str:
        out, again = self.node(), self.node()
        head = self.node(f"max_visits: {visits}, on_limit: {out}")
        self.edges += [f"[{head}, {self.part(inner, again)}]", f"[{out}, {then}]"]
        self.edges.append(f"{{from: {again}, when: 'state.total % 5 == 0', to: {out}, else: {head}}}")
        return head

    def text(self, part: Part) -> str:
        begin, end = self.node(), self.node()
        self.edges += [f"[{end}, END]", f"[START, {begin}, {self.part(part, end)}]"]
        edges = "".join(f"  - {edge}\n" for edge in self.edges)
        return f"flow: 1\nname: g\n{STATE}nodes:\n" + "\n".join(self.nodes) + f"\nedges:\n{edges}"


def drawings(spec: GraphSpec) -> list[str]:
    picture = picture_of(spec)
    drawing = lay_out(picture)
    return [mermaid(picture), ascii_drawing(drawing), svg(drawing)]


def ended(spec: GraphSpec) -> dict[str, Any]:
    """Run the graph with nodes that only count; return the last state."""
    from langgraph.checkpoint.memory import InMemorySaver

    nothing = cast(Any, None)
    quiet = Quiet()
    deps = NodeDeps(nothing, nothing, nothing, events=quiet, gate=quiet, changes=nothing)
    flow = Flow(spec, {spec.name: spec}, deps, Facts({}, {}, {}))
    config = {"configurable": {"thread_id": "run"}, "recursion_limit": MAX_STEPS}
    state: dict[str, Any] = asyncio.run(
        flow.compile(InMemorySaver()).ainvoke(flow.initial({}), config, durability="sync")
    )
    assert flow.outcome(state)[2] == 0
    return state


def has_only_bounded_visits(spec: GraphSpec, state: dict[str, Any]) -> bool:
    visits, forgiven = state["visits"], state.get("forgiven", {})
    return all(
        node.max_visits is None or visits.get(name, 0) - forgiven.get(name, 0) <= node.max_visits
        for name, node in spec.nodes.items()
    )


PROFILE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@PROFILE
@given(PARTS)
@example(("fan", [("loop", 2, ("fan", [("node", ""), ("chain", [("node", ""), ("node", "")])])), ("node", "")]))
@example(("loop", 3, ("fan", [("if", "false", ("node", ""), ("node", "")), ("node", "each: '[1, 2]', parallel: 2")])))
def test_every_graph_runs_to_its_end_and_joins_once_a_fan_out(part: Part) -> None:
    writer = Writer()
    spec = read_text(writer.text(part), "g.yaml")["g"]
    assert check(spec, {"g": spec}) == []
    assert all(name in drawing for drawing in drawings(spec) for name in spec.nodes)
    state = ended(spec)
    assert has_only_bounded_visits(spec, state)
    for source, join in writer.pairs:
        assert state["visits"].get(source) == state["visits"].get(join)


@PROFILE
@given(LEAVING)
@example(("fan", [("leave", "true"), ("chain", [("node", ""), ("node", "")])]))
@example(("fan", [("leave", "true"), ("leave", "true")]))
def test_every_valid_graph_ends_although_branches_leave_for_its_end(part: Part) -> None:
    writer = Writer()
    spec = read_text(writer.text(part), "g.yaml")["g"]
    if check(spec, {"g": spec}) == []:
        assert has_only_bounded_visits(spec, ended(spec))
