"""How commands print data and text that is not ours."""

from __future__ import annotations

from typing import Any


def print_json(data: Any, *, indent: int | None = None) -> None:
    """Print JSON data on stdout, in one line unless an indent is given."""
    # Late, so that `flow --help` goes without.
    import json

    print(json.dumps(data, ensure_ascii=False, indent=indent))


def visible(text: str) -> str:
    """Return text without power over the terminal: control and direction characters become escapes.

    Newlines and tabs stay.
    """
    return "".join(char if char in "\n\t" or char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    # Wide and no-break spaces are not "printable" but harmless, and common in Japanese text.
    return char if char in "\u3000\u00a0" else char.encode("unicode_escape").decode()
