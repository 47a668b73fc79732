"""Hits: what retrieval returns, for context blocks, tools and commands alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .effects import Spans
from .texts import composed

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

Source = Literal["map", "code", "docs", "symbol", "references"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One retrieved passage.

    Attributes:
        id: stable name of the passage, "path:start-end" for code.
        path: workspace-relative posix path; absolute for a document outside of the workspace.
        start_line, end_line: 1-indexed, inclusive; of the page, where there is one.
        page: 1-indexed page, slide, sheet or cell of a paged document; None otherwise.
        heading: enclosing definition or heading path; "" when there is none.
        score: higher is better; comparable only within one answer.
        source: "map" for a file's outline, "code" for a piece of code, "docs" for a document passage, "symbol" for
            the definition of a name, "references" for the lines of a file that use a name.
        doc_sha256: hex hash of the whole file when it was indexed.
        stale: True when the file of a document passage has another content by now.
    """

    id: str
    path: str
    start_line: int
    end_line: int
    page: int | None
    heading: str
    text: str
    score: float
    source: Source
    doc_sha256: str
    stale: bool = False


class _Parts(NamedTuple):
    """What a format's pages are called, and its lines where a person can count them; "" = nobody can."""

    page: str = "page"
    lines: str = ""


_PARTS: Mapping[str, _Parts] = {
    **dict.fromkeys((".pptx", ".pptm", ".ppsx", ".ppsm", ".potx"), _Parts("slide")),
    **dict.fromkeys((".xlsx", ".xlsm", ".xltx", ".xltm"), _Parts("sheet", "rows")),
    **dict.fromkeys((".docx", ".docm", ".dotx", ".dotm"), _Parts(lines="paragraphs")),
    ".ipynb": _Parts("cell"),
}


def place_text(path: str, page: int | None, start_line: int, end_line: int) -> str:
    """Return where a passage stands, for a person: "a.md:3-5", "a.pdf, page 2", "a.xlsx, sheet 1, rows 3-8"."""
    parts = _PARTS.get(PurePosixPath(path).suffix.lower(), _Parts())
    if page is None and not parts.lines:
        return f"{path}:{start_line}-{end_line}"
    where = [path, *([] if page is None else [f"{parts.page} {page}"])]
    return ", ".join([*where, *([f"{parts.lines} {start_line}-{end_line}"] if parts.lines else [])])


def place_of(hit: Mapping[str, Any]) -> str:
    """Return the same of a hit, or of a source of an answer, as JSON data of whatever shape."""
    lines = hit.get("start_line") or 1, hit.get("end_line") or 1
    return place_text(str(hit.get("path") or ""), hit.get("page") or None, *lines)


def hit_to_dict(hit: Hit) -> dict[str, Any]:
    """Return the hit as JSON data."""
    return asdict(hit)


def path_fits(path: str, globs: Sequence[str]) -> bool:
    """Return whether a path fits one of the globs, as a .gitignore writes them: "docs/**/*.md", "*.pdf".

    Names that macOS wrote have their accents and voiced kana in two characters; they fit as they are seen.
    """
    return _rules(tuple(map(composed, globs))).match_file(composed(path))


@lru_cache(maxsize=64)
def _rules(globs: tuple[str, ...]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(globs)


def hit_spans(hits: Sequence[Hit]) -> dict[str, Spans]:
    """Return which lines the passages show, by path."""
    spans: dict[str, Spans] = {}
    for hit in hits:
        spans[hit.path] = (*spans.get(hit.path, ()), (hit.start_line, hit.end_line))
    return spans
