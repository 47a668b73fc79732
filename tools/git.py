"""git: status, diff, log and commit, by command lines in which the repository's own settings can run nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NoReturn

from pydantic import Field

from ..configs.workspace import find_workspace
from ..core.effects import Category, Command, Effect
from ..core.errors import ToolError, UsageError
from ..core.git import ENV, GIT, config_env, filters_off, own_filters
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .commit import TIMEOUT_S, asked, commit_command, uncommitted
from .paths import relative_path, resolve_inside
from .prompt_text import description

LOG_ENTRIES = 20
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""Git's name of the tree without files: what a repository without a commit is compared with."""


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
    if args.action == "commit":
        return _commit(args, ctx, paths)
    env = {**ENV, **config_env(filters_off(own_filters(ctx.workspace)))}
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
    has_commit = asked(workspace, "rev-parse", "--verify", "--quiet", "HEAD") is not None
    base = "HEAD" if has_commit else EMPTY_TREE
    return ("diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "--relative", base)


def _commit(args: Args, ctx: ToolContext, paths: Sequence[str]) -> Command:
    if not args.message.strip() or "\0" in args.message:
        raise ToolError("a commit needs a message.")
    if ctx.changes is None:
        return commit_command(ctx.workspace, args.message, paths or _nothing_changed(), ctx.hooks)
    if not paths:
        owned = ctx.changes.owned(agents="").files
        return commit_command(ctx.workspace, args.message, owned or _nothing_changed(), ctx.hooks)
    files = uncommitted(ctx.workspace, paths)
    if yours := ctx.changes.owned(files).yours:
        raise ToolError(
            f"{', '.join(yours)}: changed by the user before this run, and in no commit since, so that is not for you"
            " to commit. Give other paths."
        )
    return commit_command(ctx.workspace, args.message, files or paths, ctx.hooks)


def _nothing_changed() -> NoReturn:
    raise ToolError("this run has changed no file, so there is nothing to commit. Give paths to commit others.")


TOOL = ToolSpec("git", "edit", description("git"), Args, plan, category_of=category_of)
