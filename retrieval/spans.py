"""Turns ranked line spans of files into hits under a token budget. Called by the code retriever."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..core.hits import Hit
from ..core.ports import TokenCounter
from .code_snapshot import CodeSnapshot, FileText
from .fitting import find_most

# A shorter rest of a passage says nothing by itself.
_SHORTEST_REST = 3


@dataclass(frozen=True, slots=True)
class Span:
    """Lines of a file that answer a query, 1-indexed and inclusive.

    Attributes:
        heading: qualified name of the definition around them; "" = none.
        named: the query names this; such a span may be cut to half of the budget so that others find room.
    """

    path: str
    start_line: int
    end_line: int
    heading: str
    score: float
    named: bool = False

    def lies_in(self, other: Span) -> bool:
        return self.path == other.path and other.start_line <= self.start_line and self.end_line <= other.end_line

    def overlaps(self, other: Span) -> bool:
        return self.path == other.path and self.start_line <= other.end_line and other.start_line <= self.end_line


class SpanFitter:
    """Collects the best spans until the budget (tokens) is used up; never above it."""

    def __init__(self, snapshot: CodeSnapshot, counter: TokenCounter, budget: int) -> None:
        self._snapshot = snapshot
        self._counter = counter
        self._budget = budget
        self._left = budget
        self._chosen: list[Span] = []
        self._texts: dict[str, FileText] = {}

    def add_all(self, spans: Iterable[Span]) -> None:
        """Take spans in order of rank; nothing is taken twice, and what is too long is cut at its end."""
        for span in spans:
            for part in self._subtract_chosen(span):
                self._add(part)

    def hits(self) -> list[Hit]:
        """Return the hits in order of rank, neighbours joined to one."""
        joined: list[Span] = []
        for span in self._chosen:
            at = next((at for at, other in enumerate(joined) if _joins(span, other)), None)
            if at is None:
                joined.append(span)
                continue
            both = _join(joined[at], span)
            if self._cost(both) <= self._cost(joined[at]) + self._cost(span):
                joined[at] = both
            else:
                joined.append(span)
        return [self._hit(span) for span in joined]

    def _add(self, span: Span) -> None:
        allowed = max(self._budget // 2, 1) if span.named else self._left
        length = span.end_line - span.start_line + 1
        keep = find_most(length, lambda keep: self._cost(_first_lines(span, keep)) <= min(allowed, self._left))
        if keep == 0 or (keep < length and keep < _SHORTEST_REST):
            return
        kept = _first_lines(span, keep)
        self._chosen.append(kept)
        self._left -= self._cost(kept)

    def _subtract_chosen(self, span: Span) -> list[Span]:
        parts = [span]
        for other in self._chosen:
            parts = [rest for part in parts for rest in _subtract(part, other)]
        return [trimmed for part in parts if (trimmed := self._trim(part))]

    def _trim(self, span: Span) -> Span | None:
        """Return the span without blank lines at its ends; None when it has no others."""
        told = [at for at, line in enumerate(self._lines(span), start=span.start_line) if line.strip()]
        return replace(span, start_line=told[0], end_line=told[-1]) if told else None

    def _cost(self, span: Span) -> int:
        """Return the tokens of the span's text and of the line above it that names it."""
        return self._counter.count("\n".join([_name(span), *self._lines(span), ""]))

    def _lines(self, span: Span) -> tuple[str, ...]:
        return self._text(span.path).lines[span.start_line - 1 : span.end_line]

    def _text(self, path: str) -> FileText:
        if path not in self._texts:
            self._texts[path] = self._snapshot.read_file(path)
        return self._texts[path]

    def _hit(self, span: Span) -> Hit:
        return Hit(
            id=_name(span),
            path=span.path,
            start_line=span.start_line,
            end_line=span.end_line,
            page=None,
            heading=span.heading,
            text="\n".join(self._lines(span)),
            score=span.score,
            source="code",
            doc_sha256=self._text(span.path).sha256,
        )


def _name(span: Span) -> str:
    return f"{span.path}:{span.start_line}-{span.end_line}"


def _first_lines(span: Span, count: int) -> Span:
    return replace(span, end_line=span.start_line + count - 1)


def _subtract(span: Span, other: Span) -> list[Span]:
    """Return what the span has before and after the other one; rests of one or two lines are dropped."""
    if not span.overlaps(other):
        return [span]
    before = replace(span, end_line=other.start_line - 1)
    after = replace(span, start_line=other.end_line + 1)
    return [rest for rest in (before, after) if rest.end_line - rest.start_line + 1 >= _SHORTEST_REST]


def _joins(span: Span, other: Span) -> bool:
    """Tell whether at most two lines lie between them: to repeat the name costs more than those.

    What the query names stays a hit of its own.
    """
    if span.named or other.named:
        return False
    return replace(span, start_line=span.start_line - 3, end_line=span.end_line + 3).overlaps(other)


def _join(first: Span, second: Span) -> Span:
    return replace(
        first,
        start_line=min(first.start_line, second.start_line),
        end_line=max(first.end_line, second.end_line),
        heading=first.heading or second.heading,
    )
