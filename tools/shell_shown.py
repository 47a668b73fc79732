"""How much of a command's output a person sees while a run goes on; the table of programs decides. All is on disk."""

from __future__ import annotations

HEAD_LINES = 4
TAIL_LINES = 8
MAX_LINE_CHARS = 160


def shown_output(line: str, text: str) -> str:
    """Return some lines of what a shell line printed; "" = it printed nothing.

    What shows files (cat, git diff) is collapsed to its size, tests show their last lines, all else its first ones.
    """
    from .shell_advice import display_of  # late: only who runs commands needs the parser

    lines = text.strip("\n").split("\n")
    if lines in ([""], ["(no output)"]):
        return ""
    kind = display_of(line)
    if kind == "collapsed":
        return f"({len(lines)} lines)" if len(lines) > 1 else "(1 line)"
    if kind == "tail":
        kept, left_out = lines[-TAIL_LINES:], len(lines) - TAIL_LINES
        more = [f"({left_out} lines before)"] if left_out > 0 else []
        return "\n".join([*more, *map(_cut, kept)])
    kept, left_out = lines[:HEAD_LINES], len(lines) - HEAD_LINES
    more = [f"({left_out} more lines)"] if left_out > 0 else []
    return "\n".join([*map(_cut, kept), *more])


def _cut(line: str) -> str:
    return line if len(line) <= MAX_LINE_CHARS else f"{line[: MAX_LINE_CHARS - 1]}…"
