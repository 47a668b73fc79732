"""A command judged where it is going to run: a shell line with the environment it needs for that, and what rules say.

Called by the tool bash, the effect runner and `flow permissions check`, so that all say the same.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..configs.rules import Rule, RuleDecision, RuleKind
from ..core.effects import Command
from ..core.errors import UsageError
from .shell_git import git_shield
from .shell_judge import ruled_part
from .shell_policy import READING_ENV, CommandVerdict, check_command
from .shell_rules import matching_rule
from .shell_words import Word


@dataclass(frozen=True, slots=True)
class JudgedLine:
    """A verdict, and what has to be added to the environment for it to hold; {} = nothing."""

    verdict: CommandVerdict
    env: Mapping[str, str]


def judge_line(line: str, rules: Sequence[Rule], workspace: Path) -> JudgedLine:
    """Return the verdict on a shell line that runs in the workspace; git is run only where the line holds git.

    Args:
        workspace: absolute, resolved.
    """
    verdict = check_command(line, rules, workspace=workspace)
    if not verdict.read_only:
        return JudgedLine(verdict, {})
    if not verdict.runs_git:
        return JudgedLine(verdict, READING_ENV)
    try:
        shield = git_shield(workspace)
    except UsageError:
        # Without git nothing is known of the repository, and the line would fail.
        return JudgedLine(check_command(line, rules, workspace=workspace, git_is_safe=False), {})
    if shield.unsafe:
        return JudgedLine(check_command(line, rules, workspace=workspace, git_is_safe=False), {})
    return JudgedLine(verdict, {**READING_ENV, **shield.env})


def only_reads(command: Command, workspace: Path) -> bool:
    """Return whether the shell policy finds a command, whoever planned it, to only read.

    Args:
        workspace: absolute, resolved.
    """
    line = _line_of(command)
    return judge_line(shlex.join(command.argv) if line is None else line, (), workspace).verdict.read_only


def verdict_on(command: Command, rules: Sequence[Rule], workspace: Path) -> CommandVerdict | None:
    """Return the verdict on a planned command; None = it is one of our own, or the policy has no say.

    A line that only reads counts as one where it was planned to: then it has the environment in which git runs
    nothing of the repository. A program with arguments (a snippet, a shell node) is only held to rules that deny or
    ask.
    """
    line = _line_of(command)
    if line is None:
        is_judged = command.category == "shell" or command.by_graph
        rule = _rule_on_words(command, rules, "bash") if is_judged else None
        return None if rule is None or rule.decision == "allow" else _ruled(command, rule)
    is_planned_to_read = command.category == "shell-safe"
    verdict = check_command(line, rules, workspace=workspace, git_is_safe=is_planned_to_read)
    if is_planned_to_read or verdict.decision == "deny" or verdict.asked_by_rule:
        return verdict
    return None if check_command(line, workspace=workspace).read_only else verdict


def rule_on(command: Command, rules: Sequence[Rule], workspace: Path) -> tuple[RuleDecision | None, str]:
    """Return what the rules about the network say of a planned command, and why; None = none of them fits, or the
    line is one that no permission with ":*" covers.

    Permission is read as narrowly as that to run: every simple command of the line has it, or only reads.
    """
    line = _line_of(command)
    if line is None:
        rule = _rule_on_words(command, rules, "network")
        return (None, "") if rule is None else (rule.decision, ruled_part("", rule).reason)
    # Not under the shield: git could run a program of the repository's, and that would have the network too.
    verdict = check_command(line, rules, workspace=workspace, git_is_safe=False, about="network")
    if verdict.decision == "deny" or verdict.asked_by_rule:
        return verdict.decision, verdict.reason
    if verdict.decision == "allow" and not verdict.read_only:
        return "allow", verdict.reason
    is_narrowed = verdict.injected or any(part.fixed for part in verdict.parts)
    return None, verdict.reason if is_narrowed else ""


def _line_of(command: Command) -> str | None:
    is_line = len(command.argv) == 3 and command.argv[:2] == ("bash", "-c")
    return command.argv[2] if is_line else None


def _rule_on_words(command: Command, rules: Sequence[Rule], about: RuleKind) -> Rule | None:
    words = tuple(Word(text, text, 0, 0) for text in command.argv)
    return matching_rule(words, [rule for rule in rules if rule.about == about])


def _ruled(command: Command, rule: Rule) -> CommandVerdict:
    part = ruled_part(shlex.join(command.argv), rule)
    return CommandVerdict(part.decision, part.reason, (), False, False, "shell", (part,), False)
