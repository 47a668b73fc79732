"""What must survive word for word when messages are left out: collected by code, never left to a model's summary.

Called by compaction.py with the messages that go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from ..core.messages import Message, ToolCall
from .short_results import paths_in, says_error

Kind = Literal["asked", "decisions", "errors", "looked_at", "commands", "names", "paths"]
Literals = dict[Kind, list[str]]
"""Lines by what they are, oldest first, each once."""

KINDS: tuple[Kind, ...] = ("asked", "decisions", "errors", "looked_at", "commands", "names", "paths")
MAX_LINE = 400
"""Characters of one line; a longer one keeps its beginning."""

_READING = frozenset({"read_file", "grep", "glob", "search_code", "git"})
"""Tools whose results are mostly source text, which speaks of errors without any having happened."""
_DECIDED = re.compile(
    r"\b(?:decid\w*|decision|chos(?:e|en)|choos(?:e|ing)|instead of|rather than|settled on|agreed|must not|won't"
    r"|because|(?:will|shall|let's|going to|I'll) (?:use|keep|not|leave|add|put|make|go with|take|call|name)"
    r"|root cause|the (?:fix|plan|cause|problem|bug) is)\b"
    r"|決め|決定|方針|ことにし|ことにする|採用|原因|使わない|べき",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_STATED_ERROR = re.compile(
    r"^(?:\d+\|)?(?:E\s{2,}\S|(?:ERROR|FATAL|FAILED|FAIL|PANIC|Traceback)\b|[\w.]*(?:Error|Exception): "
    r"|エラー|例外)"
)
_BEFORE_WORDS = re.compile(r"^(?:\d+\|)?\s*(?:E\s+)?")
_SOURCE_LINE = re.compile(
    r"^\s*(?:\d+\|)?\s*(?:raise|except|class|def|import|from|return|assert|if|elif|for|while|with|try|#|//|\"\"\"|'''|@)\b"
)
_DEFINED = re.compile(
    r"(?:^|\n)\s*(?:\d+\|)?\s*(?:export\s+|pub\s+|async\s+|static\s+)*(?:def|class|func|function|fn|interface|struct|trait|enum|type)\s+"
    r"([A-Za-z_]\w*)"
)
_QUOTED_NAME = re.compile(r"`([A-Za-z_][\w.]*(?:\(\))?)`")
_NAME = re.compile(r"[A-Za-z_]\w{2,}")
_RULE = re.compile(r"^[=_*-]{4,}.*[=_*-]{4,}$")
_EXIT = re.compile(r"^exit code \d+|^timed out after .*")


def collect(messages: Sequence[Message], *, asked_until: int = 0) -> Literals:
    """Return the literals of a conversation's messages.

    Args:
        asked_until: user messages before this place are a person's; those behind it are the program's own.
    """
    found: Literals = {kind: [] for kind in KINDS}
    calls: dict[str, ToolCall] = {}
    for place, message in enumerate(messages):
        calls.update((call.id, call) for call in message.calls)
        for kind, line in _of_message(message, calls, is_asked=place < asked_until):
            found[kind].append(one_line(line))
    return {kind: newest_once(lines) for kind, lines in found.items()}


def states_error(line: str) -> bool:
    """Return whether a line is the very statement of an error, not only about one."""
    return _STATED_ERROR.search(line) is not None


def without_repeats(errors: Sequence[str]) -> list[str]:
    """Return error lines without those whose words stand in a later one: a test run tells each failure twice."""
    kept: list[str] = []
    for line in reversed(errors):
        words = _BEFORE_WORDS.sub("", line)
        if not any(words in later for later in kept):
            kept.append(line)
    return kept[::-1]


def without_bare(paths: Sequence[str]) -> list[str]:
    """Return paths without those that stand there with a line number too."""
    placed = {path.partition(":")[0] for path in paths if ":" in path}
    return [path for path in paths if path not in placed]


def newest_once(lines: Sequence[str]) -> list[str]:
    """Return each line once, where it stood last, without empty ones."""
    return list(dict.fromkeys(line for line in reversed(lines) if line))[::-1]


def one_line(text: str) -> str:
    """Return a text in one line, cut where it is too long; within its lines nothing changes."""
    line = " ".join(part.strip() for part in text.splitlines()).strip()
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 3]}..."


def _of_message(message: Message, calls: dict[str, ToolCall], *, is_asked: bool) -> Iterator[tuple[Kind, str]]:
    match message.role:
        case "user":
            if is_asked:
                yield "asked", message.content
        case "assistant":
            yield from _of_words(message.content)
            for call in message.calls:
                yield from _of_call(call)
        case "tool":
            yield from _of_result(message, calls.get(message.call_id))
        case _:
            return


def _of_words(text: str) -> Iterator[tuple[Kind, str]]:
    for sentence in _SENTENCE.split(text):
        if _DECIDED.search(sentence):
            yield "decisions", sentence
    for path in paths_in(text):
        yield "looked_at", path
    for name in _QUOTED_NAME.findall(text):
        yield "names", name


def _of_call(call: ToolCall) -> Iterator[tuple[Kind, str]]:
    if isinstance(path := call.args.get("path"), str) and path not in ("", "."):
        yield "looked_at", path
    if isinstance(pattern := call.args.get("pattern"), str):
        for name in _NAME.findall(pattern):
            yield "names", name
    for text in _texts(call.args):
        if text is call.args.get("command"):
            for path in paths_in(text):
                yield "looked_at", path
        for name in _DEFINED.findall(text):
            yield "names", name


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _of_result(message: Message, call: ToolCall | None) -> Iterator[tuple[Kind, str]]:
    text = message.content
    line = call.args.get("command") if call is not None else None
    if isinstance(line, str):
        ended = _EXIT.match(text)
        yield "commands", f"{one_line(line)[:200]} -> {ended.group() if ended else 'ok'}"
    for stated in text.split("\n"):
        if _tells_error(stated, reading=message.tool_name in _READING):
            yield "errors", stated
            for path in paths_in(stated):
                yield "looked_at", path
    for name in _DEFINED.findall(text):
        yield "names", name
    for path in paths_in(text):
        # A search names a file once for each line that it found.
        yield "paths", path.partition(":")[0]


def _tells_error(line: str, *, reading: bool) -> bool:
    if reading:
        return states_error(line)
    return says_error(line) and not any(form.match(line) for form in (_SOURCE_LINE, _EXIT, _RULE))
