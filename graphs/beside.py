"""Files that a graph's file names: prompts, presets, Python code. Read once, with the graph, and kept with it.

Each has a key, the same wherever the graph lies: "prompts/x.md" is relative to the file of the graph, "agent:NAME"
is a preset, "agent:NAME/x.md" a file relative to it, "module:pkg.mod" an importable Python module.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from .faults import listed, near

AGENT = "agent:"
MODULE = "module:"

_Origin = TypeVar("_Origin")


@dataclass(frozen=True, slots=True)
class Beside:
    """One file.

    Attributes:
        shown: how messages name it.
        path: where it lies; None = that is not known, or it is no file (a built-in module).
    """

    key: str
    shown: str
    path: Path | None
    text: str

    @property
    def is_code(self) -> bool:
        """Whether it is Python code that counts as a part of the graph; what is installed does not."""
        return self.key.endswith(".py")


class NotBeside(Exception):
    """There is no such file, or it cannot be used; the message says which and why, without a full stop."""


class Files(Protocol):
    """Gives the files that a graph's file names."""

    def read(self, key: str) -> Beside:
        """Return the file.

        Raises:
            NotBeside: it is not there or cannot be used.
            Denied: it belongs to the repository and is not trusted.
        """
        ...


class NoFiles:
    """For a text that lies nowhere."""

    def read(self, key: str) -> Beside:
        raise NotBeside(f"{key!r} cannot be found: this text lies in no folder")


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """Files as they were when a run began: texts by key."""

    texts: Mapping[str, str]

    def read(self, key: str) -> Beside:
        if key.startswith(MODULE):
            return Beside(key, key, None, "")
        if key not in self.texts:
            raise NotBeside(f"{key!r} was not kept")
        return Beside(key, key, None, self.texts[key])


@dataclass(frozen=True, slots=True)
class FilesOnDisk(Generic[_Origin]):
    """Files beside a graph's file on disk.

    Attributes:
        folder: of the graph's file, with its origin.
        agents: folders of presets with their origins; the first that has a preset counts.
        open: gives (shown name, text) of a file of an origin; raises like `Files.read`.
        open_module: the same of a file of an importable module.
    """

    folder: tuple[Path, _Origin]
    agents: Sequence[tuple[Path, _Origin]]
    open: Callable[[Path, _Origin], tuple[str, str]]
    open_module: Callable[[Path], tuple[str, str]]

    def read(self, key: str) -> Beside:
        if key.startswith(MODULE):
            return self._module(key)
        if not key.startswith(AGENT):
            return self._file(key, self.folder[0] / key, self.folder[1])
        name, _, below = key.removeprefix(AGENT).partition("/")
        preset, origin = self._preset(name)
        return self._file(key, preset.parent / below if below else preset, origin)

    def _file(self, key: str, path: Path, origin: _Origin) -> Beside:
        path = Path(posixpath.normpath(path))
        shown, text = self.open(path, origin)
        return Beside(key, shown, path, text)

    def _preset(self, name: str) -> tuple[Path, _Origin]:
        names: set[str] = set()
        for folder, origin in self.agents:
            for path in sorted(folder.glob("*.y*ml")) if folder.is_dir() else ():
                if path.stem == name and path.suffix in (".yaml", ".yml"):
                    return path, origin
                names.add(path.stem)
        raise NotBeside(f"there is no preset {name!r}{near(name, names)}; there are: {listed(names)}")

    def _module(self, key: str) -> Beside:
        name = key.removeprefix(MODULE)
        found = _find_module(name)
        if found is None:
            raise NotBeside(f"no module {name!r} is installed here; a file beside the graph goes by file.py:function")
        # Importing a module runs those of the packages around it as well.
        texts = [self.open_module(path) for path in found if path.suffix == ".py"]
        if not texts or found[-1].suffix != ".py":
            return Beside(key, name, None, "")
        return Beside(key, texts[-1][0], found[-1], texts[-1][1])


def key_of(name: str, base: str = "") -> str:
    """Return the key of a file as it is named by the graph's file, or by the preset of the key `base`.

    Raises:
        NotBeside: it is no relative path.
    """
    if not name or name.startswith(("/", "~")) or "\\" in name or posixpath.splitdrive(name)[0] or ":" in name:
        raise NotBeside(f"{name!r} is no path relative to the file that names it")
    path = posixpath.normpath(name)
    return f"{base}/{path}" if base else path


def _find_module(name: str) -> list[Path] | None:
    """Return the files that importing a module runs, its own last; None = there is none. Nothing is imported.

    A module without a file (built in) gives [].
    """
    import sys

    files: list[Path] = []
    where: Sequence[str] | None = None
    parts = name.split(".")
    if parts[0] in sys.builtin_module_names:
        return [] if len(parts) == 1 else None
    for count in range(1, len(parts) + 1):
        spec = _module_spec(".".join(parts[:count]), where)
        if spec is None:
            return None
        if spec.origin is not None and spec.has_location:
            files.append(Path(spec.origin))
        where = spec.submodule_search_locations
        if where is None and count < len(parts):
            return None
    return files


def _module_spec(name: str, where: Sequence[str] | None) -> ModuleSpec | None:
    """Return where a module stands, asking also the finders that editable installs add; None = there is none."""
    import sys

    if (spec := PathFinder.find_spec(name, where)) is not None:
        return spec
    others = (getattr(finder, "find_spec", None) for finder in sys.meta_path if finder is not PathFinder)
    found = (find(name, where) for find in others if find is not None)
    return next((spec for spec in found if spec is not None and spec.has_location), None)
