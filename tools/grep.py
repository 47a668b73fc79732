"""grep: lines of the workspace's files that match an expression, by ripgrep or, without it, by Python."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from ..core.effects import Effect, Nothing, ToolResult
from ..core.errors import ToolError
from ..core.texts import decode
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .listing import files_under
from .output import leading_lines
from .paths import read_inside
from .patterns import glob_regex
from .prompt_text import description

MAX_MATCHES = 100
MAX_LINE_CHARS = 240
MAX_FILE_BYTES = 10_000_000
"""Larger files are data rather than code and are left out."""
TIMEOUT_S = 30.0
_LINE_TIMEOUT_S = 5.0
"""CPU time of one line, which on a busy machine is several times as long."""
_ARGV_BYTES = 500_000
"""Bytes of file names in one ripgrep call; Linux allows about 2 MB of arguments and environment."""


class Args(ToolArgs):
    pattern: str = Field(min_length=1)
    path: str = "."
    include: str = Field(default="", description="only such files: *.py")
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for; `literal` when the pattern is no valid expression and is taken as plain text."""

    pattern: str
    ignore_case: bool = False
    literal: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """A matching line, 1-indexed, without its end."""

    path: str
    line: int
    text: str


class _BadPattern(Exception):
    """The pattern is not an expression."""


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the matching lines as path:line:text, in the order of the paths.

    Raises:
        ToolError: no such folder, a pattern over several lines, or the search takes too long.
    """
    if "\n" in args.pattern:
        raise ToolError(
            "the pattern holds a line break, but lines are searched one by one. Search for one line of it."
        )
    _, files = files_under(ctx.workspace, args.path)
    if args.include:
        wanted = glob_regex(args.include)
        files = [file for file in files if wanted.fullmatch(file)]
    search = Search(args.pattern, args.ignore_case)
    remark = ""
    ripgrep = shutil.which("rg")
    try:
        matches = find_matches(ctx.workspace, files, search, ripgrep)
    except _BadPattern as err:
        matches = find_matches(ctx.workspace, files, Search(args.pattern, args.ignore_case, literal=True), ripgrep)
        remark = f"\n(searched as plain text, since it is not a valid expression: {err})"
    return Nothing(ToolResult(_shown(_masked(matches, ctx), args, len(files), ctx.output_bytes) + remark))


def find_matches(
    workspace: Path, files: Sequence[str], search: Search, ripgrep: str | None, timeout_s: float = TIMEOUT_S
) -> list[Match]:
    """Return up to `MAX_MATCHES` + 1 matches, ordered by path and line; binary and huge files are left out.

    Raises:
        _BadPattern: the pattern is not an expression.
        ToolError: the search takes too long.
    """
    found: list[Match] = []
    deadline = time.monotonic() + timeout_s
    if ripgrep:
        stream = _by_ripgrep(workspace, files, search, ripgrep, deadline)
    else:
        stream = _by_python(workspace, files, search, deadline)
    for match in stream:
        found.append(match)
        if len(found) > MAX_MATCHES:
            break
    return found


def _shown(matches: list[Match], args: Args, searched: int, max_bytes: int) -> str:
    if not matches:
        where = f" whose path matches {args.include!r}" if args.include else ""
        return f"No line matches {args.pattern!r} in {searched:,} files{where} (ignored ones are left out)."
    found = [f"{match.path}:{match.line}:{_cut(match.text)}" for match in matches[:MAX_MATCHES]]
    lines = leading_lines(found, max_bytes)
    if len(matches) > len(lines):
        lines.append(f"(the first {len(lines)} matches; there are more: narrow the pattern, path or include)")
    return "\n".join(lines)


def _masked(matches: Sequence[Match], ctx: ToolContext) -> list[Match]:
    """Return the lines without secrets; what a line is part of, such as a key, is told by its whole file."""
    for path in dict.fromkeys(match.path for match in matches):
        lines = _lines_of(ctx.workspace, path)
        if any("PRIVATE KEY" in line for line in lines):
            ctx.secrets.learn("\n".join(lines), path)
    return [replace(match, text=ctx.secrets.mask(match.text, match.path)) for match in matches]


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LINE_CHARS else text[:MAX_LINE_CHARS] + "…"


def _by_python(workspace: Path, files: Iterable[str], search: Search, deadline: float) -> Iterator[Match]:
    expression = _expression(search)
    try:
        for path in files:
            for number, line in enumerate(_lines_of(workspace, path), start=1):
                left = min(deadline - time.monotonic(), _LINE_TIMEOUT_S)
                if expression.search(line, timeout=max(left, 0.0), concurrent=True):
                    yield Match(path, number, line)
    except TimeoutError as err:
        raise ToolError(
            f"the search took more than {TIMEOUT_S:.0f} s. Search in a smaller folder or in fewer files."
        ) from err


def _expression(search: Search) -> Any:
    # Not re: it cannot be stopped inside a line, and there are expressions and lines that take it for ever.
    import regex

    pattern = regex.escape(search.pattern) if search.literal else search.pattern
    try:
        return regex.compile(pattern, regex.IGNORECASE if search.ignore_case else 0)
    except regex.error as err:
        raise _BadPattern(str(err)) from err


def _lines_of(workspace: Path, path: str) -> list[str]:
    try:
        data = read_inside(workspace, path, MAX_FILE_BYTES)
    except (ToolError, PermissionError):  # too large or not readable: left out, as ripgrep does
        return []
    file = decode(data) if data else None
    lines = [] if file is None else file.text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _by_ripgrep(
    workspace: Path, files: Sequence[str], search: Search, ripgrep: str, deadline: float
) -> Iterator[Match]:
    options = ["--json", "--no-config", "--engine=auto", "-j1", "--no-messages", f"--max-filesize={MAX_FILE_BYTES}"]
    options += ["--crlf"] + ["--ignore-case"] * search.ignore_case + ["--fixed-strings"] * search.literal
    for some in _portions(files):
        found: list[Match] = []
        for encoding in _encodings(search.pattern):
            argv = [ripgrep, *options, f"--encoding={encoding}", "-e", search.pattern, "--", *some]
            found += _run(argv, workspace, deadline, MAX_MATCHES + 1)
        order = {path: place for place, path in enumerate(some)}
        unique = {(match.path, match.line): match for match in reversed(found)}
        yield from sorted(unique.values(), key=lambda match: (order[match.path], match.line))


def _encodings(pattern: str) -> tuple[str, ...]:
    # ripgrep tells only UTF-8 and UTF-16 by itself; ASCII is found in the Japanese encodings without its help.
    return ("auto",) if pattern.isascii() else ("auto", "shift_jis", "euc-jp")


def _portions(files: Sequence[str]) -> Iterator[list[str]]:
    portion: list[str] = []
    size = 0
    for file in files:
        length = len(file.encode("utf-8", errors="surrogateescape")) + 9
        if portion and size + length > _ARGV_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(file)
        size += length
    if portion:
        yield portion


def _run(argv: list[str], workspace: Path, deadline: float, wanted: int) -> list[Match]:
    """Return up to `wanted` matches of one ripgrep call, files in the order they were given."""
    process = subprocess.Popen(
        argv, cwd=workspace, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    alarm = threading.Timer(max(deadline - time.monotonic(), 0.0), process.kill)
    alarm.start()
    with process:
        assert process.stdout is not None and process.stderr is not None
        try:
            found = _collect(process.stdout, wanted)
        finally:
            alarm.cancel()
            process.kill()
        if time.monotonic() > deadline:
            raise ToolError(
                f"the search took more than {TIMEOUT_S:.0f} s. Search in a smaller folder or in fewer files."
            )
        if not found and (fault := process.stderr.read().decode(errors="replace").strip()):
            raise _BadPattern(" ".join(fault.split()))
    return found


def _collect(lines: Iterable[bytes], wanted: int) -> list[Match]:
    found: list[Match] = []
    in_file: list[Match] = []
    for line in lines:
        event = json.loads(line)
        kind, data = event["type"], event["data"]
        if kind == "match" and len(in_file) < wanted:
            text = _text(data["lines"]).rstrip("\r\n")
            in_file.append(Match(_name(data["path"]), data["line_number"], text))
        elif kind == "end":
            # A NUL was met: the file is binary and what matched before it does not count.
            found += [] if data["binary_offset"] is not None else in_file
            in_file = []
            if len(found) >= wanted:
                break
    return found[:wanted]


def _text(field: dict[str, Any]) -> str:
    if "text" in field:
        return str(field["text"])
    data = base64.b64decode(field["bytes"])
    file = decode(data)
    return data.decode("utf-8", errors="replace") if file is None else file.text


def _name(field: dict[str, Any]) -> str:
    if "text" in field:
        return str(field["text"])
    return base64.b64decode(field["bytes"]).decode("utf-8", errors="surrogateescape")


TOOL = ToolSpec("grep", "read", description("grep"), Args, plan, together=True)
