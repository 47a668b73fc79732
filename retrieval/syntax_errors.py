"""Places of a source file that its tree-sitter grammar can not parse. Called after edits."""

from __future__ import annotations

from typing import NamedTuple

from .languages import CHECKED_LANGUAGES
from .parse import parse_tree

MAX_ERRORS = 50


class SyntaxFault(NamedTuple):
    """One place: `line` is 1-indexed, `text` that line without the blanks around it."""

    line: int
    text: str


def syntax_errors(language: str, text: str) -> list[SyntaxFault]:
    """Return the places in the order of the lines, one a line, at most MAX_ERRORS; [] = it parses, or takes too long.

    Args:
        language: a name that `language_of` returned, not ""; one whose grammar is no judge of errors gives [].
    """
    if language not in CHECKED_LANGUAGES:
        return []
    tree = parse_tree(language, text.encode())
    if tree is None or not tree.root_node.has_error:
        return []
    lines = text.split("\n")
    found: dict[int, SyntaxFault] = {}
    pending = [tree.root_node]
    while pending and len(found) < MAX_ERRORS:
        node = pending.pop()
        if node.is_error or node.is_missing:
            row = node.start_point.row
            found.setdefault(row, SyntaxFault(row + 1, lines[row].strip() if row < len(lines) else ""))
        elif node.has_error:
            pending += reversed(node.children)
    return [found[row] for row in sorted(found)]
