"""Reads Jupyter notebooks: text cells as Markdown, code cells with what they printed. A cell counts as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .doc_blocks import Block, Reading, Unreadable, numbered, paragraphs
from .doc_markdown import markdown_blocks
from .doc_text import text_lines

_OUTPUT_CHARS = 2000
"""Of the printed results of one cell; what is longer is a log."""


def read(data: bytes) -> Reading:
    """Return the blocks of all cells; lines count within the cell, its results go on behind its source."""
    lines, encoding = text_lines(data)
    try:
        notebook = json.loads("\n".join(lines))
        cells = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        cells = [(str(cell["cell_type"]), _cell_lines(cell), _output_lines(cell)) for cell in cells]
    except (ValueError, RecursionError, KeyError, TypeError, IndexError, AttributeError) as err:
        raise Unreadable("not a notebook, or a damaged one") from err
    blocks: list[Block] = []
    title = ""
    for page, (kind, source, output) in enumerate(cells, start=1):
        if kind == "markdown":
            found, inner = markdown_blocks(numbered(source), page)
            title = title or found
            blocks += inner
        elif source:
            blocks.append(Block("code", tuple(numbered(source)), page=page))
        blocks += paragraphs(numbered(output, len(source) + 1), page)
    return Reading(tuple(blocks), title, encoding)


def _cell_lines(cell: dict[str, Any]) -> list[str]:
    return _joined(cell.get("source", cell.get("input", ""))).split("\n")


def _output_lines(cell: dict[str, Any]) -> list[str]:
    text = "\n".join(_printed(cell))[:_OUTPUT_CHARS]
    return text.split("\n") if text.strip() else []


def _printed(cell: dict[str, Any]) -> Iterator[str]:
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        yield _joined(output.get("text", data.get("text/plain", "")))


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
