"""One commit as one command line: exactly the files that are named, as they are now, and nothing else that is staged.

Planned by the tool git and by the node type commit. The journal keeps the command, which is how `flow undo` knows a
commit of flow again.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..core.effects import Command
from ..core.errors import ToolError
from ..core.git import ENV, SETTINGS, config_env, events_off, filters_off, named_hooks_off, own_filters, run_git
from ..core.ports import HookTrust
from . import commit_script as script
from .commit_script import COMMIT_NAME, COMMIT_SCRIPT, HOOKED_NAME
from .hook_files import CommitHooks, commit_hooks

TIMEOUT_S = 60.0
HOOKS_TIMEOUT_S = 660.0
"""Of a commit with hooks: ten minutes for those before it, and one for post-commit."""

_MAX_NAMES_BYTES = 1_000_000
"""Of the names on one command line; the system takes about twice as much."""
_UNDER_WAY = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}
_SETTINGS = (*SETTINGS, ("i18n.commitEncoding", "UTF-8"))
_COMMIT_LINE = re.compile(r"commit ([0-9a-f]{40,64})")


class PlannedCommit(NamedTuple):
    """What a commit's command was asked for. `parent` is "" for the first commit of a repository."""

    parent: str
    message: str
    files: tuple[str, ...]

    @property
    def mark(self) -> str:
        """What the reflog calls this commit where hooks run, since they may change its message."""
        facts = "\0".join((self.parent, self.message, *self.files))
        return f"{COMMIT_NAME} {hashlib.sha256(os.fsencode(facts)).hexdigest()[:12]}"


def commit_command(workspace: Path, message: str, paths: Sequence[str], hooks: HookTrust | None = None) -> Command:
    """Return the command that commits these files and folders, as far as they hold something to commit.

    Its output ends with the line "commit HASH". Trusted hooks of the repository run, and may refuse the commit; the
    others are left out, which is told.

    Args:
        hooks: which hooks may run; None = none.

    Raises:
        ToolError: nothing to commit, no message, or the repository is in no state for it.
        UsageError: git does not work there.
    """
    message = clean_message(message)
    if not message or "\0" in message:
        raise ToolError("a commit needs a message.")
    if filters := own_filters(workspace):
        programs = ", ".join(filters)
        raise ToolError(f"this repository runs programs on commit ({programs}); commit with git itself instead.")
    if operation := operation_under_way(workspace):
        raise ToolError(f"a {operation} is under way in this repository. Finish it first; nothing was committed.")
    files = uncommitted(workspace, paths)
    if not files:
        raise ToolError("there is nothing to commit in these paths.")
    if sum(len(os.fsencode(name)) + 1 for name in files) > _MAX_NAMES_BYTES:
        raise ToolError(f"{len(files):,} files are too many for one commit by this tool. Give fewer paths.")
    env, remark = _identity(workspace)
    parent = (asked(workspace, "rev-parse", "--verify", "--quiet", "HEAD") or "").strip()
    planned = PlannedCommit(parent, message, tuple(files))
    found = commit_hooks(workspace, hooks)
    if found is None:
        return _command(planned, remark, env)
    if found.left_out:
        remark = "\n".join(filter(None, (remark, _left_out(found.left_out))))
        if hooks is not None:
            hooks.left_out(found.left_out)
    return _hooked(workspace, planned, remark, env, found) if found.events else _command(planned, remark, env)


def _command(planned: PlannedCommit, remark: str, env: Mapping[str, str]) -> Command:
    argv = ("sh", "-c", COMMIT_SCRIPT, COMMIT_NAME, planned.parent, planned.message, remark, *planned.files)
    return Command(argv, TIMEOUT_S, env={**ENV, **env, **config_env(_SETTINGS)}, category="edit")


def _hooked(
    workspace: Path, planned: PlannedCommit, remark: str, env: Mapping[str, str], hooks: CommitHooks
) -> Command:
    argv = ("sh", "-c", COMMIT_SCRIPT, HOOKED_NAME, planned.parent, planned.message, remark, *planned.files)
    algorithm = (asked(workspace, "rev-parse", "--show-object-format") or "").strip()
    own = {
        "GIT_CONFIG_PARAMETERS": events_off(but=hooks.events),
        "GIT_REFLOG_ACTION": planned.mark,
        script.FOLDER: str(hooks.folder),
        script.NAMES: " ".join(hooks.events),
        script.FILES: "\n".join(map(str, hooks.files)),
        script.IDS: "\n".join(hooks.ids(algorithm or "sha1")),
    }
    settings = config_env([*_SETTINGS, *named_hooks_off(workspace)])
    whole_env = {**ENV, **env, **settings, **own}
    return Command(argv, HOOKS_TIMEOUT_S, env=whole_env, category="edit", read_only=hooks.needed())


def _left_out(events: Sequence[str]) -> str:
    return f"(hooks that are not trusted did not run: {', '.join(events)}; `flow trust` lets a person trust them)"


def hooks_of(command: Command) -> list[str]:
    """Return the events whose hooks a commit's command runs; [] = none, or it is no commit of flow."""
    is_hooked = len(command.argv) > 3 and command.argv[3] == HOOKED_NAME
    return command.env.get(script.NAMES, "").split() if is_hooked else []


def planned_commit(argv: Sequence[str]) -> PlannedCommit | None:
    """Return what a journaled command was to commit; None = it is no commit of flow."""
    if len(argv) < 8 or argv[0] != "sh" or argv[3] not in (COMMIT_NAME, HOOKED_NAME):
        return None  # the script itself may be an older one
    return PlannedCommit(argv[4], argv[5], tuple(argv[7:]))


def commit_id(output: str) -> str:
    """Return the commit, in full hex, that the output of a commit's command names; "" = none was made.

    Behind it may stand only what the runner of commands adds, when a hook made something that no command may make.
    """
    lines = output.rstrip().split("\n")
    while len(lines) > 1 and (not lines[-1] or lines[-1].startswith("[... this command ")):
        lines.pop()
    found = _COMMIT_LINE.fullmatch(lines[-1])
    return found[1] if found else ""


def clean_message(message: str) -> str:
    """Return a message as git stores it: no blanks at line ends, no blank lines in a row or around it."""
    lines = "\n".join(line.rstrip() for line in message.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n").rstrip()


def uncommitted(workspace: Path, paths: Sequence[str]) -> list[str]:
    """Return which of these files, and of the files in these folders, a commit would hold something of, sorted.

    Ignored files are left out; "." names everything.

    Raises:
        ToolError: git cannot tell, or a file is in conflict.
        UsageError: git does not work there.
    """
    status = ("status", "--porcelain=v1", "-z", "-uall", "--no-renames", "--ignore-submodules=all", "--", ".")
    done = run_git(workspace, *status, env=config_env(filters_off(own_filters(workspace))), timeout_s=TIMEOUT_S)
    if done.returncode != 0:
        raise ToolError(f"git status failed: {done.stderr.decode(errors='replace').strip()}")
    # With -z the paths start at the top of the working tree, whatever the current folder.
    prefix = (asked(workspace, "rev-parse", "--show-prefix") or "").removesuffix("\n")
    wanted, everything = set(paths), "." in paths
    found = []
    for entry in filter(None, os.fsdecode(done.stdout).split("\0")):
        code, name = entry[:2], entry[3:].removeprefix(prefix)
        if name.endswith("/") or not (everything or _is_wanted(name, wanted)):
            continue
        if "U" in code or code in ("AA", "DD"):
            raise ToolError(f"{name} is in conflict. Mend it first; nothing was committed.")
        # A file that became a folder goes with the first file in it; git takes no folder by name.
        if not (workspace / name).is_dir() or (workspace / name).is_symlink():
            found.append(name)
    return sorted(found)


def _is_wanted(name: str, wanted: set[str]) -> bool:
    parts = name.split("/")
    return any("/".join(parts[:end]) in wanted for end in range(1, len(parts) + 1))


def operation_under_way(workspace: Path) -> str:
    """Return what git is in the middle of ("merge", "rebase" ...); "" = nothing."""
    folder = asked(workspace, "rev-parse", "--absolute-git-dir")
    if folder is None:
        return ""
    git_dir = Path(folder.removesuffix("\n"))
    return next((what for name, what in _UNDER_WAY.items() if (git_dir / name).exists()), "")


def committed_files(workspace: Path, commit: str) -> list[str]:
    """Return the workspace's files that a commit changed, sorted."""
    names = ("diff-tree", "--root", "--no-commit-id", "-r", "-z", "--name-only", "--no-renames", "--relative")
    return sorted(filter(None, (asked(workspace, *names, commit, "--") or "").split("\0")))


def asked(workspace: Path, *arguments: str) -> str | None:
    """Return what a git command that only reads printed; None = it failed.

    Raises:
        UsageError: git does not work there.
    """
    done = run_git(workspace, *arguments, timeout_s=TIMEOUT_S)
    return os.fsdecode(done.stdout) if done.returncode == 0 else None


def _identity(workspace: Path) -> tuple[dict[str, str], str]:
    """Return environment and remark for a commit: an author of our own where git has none."""
    env: dict[str, str] = {}
    for role in ("AUTHOR", "COMMITTER"):
        if asked(workspace, "-c", "user.useConfigOnly=true", "var", f"GIT_{role}_IDENT") is None:
            env |= {f"GIT_{role}_NAME": "Flowloom", f"GIT_{role}_EMAIL": "flowloom@localhost"}
    remark = "(author Flowloom <flowloom@localhost>: git's user.name and user.email are not set)"
    return env, remark if "GIT_AUTHOR_NAME" in env else ""
