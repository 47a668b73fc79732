"""Reading the `edges` of a graph file into one route per node. Called by read.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from .faults import Position
from .fields import Fields, Path, Reading, kind
from .spec import END, START, Always, Expr, Fan, Route, Switch, When
from .tree import Tree

_FORMS = "write [a, b] for one way on, {from, when, to, else} or {from, switch, cases, default}"


@dataclass(slots=True)
class Edges:
    """The routes read so far. `paths`: where each stands."""

    reading: Reading
    routes: dict[str, Route] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)

    def read(self, tree: Tree) -> None:
        for index, item in enumerate(self.reading.items(tree, "'edges'")):
            path: Path = ("edges", index)
            if isinstance(item.value, list):
                self._chain(item, path)
            elif isinstance(item.value, dict):
                self._conditional(item, path)
            else:
                self.reading.fault(item.at, f"an edge cannot be {kind(item)}; {_FORMS}")

    def _put(self, source: str, route: Route, path: Path, at: Position) -> None:
        if source == END:
            self.reading.fault(at, "nothing can follow END")
            return
        if source in self.routes:
            first = self.reading.positions[self.paths[source]].line
            if self.routes[source] != route:
                self.reading.fault(at, f"{source!r} has a way on already (line {first}); one form per node")
            return
        self.routes[source] = route
        self.paths[source] = path

    def _chain(self, tree: Tree, path: Path) -> None:
        links = [self._link(item) for item in tree.value]
        if len(links) < 2:
            self.reading.fault(tree.at, "a chain needs at least two names: [a, b]")
        for index in range(len(links) - 1):
            targets = links[index + 1]
            for source, at in links[index].items():
                if targets:
                    route: Route = Always(next(iter(targets))) if len(targets) == 1 else Fan(tuple(targets))
                    self._put(source, route, (*path, index), at)

    def _link(self, item: Tree) -> dict[str, Position]:
        """Return the names of one link of a chain with their places: one, or several for a fan-out."""
        if isinstance(item.value, list):
            return self._branches(item)
        name = self._name(item)
        return {name: item.at} if name else {}

    def _branches(self, item: Tree) -> dict[str, Position]:
        names: dict[str, Position] = {}
        for inner in item.value:
            name = self._name(inner)
            if name in (START, END):
                self.reading.fault(inner.at, f"{name} cannot stand in a list of branches")
            elif name in names:
                self.reading.fault(inner.at, f"{name!r} stands twice in a list of branches")
            elif name:
                names[name] = inner.at
        if not item.value:
            self.reading.fault(item.at, "a list of branches needs at least one name")
        return names

    def _name(self, item: Tree) -> str:
        if isinstance(item.value, str) and item.value:
            return item.value
        self.reading.fault(item.at, f"a chain is made of node names, not {kind(item)}")
        return ""

    def _conditional(self, tree: Tree, path: Path) -> None:
        if "switch" in tree.value:
            fields = self.reading.fields(tree, "a switch edge", ("from", "switch", "cases", "default"))
            fields.need("from", "cases")
            route: Route = self._switch(fields)
        elif "when" in tree.value:
            fields = self.reading.fields(tree, "a when edge", ("from", "when", "to", "else"))
            fields.need("from", "to", "else")
            targets = [fields.word(key, "a node's name or END") for key in ("to", "else")]
            route = When(fields.expr("when") or Expr("none"), *targets)
        else:
            self.reading.fault(tree.at, f"an edge needs 'when' or 'switch'; {_FORMS}")
            return
        source = fields.word("from", "a node's name")
        if source == START:
            self.reading.fault(fields.place("from"), "START leads to one node: [START, a]")
        elif source:
            self._put(source, route, path, fields.place("from"))

    def _switch(self, fields: Fields) -> Switch:
        cases: dict[str, str] = {}
        if "cases" in fields:
            entries = self.reading.entries(fields.entries["cases"].tree, "'cases'")
            inner = Fields(self.reading, "'cases'", fields.place("cases"), entries)
            cases = {value: inner.word(value, "a node's name or END") for value in entries}
            if not entries:
                self.reading.fault(fields.place("cases"), "'cases' must name at least one case")
        default = fields.word("default", "a node's name or END") if "default" in fields else None
        return Switch(fields.expr("switch") or Expr("none"), cases, default)
