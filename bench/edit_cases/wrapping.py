"""Damage by something around or over the texts: fences, line numbers, escapes, elisions, blank edges."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from . import blanks
from .hunk import Hunk, indent_of
from .task import Draw, Task, changed, is_once, on_both, task

Prefix = Callable[[int], str]

_PIPE: tuple[Prefix, ...] = ("{}|".format, "{} | ".format, "{:>4}| ".format, "{}│".format)
_COLON: tuple[Prefix, ...] = ("{}: ".format, "{:>5}: ".format, "{}:".format, "L{}: ".format)
_TAB: tuple[Prefix, ...] = ("{:>6}\t".format, "{}\t".format, "{:>6}→".format)

_ELISIONS = ("...", "...", "…", "[...]")
_COMMENT_ELISIONS = (
    "...",
    "... existing code ...",
    "... rest of the code ...",
    "(unchanged)",
    "... (lines omitted) ...",
)


def fence(draw: Draw) -> Task | None:
    """Both texts inside a Markdown fence."""
    hunk = draw.hunk
    if any("```" in line for line in (*hunk.old, *hunk.new)):
        return None
    language = draw.rng.choice(["", hunk.path.rpartition(".")[2]])
    return task(hunk, [f"```{language}", *hunk.old, "```"], [f"```{language}", *hunk.new, "```"])


def numbers_pipe(draw: Draw) -> Task:
    return _numbered(draw.hunk, draw.rng.choice(_PIPE))


def numbers_colon(draw: Draw) -> Task:
    return _numbered(draw.hunk, draw.rng.choice(_COLON))


def numbers_tab(draw: Draw) -> Task:
    return _numbered(draw.hunk, draw.rng.choice(_TAB))


def numbers_in_old(draw: Draw) -> Task:
    """Only the quote carries the numbers it was read with."""
    made = _numbered(draw.hunk, draw.rng.choice([*_PIPE, *_COLON, *_TAB]))
    return replace(made, new=task(draw.hunk).new)


def fence_numbers(draw: Draw) -> Task | None:
    """Both texts numbered, and in a fence."""
    inner = _numbered(replace(draw.hunk, final_newline=False), draw.rng.choice(_PIPE))
    if "```" in inner.old + inner.new:
        return None
    return replace(inner, old=f"```\n{inner.old}\n```", new=f"```\n{inner.new}\n```")


def numbers_dedented(draw: Draw) -> Task | None:
    """Both texts moved left, then numbered."""
    made = blanks.dedented(draw)
    if made is None:
        return None
    prefix, first = draw.rng.choice(_PIPE), draw.hunk.first
    return replace(made, old=_number_text(made.old, prefix, first), new=_number_text(made.new, prefix, first))


def crlf_dedented(draw: Draw) -> Task | None:
    """Both texts moved left, the file with CR LF."""
    made = blanks.dedented(draw)
    if made is None or made.expected is None:
        return None
    return replace(made, text=made.text.replace("\n", "\r\n"), expected=made.expected.replace("\n", "\r\n"))


def html_entities(draw: Draw) -> Task | None:
    quotes = draw.rng.random() < 0.4
    return on_both(draw.hunk, lambda line: html.escape(line, quote=quotes))


def curly_quotes(draw: Draw) -> Task | None:
    if any(sign in line for line in (*draw.hunk.old, *draw.hunk.new) for sign in "“”‘’"):
        return None
    return on_both(draw.hunk, _curly)


def json_escaped(draw: Draw) -> Task | None:
    """Both texts escaped once too often: line ends, quotes and backslashes."""
    made = task(draw.hunk)
    return replace(made, old=_escaped(made.old), new=_escaped(made.new)) if "\n" in made.old.rstrip("\n") else None


def json_escaped_quotes(draw: Draw) -> Task | None:
    """The same for quotes and backslashes; line ends are real."""
    return on_both(draw.hunk, _escaped) if any('"' in line for line in draw.hunk.old) else None


def edge_lines(draw: Draw) -> Task | None:
    """Both texts begin or end with blank lines that the file has not."""
    above, below = _edges(draw)
    if not above and not below:
        return None
    hunk = draw.hunk
    return task(hunk, [*above, *hunk.old, *below], [*above, *hunk.new, *below])


def edge_lines_in_old(draw: Draw) -> Task | None:
    """Only the quote does, by more than the end of the line next to it."""
    above, below = _edges(draw)
    made = task(draw.hunk, [*above, *draw.hunk.old, *below])
    return None if made.old in made.text else changed(made, draw.hunk)


def newline_in_old_alone(draw: Draw) -> Task | None:
    """The quote begins or ends with the line end that is there, the replacement does not; lines stay apart."""
    hunk = replace(draw.hunk, final_newline=False)
    made = task(hunk)
    if draw.rng.random() < 0.5:
        return replace(made, old=f"{made.old}\n") if hunk.end < len(hunk.lines) else None
    return replace(made, old=f"\n{made.old}") if hunk.first else None


def elision(draw: Draw) -> Task | None:
    """`...` in both texts for lines of context between two quoted parts."""
    marker = draw.rng.choice(_ELISIONS)
    return _elided(draw, marker, marker)


def elision_comment(draw: Draw) -> Task | None:
    """The same, written as a comment of the language."""
    marker = draw.hunk.comment(draw.rng.choice(_COMMENT_ELISIONS))
    return _elided(draw, marker, marker)


def elision_differs(draw: Draw) -> Task | None:
    """Both texts have a placeholder at the same place, worded differently."""
    one, two = map(draw.hunk.comment, draw.rng.sample(_COMMENT_ELISIONS, 2))
    return _elided(draw, one, two)


def elision_end_twice(draw: Draw) -> Task | None:
    """What follows the elision stands twice after its beginning; the first is meant."""
    wide, head, _, rest_old, rest_new = _parts(draw) or (None, [], [], [], [])
    if wide is None or wide.end + 6 > len(wide.lines):
        return None
    copy_at = wide.end + draw.rng.randint(2, 5)
    lines = [*wide.lines[:copy_at], *rest_old, *wide.lines[copy_at:]]
    twice = replace(wide, lines=tuple(lines))
    marker = draw.rng.choice(_ELISIONS)
    return replace(task(twice, [*head, marker, *rest_old], [*head, marker, *rest_new]), alone=False)


def _numbered(hunk: Hunk, prefix: Prefix) -> Task:
    old = [prefix(hunk.first + 1 + place) + line for place, line in enumerate(hunk.old)]
    return task(hunk, old, [prefix(hunk.first + 1 + place) + line for place, line in enumerate(hunk.new)])


def _number_text(text: str, prefix: Prefix, first: int) -> str:
    body, end = (text[:-1], "\n") if text.endswith("\n") else (text, "")
    return "\n".join(prefix(first + 1 + place) + line for place, line in enumerate(body.split("\n"))) + end


def _curly(line: str) -> str:
    out = []
    for place, char in enumerate(line):
        opens = place == 0 or not (line[place - 1].isalnum() or line[place - 1] in ".,;:!?)]}")
        out.append({'"': "“" if opens else "”", "'": "‘" if opens else "’"}.get(char, char))
    return "".join(out)


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _edges(draw: Draw) -> tuple[list[str], list[str]]:
    """Return blank lines above and below, where the file's own neighbour is not blank."""
    hunk, rng = draw.hunk, draw.rng
    above = [""] * rng.randint(0, 2) if hunk.first and hunk.lines[hunk.first - 1].strip() else []
    below = [""] * rng.randint(0, 2) if hunk.end < len(hunk.lines) and hunk.lines[hunk.end].strip() else []
    return above, below


def _elided(draw: Draw, in_old: str, in_new: str) -> Task | None:
    found = _parts(draw)
    if found is None:
        return None
    wide, head, skipped, rest_old, rest_new = found
    indent = indent_of(next(line for line in skipped if line.strip())) if draw.rng.random() < 0.5 else ""
    made = task(wide, [*head, indent + in_old, *rest_old], [*head, indent + in_new, *rest_new])
    return changed(made, wide)


def _parts(draw: Draw) -> tuple[Hunk, list[str], list[str], list[str], list[str]] | None:
    """Return the widened hunk, the part above an elision, the lines left out, and what follows in both texts."""
    rng = draw.rng
    wide = draw.hunk.with_context(rng.randint(6, 25), max(draw.hunk.after, rng.randint(0, 3)))
    if wide.before < 6:
        return None
    above, kept = rng.randint(1, 3), rng.randint(0, 2)
    head, skipped = wide.head[:above], wide.head[above : wide.before - kept]
    rest_old = [*wide.head[wide.before - kept :], *wide.gone, *wide.tail]
    rest_new = [*wide.head[wide.before - kept :], *wide.added, *wide.tail]
    edges = (head[0], head[-1], skipped[0], skipped[-1])
    if not all(edge.strip() for edge in edges) or not _solid(rest_old) or not _solid(rest_new):
        return None
    texts = "\n".join([*wide.old, *wide.new])
    if "..." in texts or "…" in texts or not is_once(wide, head) or not is_once(wide, rest_old):
        return None
    return wide, head, skipped, rest_old, rest_new


def _solid(lines: Sequence[str]) -> bool:
    return bool(lines) and bool(lines[0].strip()) and bool(lines[-1].strip())
