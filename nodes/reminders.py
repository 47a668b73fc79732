"""What an agent is reminded of under the last result of a round of tool calls, where the prefix stays as it is.

Each kind is told rarely: a reminder that stands under every result is soon read over. Pure functions over what a
round did; called by the agent loop's tool round, which stores the reminder with the message it stands under.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from ..context.blocks import Block
from ..context.prompts import fill, load_prompt
from ..core.effects import ToolResult
from ..core.messages import ToolCall
from ..core.tool import ToolSpec
from ..core.tool_names import ToolNames

UNTESTED_EDITS = 5
"""Edits of code without a run of anything. A change with its test takes two or three."""
TODO_TURNS = 8
"""Model calls after which the to-do list is spoken of: an item seldom takes as many."""
FEW_CALLS = 5
"""Model calls left that are enough to finish an edit, test it and answer."""
_MAX_ITEMS = 10
_MAX_ITEM_CHARS = 120

_PROSE = (".md", ".rst", ".txt", ".adoc")
_SEGMENTS = re.compile(r"&&|\|\||[;|&\n]")
_LOOKS = frozenset(
    (
        *(
            "cat",
            "ls",
            "head",
            "tail",
            "less",
            "grep",
            "rg",
            "sed",
            "awk",
            "find",
            "wc",
            "diff",
            "sort",
            "uniq",
            "tree",
        ),
        *(
            "file",
            "stat",
            "du",
            "ps",
            "which",
            "cd",
            "pwd",
            "echo",
            "printf",
            "export",
            "set",
            "true",
            "test",
            "[",
            "env",
        ),
        *("git", "mkdir", "rm", "mv", "cp", "touch", "chmod"),
    )
)
"""Programs that look at files or move them; whatever else is run may show whether the code works."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a visit was reminded of, as its state keeps it.

    Attributes:
        edits: of code since something was run, or since this was told.
        todo_turn: when the to-do list was last written or spoken of.
        calls_left: as last told; 0 = never.
    """

    edits: int = 0
    todo_turn: int = 0
    calls_left: int = 0

    def to_dict(self) -> dict[str, int]:
        return asdict(self)

    @staticmethod
    def from_dict(data: Mapping[str, Any] | None) -> Told:
        """Return what a checkpoint kept; None = nothing yet."""
        return Told(**data) if data else Told()


class Done(NamedTuple):
    call: ToolCall
    result: ToolResult


@dataclass(frozen=True, slots=True)
class Round:
    """A round of tool calls that has just run.

    Attributes:
        turn: model calls that the visit has made.
        specs: the tools that the agent has.
        todos: its list as it is now.
        calls_left: model calls that the visit may still make; None = nothing tells.
        calls: that it may make in all; 0 = nothing tells.
        is_last: False while further calls of the same reply have to run.
        tests: the project's own test command; "" = it is not known.
    """

    turn: int
    done: Sequence[Done]
    specs: Mapping[str, ToolSpec]
    todos: Sequence[Mapping[str, str]]
    calls_left: int | None
    calls: int
    names: ToolNames
    is_last: bool = True
    tests: str = ""


class Reminded(NamedTuple):
    """`text` stands under the last result, "" = nothing is told; `told` goes into the state."""

    text: str
    told: Told


def remind(round: Round, told: Told) -> Reminded:
    """Return what the agent is to be reminded of now."""
    told = replace(told, edits=_counted(told.edits, round))
    if any(result.todos is not None for _, result in round.done):
        told = replace(told, todo_turn=round.turn)
    if not round.is_last:
        return Reminded("", told)
    texts: list[str] = []
    for kind in (_todo, _tests, _budget):
        text, told = kind(round, told)
        texts.append(text)
    shown = "\n".join(filter(None, texts))
    return Reminded(Block("reminder", shown).render() if shown else "", told)


def _todo(round: Round, told: Told) -> Reminded:
    if "todo" not in round.specs or round.turn - told.todo_turn < TODO_TURNS:
        return Reminded("", told)
    todo = round.names.tool("todo")
    still = [each["content"][:_MAX_ITEM_CHARS] for each in round.todos if each["status"] != "completed"]
    if round.todos and not still:
        return Reminded("", told)
    told = replace(told, todo_turn=round.turn)
    if not still:
        return Reminded(fill(load_prompt("nodes", "reminder_no_todo"), todo=todo), told)
    more = [f"- {len(still) - _MAX_ITEMS} more"] if len(still) > _MAX_ITEMS else []
    items = "\n".join([*(f"- {item}" for item in still[:_MAX_ITEMS]), *more])
    return Reminded(fill(load_prompt("nodes", "reminder_todo"), items=items, todo=todo), told)


def _tests(round: Round, told: Told) -> Reminded:
    can_run = any(spec.category == "shell" for spec in round.specs.values())
    if not can_run or told.edits < UNTESTED_EDITS:
        return Reminded("", told)
    command = f" ({round.tests})" if round.tests else ""
    text = fill(load_prompt("nodes", "reminder_tests"), edits=str(told.edits), command=command)
    return Reminded(text, replace(told, edits=0))


def _budget(round: Round, told: Told) -> Reminded:
    if round.calls_left is None:
        return Reminded("", told)
    left = max(round.calls_left, 1)
    few = min(FEW_CALLS, round.calls // 2) if round.calls else FEW_CALLS
    is_new = not told.calls_left or (left == 1 < told.calls_left)
    if left > few or not is_new:
        return Reminded("", told)
    text = load_prompt("nodes", "reminder_last")
    if left > 1:
        text = fill(load_prompt("nodes", "reminder_budget"), calls=str(left))
    return Reminded(text, replace(told, calls_left=left))


def _counted(edits: int, round: Round) -> int:
    for call, result in round.done:
        spec = round.specs.get(call.name)
        if spec is None:
            continue
        if spec.category == "shell" and _tries_code(call, result):
            edits = 0
        elif spec.category == "edit" and any(not path.endswith(_PROSE) for path in result.files):
            edits += 1
    return edits


def _tries_code(call: ToolCall, result: ToolResult) -> bool:
    """Return whether a command ran that may show what the code does; one that was refused did not run."""
    if result.failed and result.exit_code is None:
        return False
    line = call.args.get("command")
    if not isinstance(line, str):
        return "code" in call.args
    # What follows << is text and no command.
    words = [segment.split() for segment in _SEGMENTS.split(line.partition("<<")[0])]
    return any(_program(each) not in _LOOKS and "install" not in each for each in words if each)


def _program(words: Sequence[str]) -> str:
    names = [word for word in words if "=" not in word]
    return names[0].rpartition("/")[2] if names else "set"
