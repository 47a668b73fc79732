"""What a node that talks to a model is called with on its first visit, as far as that is known before a run.

Called by app/prompts.py. It makes the call by the code that a run makes it by (node_step.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..core.errors import UsageError
from ..nodes.call import NodeCall
from ..nodes.deps import NodeDeps
from ..nodes.registry import NODE_TYPES
from .channels import state_values
from .expressions import names_in_template, render, render_text
from .facts import Facts
from .faults import listed, near
from .find import Loaded
from .inputs import read_inputs
from .node_deps import deps_of, held_to
from .node_step import NodeStep
from .routing import Router
from .spec import MODEL_NODES, GraphSpec, NodeSpec

Path = tuple[str, ...]
"""A name of an expression with the keys that follow it."""


class Preview(NamedTuple):
    """A call, and what it is made with.

    Attributes:
        open: expressions of the prompt that only a run can fill; they stand in it as the file has them.
        deps: those of the node.
    """

    call: NodeCall
    open: tuple[str, ...]
    deps: NodeDeps


class _Place(NamedTuple):
    """A node, and the `graph` nodes around it from the outermost on."""

    above: tuple[tuple[GraphSpec, NodeSpec], ...]
    spec: GraphSpec
    node: NodeSpec

    @property
    def path(self) -> str:
        return "/".join([*(node.name for _, node in self.above), self.node.name])


@dataclass(frozen=True, slots=True)
class _Known:
    """Values by name, and what of them is not known."""

    names: Mapping[str, Any]
    unknown: frozenset[Path]

    def covers(self, path: Path) -> bool:
        """Return whether all of it is known."""
        return path[0] in self.names and not any(
            path[: len(each)] == each or each[: len(path)] == path for each in self.unknown
        )

    def covers_all(self, template: Any) -> bool:
        return all(map(self.covers, names_in_template(template)))


def preview_call(loaded: Loaded, wanted: str, given: Mapping[str, Any], deps: NodeDeps, facts: Facts) -> Preview:
    """Return the call of a node's first visit.

    Args:
        wanted: path of the node, as "plan" or "implement/code"; its name alone does where only one node has it.
        given: inputs of the graph by name. One that is required may be missing: what uses it stays open.

    Raises:
        UsageError: there is no such node, it talks to no model, or an input is wrong.
        RunFailed: an expression has no value.
    """
    place = _find(loaded, wanted)
    spec, prefix = loaded.spec, ""
    inputs, left_open = _inputs(spec, given, ())
    for around, node in place.above:
        deps = deps_of(held_to(deps, around.rights), around, node)
        known = _known(around, node, inputs, left_open, facts)
        spec = loaded.library[node.fields["graph"]]
        prefix = f"{prefix}/{node.name}".lstrip("/")
        inputs, left_open = _handed_down(spec, node, known)
    known = _known(spec, place.node, inputs, left_open, facts)
    deps = deps_of(held_to(deps, spec.rights), spec, place.node)
    step = NodeStep(spec, place.node, NODE_TYPES[place.node.type], Router(spec, facts), deps, facts)
    prompt = place.node.fields["prompt"]
    fields = {**place.node.fields, "prompt": render_known(prompt, known.names, known.covers)}
    unknown = sorted(".".join(path) for path in names_in_template(prompt) if not known.covers(path))
    return Preview(step.call_with(fields, {"input": inputs, "path": prefix}), tuple(unknown), deps)


def model_nodes(loaded: Loaded) -> list[str]:
    """Return the paths of all nodes that talk to a model, those of graphs below among them."""
    return [place.path for place in _places(loaded.spec, loaded.library)]


def render_known(template: str, names: Mapping[str, Any], is_known: Callable[[Path], bool]) -> str:
    """Return the text filled like `render_text`; a `{{ }}` that uses what is not known stays as it is written.

    Args:
        is_known: tells it of a name with the keys that follow it.
    """
    if all(map(is_known, names_in_template(template))):
        return render_text(template, names)
    return "".join(
        piece if piece[:2] != "{{" or not all(map(is_known, names_in_template(piece))) else render_text(piece, names)
        for piece in _pieces(template)
    )


def _find(loaded: Loaded, wanted: str) -> _Place:
    places = {place.path: place for place in _places(loaded.spec, loaded.library)}
    found = [places[wanted]] if wanted in places else [each for each in places.values() if each.node.name == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"Several nodes are called {wanted!r}.", hint=f"Name one of {listed(each.path for each in found)}."
        )
    hint = f"Nodes that do: {listed(places)}."
    if (other := loaded.spec.nodes.get(wanted)) is not None:
        raise UsageError(f"The node {wanted!r} is of type {other.type}, which asks no model by itself.", hint=hint)
    raise UsageError(f"{loaded.spec.name} has no node {wanted!r} that asks a model{near(wanted, places)}.", hint=hint)


def _places(
    spec: GraphSpec, library: Mapping[str, GraphSpec], above: tuple[tuple[GraphSpec, NodeSpec], ...] = ()
) -> Iterator[_Place]:
    for node in spec.nodes.values():
        if node.type in MODEL_NODES:
            yield _Place(above, spec, node)
        elif node.type == "graph":
            yield from _places(library[node.fields["graph"]], library, (*above, (spec, node)))


def _known(
    spec: GraphSpec, node: NodeSpec, inputs: dict[str, Any], left_open: Collection[str], facts: Facts
) -> _Known:
    unknown: set[Path] = {("run",), *(("input", name) for name in left_open)}
    # Before the first node of a graph nothing has been written. What stands in the state of one in Python is its own.
    if node.name != spec.entry or spec.code:
        unknown.add(("state",))
    # What led to the node is not among the names, so that it is not known.
    return _Known(facts.names(inputs, state_values(spec, {})), frozenset(unknown))


def _handed_down(spec: GraphSpec, node: NodeSpec, known: _Known) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the inputs of the graph that a node runs, and the names of those that are not known."""
    templates: Mapping[str, Any] = node.fields.get("with") or {}
    left_open = [name for name, template in templates.items() if not known.covers_all(template)]
    given = {name: render(each, known.names) for name, each in templates.items() if name not in left_open}
    return _inputs(spec, given, left_open)


def _inputs(
    spec: GraphSpec, given: Mapping[str, Any], left_open: Collection[str]
) -> tuple[dict[str, Any], frozenset[str]]:
    missing = {name for name, each in spec.inputs.items() if each.required and given.get(name) is None}
    left_open = frozenset({*left_open, *missing})
    known = {name: each for name, each in spec.inputs.items() if name not in left_open}
    wanted = {name: value for name, value in given.items() if name not in left_open}
    return read_inputs(replace(spec, inputs=known), wanted), left_open


def _pieces(template: str) -> Iterator[str]:
    """Yield a template in pieces as they are written, each `{{ }}` one of its own."""
    from jinja2 import Environment

    piece = ""
    for _, kind, value in Environment(keep_trailing_newline=True).lex(template):
        if kind == "variable_begin" and piece:
            yield piece
            piece = ""
        piece += value
        if kind == "variable_end":
            yield piece
            piece = ""
    yield piece
