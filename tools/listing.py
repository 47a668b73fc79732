"""The files of the workspace that searches look at: one list, whether ripgrep makes it or Python.

Called by glob, grep and the near names of read_file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ..core.errors import ToolError
from .ignore import HIDDEN_FOLDERS, Rules, deny_rules, repository_root
from .paths import relative_path, resolve_inside

LIST_TIMEOUT_S = 60.0


def find_ripgrep() -> str | None:
    """Return the path of ripgrep; None = not installed."""
    return shutil.which("rg")


def list_files(workspace: Path, under: str = ".", ripgrep: str | None = None) -> list[str]:
    """Return workspace-relative posix paths of all files at or below `under`, sorted by code point.

    Left out: what .gitignore or an ignore file that denies takes out, .git, .flow, links.

    Args:
        under: workspace-relative folder or file.
        ripgrep: the program that lists faster; None = list in Python, with the same outcome.

    Raises:
        ToolError: listing takes too long, or ripgrep fails.
    """
    found = _list_by_ripgrep(workspace, ripgrep) if ripgrep else list(_walk(workspace))
    prefix = "" if under == "." else under + "/"
    denied = deny_rules(workspace)
    kept = (path for path in found if path.startswith(prefix) or path == under)
    return sorted(path for path in kept if not (denied and denied.match_within(path)))


def _list_by_ripgrep(workspace: Path, ripgrep: str) -> list[str]:
    options = ["--files", "--no-config", "--hidden", "--null", "--no-messages"]
    # Only .gitignore counts, so that the list is the same on every machine and without ripgrep.
    options += ["--no-ignore-global", "--no-ignore-exclude", "--no-ignore-dot"]
    if repository_root(workspace) is None:
        options += ["--no-require-git", "--no-ignore-parent"]
    for name in sorted(HIDDEN_FOLDERS):
        options += ["--glob", f"!{name}"]
    try:
        done = subprocess.run(  # an argument list built here, never a shell line
            [ripgrep, *options], cwd=workspace, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIST_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as err:
        raise ToolError(f"listing the files took more than {LIST_TIMEOUT_S:.0f} s.") from err
    if done.returncode == 2 and not done.stdout and done.stderr:
        raise ToolError(f"listing the files failed: {done.stderr.decode(errors='replace').strip()}")
    return [os.fsdecode(path).removeprefix("./") for path in done.stdout.split(b"\0") if path]


def _walk(workspace: Path) -> Iterator[str]:
    rules = Rules((".gitignore",))
    root = repository_root(workspace) or workspace
    base = "" if root == workspace else workspace.relative_to(root).as_posix() + "/"
    for folder in _between(root, workspace):
        rules.enter(folder, _prefix(root, folder))
    yield from _walk_folder(workspace, "", base, rules)


def _between(root: Path, workspace: Path) -> list[Path]:
    """Return the folders from the repository's top down to the workspace, both included."""
    above = [folder for folder in workspace.parents if folder.is_relative_to(root)]
    return [*reversed(above), workspace]


def _prefix(root: Path, folder: Path) -> str:
    return "" if folder == root else folder.relative_to(root).as_posix() + "/"


def _walk_folder(folder: Path, path: str, base: str, rules: Rules) -> Iterator[str]:
    """Yield files below a folder; `base` is where the workspace lies in its repository, as the rules count paths."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # a folder without permission is left out, as ripgrep does
        return
    for entry in entries:
        inner = path + entry.name
        if entry.is_dir(follow_symlinks=False):
            if entry.name in HIDDEN_FOLDERS or rules.match(f"{base}{inner}/"):
                continue
            below = rules.below(Path(entry.path), f"{base}{inner}/")
            yield from _walk_folder(Path(entry.path), inner + "/", base, below)
        elif entry.is_file(follow_symlinks=False) and not (entry.name in HIDDEN_FOLDERS or rules.match(base + inner)):
            yield inner


def files_under(workspace: Path, path: str, ripgrep: str | None) -> tuple[str, list[str]]:
    """Return the workspace-relative folder or file that a model named, and the files at or below it.

    Raises:
        ToolError: there is nothing of that name, or it leaves the workspace.
    """
    resolved = resolve_inside(workspace, path or ".")
    if not resolved.exists():
        raise ToolError(f"there is no folder {path!r}. Leave `path` out to search the whole workspace.")
    relative = relative_path(workspace, resolved)
    return relative, list_files(workspace, relative, ripgrep)
