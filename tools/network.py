"""Whether a command has the network: what rules, a graph's `network:` and the settings come to.

Called by the effect runner for every command, and by `flow permissions check`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..configs.rules import CommandRules
from ..core.effects import Command, Effect

NetworkQuestion = Literal["never", "always", "by-mode"]


@dataclass(frozen=True, slots=True)
class NetworkVerdict:
    """Whether a command has the network, and whether that alone is a reason to ask.

    Attributes:
        on: None = nothing says so; the sandbox does with it as the settings say for all commands.
        question: "always" and "never" by a rule or the settings; "by-mode" as the mode says for what may reach it.
        reason: in words a person and a model can read; "" = nothing says anything about it.
    """

    on: bool | None = None
    question: NetworkQuestion = "never"
    reason: str = ""


UNSAID = NetworkVerdict()
"""Nothing says anything about the network."""


def network_on(command: Effect, held: CommandRules, workspace: Path) -> NetworkVerdict:
    """Return the verdict on a planned command: a denial wins, then a rule that asks, then one that allows, then
    `network:` of the graph and its node. Nothing is said about another effect.

    What only reads has no use for the network, and commands of our own have none either: for them only a graph's
    `network: false` is looked at.

    Args:
        workspace: absolute, resolved.
    """
    if not isinstance(command, Command):
        return UNSAID
    if held.network is False:
        return NetworkVerdict(on=False, reason="the graph says network: false")
    if command.category != "shell" and not command.by_graph:
        return UNSAID
    verdict = _by_rule(command, held, workspace)
    if verdict.on is not None:
        return verdict
    if held.open_network:
        return NetworkVerdict(on=True, reason="sandbox.network gives it to every command")
    if held.network:
        return NetworkVerdict(on=True, question="by-mode", reason="the graph says network: true")
    return verdict


def _by_rule(command: Command, held: CommandRules, workspace: Path) -> NetworkVerdict:
    rules = held.about("network")
    if not rules:
        return UNSAID
    from .shell_line import rule_on  # late: a run without rules goes without the parser

    decision, reason = rule_on(command, rules, workspace)
    match decision:
        case "deny":
            return NetworkVerdict(on=False, reason=reason)
        case "ask":
            return NetworkVerdict(on=True, question="always", reason=reason)
        case "allow":
            return NetworkVerdict(on=True, reason=reason)
        case None:
            return NetworkVerdict(reason=f"no rule gives it: {reason}" if reason else "no rule gives it")
