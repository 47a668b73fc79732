"""Reads HTML: headings, paragraphs and table rows with the lines they stand in; what a browser hides is left out.

A cell that goes on over several rows stands in each of them; readings above Japanese words are no part of the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser

from .doc_blocks import Block, Line, Reading, Unreadable, heading, row_text, table
from .doc_text import decoded

_SILENT = frozenset(
    {"script", "style", "noscript", "template", "svg", "iframe", "object", "canvas", "select", "nav", "title"}
    | {"rt", "rp"}  # the reading above a Japanese word
)
_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
_BREAKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "header",
        "hr",
        "html",
        "legend",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
    ]
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])", re.IGNORECASE)
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_\-:.]{2,40})", re.IGNORECASE)
_HEAD_BYTES = 4096
_MOST_NESTED = 2000
_MOST_SPANNED = 100
# Their end tags may be left out: what is hidden by one ends with the next of its kind, or with the list around it.
_UNCLOSED = frozenset({"p", "li", "dt", "dd", "tr", "td", "th", "option", "rt", "rp"})
_AROUND = frozenset(
    {"ul", "ol", "dl", "ruby", "table", "tbody", "thead", "div", "section", "article", "main", "body", "html"}
)


def read(data: bytes) -> Reading:
    """Return the blocks of a page; its title is its `title` element, else its first heading.

    Raises:
        Unreadable: the bytes are no text, or nested as no page is.
    """
    text, encoding = _decoded(data)
    parser = _Page()
    parser.feed(text)
    parser.close()
    parser.end()
    first = next((block.title for block in parser.blocks if block.kind == "heading"), "")
    return Reading(tuple(parser.blocks), " ".join("".join(parser.title).split()) or first, encoding)


def _decoded(data: bytes) -> tuple[str, str]:
    declared = _CHARSET.search(data[:_HEAD_BYTES])
    if declared and not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        for name in ("utf-8", "iso2022_jp" if b"\x1b$" in data else "utf-8", _codec(declared[1].decode("ascii"))):
            try:
                text = data.decode(name)
            except (UnicodeDecodeError, LookupError):
                continue
            if not (name == "utf-8" and b"\x1b$" in data):
                return text.replace("\r\n", "\n").replace("\r", "\n"), name
    return decoded(data)


def _codec(name: str) -> str:
    # What browsers take these names for.
    known = {"shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932", "sjis": "cp932", "iso-8859-1": "cp1252"}
    return known.get(name.lower(), name.lower())


_Carried = dict[int, tuple[str, int]]
"""Cells that go on in the next rows: column -> text, and how many of these rows there are still."""


class _Page(HTMLParser):
    """Collects blocks; text between two breaks is one paragraph, whose lines are those of the file."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.title: list[str] = []
        self._in_title = False
        self._silent: list[str] = []
        self._lines: dict[int, list[str]] = {}
        self._level = 0
        self._preformatted = 0
        self._tables: list[list[Line]] = []
        self._row: tuple[int, list[list[str]]] | None = None
        self._sizes: list[tuple[int, int]] = []
        self._carried: list[_Carried] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_title = tag == "title" and "svg" not in self._silent
        if self._silent == [tag] and tag in _UNCLOSED:
            self._silent = []
        if self._silent or tag in _SILENT or _is_hidden(attrs):
            if tag not in _VOID:
                self._silent.append(tag)
            if len(self._silent) > _MOST_NESTED:
                raise Unreadable("nested deeper than any page is")
            return
        if tag == "table":
            self._start_table()
        elif tag in ("td", "th") and self._tables:
            if self._row is None:
                self._row = (self.getpos()[0], [])
                self._sizes = []
            self._row[1].append([])
            self._sizes.append((_span(attrs, "rowspan"), _span(attrs, "colspan")))
        elif tag == "tr":
            self._end_row()
        elif tag in _HEADINGS or tag in _BREAKS or tag == "br":
            self._break(tag)
            self._level = _HEADINGS.get(tag, self._level)
            self._preformatted += tag == "pre"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BREAKS or tag == "br":
            self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False
        if self._silent:
            if tag in self._silent:
                del self._silent[len(self._silent) - 1 - self._silent[::-1].index(tag) :]
                return
            if not (self._silent[0] in _UNCLOSED and tag in _AROUND):
                return
            self._silent = []
        if tag == "table" and self._tables:
            self._end_table()
        elif tag == "tr":
            self._end_row()
        elif tag in _HEADINGS or tag in _BREAKS:
            self._break(tag)
            self._level = 0 if tag in _HEADINGS else self._level
            self._preformatted -= tag == "pre" and self._preformatted > 0

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        if self._silent:
            return
        first = self.getpos()[0]
        for number, part in enumerate(data.split("\n"), start=first):
            text = part if self._preformatted else re.sub(r"\s+", " ", part)
            if self._row is not None and self._row[1]:
                self._row[1][-1].append(f"{text} ")
            elif text.strip() or number in self._lines:
                self._lines.setdefault(number, []).append(text)

    def end(self) -> None:
        """Close what is open at the end of the page."""
        while self._tables:
            self._end_table()
        self._end_block()

    def _end_block(self) -> None:
        lines = tuple(
            Line(number, text)
            for number, parts in sorted(self._lines.items())
            if (text := "".join(parts).rstrip() if self._preformatted else " ".join("".join(parts).split()))
        )
        self._lines = {}
        if not lines:
            return
        if self._level:
            self.blocks.append(heading(" ".join(line.text for line in lines), self._level, lines))
        else:
            self.blocks.append(Block("code" if self._preformatted else "text", lines))

    def _break(self, tag: str) -> None:
        if self._row is not None and self._row[1]:
            self._row[1][-1].append(" ")
        elif tag != "br":
            self._end_block()
        elif self._lines:
            self._lines[max(self._lines)].append(" ")

    def _start_table(self) -> None:
        self._end_row()
        self._end_block()
        if len(self._tables) >= _MOST_NESTED:
            raise Unreadable("nested deeper than any page is")
        self._tables.append([])
        self._carried.append({})

    def _end_row(self) -> None:
        if self._row is not None and self._tables:
            number, cells = self._row
            texts = ["".join(parts) for parts in cells]
            if text := row_text(_spread(texts, self._sizes, self._carried[-1])):
                self._tables[-1].append(Line(number, text))
        self._row = None

    def _end_table(self) -> None:
        self._end_row()
        rows = self._tables.pop()
        self._carried.pop()
        if rows:
            self.blocks.append(table(rows))


def _spread(texts: Sequence[str], sizes: Sequence[tuple[int, int]], carried: _Carried) -> list[str]:
    """Return the cells of a row column by column, those from rows above too; `carried` is brought up to date."""
    row: list[str] = []

    def take_carried() -> None:
        while (found := carried.pop(len(row), None)) is not None:
            if found[1] > 1:
                carried[len(row)] = (found[0], found[1] - 1)
            row.append(found[0])

    came: _Carried = {}
    for text, (rows, columns) in zip(texts, sizes, strict=True):
        take_carried()
        if rows > 1:
            came[len(row)] = (text, rows - 1)
        row += [text, *[""] * (columns - 1)]
    take_carried()
    carried.update(came)
    return row


def _span(attrs: Sequence[tuple[str, str | None]], name: str) -> int:
    given = next((value or "" for key, value in attrs if key == name), "")
    return min(max(int(given), 1), _MOST_SPANNED) if given.isascii() and given.isdecimal() and len(given) < 6 else 1


def _is_hidden(attrs: list[tuple[str, str | None]]) -> bool:
    return any(name == "hidden" or (name == "style" and value and _HIDING.search(value)) for name, value in attrs)
