"""Packages that LangGraph imports and no run uses: their `__init__` runs when one of its names is first asked for.

They are clients of hosted services: the `__init__` of each imports the whole client, and LangGraph needs one small
module below it. Submodules are imported as ever; any other name, whoever asks for it, first runs the real `__init__`
in the module that everybody has. The standard library's LazyLoader is no way to it: importing a submodule would load
the package.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

LATE = frozenset({"langsmith.types", "langgraph_sdk", "langgraph_sdk.auth"})

_NOT_RUN = "its __init__ has not run"
# Who asks while another thread runs an `__init__` waits for the end of it; what the `__init__` itself asks does not.
_running = threading.RLock()


@contextmanager
def put_off(packages: frozenset[str] = LATE) -> Iterator[None]:
    """Put off the `__init__` of these packages when they are imported inside; one imported before stays as it is."""
    finder = _LateFinder(packages)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _LateFinder(MetaPathFinder):
    def __init__(self, packages: frozenset[str]) -> None:
        self._packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._packages:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and spec.submodule_search_locations:
            spec.loader = _LateLoader(spec.loader)
        return spec


class _LateLoader(Loader):
    def __init__(self, real: Loader) -> None:
        self._real = real

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None
        spec.loader = module.__loader__ = self._real
        spec.loader_state = _NOT_RUN
        module.__class__ = _LatePackage


class _LatePackage(ModuleType):
    def __getattr__(self, name: str) -> Any:
        with _running:
            spec = self.__spec__
            if spec is not None and spec.loader is not None and spec.loader_state is _NOT_RUN:
                spec.loader_state = None
                try:
                    spec.loader.exec_module(self)
                except BaseException:
                    spec.loader_state = _NOT_RUN
                    raise
                self.__class__ = ModuleType  # type: ignore[assignment]  # typed as if it could only become narrower
        return ModuleType.__getattribute__(self, name)
