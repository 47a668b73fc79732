"""One commit as one command line: exactly the files that are named, as they are now, and nothing else that is staged.

Planned by the tool git and by the node type commit. The journal keeps the command, which is how `flow undo` knows a
commit of flow again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..core.effects import Command
from ..core.errors import ToolError
from ..core.git import ENV, SETTINGS, config_env, filters_off, own_filters, run_git

TIMEOUT_S = 60.0
COMMIT_NAME = "flow-commit"
"""The script's name for itself, by which a command is known as a commit of flow."""

# A constant: everything else is only ever an argument of it. Its settings come by the environment, so that the
# command a person is shown stays readable. Begun a second time after a kill, it finds its commit and says so.
COMMIT_SCRIPT = (
    "parent=$1; message=$2; remark=$3; shift 3; head=$(git rev-parse --verify --quiet HEAD)\n"
    'if [ "$head" = "$parent" ]; then\n'
    '  git update-index --add --remove --replace -- "$@" || exit 1\n'
    '  git commit --only --no-gpg-sign --no-verify --cleanup=whitespace --message="$message" -- "$@" || exit 1\n'
    'elif [ "$(git rev-parse --verify --quiet HEAD^)" != "$parent" ] ||'
    ' [ "$(git show --no-patch --encoding=UTF-8 --format=%B HEAD)" != "$message" ]; then\n'
    '  echo "HEAD has moved meanwhile; nothing was committed."; exit 1\n'
    "fi\n"
    'printf "%s\\ncommit %s\\n" "$remark" "$(git rev-parse HEAD)"'
)

_MAX_NAMES_BYTES = 1_000_000
"""Of the names on one command line; the system takes about twice as much."""
_UNDER_WAY = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}
_COMMIT_LINE = re.compile(r"commit ([0-9a-f]{40,64})")


class PlannedCommit(NamedTuple):
    """What a commit's command was asked for. `parent` is "" for the first commit of a repository."""

    parent: str
    message: str
    files: tuple[str, ...]


def commit_command(workspace: Path, message: str, paths: Sequence[str]) -> Command:
    """Return the command that commits these files and folders, as far as they hold something to commit.

    Its output ends with the line "commit HASH". Hooks of the repository do not run.

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
    argv = ("sh", "-c", COMMIT_SCRIPT, COMMIT_NAME, parent, message, remark, *files)
    settings = (*SETTINGS, ("i18n.commitEncoding", "UTF-8"))
    return Command(argv, TIMEOUT_S, env={**ENV, **env, **config_env(settings)}, category="edit")


def planned_commit(argv: Sequence[str]) -> PlannedCommit | None:
    """Return what a journaled command was to commit; None = it is no commit of flow."""
    if len(argv) < 8 or argv[0] != "sh" or argv[3] != COMMIT_NAME:
        return None  # the script itself may be an older one
    return PlannedCommit(argv[4], argv[5], tuple(argv[7:]))


def commit_id(output: str) -> str:
    """Return the commit, in full hex, that the output of a commit's command names; "" = none was made."""
    found = _COMMIT_LINE.fullmatch(output.rstrip().rpartition("\n")[2])
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
