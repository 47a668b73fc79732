"""What may happen without asking: a pure decision over an effect, and the question that is put where it may not.

Called by the effect runner before anything is journaled or applied.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from ..configs.rules import RuleKind, rule_text
from ..core.effects import Category, Command, Effect, FileWrite, Nothing, Spawn
from ..core.questions import Question
from ..core.texts import visible
from .commit import planned_commit
from .network import UNSAID, NetworkVerdict
from .paths import is_auto_memory, is_protected
from .showing import show_effect

if TYPE_CHECKING:
    from .shell_policy import CommandVerdict

Mode = Literal["plan", "ask", "auto-edit", "auto"]
Verdict = Literal["allow", "ask", "deny"]
Confinement = Literal["full", "partial", "none"]

_HARMLESS = ("read", "agent")
_REACH: tuple[Category, ...] = get_args(Category)

_EXACTLY: Mapping[RuleKind, str] = {"bash": "command:", "network": "network:"}
"""What a grant for one command alone begins with."""

APPROVAL_CHOICES = ("yes", "no", "always")


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, and why in words that the model and a person can both read.

    Attributes:
        unasked: True for an effect that happens without a person's word, by the mode or the shell policy.
        by_rule: True when a rule asks, which it does each time: nothing can be granted for the rest of the run.
    """

    verdict: Verdict
    reason: str
    unasked: bool = False
    by_rule: bool = False


def decide(
    effect: Effect,
    category: str,
    mode: str,
    grants: Container[str],
    shell: CommandVerdict | None = None,
    *,
    confinement: Confinement = "full",
    network: NetworkVerdict = UNSAID,
) -> Decision:
    """Return whether an effect may happen now, must be asked for, or must not happen.

    Args:
        category: the tool's; where the effect itself reaches further, that counts.
        grants: what a person allowed for the rest of the run, as `grants_for` names it.
        shell: the verdict on a command; None = the shell policy has no say.
        network: the verdict on the network that a command has.
        confinement: what a sandbox that was not chosen by name comes to here. "none": every command of a model is
            asked for; "partial": every one that does not only read.

    Raises:
        ValueError: no such mode.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"{mode!r} is not a mode; modes are {', '.join(get_args(Mode))}")
    if denied := _denied_anywhere(effect, shell):
        return denied
    if isinstance(effect, Command) and effect.by_graph:
        return _decide_own(shell, network)
    reach = effective_category(effect, category)
    if isinstance(effect, (Nothing, Spawn)) or reach in _HARMLESS:
        return Decision("allow", "it changes nothing")
    if mode == "plan":
        return Decision(
            "deny", "This run is in plan mode: files are not changed and no command runs. Read and plan only."
        )
    decision = _decide_change(effect, reach, mode, grants, shell, network)
    if isinstance(effect, Command) and decision.unasked and not _is_confined(shell, confinement):
        lacks = "no sandbox" if confinement == "none" else "no sandbox but Landlock, which leaves gaps,"
        return Decision("ask", f"{lacks} confines commands on this machine (`flow doctor` says why)")
    return decision


def _denied_anywhere(effect: Effect, shell: CommandVerdict | None) -> Decision | None:
    """Return the decision about what no mode and nobody's word allows; None = it is nothing of that."""
    if isinstance(effect, FileWrite) and is_protected(effect.path):
        return Decision("deny", f"{effect.path} is protected and is never written by a tool.")
    if isinstance(effect, FileWrite) and is_auto_memory(effect.path) and effect.review != "memory":
        return Decision("deny", f"{effect.path} holds what agents remember and is not written as a file.")
    if shell is not None and shell.decision == "deny":
        return Decision("deny", f"It was not run: {shell.reason}.")
    return None


def _is_confined(shell: CommandVerdict | None, confinement: Confinement) -> bool:
    """Return whether the sandbox of this machine is enough for a command of a model to run unasked."""
    return confinement == "full" or (confinement == "partial" and shell is not None and shell.read_only)


def _decide_own(shell: CommandVerdict | None, network: NetworkVerdict) -> Decision:
    """Decide about a command that a graph names: the person who wrote or trusted it has said yes, but for rules."""
    return _asked_by_rule(shell, network) or Decision("allow", "the graph itself runs it")


def _asked_by_rule(shell: CommandVerdict | None, network: NetworkVerdict) -> Decision | None:
    if shell is not None and shell.asked_by_rule:
        return Decision("ask", shell.reason, by_rule=True)
    if network.question == "always":
        return Decision("ask", _about_network(network), by_rule=True)
    return None


def _about_network(network: NetworkVerdict) -> str:
    return f"it would have the network ({network.reason})"


def _decide_change(
    effect: Effect,
    reach: str,
    mode: str,
    grants: Container[str],
    shell: CommandVerdict | None,
    network: NetworkVerdict,
) -> Decision:
    """Decide about something that may change something, in a mode in which that may happen."""
    if asked := _asked_by_rule(shell, network):
        return asked
    review = effect.review if isinstance(effect, FileWrite) else ""
    if review == "conflict":
        return Decision("ask", "it would replace what somebody changed since the file was read")
    if review == "memory":
        return Decision("ask", "agents of later runs would be told it")
    if mode == "auto":
        return Decision("allow", "mode auto", unasked=True)
    if review == "inexact":
        return Decision("ask", "the quoted place was recognised by likeness only")
    if mode == "auto-edit" and reach == "edit":
        return Decision("allow", "mode auto-edit", unasked=True)
    is_allowed = shell is not None and shell.decision == "allow"
    if shell is not None and is_allowed and network.question == "never":
        return Decision("allow", shell.reason, unasked=True)
    wanted = grants_for(effect, shell)
    if wanted and all(grant in grants for grant in wanted):
        return Decision("allow", "a person allowed it for the rest of the run")
    if is_allowed:
        return Decision("ask", _about_network(network))
    return Decision("ask", shell.reason if shell is not None else f"mode {mode} asks for it")


def effective_category(effect: Effect, category: str) -> str:
    """Return the tool's category or the effect's own, whichever reaches further; an unknown one reaches furthest."""
    if isinstance(effect, FileWrite):
        own: str = "edit"
    else:
        own = _own_category(effect) if isinstance(effect, Command) else "read"
    return max(category, own, key=lambda name: _REACH.index(name) if name in _REACH else len(_REACH))


def _own_category(command: Command) -> str:
    return "network" if command.network else command.category


def reach_of(effect: Effect, category: str, shell: CommandVerdict | None = None) -> str:
    """Return the category that a person is told: the shell policy's of a shell line, else the effective one."""
    reach = effective_category(effect, category)
    return shell.category if shell is not None and reach in ("shell", "shell-safe") else reach


def grants_for(effect: Effect, shell: CommandVerdict | None = None) -> tuple[str, ...]:
    """Return what an "always" gives: all writes of files, all commits, a shell line's prefixes, or this one command.

    With the network it is granted with the network. () = there is nothing to grant.
    """
    if isinstance(effect, FileWrite):
        return ("edit",)
    if not isinstance(effect, Command):
        return ()
    if planned_commit(effect.argv) is not None:
        return ("commit",)
    kinds: tuple[RuleKind, ...] = ("bash", "network") if effect.network else ("bash",)
    if shell is not None and shell.prefixes:
        return tuple(rule_text(prefix, kind) for kind in kinds for prefix in shell.prefixes)
    exactly = json.dumps(list(effect.argv), ensure_ascii=False)
    return tuple(f"{_EXACTLY[kind]}{exactly}" for kind in kinds)


def _grants_text(grants: Sequence[str]) -> str:
    if grants in (("edit",), ("commit",)):
        return "every edit of a file" if grants == ("edit",) else "every commit"
    rules = [grant for grant in grants if not grant.startswith(tuple(_EXACTLY.values()))]
    return " and ".join(rules) if rules else "exactly this command"


def approval_question(
    effect: FileWrite | Command,
    node: str,
    before: bytes | None = None,
    shell: CommandVerdict | None = None,
    reason: str = "",
    *,
    by_rule: bool = False,
) -> Question:
    """Return the question that asks a person for an effect, showing exactly what will run or be written.

    Args:
        before: the file's content now; None = there is no file, or the effect is a command.
        shell: the verdict on a shell line; decides what "always" gives.
        reason: why it is asked; "" = it is not told.
        by_rule: as in Decision; then "always" is no choice.
    """
    shown = show_effect(effect, before)
    because = f"Asked since {visible(reason)}. " if reason else ""
    if by_rule:
        text = f"{shown.title}\n{because.rstrip()}\n{shown.body}"
        return Question("approval", node, text, ("yes", "no"), shown.payload)
    if not isinstance(effect, FileWrite) or not effect.review:
        granted = grants_for(effect, shell)
        # Above what is shown, where no line of it can pass for this one.
        told = f"{because}always: {visible(_grants_text(granted))}, for the rest of this run."
        payload = {**shown.payload, "always": list(granted)}
        return Question("approval", node, f"{shown.title}\n{told}\n{shown.body}", APPROVAL_CHOICES, payload)
    # No "always": each of these is a case of its own. Nobody there to ask must not mean that somebody's work is lost,
    # or that a model tells the next ones what to do.
    headless = "no" if effect.review in ("conflict", "memory") else None
    text = f"{visible(effect.note)}\n{shown.title}\n{shown.body}"
    return Question("approval", node, text, ("yes", "no"), {**shown.payload, "review": effect.review}, headless)
