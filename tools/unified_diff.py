"""Reading the unified diffs that models write, whose headers and counts are often wrong: the lines decide.

Called by apply_patch. A parser that trusts the counts would refuse most of them, so this is not a library's.
"""

from __future__ import annotations

import re

from ..core.errors import ToolError
from .planned_edit import Edit

_HEADER = re.compile(r"@@+(?:\s*-(\d+)(?:,\d+)?\s+\+\d+(?:,\d+)?)?\s*@*")
_FILE_HEADER = re.compile(r"(?:diff |index |new file|deleted file|old mode|new mode|similarity |rename )")
_FENCE = re.compile(r"\s*(?:`{3,}|~{3,})\w*\s*\Z")
_NO_NEWLINE = "\\ No newline at end of file"


def read_hunks(patch: str) -> list[Edit]:
    """Return one edit for each hunk, in their order.

    Raises:
        ToolError: no hunk, several files, a hunk without context, or a line that belongs to no diff.
    """
    lines = [line for line in patch.replace("\r\n", "\n").split("\n") if not _FENCE.match(line)]
    while lines and not lines[-1]:
        lines.pop()
    headers = [number for number in range(len(lines) - 1) if _begins_file(lines, number)]
    if len(headers) > 1:
        raise ToolError("the patch changes several files. Send one call for each file.")
    hunks: list[tuple[int | None, list[str]]] = []
    for number, line in enumerate(lines, 1):
        header = _HEADER.match(line) if line.startswith("@@") else None
        if header is not None:
            hunks.append((int(header[1]) if header[1] else None, []))
        elif hunks and (not line or line[0] in " +-"):
            hunks[-1][1].append(line)
        elif hunks and line != _NO_NEWLINE:
            raise ToolError(f"line {number} of the patch, {line[:60]!r}, begins with none of ' ', '+', '-', '@@'.")
        elif not hunks and not _is_preamble(line):
            raise ToolError(f"line {number} of the patch, {line[:60]!r}, stands before the first '@@' line.")
    if not hunks:
        raise ToolError(
            "the patch has no hunk: a line '@@ -12,3 +12,4 @@', then lines that begin with ' ', '-' or '+'."
        )
    return [_edit(near, body, number) for number, (near, body) in enumerate(hunks, 1)]


def _begins_file(lines: list[str], number: int) -> bool:
    return lines[number].startswith("--- ") and lines[number + 1].startswith("+++ ")


def _is_preamble(line: str) -> bool:
    return not line.strip() or line.startswith(("--- ", "+++ ")) or bool(_FILE_HEADER.match(line))


def _edit(near: int | None, body: list[str], number: int) -> Edit:
    # An empty line stands for an empty line of context, whose blank got lost.
    old = [line[1:] for line in body if not line.startswith("+")]
    new = [line[1:] for line in body if not line.startswith("-")]
    if not any(line.strip() for line in old):
        raise ToolError(f"hunk {number} has no line of the file in it. Add lines of context around what it inserts.")
    return Edit("\n".join(old) + "\n", "\n".join(new) + "\n" if new else "", near)
