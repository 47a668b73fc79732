"""What may happen without asking: a pure decision over an effect, and the question that is put where it may not.

Called by the effect runner before anything is journaled or applied.
"""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass
from typing import Literal, get_args

from ..core.effects import Category, Command, Effect, FileWrite, Nothing, Spawn
from ..core.questions import Question
from ..core.texts import visible
from .paths import is_protected
from .showing import show_effect

Mode = Literal["plan", "ask", "auto-edit", "auto"]
Verdict = Literal["allow", "ask", "deny"]

_HARMLESS = ("read", "agent")
# By how far an effect of the category can reach.
_REACH: tuple[Category, ...] = ("read", "agent", "edit", "shell", "network", "mcp")

APPROVAL_CHOICES = ("yes", "no", "always")


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, and why in words that the model and a person can both read."""

    verdict: Verdict
    reason: str


def decide(effect: Effect, category: str, mode: str, grants: Container[str]) -> Decision:
    """Return whether an effect may happen now, must be asked for, or must not happen.

    Args:
        category: the tool's; where the effect itself reaches further, that counts.
        grants: what a person allowed for the rest of the run, as `grant_for` names it.

    Raises:
        ValueError: no such mode.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"{mode!r} is not a mode; modes are {', '.join(get_args(Mode))}")
    if isinstance(effect, FileWrite) and is_protected(effect.path):
        return Decision("deny", f"{effect.path} is protected and is never written by a tool.")
    reach = effective_category(effect, category)
    if isinstance(effect, (Nothing, Spawn)) or reach in _HARMLESS:
        return Decision("allow", "it changes nothing")
    if mode == "plan":
        return Decision(
            "deny", "This run is in plan mode: files are not changed and no command runs. Read and plan only."
        )
    review = effect.review if isinstance(effect, FileWrite) else ""
    if review == "conflict":
        return Decision("ask", "it would replace what somebody changed since the file was read")
    if mode == "auto":
        return Decision("allow", "mode auto")
    if review == "inexact":
        return Decision("ask", "the quoted place was recognised by likeness only")
    if mode == "auto-edit" and reach == "edit":
        return Decision("allow", "mode auto-edit")
    if grant_for(effect) in grants:
        return Decision("allow", "a person allowed it for the rest of the run")
    return Decision("ask", f"mode {mode} asks for it")


def effective_category(effect: Effect, category: str) -> str:
    """Return the tool's category or the effect's own, whichever reaches further; an unknown one reaches furthest."""
    if isinstance(effect, FileWrite):
        own: str = "edit"
    else:
        own = effect.category if isinstance(effect, Command) else "read"
    return max(category, own, key=lambda name: _REACH.index(name) if name in _REACH else len(_REACH))


def grant_for(effect: Effect) -> str:
    """Return the grant that an "always" gives: all writes of files, or this one command; "" = nothing to grant."""
    if isinstance(effect, FileWrite):
        return "edit"
    if isinstance(effect, Command):
        return "command:" + json.dumps(list(effect.argv), ensure_ascii=False)
    return ""


def approval_question(effect: FileWrite | Command, node: str, before: bytes | None = None) -> Question:
    """Return the question that asks a person for an effect, showing exactly what will run or be written.

    Args:
        before: the file's content now; None = there is no file, or the effect is a command.
    """
    shown = show_effect(effect, before)
    text = f"{shown.title}\n{shown.body}"
    if not isinstance(effect, FileWrite) or not effect.review:
        return Question("approval", node, text, APPROVAL_CHOICES, shown.payload)
    # No "always": each of these is a case of its own. Nobody there to ask must not mean that somebody's work is lost.
    headless = "no" if effect.review == "conflict" else None
    text = f"{visible(effect.note)}\n{text}"
    return Question("approval", node, text, ("yes", "no"), {**shown.payload, "review": effect.review}, headless)
