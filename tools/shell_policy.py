"""The verdict on a shell line: may it run unasked, must a person be asked, or must it not run. Pure but for links.

A line is allowed only when every simple command of it only reads, by the table of programs, or is allowed by a rule,
and nothing in it is run, written or put together out of sight. Called by the permissions and by
`flow permissions check`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..configs.rules import Rule, RuleKind, parse_rule, rule_text
from .shell_judge import Decision, Judge, PartVerdict
from .shell_parse import parse_line

READING_ENV: Mapping[str, str] = dict.fromkeys(
    ("BASH_ENV", "ENV", "CDPATH", "GREP_OPTIONS", "RIPGREP_CONFIG_PATH", "LESSOPEN"), ""
)
"""To be added to the environment of a line that runs because it only reads: variables that would make it do more."""

ShellCategory = Literal["shell-safe", "shell", "outside-workspace"]


@dataclass(frozen=True, slots=True)
class CommandVerdict:
    """The verdict on a shell line.

    Attributes:
        reason: in words a person and a model can read.
        prefixes: what "always" would allow, one rule `rule_text(prefix)` each; () = "always" is not offered.
        injected: something in the line is run, changed or expanded that its words do not show.
        read_only: every simple command only reads, by the table of programs alone.
        category: what the line reaches; "shell-safe" when it only reads.
        parts: the verdict on each simple command, in order.
        runs_git: it may run git; a line that only reads has to run with `shell_git.git_shield(...).env` then.
    """

    decision: Decision
    reason: str
    prefixes: tuple[str, ...]
    injected: bool
    read_only: bool
    category: ShellCategory
    parts: tuple[PartVerdict, ...]
    runs_git: bool

    @property
    def asked_by_rule(self) -> bool:
        """True when a rule asks for it, so that it is asked for even where nothing else is."""
        return self.decision == "ask" and any(part.ruled for part in self.parts)


def check_command(
    line: str,
    rules: Sequence[Rule] = (),
    *,
    workspace: Path | None = None,
    git_is_safe: bool = True,
    about: RuleKind = "bash",
) -> CommandVerdict:
    """Return the verdict on a shell line as `bash -c` would get it.

    Args:
        rules: of settings, graph files and of what a person allowed; denial wins over asking, asking over permission.
        about: which of the rules count. With "network" the verdict is what they say of the network: a line that is
            allowed and does not only read may have it.
        workspace: absolute, resolved folder the line runs in; None = paths are judged by their text alone.
        git_is_safe: False when `git_shield` reports settings that no environment switches off.
    """
    rules = [rule for rule in rules if rule.about == about]
    verdict = _verdict(line, rules, workspace, git_is_safe)
    prefixes = _prefixes(verdict)
    if not prefixes:
        return verdict.whole(())
    # Offered only where it would do what a person expects of it: let this very line run.
    more = [*rules, *(parse_rule(rule_text(prefix, about), "allow") for prefix in prefixes)]
    would_run = _verdict(line, more, workspace, git_is_safe).decision == "allow"
    return verdict.whole(prefixes if would_run else ())


@dataclass(frozen=True, slots=True)
class _Verdict:
    decision: Decision
    reason: str
    parts: tuple[PartVerdict, ...]
    is_read: bool
    hides: bool
    runs_git: bool

    def whole(self, prefixes: tuple[str, ...]) -> CommandVerdict:
        injected = self.hides or any(part.hides for part in self.parts)
        read_only = self.is_read and not injected and all(part.read_only for part in self.parts)
        category: ShellCategory = "shell-safe" if read_only else "shell"
        if any(part.outside for part in self.parts):
            category = "outside-workspace"
        return CommandVerdict(
            self.decision, self.reason, prefixes, injected, read_only, category, self.parts, self.runs_git
        )


def _verdict(line: str, rules: Sequence[Rule], workspace: Path | None, git_is_safe: bool) -> _Verdict:
    parsed = parse_line(line)
    parts = tuple(Judge(tuple(rules), workspace, git_is_safe).line(parsed))
    decision: Decision = "ask" if parsed.fault else "allow"
    reason = f"{parsed.fault}, so what it does is not known" if parsed.fault else ""
    deciding = next((part for part in parts if part.decision == "deny"), None)
    if deciding is None and not parsed.fault:
        deciding = next((part for part in parts if part.decision == "ask"), None)
    if deciding is None and not parsed.fault:
        reason = next((part.reason for part in parts if not part.read_only), parts[0].reason)
    if deciding is not None:
        decision, reason = deciding.decision, deciding.reason
    return _Verdict(decision, reason, parts, not parsed.fault, parsed.hides, "git" in line)


def _prefixes(verdict: _Verdict) -> tuple[str, ...]:
    """Return what would have to be allowed; () = some of it has no prefix, or nothing is asked for."""
    asked = [part.prefix for part in verdict.parts if part.decision == "ask"]
    if verdict.decision != "ask" or not verdict.is_read or "" in asked:
        return ()
    return tuple(dict.fromkeys(asked))
