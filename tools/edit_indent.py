"""Indentation of new lines: what the quote's indentation stands for in the file is what the replacement's stands for.

Called by edit_merge.py for the lines that an edit writes.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence

from .edit_lines import TAB_COLUMNS, indent_of, width

_OPENERS = (":", "{", "(", "[", "=>", "->", "do", "then")

Reindent = Callable[[str, int], str]
"""Gives a new line, with its number in the replacement, the indentation that it has to have in the file."""


def reindent(pairs: Sequence[tuple[str, str]], new: Sequence[str]) -> Reindent | None:
    """Return how the lines of a replacement are indented; None = it can not be told.

    Args:
        pairs: lines of the quote and the file's lines they stand for.
        new: all lines of the replacement.
    """
    known = [(indent_of(quoted), indent_of(stands)) for quoted, stands in pairs if quoted.strip()]
    if all(quoted == stands for quoted, stands in known):
        return _unchanged
    if _only_first_lost(pairs, new):
        return _first_line(known[0][1])
    if _lost_first(known):
        common = _in_common(pairs[1:], new[1:])
        is_dedented = any(width(indent_of(line)) < width(indent_of(stands)) for _, stands, line in common)
        return _first_line(known[0][1]) if new and not is_dedented and _begins_alike(new, known[0][1]) else _unchanged
    mapping: dict[str, str] = {}
    for quoted, stands in known:
        if mapping.setdefault(quoted, stands) != stands:
            return None
    return _mapped(mapping)


def _unchanged(line: str, number: int) -> str:
    return line


def _lost_first(known: Sequence[tuple[str, str]]) -> bool:
    """Tell whether the quote was cut from its first character on: only its first line lost the indentation."""
    (quoted, stands), *others = known
    return not quoted and bool(stands) and bool(others) and all(one == other for one, other in others)


def _only_first_lost(pairs: Sequence[tuple[str, str]], new: Sequence[str]) -> bool:
    """Tell the same of a quote of one line, by the lines below it in the replacement."""
    (quoted, stands), *others = pairs
    if others or indent_of(quoted) or not indent_of(stands):
        return False
    below = [width(indent_of(line)) for line in new[1:] if line.strip()]
    return bool(below) and min(below) >= width(indent_of(stands)) and _begins_alike(new, indent_of(stands))


def _begins_alike(new: Sequence[str], stands: str) -> bool:
    """Tell whether the replacement's first line lost the indentation `stands`, by the line below it."""
    below = next((line for line in new[1:] if line.strip()), None)
    if indent_of(new[0]) or below is None:
        return not indent_of(new[0])
    return width(indent_of(below)) > width(stands) or not new[0].rstrip().endswith(_OPENERS)


def _first_line(indent: str) -> Reindent:
    def apply(line: str, number: int) -> str:
        return line if number or not line.strip() else indent + line

    return apply


def carries_indent(pairs: Sequence[tuple[str, str]], new: Sequence[str]) -> bool | None:
    """Tell whether the replacement has the file's indentation already, although the quote has not.

    Two signs tell it: the lines that both texts have in common, wherever the file indents them otherwise than the
    quote, and the least indentation of either side. None = they disagree.
    """
    filled = [line for line in new if line.strip()]
    known = [(indent_of(line), indent_of(stands)) for line, stands in pairs if line.strip()]
    if not filled or all(one == other for one, other in known):
        return False
    if _lost_first(known) or _only_first_lost(pairs, new):
        return False
    by_lines, by_margin = _sign_of_lines(pairs, filled), _sign_of_margin(pairs, filled)
    if by_lines * by_margin < 0:
        return None
    if by_lines or by_margin:
        return by_lines + by_margin > 0
    # Indentation that only one side uses decides.
    quoted_all, stands_all = ({indent_of(line) for line in side} for side in zip(*pairs, strict=True))
    indents = [indent_of(line) for line in filled]
    return sum(i in stands_all - quoted_all for i in indents) > sum(i in quoted_all - stands_all for i in indents)


def _sign_of_lines(pairs: Sequence[tuple[str, str]], new: Sequence[str]) -> int:
    """Return 1 when more of the common lines are indented as in the file, -1 as in the quote, 0 neither."""
    votes = 0
    for quoted, stands, line in _in_common(pairs, new):
        if indent_of(quoted) != indent_of(stands):
            votes += (indent_of(line) == indent_of(stands)) - (indent_of(line) == indent_of(quoted))
    return (votes > 0) - (votes < 0)


def _sign_of_margin(pairs: Sequence[tuple[str, str]], new: Sequence[str]) -> int:
    """Return 1 when the least indented new line is as deep as the file's, -1 as the quote's, 0 both or neither."""
    own = min(width(indent_of(line)) for line in new)
    quoted, stands = (
        min(width(indent_of(line)) for line in side if line.strip()) for side in zip(*pairs, strict=True)
    )
    return (own == stands) - (own == quoted)


def _in_common(pairs: Sequence[tuple[str, str]], new: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield quoted line, file line and new line wherever the texts have a line in common, blanks around it aside."""
    quoted = [line.strip() for line, _ in pairs]
    matcher = difflib.SequenceMatcher(None, quoted, [line.strip() for line in new], autojunk=False)
    for i, j, size in matcher.get_matching_blocks():
        for offset in range(size):
            if quoted[i + offset]:
                yield (*pairs[i + offset], new[j + offset])


def _mapped(mapping: dict[str, str]) -> Reindent:
    """Return the map from the quote's indentation to the file's, continued beyond what the quote shows."""
    by_width = sorted((width(quoted), quoted) for quoted in mapping)

    def apply(line: str, number: int) -> str:
        if not line.strip():
            return ""
        indent = indent_of(line)
        if indent in mapping:
            return mapping[indent] + line[len(indent) :]
        # The deepest known indentation that the new one begins with, else the shallowest known.
        below = [quoted for wide, quoted in by_width if wide <= width(indent)]
        base = below[-1] if below else by_width[0][1]
        if indent.startswith(base) and _ratio(mapping) == 1.0 and _has_tabs(mapping) == _has_tabs(mapping.values()):
            return mapping[base] + line[len(base) :]
        steps = width(indent) - width(base)
        return _extended(mapping[base], steps, mapping) + line[len(indent) :]

    return apply


def _extended(base: str, columns: int, mapping: dict[str, str]) -> str:
    """Return an indentation that lies `columns` of the quote deeper (less: shallower) than the file's `base`."""
    columns = round(columns * _ratio(mapping))
    if columns <= 0:
        return _cut(base, -columns)
    if _has_tabs(mapping.values()):
        return base + "\t" * max(1, round(columns / TAB_COLUMNS))
    return base + " " * columns


def _has_tabs(indents: Iterable[str]) -> bool:
    return any("\t" in indent for indent in indents)


def _cut(indent: str, columns: int) -> str:
    while indent and columns > 0:
        columns -= width(indent[-1])
        indent = indent[:-1]
    return indent


def _ratio(mapping: dict[str, str]) -> float:
    """Return how many of the file's columns one column of the quote's indentation stands for."""
    points = sorted((width(quoted), width(stands)) for quoted, stands in mapping.items())
    (least, least_stands), (most, most_stands) = points[0], points[-1]
    if most > least and most_stands > least_stands:
        return (most_stands - least_stands) / (most - least)
    is_converted = _has_tabs(mapping) != _has_tabs(mapping.values())
    return most_stands / most if is_converted and most and most_stands else 1.0
