"""Indentation of new lines: what the quote's indentation stands for in the file is what the replacement's stands for.

Called by edit_merge.py for the lines that an edit writes.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence

from .edit_lines import TAB_COLUMNS, indent_of, width

Reindent = Callable[[str], str]
"""Gives a new line with the indentation that it has to have in the file."""


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
        return _first_line(new[0], known[0][1]) if new else _unchanged
    mapping: dict[str, str] = {}
    for quoted, stands in known:
        if mapping.setdefault(quoted, stands) != stands:
            return None
    return _mapped(mapping)


def _unchanged(line: str) -> str:
    return line


def _only_first_lost(pairs: Sequence[tuple[str, str]], new: Sequence[str]) -> bool:
    """Tell whether the quote was cut from its first character on, so that only its first line lost the indentation."""
    (quoted, stands), *others = ((indent_of(line), indent_of(of_file)) for line, of_file in pairs if line.strip())
    if quoted or not stands or not pairs[0][0].strip():
        return False
    if others:
        return all(one == other for one, other in others)
    # One line: the lines below it in the replacement tell what the model had in mind.
    below = [line for line in new[1:] if line.strip()]
    if not below or indent_of(new[0]):
        return False
    deep = [width(indent_of(line)) for line in below]
    if min(deep) < width(stands):
        return False
    return deep[0] > width(stands) or not new[0].rstrip().endswith((":", "{", "(", "[", "=>", "->", "do", "then"))


def _first_line(first: str, indent: str) -> Reindent:
    pending = [first]

    def apply(line: str) -> str:
        # Only the very first line of the replacement was cut; an equal line further down was not.
        if pending and line == pending[0]:
            pending.clear()
            return line if indent_of(line) else indent + line
        return line

    return apply


def carries_indent(pairs: Sequence[tuple[str, str]], new: Sequence[str]) -> bool | None:
    """Tell whether the replacement has the file's indentation already, although the quote has not.

    Two signs tell it: the lines that both texts have in common, wherever the file indents them otherwise than the
    quote, and the least indentation of either side. None = they disagree.
    """
    filled = [line for line in new if line.strip()]
    if not filled or _only_first_lost(pairs, new) or all(indent_of(q) == indent_of(s) for q, s in pairs):
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

    def apply(line: str) -> str:
        if not line.strip():
            return line
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
