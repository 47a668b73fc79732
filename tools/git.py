"""git: status, diff, log and commit, by command lines in which the repository's own settings can run nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from ..configs.workspace import find_workspace
from ..core.effects import Category, Command, Effect
from ..core.errors import ToolError, UsageError
from ..core.git import ENV, GIT, SETTINGS, config_env, filters_off, own_filters, run_git
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .paths import relative_path, resolve_inside
from .prompt_text import description

TIMEOUT_S = 60.0
LOG_ENTRIES = 20
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""Git's name of the tree without files: what a repository without a commit is compared with."""

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
        ToolError: no repository, nothing to commit, no message, a path that leaves the workspace, or no git.
    """
    try:
        return _planned(args, ctx)
    except UsageError as err:
        raise ToolError(str(err)) from err


def _planned(args: Args, ctx: ToolContext) -> Effect:
    root = find_workspace(ctx.workspace)
    if not (root / ".git").exists():
        raise ToolError("the workspace is not in a git repository.")
    paths = [relative_path(ctx.workspace, resolve_inside(ctx.workspace, path)) for path in args.paths]
    if not paths and root != ctx.workspace and args.action != "commit":
        paths = ["."]  # of a larger repository only the workspace is shown
    filters = own_filters(ctx.workspace)
    if args.action == "commit":
        return _commit(args, ctx, paths, filters)
    env = {**ENV, **config_env(filters_off(filters))}
    argv = (*GIT, *_reading(args.action, ctx.workspace), "--", *paths)
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
    return Command(argv, TIMEOUT_S, env={**ENV, **env, **config_env(SETTINGS)}, category="edit")


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


def _asked(workspace: Path, *arguments: str) -> str | None:
    """Return what a git command that only reads printed; None = it failed."""
    done = run_git(workspace, *arguments, timeout_s=TIMEOUT_S)
    return os.fsdecode(done.stdout) if done.returncode == 0 else None


TOOL = ToolSpec("git", "edit", description("git"), Args, plan, category_of=category_of)
