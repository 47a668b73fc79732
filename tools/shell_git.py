"""git in a shell line: which of its commands only read, and the environment in which nothing of a repository runs.

`git status | head` cannot be replaced by a command line of our own, so two things stand in for one: the options are
checked here, and the line runs with `git_shield(...).env`, which puts our settings over those of every repository it
touches. What no setting can switch off (programs for diffs and signatures) makes the shield report the repository as
unsafe; then no git command of a shell line counts as one that only reads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.git import ENV, SETTINGS, config_env, filters_off, own_filters, run_git
from .shell_programs import (
    UNCERTAIN,
    Arguments,
    Program,
    Reading,
    denied_option,
    hidden_option,
    paths_and_texts,
    split_arguments,
)
from .shell_words import Word

_GLOBAL = frozenset({"--no-pager", "-P", "--no-optional-locks", "--literal-pathspecs", "--no-replace-objects"})
_SUBMODULES = ("--submodule", "--ignore-submodules", "--recurse-submodules")
_DIFF = (
    *("--output", "--ext-diff", "--textconv", "--no-index", "--show-signature", "--filters", "--paginate"),
    *_SUBMODULES,
)
_DIFF_PROGRAM = Program(
    deny=_DIFF,
    values="UlSGOnL",
    takes=("--max-count", "--skip", "--since", "--until", "--after", "--before", "--author", "--grep", "--format"),
)
_GREP_PROGRAM = Program(
    deny=("--open-files-in-pager", "-O", "--no-index", "--textconv", "--ext-grep", *_SUBMODULES),
    values="ABCefm",
    takes=("--max-depth", "--threads", "--max-count"),
    text=1,
    unless=("-e", "-f"),
    texts=("-e",),
)
_LISTING = Program(deny=_DIFF, values="nxX", takes=("--exclude", "--format", "--sort"))
_READING: Mapping[str, Program] = {
    **dict.fromkeys(("status", "diff", "log", "show", "blame", "annotate", "shortlog", "whatchanged"), _DIFF_PROGRAM),
    **dict.fromkeys(
        ("diff-tree", "diff-index", "diff-files", "rev-list", "show-branch", "range-diff"), _DIFF_PROGRAM
    ),
    **dict.fromkeys(("ls-files", "ls-tree", "rev-parse", "describe", "merge-base", "name-rev", "show-ref"), _LISTING),
    **dict.fromkeys(("for-each-ref", "count-objects", "check-ignore", "cat-file", "cherry", "var"), _LISTING),
    "grep": _GREP_PROGRAM,
}
# Commands with several trades: these words in this place only read.
_ONLY: Mapping[str, frozenset[str]] = {
    "remote": frozenset({"", "get-url"}),
    "stash": frozenset({"list", "show"}),
    "worktree": frozenset({"list"}),
    "reflog": frozenset({"", "show"}),
    "notes": frozenset({"list", "show"}),
    "config": frozenset({"--get", "--get-all", "--get-regexp", "--list", "-l", "get", "list"}),
    "bisect": frozenset({"log"}),
}
_BRANCH_OPTIONS = frozenset(
    {"-a", "--all", "-r", "--remotes", "-v", "-vv", "--verbose", "-l", "--list", "--show-current", "--merged"}
    | {"--no-merged", "--contains", "--no-contains", "--points-at", "--sort", "--format", "--column", "--no-column"}
    | {"--color", "--no-color", "-i", "--ignore-case", "--abbrev"}
)
_NAMED_WITH = frozenset({"-l", "--list", "--merged", "--no-merged", "--contains", "--no-contains", "--points-at"})
_SIGNATURE = re.compile(r"%G|signature", re.IGNORECASE)
# Filters and text conversions of a submodule stand in a configuration of its own.
_SHIELD = (
    *SETTINGS,
    *(("diff.ignoreSubmodules", "all"), ("diff.submodule", "short"), ("status.submoduleSummary", "false")),
)
_ACTIVE = r"^(diff\.(external|.*\.(command|textconv))|gpg\.(.*\.)?program|submodule\..*\.ignore|core\.worktree)$"


@dataclass(frozen=True, slots=True)
class GitShield:
    """How git may be run in a shell line that only reads.

    Attributes:
        env: to be added to the line's environment.
        unsafe: settings of the repository that run or change something even so; () = none.
    """

    env: Mapping[str, str]
    unsafe: tuple[str, ...]


def git_shield(workspace: Path) -> GitShield:
    """Return the environment for git in a shell line, by what the workspace's repository has set up. Runs git twice.

    Raises:
        UsageError: git is not installed or does not answer.
    """
    env = {name: value for name, value in ENV.items() if name != "GIT_LITERAL_PATHSPECS"}
    settings = [*_SHIELD, *filters_off(own_filters(workspace))]
    return GitShield({**env, "GIT_PAGER": "cat", **config_env(settings)}, _active(workspace))


def _active(workspace: Path) -> tuple[str, ...]:
    asked = ("config", "--show-scope", "--includes", "--null", "--name-only", "--get-regexp", _ACTIVE)
    *parts, _ = os.fsdecode(run_git(workspace, *asked).stdout).split("\0")
    named = zip(parts[::2], parts[1::2], strict=True)
    active = {name for scope, name in named if scope in ("local", "worktree")}
    # A submodule that asks to be looked into brings filters of its own.
    modules = run_git(workspace, "config", "--blob", ":.gitmodules", "--get-regexp", r"\.ignore$").stdout
    if modules or _holds_ignore(workspace / ".gitmodules"):
        active.add(".gitmodules")
    return tuple(sorted(active))


def _holds_ignore(path: Path) -> bool:
    try:
        return "ignore" in path.read_text("utf-8", "replace").lower()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # what cannot be read cannot be cleared


def is_guarded(words: Sequence[Word]) -> bool:
    """Tell whether a git command is one that reads, so that allowing all of its options would lift the guard."""
    return any(word.text in _READING for word in words[1:2])


def read_git(words: Sequence[Word]) -> Reading:
    """Return what a git command does; only commands and options that read under the shield are without a fault."""
    rest = list(words[1:])
    while rest and rest[0].text in _GLOBAL:
        rest.pop(0)
    if not rest:
        return Reading("git alone prints a help text")
    name = rest[0].text
    if name.startswith("-"):
        return Reading(f"git {name} changes where or how git runs")
    if not rest[0].fixed:
        return Reading("the git command is not known")
    return _read_command(name, rest[1:])


def _read_command(name: str, rest: Sequence[Word]) -> Reading:
    if hidden_option(rest):
        return Reading(f"git {name} may get an option from a file name or variable")
    if name in ("branch", "tag"):
        return _read_names(name, rest)
    if name == "remote" and [word.text for word in rest] in (["-v"], ["--verbose"]):
        return Reading()
    if name in _ONLY:
        first = rest[0].text if rest else ""
        fault = "" if first in _ONLY[name] else f"git {name} {first}".strip() + " is not known to only read"
        arguments = split_arguments(rest[1:], _LISTING)
        return Reading(fault or _option_fault(name, arguments, _LISTING), paths_and_texts(arguments, _LISTING)[0])
    program = _READING.get(name)
    if program is None:
        return Reading(f"git {name} is not known to only read")
    arguments = split_arguments(rest, program)
    paths, texts = paths_and_texts(arguments, program)
    return Reading(_option_fault(name, arguments, program), paths, texts)


def _option_fault(name: str, arguments: Arguments, program: Program) -> str:
    if denied := denied_option(arguments.options, program):
        return f"git {name} {denied} does more than read"
    if UNCERTAIN in arguments.options:
        return f"git {name} has an option that is not known"
    for option in arguments.options:
        if option.value is not None and _SIGNATURE.search(option.value.text):
            return f"git {name} {option.name} checks signatures, which runs a program"
    return ""


def _read_names(name: str, rest: Sequence[Word]) -> Reading:
    """branch and tag: a bare name makes one, so names may only stand beside an option that looks something up."""
    if name == "tag":
        listing = {"-l", "--list", "-n", "--contains", "--no-contains", "--merged", "--no-merged", "--points-at"}
        allowed = listing | {"--sort", "--format", "--column", "-i", "--ignore-case", "--color"}
    else:
        listing, allowed = set(_NAMED_WITH), set(_BRANCH_OPTIONS)
    options = [word.text.partition("=")[0] for word in rest if word.text.startswith("-")]
    options = [re.sub(r"^-n[0-9]*$", "-n", re.sub(r"^-[arv]{2,}$", "-a", option)) for option in options]
    names = [word for word in rest if not word.text.startswith("-")]
    options = [option for option in options if option != "--"]
    if unknown := next((option for option in options if option not in allowed), ""):
        return Reading(f"git {name} {unknown} is not known to only read")
    if any(_SIGNATURE.search(word.text) for word in rest):
        return Reading(f"git {name} checks signatures, which runs a program")
    if names and not listing & set(options):
        return Reading(f"git {name} {names[0].text} makes or changes one")
    return Reading()
