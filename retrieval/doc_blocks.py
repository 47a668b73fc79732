"""What reading a document gives: its pieces in order, each with its place. Made by the readers, cut by doc_chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from ..core.fences import without_hidden

_BETWEEN = " | "
_HEADER_ROWS = 30
"""First rows of a table among which the names of its columns are looked for."""
BlockKind = Literal["heading", "text", "table", "code"]
MAX_CHARS = 20_000_000
"""Of one document's text; a larger one is a dump of data, which search by words finds nothing useful in."""


class Unreadable(Exception):
    """A document that is not indexed; the message says why in a few words, for `flow docs status`."""


class Line(NamedTuple):
    """A line of a document. `number` is 1-indexed: in the file, or within the page where there are pages."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document.

    Attributes:
        kind: "heading" opens a section; a "table" is cut between its rows only, "code" between its lines only.
        title: of a heading, without its marks; "" for the other kinds.
        level: of a heading, 1 = the outermost; 0 for the other kinds.
        page: 1-indexed page, slide, sheet or cell; None where the format has none.
        header: a table's row of column names, which each passage of its rows carries; "" = it has none.
    """

    kind: BlockKind
    lines: tuple[Line, ...]
    title: str = ""
    level: int = 0
    page: int | None = None
    header: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """A document as it was read.

    Attributes:
        title: that the document itself gives; "" = none.
        encoding: of a text file, as Python names it; "" = it is no text file.
        notes: what could not be read of it, each in a few words ("no text layer: pages 3, 7").
    """

    blocks: tuple[Block, ...]
    title: str = ""
    encoding: str = ""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        blocks = [[each.kind, each.lines, each.title, each.level, each.page, each.header] for each in self.blocks]
        return {"blocks": blocks, "title": self.title, "encoding": self.encoding, "notes": self.notes}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Reading:
        blocks = (Block(kind, tuple(Line(*each) for each in lines), *rest) for kind, lines, *rest in data["blocks"])
        return cls(tuple(blocks), data["title"], data["encoding"], tuple(data["notes"]))

    def cleaned(self) -> Reading:
        """Return it without characters that nobody sees, and without lines that are empty then.

        Raises:
            Unreadable: it has no text, or too much of it.
        """
        blocks = tuple(block for each in self.blocks if (block := _cleaned(each)) is not None)
        size = sum(len(line.text) for block in blocks for line in block.lines)
        if size > MAX_CHARS:
            raise Unreadable(f"more than {MAX_CHARS:,} characters of text")
        if not size:
            raise Unreadable("; ".join(self.notes) or "no text in it")
        return Reading(blocks, " ".join(without_hidden(self.title).split()), self.encoding, self.notes)


class Reader(Protocol):
    """How a format is read; a module `doc_FORMAT` has one as `read`."""

    def __call__(self, data: bytes) -> Reading:
        """Return what the file's bytes say.

        Raises:
            Unreadable: nothing of it can be used.
        """
        ...


def numbered(lines: Sequence[str], first: int = 1) -> list[Line]:
    """Return the lines with their numbers, the first one's as given."""
    return [Line(number, text) for number, text in enumerate(lines, start=first)]


def heading(title: str, level: int, lines: Iterable[Line], page: int | None = None) -> Block:
    """Return a block that opens a section."""
    return Block("heading", tuple(lines), " ".join(title.split()), level, page)


def paragraphs(lines: Sequence[Line], page: int | None = None) -> Iterator[Block]:
    """Yield the runs of lines between empty ones."""
    held: list[Line] = []
    for line in lines:
        if line.text.strip():
            held.append(line)
        elif held:
            yield Block("text", tuple(held), page=page)
            held = []
    if held:
        yield Block("text", tuple(held), page=page)


def row_text(cells: Iterable[str]) -> str:
    """Return a row of a table as one line; "" = all its cells are empty."""
    texts = [" ".join(cell.split()) for cell in cells]
    while texts and not texts[-1]:
        texts.pop()
    return _BETWEEN.join(texts)


def table(rows: Sequence[Line], page: int | None = None) -> Block:
    """Return a table. Its header is the first row that has about as many columns filled as its rows have.

    A title above the columns, as in most sheets, is not taken for their names.
    """
    filled = [sum(bool(cell.strip()) for cell in row.text.split(_BETWEEN)) for row in rows[:_HEADER_ROWS]]
    least = max(2, max(filled, default=0) / 2)
    header = next((row.text for row, count in zip(rows, filled, strict=False) if count >= least), "")
    return Block("table", tuple(rows), page=page, header=header or (rows[0].text if rows else ""))


def pages_note(what: str, pages: Sequence[int], unit: str = "page") -> str:
    """Return "what: pages 1, 4, 5", the first twenty of them."""
    shown = ", ".join(map(str, pages[:20])) + (f" and {len(pages) - 20} more" if len(pages) > 20 else "")
    return f"{what}: {unit}{'s' if len(pages) > 1 else ''} {shown}"


def _cleaned(block: Block) -> Block | None:
    lines = tuple(Line(line.number, text) for line in block.lines if (text := without_hidden(line.text)).strip())
    title = " ".join(without_hidden(block.title).split())
    if not (lines or title):
        return None
    return Block(block.kind, lines, title, block.level, block.page, without_hidden(block.header))
