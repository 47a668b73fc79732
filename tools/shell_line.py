"""A shell line judged where it is going to run, with the environment it needs for that.

Called by the tool bash and by `flow permissions check`, so that both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..configs.rules import Rule
from ..core.effects import Command
from ..core.errors import UsageError
from .shell_git import git_shield
from .shell_policy import READING_ENV, CommandVerdict, check_command


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


def verdict_on(command: Command, rules: Sequence[Rule], workspace: Path) -> CommandVerdict | None:
    """Return the verdict on a planned command that is a shell line; None = it is none, or only its words would read.

    A line that only reads counts as one where it was planned to: then it has the environment in which git runs
    nothing of the repository.
    """
    if len(command.argv) != 3 or command.argv[:2] != ("bash", "-c"):
        return None
    line, is_planned_to_read = command.argv[2], command.category == "shell-safe"
    verdict = check_command(line, rules, workspace=workspace, git_is_safe=is_planned_to_read)
    if is_planned_to_read or verdict.decision == "deny" or verdict.asked_by_rule:
        return verdict
    return None if check_command(line, workspace=workspace).read_only else verdict
