"""Reads Markdown: headings of both kinds, fenced code, tables with their header row, front matter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .doc_blocks import Block, Line, Reading, heading, numbered
from .doc_text import text_lines

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_DELIMITER_ROW = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_TITLE = re.compile(r"title[ \t]*:[ \t]*(.+)", re.IGNORECASE)
# Marks of inline text that are no part of a heading as a person reads it.
_INLINE = re.compile(r"[*_`]+(?=\S)|(?<=\S)[*_`]+|!?\[([^\]]*)\]\([^)]*\)|<[^>\s][^>]*>")


def read(data: bytes) -> Reading:
    """Return the blocks of a Markdown file; its title is the front matter's, else the first heading of level 1."""
    lines, encoding = text_lines(data)
    title, blocks = markdown_blocks(numbered(lines))
    return Reading(tuple(blocks), title, encoding)


def markdown_blocks(lines: Sequence[Line], page: int | None = None) -> tuple[str, list[Block]]:
    """Return the title ("" = none) and the blocks of Markdown lines.

    Args:
        page: that all blocks lie on; None = there are no pages.
    """
    lines = _without_comments(lines)
    body = _front_matter_end(lines)
    title = next((match[1].strip("\"' ") for line in lines[:body] if (match := _TITLE.match(line.text))), "")
    blocks = [Block("text", tuple(lines[:body]), page=page)] if body else []
    blocks += _Scan(lines[body:], page).blocks()
    first = next((block.title for block in blocks if block.level == 1), "")
    return title or first, blocks


def _without_comments(lines: Sequence[Line]) -> list[Line]:
    """Return the lines with what stands in comments of HTML taken out, but in fenced code: nobody sees it."""
    kept: list[Line] = []
    is_open, fence = False, ""
    for line in lines:
        text, mark = line.text, _FENCE.match(line.text)
        if not is_open and mark and (not fence or text.strip().startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence and (is_open or "<!--" in text):
            text, is_open = _outside(text, is_open)
        kept.append(Line(line.number, text))
    return kept


def _outside(text: str, is_open: bool) -> tuple[str, bool]:
    """Return what of a line is in no comment, and whether one goes on behind it."""
    held = ""
    while text:
        before, mark, text = text.partition("-->" if is_open else "<!--")
        held += "" if is_open else before
        is_open = is_open != bool(mark)
    return held, is_open


def _front_matter_end(lines: Sequence[Line]) -> int:
    if lines and lines[0].text.rstrip() == "---":
        for at, line in enumerate(lines[1:60], start=1):
            if line.text.rstrip() in ("---", "..."):
                return at + 1
    return 0


class _Scan:
    """One pass over the lines."""

    def __init__(self, lines: Sequence[Line], page: int | None) -> None:
        self._lines = lines
        self._page = page
        self._held: list[Line] = []

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks in order."""
        at = 0
        while at < len(self._lines):
            line = self._lines[at]
            if fence := _FENCE.match(line.text):
                end = self._fence_end(at, fence[1])
                yield from self._flush()
                yield Block("code", tuple(self._lines[at:end]), page=self._page)
                at = end
                continue
            if self._is_table(at):
                yield from self._flush()
                end = self._table_end(at)
                yield Block("table", tuple(self._lines[at:end]), page=self._page, header=line.text.strip())
                at = end
                continue
            at += 1
            if atx := _ATX.match(line.text):
                yield from self._flush()
                yield heading(_plain(atx[2] or ""), len(atx[1]), [line], self._page)
            elif self._held and (setext := _SETEXT.match(line.text)):
                lines = [*self._held, line]
                title, self._held = " ".join(each.text for each in self._held), []
                yield heading(_plain(title), 1 if setext[1][0] == "=" else 2, lines, self._page)
            elif line.text.strip():
                self._held.append(line)
            else:
                yield from self._flush()
        yield from self._flush()

    def _flush(self) -> Iterator[Block]:
        if self._held:
            yield Block("text", tuple(self._held), page=self._page)
            self._held = []

    def _fence_end(self, at: int, mark: str) -> int:
        for end in range(at + 1, len(self._lines)):
            text = self._lines[end].text.strip()
            if text.startswith(mark) and not text.strip(mark[0]):
                return end + 1
        return len(self._lines)

    def _is_table(self, at: int) -> bool:
        if "|" not in self._lines[at].text or at + 1 >= len(self._lines):
            return False
        below = self._lines[at + 1].text
        return "-" in below and _DELIMITER_ROW.match(below) is not None

    def _table_end(self, at: int) -> int:
        end = at + 2
        while end < len(self._lines) and "|" in self._lines[end].text:
            end += 1
        return end


def _plain(title: str) -> str:
    return _INLINE.sub(lambda match: match[1] or "", title).strip()
