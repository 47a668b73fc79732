"""Python code that a graph names: loading it, and one clear line where it fails.

Code of a file is run from the text that was read with the graph, which is the one that was trusted. So are the files
beside it that it imports: they are found by the names it uses, for it alone, and no path of Python's is changed.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from ..core.errors import GraphInvalid
from ..core.python_imports import may_stand_beside

_MOST_SAID = 300
"""Characters of an exception's own text in a message."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file beside code that the code may import.

    Attributes:
        name: dotted, as the code imports it: "helpers", "shop.prices".
        is_package: it is the __init__.py of a folder.
        shown: how messages name it.
    """

    name: str
    is_package: bool
    shown: str
    path: Path | None
    text: str

    @property
    def filename(self) -> str:
        """The file name in tracebacks of it."""
        return str(self.path or self.shown)


@dataclass(frozen=True, slots=True)
class Code:
    """Where code stands.

    Attributes:
        shown: how messages name it.
        module: name to import it by; "" = it is a file.
        path: of the file; None for a module.
        text: of the file.
        parts: files beside it that it may import.
    """

    shown: str
    module: str = ""
    path: Path | None = None
    text: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def filename(self) -> str:
        """The file name in tracebacks of it."""
        found = getattr(sys.modules.get(self.module), "__file__", None) if self.module else None
        return str(found or self.path or self.shown)


def load_name(code: Code, name: str) -> Any:
    """Return what a name stands for in the code, which is run once a process.

    Raises:
        GraphInvalid: the code cannot be run, or has no such name.
    """
    module = load_module(code)
    if not hasattr(module, name):
        raise GraphInvalid(f"{code.shown}: there is no {name!r} in it.")
    return getattr(module, name)


def failure_line(err: BaseException, code: Code) -> str:
    """Return what went wrong, and the last line of the code that it went through: "FILE:LINE: KEYERROR: 'x'"."""
    shown = {code.filename: code.shown} | {part.filename: part.shown for part in code.parts}
    frames = [frame for frame in traceback.extract_tb(err.__traceback__) if frame.filename in shown]
    place = f"{shown[frames[-1].filename]}:{frames[-1].lineno}" if frames else code.shown
    said = " ".join(str(err).split())
    said = said if len(said) <= _MOST_SAID else f"{said[: _MOST_SAID - 3]}..."
    return f"{place}: {type(err).__name__}{': ' if said else ''}{said}"


@lru_cache(maxsize=64)
def load_module(code: Code) -> ModuleType:
    """Return the module of the code, which is run once a process. Raises: GraphInvalid: it cannot be run."""
    try:
        return importlib.import_module(code.module) if code.module else _run(code)
    except (Exception, SystemExit) as err:
        raise GraphInvalid(f"{failure_line(err, code)}.") from err


def _run(code: Code) -> ModuleType:
    parts = [text for part in code.parts for text in (part.name, part.filename, part.text)]
    said = "\0".join([str(code.path), code.text, *parts])
    digest = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
    name = f"flow_graph_{digest[:16]}"
    return _Modules(name, code).load()


class _Modules(MetaPathFinder, Loader):
    """The modules of one code: its own, and the files beside it as modules below that, whatever they are called.

    So files of one name beside two graphs do not meet, and nothing else can import them.

    Args:
        root: name of the code's own module in sys.modules.
    """

    def __init__(self, root: str, code: Code) -> None:
        self._root = root
        self._code = code
        stem = code.path.stem if code.path is not None else ""
        self._stem = stem if may_stand_beside(stem) else ""
        self._parts: Mapping[str, Part] = {part.name: part for part in code.parts}
        # Folders without a file of their own are packages too.
        split = [name.split(".") for name in self._parts]
        self._folders = {".".join(words[:count]) for words in split for count in range(1, len(words))}

    def load(self) -> ModuleType:
        """Return the code's own module, run now; raises what it raises."""
        module = ModuleType(self._root)
        module.__file__ = self._code.filename
        module.__package__ = self._root
        module.__path__ = []
        # Classes look for their module there when their type hints are read.
        sys.modules[self._root] = module
        if self._parts:
            sys.meta_path.append(self)
        try:
            self._execute(module, self._code.text, self._code.filename)
        except BaseException:
            for name in [each for each in sys.modules if f"{each}.".startswith(f"{self._root}.")]:
                del sys.modules[name]
            if self._parts:
                sys.meta_path.remove(self)
            raise
        return module

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how a file beside the code is loaded; None = it is none of them."""
        name = fullname.removeprefix(f"{self._root}.")
        if name == fullname or (name not in self._parts and name not in self._folders):
            return None
        part = self._parts.get(name)
        is_package = part.is_package if part is not None else True
        return ModuleSpec(fullname, self, origin=part.filename if part else None, is_package=is_package)

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the text of a file beside the code."""
        if (part := self._parts.get(module.__name__.removeprefix(f"{self._root}."))) is not None:
            module.__file__ = part.filename
            self._execute(module, part.text, part.filename)

    def _execute(self, module: ModuleType, text: str, filename: str) -> None:
        if self._parts:
            module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        exec(compile(text, filename, "exec", dont_inherit=True), module.__dict__)

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Import as ever (builtins.__import__), but for the files beside the code."""
        top = name.partition(".")[0]
        is_own = not level and (top == self._stem or top in self._parts or top in self._folders)
        below = "" if name == self._stem else f".{name}"
        try:
            if not is_own:
                return __import__(name, globals, locals, fromlist, level)
            found = __import__(f"{self._root}{below}", globals, locals, fromlist or (), 0)
        except ModuleNotFoundError as err:
            if err.name is None or not err.name.startswith(f"{self._root}."):
                raise
            missing = err.name.removeprefix(f"{self._root}.")
            raise ModuleNotFoundError(f"No module named {missing!r} beside it", name=missing) from None
        return found if fromlist or not below else sys.modules[f"{self._root}.{top}"]
