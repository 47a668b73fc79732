"""What a repository brings that would act once it is trusted, and how such a file is read: once and bounded.

Asked by the trust store, the loading of settings and of memory files, and `flow trust`.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

FileKind = Literal["settings", "graph", "python", "agent", "prompt", "instructions", "mcp", "hook"]

MAX_BYTES = 1_000_000
"""A larger file never acts: nobody looks through it before trusting it."""
PROJECT_MEMORY = ".agent.md"
LOCAL_MEMORY = ".agent.local.md"
"""For one person alone: git-ignored."""
MEMORY_FOLDER = ".agent/memory"
AUTO_MEMORY = f"{MEMORY_FOLDER}/auto.md"
"""What agents keep for later runs, in the workspace's root; the tool `remember` alone writes it."""
SHARED_INSTRUCTIONS = ("AGENTS.md", "CLAUDE.md")
"""What other tools for agents read as well."""
PROJECT_FOLDER = ".flow"

_NAMED_CODE = re.compile(r"[\w./-]+\.py(?=:[A-Za-z_])")
"""Python files as a graph names them, `file.py:function`."""
_NAMED_PROMPT = re.compile(r"""\bfile\s*:\s*["']?([\w./ -]+\.\w+)""")
"""Texts as a graph names them, `prompt: {file: NAME}`."""
_NAMED_FILTERS = re.compile(r"^\s*filters\s*:(.*(?:\n\s*-.*)*)", re.MULTILINE)
_PYTHON_FILE = re.compile(r"[\w./-]+\.py\b")
_GRAPHS = (".yaml", ".yml")


class ProjectFile(NamedTuple):
    """A file of a repository that becomes active once it is trusted; `acts` is False for what is only shown."""

    path: Path
    kind: FileKind
    acts: bool = True


def read_project_file(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the bytes of a file that came with a repository.

    Raises:
        OSError: there is none, it cannot be read, it is no regular file (a pipe or a device would never end), or it
            is larger than `max_bytes`; `strerror` says which.
    """
    _require_regular(path, os.stat(path))
    # Opened without waiting, and looked at again: it could have been exchanged for a pipe meanwhile.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        _require_regular(path, os.fstat(descriptor))
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes:,} bytes", str(path))
    return content


def _require_regular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def link_target(path: Path, workspace: Path) -> Path | None:
    """Return where a file really lies, when a link on its way leads there; None = it lies where its name says.

    Args:
        workspace: resolved; links above it do not count.
    """
    real = Path(os.path.realpath(path))
    below = os.path.relpath(path, workspace)
    return None if str(real) == os.path.normpath(workspace / below) else real


def project_files(workspace: Path, start: Path | None = None) -> list[ProjectFile]:
    """Return what a repository brings that acts once it is trusted, sorted by path; only what exists, hooks left out.

    Args:
        start: the folder that work begins in; instructions count from there up to the workspace. None = the
            workspace.
    """
    found = {file.path: file for file in _candidates(workspace, start) if os.path.lexists(file.path)}
    return [found[path] for path in sorted(found) if not path.is_dir()]


def instruction_names(workspace: Path, start: Path | None = None) -> list[str]:
    """Return where instructions for agents may stand, as workspace-relative posix paths, in the order they are told.

    Those of the workspace come first, those of the folder that work begins in last; of one folder its own memory
    before what other tools read. The files of a memory folder are those that exist; the others need not.
    """
    names = []
    for folder in _folders(workspace, start):
        below = "" if folder == workspace else f"{folder.relative_to(workspace).as_posix()}/"
        names += [below + name for name in (PROJECT_MEMORY, LOCAL_MEMORY)]
        names += [f"{below}{MEMORY_FOLDER}/{path.name}" for path in _listed(folder / MEMORY_FOLDER, (".md",))]
        names += [below + name for name in SHARED_INSTRUCTIONS]
    return names


def _folders(workspace: Path, start: Path | None) -> list[Path]:
    inner = workspace if start is None else start.resolve()
    if not inner.is_relative_to(workspace):
        return [workspace]
    return sorted(folder for folder in (inner, *inner.parents) if folder.is_relative_to(workspace))


def _candidates(workspace: Path, start: Path | None) -> Iterator[ProjectFile]:
    own = workspace / PROJECT_FOLDER
    yield ProjectFile(own / "config.toml", "settings")
    yield ProjectFile(workspace / ".mcp.json", "mcp")
    for name in instruction_names(workspace, start):
        yield ProjectFile(workspace / name, "instructions")
    if own.is_dir():
        for path in own.rglob("*.py"):
            yield ProjectFile(path, "python")
    folders: dict[str, FileKind] = {"agents": "agent", "graphs/agents": "agent", "graphs": "graph"}
    for folder, kind in folders.items():
        for path in _listed(own / folder, _GRAPHS):
            yield ProjectFile(path, kind)
            yield from _named(path, workspace)


def _named(graph: Path, workspace: Path) -> Iterator[ProjectFile]:
    """Yield the files of the repository that a graph or a preset names, whatever else it says."""
    try:
        text = read_project_file(graph).decode("utf-8", "replace")
    except OSError:
        return
    code = {*_NAMED_CODE.findall(text)}
    code |= {name for said in _NAMED_FILTERS.findall(text) for name in _PYTHON_FILE.findall(said)}
    named: list[tuple[str, FileKind]] = [(name, "python") for name in sorted(code)]
    named += [(name.strip(), "prompt") for name in sorted(set(_NAMED_PROMPT.findall(text)))]
    for name, kind in named:
        for folder in (graph.parent, workspace):
            path = Path(os.path.normpath(folder / name))
            if path.is_relative_to(workspace) and path.is_file():
                yield ProjectFile(path, kind)
                yield from imported_beside(path)


def graph_with_files(file: Path, workspace: Path) -> list[ProjectFile]:
    """Return a graph's file, wherever in the workspace it lies, and what it names; [] when it is not in there."""
    if not file.is_relative_to(workspace):
        return []
    if file.suffix == ".py":
        return [ProjectFile(file, "python"), *imported_beside(file)]
    return [ProjectFile(file, "graph"), *_named(file, workspace)]


def imported_beside(file: Path) -> list[ProjectFile]:
    """Return the Python files beside a Python file that it imports, which act with it; [] for any other file."""
    from ..core.python_imports import imported_texts  # late: few repositories have such files

    def read(name: str) -> str | None:
        try:
            return read_project_file(file.parent / name).decode("utf-8-sig", "replace")
        except OSError:
            return None

    text = read(file.name) if file.suffix == ".py" else None
    names = imported_texts(file.name, text, read) if text is not None else ()
    return [ProjectFile(file.parent / name, "python") for name in sorted(names)]


def _listed(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in suffixes)
    except OSError:
        return []
