"""The session context: the block that stands for the messages that are left out, under a token budget.

It is text that is read again at the next compaction, when it is condensed itself: earlier lines are carried on, each
once, and the newest stay when the budget is short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..core.ports import TokenCounter
from .blocks import Block, cut_to_tokens
from .literals import KINDS, Kind, Literals, newest_once, one_line, states_error, without_bare, without_repeats
from .prompts import load_prompt
from .view import CONTEXT_TAG

_HEADS: Mapping[str, str] = {
    "task": "Current task",
    "plan": "Plan",
    "changed": "Files changed",
    "asked": "Asked earlier",
    "decisions": "Decisions",
    "errors": "Errors met",
    "looked_at": "Files looked at",
    "commands": "Commands run",
    "names": "Names",
    "paths": "Other paths seen",
    "summary": "Summary",
}
_KEYS = {head: key for key, head in _HEADS.items()}
_IN_ONE_LINE: frozenset[str] = frozenset({"looked_at", "names", "paths", "changed"})
"""Kinds whose items are short, so that they stand side by side."""
_SHARES: Mapping[Kind, float] = {
    "decisions": 0.25,
    "errors": 0.28,
    "looked_at": 0.17,
    "paths": 0.12,
    "asked": 0.06,
    "commands": 0.06,
    "names": 0.06,
}
"""Of the budget for literals; what one kind leaves over is the next one's."""
_TASK_SHARE = 0.5
_PLAN_SHARE = 0.25
_CHANGED_SHARE = 0.4
_SEPARATOR = ", "


@dataclass(frozen=True, slots=True)
class Facts:
    """What the program knows by itself when messages are left out.

    Attributes:
        folder: the working directory.
        task: of this visit.
        task_at: place of the message that set it, in the stored conversation: the task is told when that is left out.
        plan: the agent's own list of what is left to do, a line an item.
        changed: files that the visit changed.
    """

    folder: str
    task: str = ""
    task_at: int = 0
    plan: Sequence[str] = ()
    changed: Sequence[str] = ()


@dataclass(slots=True)
class Earlier:
    """What an earlier session context says."""

    literals: Literals = field(default_factory=lambda: {kind: [] for kind in KINDS})
    summary: str = ""


def read_context(text: str) -> Earlier:
    """Return what a block says that `render_context` made; anything else in it is left out."""
    earlier, key = Earlier(), ""
    lines = text.split("\n")
    for place, line in enumerate(lines):
        if line.startswith("## "):
            key = _KEYS.get(line[3:], "")
            if key == "summary":
                earlier.summary = "\n".join(lines[place + 1 :]).strip()
                break
        elif line.startswith("- ") and key in KINDS:
            kind: Kind = next(each for each in KINDS if each == key)
            items = line[2:].split(_SEPARATOR) if key in _IN_ONE_LINE else [line[2:]]
            earlier.literals[kind] += items
    return earlier


def render_context(
    facts: Facts, earlier: Earlier, new: Literals, summary: str, budget: int, counter: TokenCounter
) -> str:
    """Return the block within about `budget` tokens.

    Args:
        new: what the messages hold that go now; later than all of `earlier`.
        summary: the model's own words, which get a third of the budget; "" = none, so the earlier one's stay.
    """
    prose = cut_to_tokens((summary or earlier.summary).strip(), budget // 3, counter)
    left = budget - counter.count(prose)
    sections: dict[str, list[str]] = {}
    for key, text, share in (("task", facts.task, _TASK_SHARE), ("plan", "\n".join(facts.plan), _PLAN_SHARE)):
        if text:
            kept = cut_to_tokens(text, int(left * share), counter)
            sections[key] = [f"> {line}" for line in kept.split("\n")]
            left -= counter.count(kept)
    # What was changed is never forgotten, but a run may change very many files.
    changed = _newest([one_line(path) for path in facts.changed], int(left * _CHANGED_SHARE), counter)
    left -= sum(counter.count(path) for path in changed)
    sections["changed"] = changed
    sections.update(_fitted(earlier.literals, new, left, counter))
    parts = [load_prompt("context", "session_context"), f"Working directory: {facts.folder}"]
    for key, head in _HEADS.items():
        if items := sections.get(key):
            parts.append(f"## {head}\n{_rendered(key, items)}")
    if prose:
        parts.append(f"## {_HEADS['summary']}\n{prose}")
    return Block(CONTEXT_TAG, "\n".join(parts)).render()


def _rendered(key: str, items: Sequence[str]) -> str:
    if key in _IN_ONE_LINE:
        return f"- {_SEPARATOR.join(items)}"
    return "\n".join(items) if key in ("task", "plan") else "\n".join(f"- {item}" for item in items)


def _fitted(earlier: Literals, new: Literals, budget: int, counter: TokenCounter) -> dict[str, list[str]]:
    lines = {kind: newest_once([*earlier[kind], *new[kind]]) for kind in KINDS}
    # Where not all fit, what is only about an error goes before the error itself.
    lines["errors"] = sorted(without_repeats(lines["errors"]), key=states_error)
    lines["looked_at"] = without_bare(lines["looked_at"])
    # A path has one place: the more telling one.
    told = {path.partition(":")[0] for path in lines["looked_at"]}
    lines["paths"] = [path for path in lines["paths"] if path not in told]
    fitted: dict[str, list[str]] = {}
    carried, left = 0, budget
    for kind, share in _SHARES.items():
        room = int(budget * share) + carried
        fitted[kind] = _newest(lines[kind], room, counter)
        used = sum(counter.count(line) for line in fitted[kind])
        carried, left = room - used, left - used
    # What the last kinds left over goes to the first ones that had to leave something out.
    for kind in _SHARES:
        if len(fitted[kind]) < len(lines[kind]) and left > 0:
            used = sum(counter.count(line) for line in fitted[kind])
            fitted[kind] = _newest(lines[kind], used + left, counter)
            left -= sum(counter.count(line) for line in fitted[kind]) - used
    return fitted


def _newest(lines: Sequence[str], budget: int, counter: TokenCounter) -> list[str]:
    """Return the newest lines that fit, in their order; one that is too long alone is passed over."""
    kept: list[str] = []
    left = budget
    for line in reversed(lines):
        size = counter.count(line)
        if size <= left:
            kept.append(line)
            left -= size
        if left < 4:
            break
    return kept[::-1]
