"""The memory files: what a person wants agents to know from the start, in the order in which they are told it.

Asked by app/memory.py for every run, and by `flow memory`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Literal, get_args

from .project_files import (
    AUTO_MEMORY,
    LOCAL_MEMORY,
    PROJECT_MEMORY,
    SHARED_INSTRUCTIONS,
    instruction_names,
    read_project_file,
)
from .trust import TrustState, TrustStore

MemoryLayer = Literal["user", "project", "local", "auto", "shared"]
"""Whose it is: one's own in every project, the project's, one's own in it, the agents', what other tools read too."""
EditableLayer = Literal["user", "project", "local", "auto"]
EDITABLE: tuple[EditableLayer, ...] = get_args(EditableLayer)
MemoryState = Literal["own", "unusable"] | TrustState
"""own: the user's, which needs no trust; unusable: it never acts, whatever is trusted."""

USER_FILE = "memory.md"
"""The user's file that `flow memory edit user` opens; others beside it count as well."""
HEADERS: Mapping[EditableLayer, str] = MappingProxyType(
    {
        "user": "# My notes for agents\n\n",
        "project": "# This project\n\n",
        "local": "# My notes on this project\n\n",
        "auto": "# Remembered by agents\n\n",
    }
)
"""What a new file begins with."""


@dataclass(frozen=True, slots=True)
class MemorySource:
    """A memory file that exists, as it was read once.

    Attributes:
        name: what it is called to a model: workspace-relative, or for the user's from ~/ on.
        path: absolute, links not resolved.
        content: None = it cannot be used.
        problem: why not; "" = it can.
    """

    name: str
    path: Path
    layer: MemoryLayer
    state: MemoryState
    content: bytes | None
    problem: str = ""

    @property
    def acts(self) -> bool:
        """True when models are told it."""
        return self.content is not None and self.state in ("own", "trusted")


def memory_sources(
    workspace: Path, trust: TrustStore, user_dir: str, project: Path | None = None, start: str = "."
) -> list[MemorySource]:
    """Return the memory files that exist, in the order in which models are told them.

    Args:
        workspace: resolved.
        user_dir: folder of the user's own, from / or ~/ on; "" = none.
        project: the checkout that a person trusts files of; None = the workspace. A worktree is another one: what was
            trusted there counts here where the content is the same.
        start: the folder that work begins in, relative to the workspace: files of the folders on the way there count
            too.

    Raises:
        ConfigError: the trust store is damaged.
    """
    project = project or workspace
    own = [_own(path, (workspace, project)) for path in _user_files(user_dir)]
    return [*own, *_of_repository(workspace, trust, project, start)]


def memory_path(layer: EditableLayer, workspace: Path, user_dir: str) -> Path:
    """Return the file of a layer that a person edits; it need not exist."""
    if layer == "user":
        return Path(user_dir).expanduser() / USER_FILE
    names = {"project": PROJECT_MEMORY, "local": LOCAL_MEMORY, "auto": AUTO_MEMORY}
    return workspace / names[layer]


def _user_files(user_dir: str) -> list[Path]:
    if not user_dir:
        return []
    try:
        folder = Path(user_dir).expanduser()
        return sorted(path for path in folder.iterdir() if path.suffix == ".md" and not path.is_dir())
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return []


def _own(path: Path, repository: tuple[Path, ...]) -> MemorySource:
    name, real = _from_home(path), Path(os.path.realpath(path))
    if any(real.is_relative_to(folder) for folder in repository):
        # A repository must not pass for its user, wherever the setting points.
        return MemorySource(name, path, "user", "unusable", None, "it lies in the workspace")
    content, problem = _read(path)
    return MemorySource(name, path, "user", "unusable" if problem else "own", content, problem)


def _from_home(path: Path) -> str:
    home = os.path.expanduser("~")
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else path.as_posix()


def _of_repository(workspace: Path, trust: TrustStore, project: Path, start: str) -> Iterator[MemorySource]:
    for name in instruction_names(workspace, workspace / start):
        path = workspace / name
        if not os.path.lexists(path) or path.is_dir():
            continue
        content, problem = _read(path)
        state: MemoryState = "unusable" if content is None else _state(trust, project / name, content)
        yield MemorySource(name, path, _layer(name), state, content, problem)


def _read(path: Path) -> tuple[bytes | None, str]:
    try:
        return read_project_file(path), ""
    except OSError as err:
        return None, err.strerror or str(err)


def _state(trust: TrustStore, file: Path, content: bytes) -> TrustState:
    if trust.covers(file, content):
        return "trusted"
    return "changed" if trust.knows(file) else "new"


def _layer(name: str) -> MemoryLayer:
    last = PurePosixPath(name).name
    if last in SHARED_INSTRUCTIONS:
        return "shared"
    if last == LOCAL_MEMORY:
        return "local"
    return "auto" if f"/{name}".endswith(f"/{AUTO_MEMORY}") else "project"
