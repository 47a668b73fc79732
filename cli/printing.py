"""How commands print data and text that is not ours."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ..core.texts import visible as visible


def print_json(data: Any, *, indent: int | None = None) -> None:
    """Print JSON data on stdout, in one line unless an indent is given."""
    # Late, so that `flow --help` goes without.
    import json

    print(json.dumps(data, ensure_ascii=False, indent=indent))


def print_items(items: Sequence[Any], output: str) -> None:
    """Print a list for `-o jsonl` as one line an item, else as one JSON array."""
    if output != "jsonl":
        print_json(items)
        return
    for item in items:
        print_json(item)


def node_name(label: str) -> str:
    """Return a node's label as people read it: the first visit is not counted out."""
    return label.removesuffix("#1")


def one_line(text: str) -> str:
    """Return a text without its line breaks: what a server or a model said may have any."""
    return " ".join(text.split())


def shows_lines() -> bool:
    """Return whether stdout can show the characters that lines are drawn with."""
    try:
        "─│┌▼".encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
