"""The text of a web page, as a person would read it: no scripts, no styles, no marks."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_SILENT = frozenset({"script", "style", "noscript", "template", "svg", "iframe", "object", "canvas", "select"})
_BREAKS = frozenset(
    {
        *("address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figure", "footer", "form"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section"),
        *("table", "title", "tr", "ul"),
    }
)
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}


def html_text(html: str) -> str:
    """Return the lines of text; headings keep their `#`, list items a `-`, preformatted text its blanks."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (line.rstrip() for line in "".join(reader.pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent: list[str] = []
        self._kept = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent.append(tag)
        elif not self._silent:
            self._kept += tag == "pre"
            if tag in _BREAKS:
                self.pieces.append("\n")
            if mark := _HEADINGS.get(tag, "-" if tag == "li" else ""):
                self.pieces.append(f"{mark} ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BREAKS and not self._silent:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            del self._silent[self._silent.index(tag) :]
        elif not self._silent:
            self._kept -= tag == "pre" and self._kept > 0
            if tag in _BREAKS:
                self.pieces.append("\n")
            elif tag in ("td", "th"):
                self.pieces.append(" | ")

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        text = data if self._kept else re.sub(r"\s+", " ", data)
        if text == " " and (not self.pieces or self.pieces[-1].endswith(("\n", " "))):
            return
        at_start = not self.pieces or self.pieces[-1].endswith("\n")
        self.pieces.append(text.lstrip(" ") if at_start and not self._kept else text)
