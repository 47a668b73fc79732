"""git: status, diff, log and commit, by command lines in which the repository's own settings can run nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from ..core.effects import Category, Command, Effect
from ..core.errors import ToolError
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .ignore import repository_root
from .paths import relative_path, resolve_inside
from .prompt_text import description

TIMEOUT_S = 60.0
LOG_ENTRIES = 20
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""Git's name of the tree without files: what a repository without a commit is compared with."""

# What a repository's configuration can make git run or open, switched off.
_OPTIONS = (
    "core.fsmonitor=",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.editor=true",
    "core.askPass=",
    "core.alternateRefsCommand=",
    "credential.helper=",
    "log.showSignature=false",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    "safe.bareRepository=explicit",
    "core.quotePath=false",
    "color.ui=false",
)
_GIT = (
    "git",
    *(part for option in _OPTIONS for part in ("-c", option)),
    "--no-optional-locks",
    "--literal-pathspecs",
)
_ENV = {"GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1"}

COMMIT_SCRIPT = (
    'message=$1; remark=$2; shift 2; git add --all -- "$@" && '
    'git commit --no-gpg-sign --no-verify --message="$message" -- "$@" && printf "%s" "$remark"'
)
"""A constant: message and files are only ever arguments of it. Its settings come by the environment, so that the
command a person is shown stays readable."""


class Args(ToolArgs):
    action: Literal["status", "diff", "log", "commit"]
    message: str = Field(default="", description="of the commit")
    paths: list[str] = Field(default_factory=list, description="empty: all; for commit what this run changed")


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the git command.

    Raises:
        ToolError: no repository, nothing to commit, no message, or a path that leaves the workspace.
    """
    root = repository_root(ctx.workspace)
    if root is None:
        raise ToolError("the workspace is not in a git repository.")
    paths = [relative_path(ctx.workspace, resolve_inside(ctx.workspace, path)) for path in args.paths]
    if not paths and root != ctx.workspace and args.action != "commit":
        paths = ["."]  # of a larger repository only the workspace is shown
    filters = _own_filters(ctx.workspace)
    if args.action == "commit":
        return _commit(args, ctx, paths, filters)
    env = {**_ENV, **_config_env(_without(filters))}
    argv = (*_GIT, *_reading(args.action, ctx.workspace), "--", *paths)
    return Command(argv, TIMEOUT_S, env=env, category="read")


def category_of(args: Args) -> Category:
    """Return what the call does: a commit changes the repository, everything else reads."""
    return "edit" if args.action == "commit" else "read"


def _reading(action: str, workspace: Path) -> tuple[str, ...]:
    if action == "status":
        return ("status", "--short", "--branch", "--untracked-files=all", "--ignore-submodules=all")
    if action == "log":
        return ("log", f"--max-count={LOG_ENTRIES}", "--date=short", "--format=%h %ad %an: %s", "--no-show-signature")
    has_commit = _asked(workspace, "rev-parse", "--verify", "--quiet", "HEAD") is not None
    base = "HEAD" if has_commit else EMPTY_TREE
    return ("diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "--relative", base)


def _commit(args: Args, ctx: ToolContext, paths: Sequence[str], filters: Sequence[str]) -> Command:
    if not args.message.strip() or "\0" in args.message:
        raise ToolError("a commit needs a message.")
    if filters:
        raise ToolError(f"this repository runs programs on commit ({', '.join(filters)}); commit with bash instead.")
    wanted = paths or _existing(ctx)
    if not wanted:
        raise ToolError("this run has changed no file, so there is nothing to commit. Give paths to commit others.")
    env, remark = _identity(ctx.workspace)
    argv = ("sh", "-c", COMMIT_SCRIPT, "sh", args.message, remark, *wanted)
    settings = [(name, value) for name, _, value in (option.partition("=") for option in _OPTIONS)]
    return Command(argv, TIMEOUT_S, env={**_ENV, **env, **_config_env(settings)}, category="edit")


def _existing(ctx: ToolContext) -> list[str]:
    """Return the run's changed files that git can commit: there, or deleted but known to it."""
    changed = ctx.changes.files() if ctx.changes is not None else []
    gone = [path for path in changed if not os.path.lexists(ctx.workspace / path)]
    known = _asked(ctx.workspace, "ls-files", "-z", "--", *gone) if gone else None
    return sorted({*changed} - {*gone} | {name for name in (known or "").split("\0") if name})


def _identity(workspace: Path) -> tuple[dict[str, str], str]:
    """Return environment and remark for a commit: an author of our own where git has none."""
    env: dict[str, str] = {}
    for role in ("AUTHOR", "COMMITTER"):
        if _asked(workspace, "-c", "user.useConfigOnly=true", "var", f"GIT_{role}_IDENT") is None:
            env |= {f"GIT_{role}_NAME": "Flowloom", f"GIT_{role}_EMAIL": "flowloom@localhost"}
    remark = "(author Flowloom <flowloom@localhost>: git's user.name and user.email are not set)"
    return env, remark if "GIT_AUTHOR_NAME" in env else ""


def _own_filters(workspace: Path) -> list[str]:
    """Return the names of the settings in the repository's own configuration that run a program on file contents."""
    pattern = r"^filter\..*\.(clean|smudge|process)$"
    found: set[str] = set()
    for scope in ("--local", "--worktree"):
        names = _asked(workspace, "config", scope, "--includes", "--null", "--name-only", "--get-regexp", pattern)
        found |= {name for name in (names or "").split("\0") if name}
    return sorted(found)


def _without(filters: Sequence[str]) -> list[tuple[str, str]]:
    """Return the settings that empty these filters."""
    required = {name.rpartition(".")[0] + ".required" for name in filters}
    return [*((name, "") for name in filters), *((name, "false") for name in sorted(required))]


def _config_env(settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return git settings as environment, which takes names that a -c option could not."""
    env = {"GIT_CONFIG_COUNT": str(len(settings))} if settings else {}
    for place, (name, value) in enumerate(settings):
        env |= {f"GIT_CONFIG_KEY_{place}": name, f"GIT_CONFIG_VALUE_{place}": value}
    return env


def _asked(workspace: Path, *arguments: str) -> str | None:
    """Return what a git command that only reads printed; None = it failed."""
    environment = {**os.environ, **_ENV, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        environment.pop(name, None)
    try:
        done = subprocess.run(
            [*_GIT, *arguments],
            cwd=workspace,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
        )
    except FileNotFoundError as err:
        raise ToolError("git is not installed.") from err
    except subprocess.TimeoutExpired as err:
        raise ToolError(f"git did not answer within {TIMEOUT_S:.0f} s.") from err
    return os.fsdecode(done.stdout) if done.returncode == 0 else None


TOOL = ToolSpec("git", "edit", description("git"), Args, plan, category_of=category_of)
