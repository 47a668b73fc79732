"""Conversations as agents have them, grown turn by turn from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flowloom.core.messages import Message, ToolCall

ROOT = Path(__file__).parents[2]

FAILURE = """\
exit code 1
============================= test session starts ==============================
collected 214 items

{path} ..F.......

=================================== FAILURES ===================================
_______________________________ test_{name} _______________________________

    def test_{name}():
        shop = Shop()
>       assert shop.total() == {number}
E       AssertionError: expected {number} but {name} returned {other}

{path}:{line}: AssertionError
=========================== short test summary info ============================
FAILED {path}::test_{name} - AssertionError: expected {number} but {name} returned {other}
========================= 1 failed, 213 passed in 4.21s ========================
"""


def stored(*messages: Message) -> list[dict[str, Any]]:
    return [message.to_dict() for message in messages]


def start(task: str = "Mend the total.") -> list[dict[str, Any]]:
    return stored(Message("system", "You are an agent."), Message("user", task))


def turn(number: int, calls: Mapping[str, tuple[dict[str, Any], str]], words: str = "") -> list[dict[str, Any]]:
    """Return one reply with its calls (tool: arguments, result) and their results."""
    made = [ToolCall(f"t{number}.{at}", name, args) for at, (name, (args, _)) in enumerate(calls.items())]
    results = [
        Message("tool", result, call_id=call.id, tool_name=call.name, seen={"a.py": "0" * 64})
        for call, (_, result) in zip(made, calls.values(), strict=True)
    ]
    return stored(Message("assistant", words, tuple(made)), *results)


def long_turn(rng: random.Random, number: int, sources: list[Path]) -> list[dict[str, Any]]:
    """Return a turn with a result as real tools give them: a failing test run, a search, a piece of a source file."""
    source = rng.choice(sources)
    path = str(source.relative_to(ROOT))
    lines = source.read_text("utf-8").splitlines()
    match rng.randrange(3):
        case 0:
            words = {"path": path, "name": f"case_{number}", "number": number, "other": number + 1, "line": 7}
            return turn(number, {"bash": ({"command": f"pytest -q {path}"}, FAILURE.format(**words))})
        case 1:
            found = "\n".join(f"{path}:{at}: {line}" for at, line in enumerate(lines[:60], 1) if line.strip())
            return turn(number, {"grep": ({"pattern": "self"}, found)})
        case _:
            shown = "\n".join(f"{at}|{line}" for at, line in enumerate(lines[:150], 1))
            return turn(number, {"read_file": ({"path": path}, shown)})


@pytest.fixture(scope="session")
def talk() -> SimpleNamespace:
    """Return the functions that make conversations."""
    return SimpleNamespace(start=start, turn=turn, stored=stored, long_turn=long_turn, root=ROOT)
