"""The simple commands of a shell line judged one after the other: rules, table, paths and what stands around them."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ..configs.rules import Rule
from .shell_advice import prefix_of
from .shell_git import is_guarded as is_guarded_git
from .shell_guards import GUARDS, read_listed
from .shell_parse import ParsedLine, Redirect, SimpleCommand, parse_line
from .shell_paths import path_fault
from .shell_programs import Reading, program_name, table
from .shell_rules import matching_rule
from .shell_words import Word
from .shell_wrappers import harmless_assignment, unwrap

Decision = Literal["allow", "ask", "deny"]

_MAX_NESTING = 3
# What may stand before xargs: their output is names of files below the folders they were given.
_LISTERS = frozenset({"find", "fd", "rg", "grep", "git", "ls"})
_KEEPERS = frozenset({"head", "tail", "sort", "uniq", "grep", "rg", "tac", "shuf", "xargs"})
_LISTING_OPTIONS = frozenset({"-l", "-L", "-rl", "-lr", "--files-with-matches", "--files-without-match", "--files"})
_TEXT_PROGRAMS = frozenset({"echo", "printf", "test", "[", "[["})


@dataclass(frozen=True, slots=True)
class PartVerdict:
    """The verdict on one simple command.

    Attributes:
        text: the command as written; "" = a redirection of several commands.
        read_only: it only reads, by the table of programs; rules do not count for this.
        prefix: what "always" may allow of it; "" = nothing.
        outside: it names a path outside the workspace.
        fixed: no rule with ":*" lifts it: it asks because of a path, a redirection or a variable.
        hides: it runs or expands something that its words do not show.
        ruled: a rule denies it or asks for it, whatever the table says.
    """

    text: str
    decision: Decision
    reason: str
    read_only: bool = False
    prefix: str = ""
    outside: bool = False
    fixed: bool = False
    hides: bool = False
    ruled: bool = False


def _prefix(words: Sequence[Word]) -> str:
    """Return what "always" may allow; not a program of the table, whose dangerous options it would let through."""
    name = program_name(words[0])
    is_guarded = is_guarded_git(words) if name == "git" else name in table().read or name in GUARDS
    waits = any(name in table().interactive[kind] for kind in ("editor", "pager", "screen"))
    return "" if is_guarded or waits else prefix_of(words)


def ruled_part(text: str, rule: Rule) -> PartVerdict:
    """Return the verdict on a simple command that a rule decides about."""
    verb = {"allow": "allows", "ask": "asks for", "deny": "denies"}[rule.decision]
    is_strict = rule.decision != "allow"
    return PartVerdict(text, rule.decision, f"the rule {rule.text!r} {verb} it", fixed=is_strict, ruled=is_strict)


@dataclass
class _Place:
    """Folders in which the commands of a line may run: `now` for the next one, `ever` for any so far."""

    now: tuple[str, ...]
    ever: tuple[str, ...]
    group: int = 0

    def enter(self, command: SimpleCommand) -> None:
        if command.joint not in ("&&", "|", "|&") or command.group != self.group:
            self.now = self.ever
        self.group = command.group

    def move(self, target: str, *, is_certain: bool) -> None:
        moved = tuple(posixpath.normpath(posixpath.join(folder, target)) for folder in self.now)
        self.ever = tuple(dict.fromkeys((*self.ever, *moved)))
        self.now = moved if is_certain else self.ever


@dataclass(frozen=True)
class Judge:
    """Judges one line.

    Args:
        workspace: absolute, resolved; None = paths are judged by their text alone.
        git_is_safe: False = git is never taken to only read.
        folders: workspace-relative folders in which the line may begin.
        depth: how many wrappers it stands in.
        upstream: commands whose output the line reads.
    """

    rules: tuple[Rule, ...]
    workspace: Path | None
    git_is_safe: bool
    folders: tuple[str, ...] = (".",)
    depth: int = 0
    upstream: tuple[SimpleCommand, ...] = ()
    pipe: list[SimpleCommand] = field(default_factory=list)

    def line(self, parsed: ParsedLine) -> list[PartVerdict]:
        """Return the verdicts on the simple commands and redirections of a line."""
        if parsed.fault:
            return [self._ruled(command) or self._unread(command, parsed) for command in parsed.commands]
        place = _Place(self.folders, self.folders)
        parts = [
            self._next(command, place, parsed.commands[at + 1 : at + 2]) for at, command in enumerate(parsed.commands)
        ]
        faults = (fault for redirect in parsed.redirects for fault in self._redirect(redirect, place.ever))
        return [*parts, *faults]

    def _unread(self, command: SimpleCommand, parsed: ParsedLine) -> PartVerdict:
        return PartVerdict(command.text, "ask", parsed.fault, fixed=True, hides=parsed.hides)

    def _ruled(self, command: SimpleCommand) -> PartVerdict | None:
        """Return the verdict of a rule that denies or asks; None = there is none."""
        rule = matching_rule(command.words, self.rules)
        return None if rule is None or rule.decision == "allow" else ruled_part(command.text, rule)

    def _next(self, command: SimpleCommand, place: _Place, following: Sequence[SimpleCommand]) -> PartVerdict:
        place.enter(command)
        if command.joint not in ("|", "|&"):
            self.pipe[:] = self.upstream
        part = self.command(command, place.now)
        self.pipe.append(command)
        if command.words and command.words[0].text == "cd" and len(command.words) == 2:
            is_certain = command.joint not in ("|", "|&") and bool(following) and following[0].joint == "&&"
            place.move(command.words[1].text, is_certain=is_certain)
        return part

    def command(self, command: SimpleCommand, folders: tuple[str, ...]) -> PartVerdict:
        """Return the verdict on one simple command that may run in any of the folders."""
        if (ruled := self._ruled(command)) is not None:
            return ruled
        rule = matching_rule(command.words, self.rules)
        part = self._by_table(command, folders)
        around = self._around(command, folders)
        if part.decision == "deny" or around is None:
            return part if rule is None else self._by_rule(part, command, rule)
        return replace(around, outside=around.outside or part.outside)

    def _by_rule(self, part: PartVerdict, command: SimpleCommand, rule: Rule) -> PartVerdict:
        """An exact rule allows its command; one that is open at its end no paths, and not what a wrapper runs."""
        is_open_too_far = rule.open and (part.fixed or part.hides or unwrap(command.words) is not None)
        if part.decision != "ask" or is_open_too_far:
            return part
        return replace(ruled_part(part.text, rule), outside=part.outside)

    def _around(self, command: SimpleCommand, folders: tuple[str, ...]) -> PartVerdict | None:
        """Judge what stands around the arguments: assignments, quotes in the name of the program, redirections."""
        first = command.words[0]
        reason = ""
        if not first.fixed and first.text not in ("[", "[["):
            reason = "the name of the program is not known"
        elif first.source != first.text:
            reason = "the name of the program is quoted"
        changing = [word.source for word in command.assignments if not harmless_assignment(word.source)]
        if changing:
            reason = f"setting {changing[0].partition('=')[0]} may change what runs"
        if reason:
            return PartVerdict(command.text, "ask", reason, fixed=True, hides=True)
        faults = (fault for redirect in command.redirects for fault in self._redirect(redirect, folders))
        return next((replace(fault, text=command.text) for fault in faults), None)

    def _redirect(self, redirect: Redirect, folders: tuple[str, ...]) -> Iterator[PartVerdict]:
        target = redirect.target
        if not target.fixed:
            yield PartVerdict("", "ask", "it is redirected to or from what is not known", fixed=True)
            return
        is_number = redirect.operator in (">&", "<&") and (target.text.isdigit() or target.text == "-")
        if redirect.operator == "<<<" or is_number or (redirect.operator != "<>" and target.text == "/dev/null"):
            return
        fault = path_fault(target, folders, self.workspace)
        outside = fault is not None and fault.outside
        if redirect.operator != "<":
            yield PartVerdict("", "ask", f"it writes to {target.text}", outside=outside, fixed=True)
        elif fault is not None:
            yield PartVerdict("", "ask", fault.reason, outside=outside, fixed=True)

    def _by_table(self, command: SimpleCommand, folders: tuple[str, ...]) -> PartVerdict:
        words = command.words
        asked = PartVerdict(command.text, "ask", "", prefix=_prefix(words))
        reading = unwrap(words) or self._read(words, folders)
        if reading is None or reading.fault:
            reason = reading.fault if reading else f"{words[0].text} is not known to only read"
            outside = self._path_fault([word for word in words[1:] if not word.text.startswith("-")], folders, asked)
            if outside is not None and outside.outside:
                return replace(outside, reason=reason, hides=reading is not None and reading.hides)
            return replace(asked, reason=reason, hides=reading is not None and reading.hides)
        inner = self._inner(command, reading, folders)
        stopping = next((part for part in inner if part.decision != "allow"), None)
        if stopping is not None:
            return replace(stopping, text=command.text, prefix="", fixed=True)
        if (fault := self._path_fault(reading.paths, folders, asked)) is not None:
            return fault
        if reason := self._unknown_word(words, reading, folders):
            return replace(asked, reason=reason, prefix="", fixed=True)
        by_rule = next((part.reason for part in inner if not part.read_only), "")
        return PartVerdict(command.text, "allow", by_rule or "it only reads", read_only=not by_rule)

    def _path_fault(self, words: Sequence[Word], folders: tuple[str, ...], asked: PartVerdict) -> PartVerdict | None:
        for word in words:
            if fault := path_fault(word, folders, self.workspace):
                return replace(asked, reason=fault.reason, prefix="", outside=fault.outside, fixed=True)
        return None

    def _read(self, words: Sequence[Word], folders: tuple[str, ...]) -> Reading | None:
        name = program_name(words[0])
        if len(words) == 2 and words[1].text in table().version.get(name, ()):
            return Reading(self._version_fault(name))
        if name == "git" and (reason := self._git_fault(folders)):
            return Reading(reason)
        if name == "xargs" and not self._lists_files():
            return Reading("xargs is given names that did not come from a listing of files", hides=True)
        named = (replace(words[0], text=name), *words[1:])
        if name in GUARDS:
            return GUARDS[name](named)
        return read_listed(named) if name in table().read else None

    def _version_fault(self, name: str) -> str:
        # rustup starts the programs that this file of the repository names.
        files = ("rust-toolchain", "rust-toolchain.toml")
        if name in ("cargo", "rustc") and self.workspace and any((self.workspace / file).exists() for file in files):
            return f"a rust-toolchain file chooses which {name} runs"
        return ""

    def _git_fault(self, folders: tuple[str, ...]) -> str:
        if not self.git_is_safe:
            return "git may run programs that this repository sets up"
        for folder in folders:
            if ".git" in folder.lower().split("/"):
                return "git runs inside of a repository's own folder"
            current = self.workspace / folder if self.workspace is not None else None
            while current is not None and current != self.workspace and current.is_relative_to(self.workspace or ""):
                if (current / ".git").exists() or (current / "HEAD").exists():
                    return f"{folder} holds a repository of its own"
                current = current.parent
        return ""

    def _lists_files(self) -> bool:
        """Tell whether the pipe before a command gives names of files below folders that were checked."""
        if not self.pipe:
            return False
        first, *rest = self.pipe
        name, texts = first.words[0].text, {word.text for word in first.words[1:]}
        if name not in _LISTERS or (name in ("grep", "rg") and not texts & _LISTING_OPTIONS):
            return False
        if name == "git" and "ls-files" not in [word.text for word in first.words[1:2]]:
            return False
        return all(command.words[0].text in _KEEPERS for command in rest)

    def _unknown_word(self, words: Sequence[Word], reading: Reading, folders: tuple[str, ...]) -> str:
        is_text = words[0].text in _TEXT_PROGRAMS
        for word in words[1:]:
            if word.variable and not (is_text and word.plain):
                return f"the value of {word.source} is not known"
            if is_text and word.glob and path_fault(word, folders, self.workspace):
                return f"{word.source} lists files outside the workspace"
        for word in reading.texts:
            # It may be a path after all, where an option takes one more word than was thought.
            fault = path_fault(word, folders, self.workspace)
            if fault is not None and fault.outside and (word.tilde or os.path.lexists(word.text)):
                return fault.reason
        return ""

    def _inner(self, command: SimpleCommand, reading: Reading, folders: tuple[str, ...]) -> list[PartVerdict]:
        """Judge what a wrapper runs."""
        if not reading.inner and reading.script is None:
            return []
        if self.depth == _MAX_NESTING:
            return [PartVerdict(command.text, "ask", "it is nested too deep", hides=True)]
        judge = replace(self, folders=folders, depth=self.depth + 1, upstream=tuple(self.pipe), pipe=[])
        if reading.script is None:
            judge.pipe.extend(self.pipe)
            return [judge.command(SimpleCommand(words, text=command.text), folders) for words in reading.inner]
        parsed = parse_line(reading.script)
        parts = judge.line(parsed)
        if parsed.fault:
            parts.append(PartVerdict(command.text, "ask", parsed.fault, hides=parsed.hides))
        return parts
