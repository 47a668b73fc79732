"""Python code that a graph names: loading it, and one clear line where it fails.

Code of a file is run from the text that was read with the graph, which is the one that was trusted.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ..core.errors import GraphInvalid

_MOST_SAID = 300
"""Characters of an exception's own text in a message."""


@dataclass(frozen=True, slots=True)
class Code:
    """Where code stands.

    Attributes:
        shown: how messages name it.
        module: name to import it by; "" = it is a file.
        path: of the file; None for a module.
        text: of the file.
    """

    shown: str
    module: str = ""
    path: Path | None = None
    text: str = ""

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
    lines = [frame.lineno for frame in traceback.extract_tb(err.__traceback__) if frame.filename == code.filename]
    place = f"{code.shown}:{lines[-1]}" if lines else code.shown
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
    digest = hashlib.sha256(f"{code.path} {code.text}".encode()).hexdigest()
    name = f"flow_graph_{digest[:16]}"
    module = ModuleType(name)
    module.__file__ = code.filename
    # Classes look for their module there when their type hints are read.
    sys.modules[name] = module
    try:
        exec(compile(code.text, code.filename, "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module
