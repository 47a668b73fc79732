"""Which files beside a Python file it imports, and those in their turn: found in the code, which is not run.

graphs/ reads these files with a graph, configs/project_files.py lists them to be trusted.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.machinery import PathFinder

_MOST_FILES = 200
"""That one file may bring in."""

_PACKAGE = "__init__.py"
_OWN = __name__.partition(".")[0]


def may_stand_beside(name: str) -> bool:
    """Return whether code may mean a file beside it by a module's name: never Python's own modules, nor flow."""
    return name not in sys.stdlib_module_names and name != _OWN


def imported_texts(name: str, text: str, read: Callable[[str], str | None]) -> dict[str, str]:
    """Return the files that running a file may import from its own folder and below, as path -> text.

    Paths are posix ones, relative to that folder: "helpers.py", "shop/__init__.py", "shop/prices.py". A folder
    without an __init__.py counts unless its name is that of an installed package.

    Args:
        name: of the file itself, which is none of them.
        read: gives the text of such a path; None = there is no such file.
    """
    found: dict[str, str] = {}
    waiting = [("", text)]
    while waiting and len(found) < _MOST_FILES:
        package, code = waiting.pop(0)
        for module in _modules(code, package):
            for path, inner in _paths(module):
                if path == name or path in found or not _counts(path, found, read):
                    continue
                if (one := read(path)) is not None:
                    found[path] = one
                    waiting.append((inner, one))
    return found


def module_name(path: str) -> str:
    """Return what the file of a path is imported as: "shop.prices" of "shop/prices.py", "shop" of its __init__.py."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _counts(path: str, found: dict[str, str], read: Callable[[str], str | None]) -> bool:
    top, inside, _ = path.partition("/")
    if not inside or path == f"{top}/{_PACKAGE}" or f"{top}/{_PACKAGE}" in found:
        return True
    return read(f"{top}/{_PACKAGE}") is not None or PathFinder.find_spec(top) is None


def _paths(module: str) -> Iterator[tuple[str, str]]:
    """Yield the paths that a module's name may stand for, each with the package that its code is in.

    Of "a.b" these are the packages around it too, which run when it is imported.
    """
    parts = module.split(".")
    if not may_stand_beside(parts[0]):
        return
    for count in range(1, len(parts) + 1):
        path = "/".join(parts[:count])
        yield f"{path}/{_PACKAGE}", ".".join(parts[:count])
        yield f"{path}.py", ".".join(parts[: count - 1])


@lru_cache(maxsize=256)
def _modules(text: str, package: str) -> tuple[str, ...]:
    """Return the modules that a code may import by their names below the folder; some may be names in modules.

    Args:
        package: that the code is in, "" = none.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()  # told where the code is checked or run
    return tuple(dict.fromkeys(name for each in ast.walk(tree) for name in _named(each, package)))


def _named(statement: ast.AST, package: str) -> Iterator[str]:
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom):
        around = package.split(".") if package and statement.level else []
        around = around[: len(around) - max(statement.level - 1, 0)]
        base = ".".join([*around, *filter(None, [statement.module])])
        if base:
            yield base
        yield from (f"{base}.{alias.name}".lstrip(".") for alias in statement.names if alias.name != "*")
