"""The state of every node of a run, told by its events: what the live view shows above its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ..core.events import EventRecord
from ..core.texts import width
from .amounts import duration, short_number

NodeState = Literal["waiting", "running", "asking", "done", "skipped", "failed"]

_MARKS: Mapping[NodeState, str] = {
    "waiting": "·",
    "running": "▶",
    "asking": "?",
    "done": "✓",
    "skipped": "-",
    "failed": "✗",
}
_STYLES: Mapping[NodeState, str] = {
    "waiting": "dim",
    "running": "bold cyan",
    "asking": "bold yellow",
    "done": "green",
    "skipped": "dim",
    "failed": "red",
}
_ITEM_AND_VISIT = re.compile(r"\[[^\]]*\]|#\d+$")
_WIDEST_NAME = 40


class BoardLine(NamedTuple):
    """One line of the board and how it is drawn; `style` is in rich's words."""

    text: str
    style: str


@dataclass(slots=True)
class _Row:
    """One node of the graph, or one step below it that runs now.

    Attributes:
        visits: how often it began, items of an `each` one by one.
        seconds: of the visits that ended; `began` of those that run, by label.
    """

    name: str
    kind: str = ""
    state: NodeState = "waiting"
    visits: int = 0
    tokens: int = 0
    seconds: float = 0.0
    began: dict[str, float] = field(default_factory=dict)


class NodeBoard:
    """Counts the events of a run by node.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._below: dict[str, _Row] = {}

    def record(self, record: EventRecord) -> None:
        """Take over one event."""
        data = record.data
        if record.type == "run_start":
            for name, kind in (data.get("nodes") or {}).items():
                self._rows.setdefault(name, _Row(name, kind))
        elif record.node:
            self._step(record)

    def _step(self, record: EventRecord) -> None:
        top, data = self._row(record.node), record.data
        inner = self._inner(record)
        rows = [row for row in (top, inner) if row is not None]
        match record.type:
            case "node_start":
                self._start(record, top if inner is None else inner)
                top.state = "running"
            case "node_end" | "node_fail":
                self._end(record, top if inner is None else inner)
                self._below.pop(record.node, None)
            case "question":
                for row in rows:
                    row.state = "asking"
            case "answer":
                for row in rows:
                    row.state = "running"
            case "model_call":
                for row in rows:
                    row.tokens += sum(data.get(name) or 0 for name in _TOKENS)

    def _start(self, record: EventRecord, row: _Row) -> None:
        row.kind = record.data["kind"]
        row.state = "running"
        # After a resume the same visit begins again.
        row.visits += record.node not in row.began
        row.began[record.node] = self._clock()

    def _end(self, record: EventRecord, row: _Row) -> None:
        began = row.began.pop(record.node, None)
        row.seconds += self._clock() - began if began is not None else 0.0
        if not row.began:
            failed = record.type == "node_fail"
            row.state = "failed" if failed else "skipped" if record.data["skipped"] else "done"

    def _row(self, label: str) -> _Row:
        name = _ITEM_AND_VISIT.sub("", label.split("/", 1)[0])
        return self._rows.setdefault(name, _Row(name))

    def _inner(self, record: EventRecord) -> _Row | None:
        """Return the row of a step below a node of the graph; None for the node's own."""
        if "/" not in record.node:
            return None
        if record.type in ("node_start", "question"):
            return self._below.setdefault(record.node, _Row(record.node.removesuffix("#1")))
        return self._below.get(record.node) or _Row(record.node)

    def lines(self, most: int) -> list[BoardLine]:
        """Return the board in at most so many lines; what is left out is counted. [] = there is nothing to show."""
        # The ways on which a graph fails are told once one is taken.
        tops = [row for row in list(self._rows.values()) if row.kind != "fail" or row.state != "waiting"]
        rows = [row for each in tops for row in (each, *self._running_below(each.name))]
        if not rows or most < 1:
            return []
        shown = _nearest(rows, most)
        size = min(max(width(_title(row)) for row in shown), _WIDEST_NAME)
        lines = [self._line(row, size) for row in shown]
        hidden = len(rows) - len(shown)
        return [*lines, BoardLine(f"  … {hidden} more", "dim")] if hidden else lines

    def _running_below(self, name: str) -> Iterator[_Row]:
        for label, row in list(self._below.items()):
            if _ITEM_AND_VISIT.sub("", label.split("/", 1)[0]) == name:
                yield row

    def _line(self, row: _Row, size: int) -> BoardLine:
        facts = [f"{row.kind:9}", "" if row.state in ("waiting", "done") else row.state]
        if row.visits > 1:
            facts.append(f"{row.visits} visits")
        if row.tokens:
            facts.append(f"{short_number(row.tokens)} tokens")
        if row.state not in ("waiting", "skipped"):
            facts.append(duration(row.seconds + sum(self._clock() - began for began in list(row.began.values()))))
        title = _title(row)
        padded = title + " " * (size - width(title))
        return BoardLine(f"{padded}  {'  '.join(filter(None, facts))}".rstrip(), _STYLES[row.state])


def _title(row: _Row) -> str:
    return f"{'  ' if '/' in row.name else ''}{_MARKS[row.state]} {row.name}"


_TOKENS = ("prompt_tokens", "completion_tokens", "estimated_tokens")


def _nearest(rows: Sequence[_Row], most: int) -> list[_Row]:
    """Return the rows around what goes on, in their order; one line is kept for the count of the others."""
    if len(rows) <= most:
        return list(rows)
    room = max(most - 1, 1)
    active = [at for at, row in enumerate(rows) if row.state in ("running", "asking")]
    first = max(min(active[0] - 1 if active else _after_last(rows), len(rows) - room), 0)
    return list(rows[first : first + room])


def _after_last(rows: Sequence[_Row]) -> int:
    touched = [at for at, row in enumerate(rows) if row.state != "waiting"]
    return touched[-1] if touched else 0
