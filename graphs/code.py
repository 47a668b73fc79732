"""From what a graph's file says of Python code to the code itself. Called when a graph is compiled."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..core.python_imports import imported_texts, module_name
from ..nodes.user_code import Code, Part, load_name
from .beside import MODULE, Beside, Files, NotBeside
from .spec import GraphSpec


def with_imports(files: Iterable[Beside], source: Files) -> dict[str, Beside]:
    """Return the files beside Python files that these import, by key: parts of the graph like the files themselves.

    Raises:
        Denied: one belongs to the repository and is not trusted.
    """
    found: dict[str, Beside] = {}

    def read(key: str) -> str | None:
        try:
            found[key] = source.read(key)
        except NotBeside:
            return None
        return found[key].text

    return {key: found[key] for file in files for key in _imported(file, read)}


def code_of(file: Beside, beside: Mapping[str, Beside]) -> Code:
    """Return where the code of a file beside a graph stands, with what it imports.

    Args:
        beside: the files of the graph, those that the file imports among them.
    """
    if file.key.startswith(MODULE):
        return Code(file.shown, module=file.key.removeprefix(MODULE))
    keys = _imported(file, lambda key: beside[key].text if key in beside else None)
    parts = tuple(
        Part(module_name(name), name.endswith("__init__.py"), beside[key].shown, beside[key].path, beside[key].text)
        for key, name in sorted(keys.items())
    )
    return Code(file.shown, path=file.path, text=file.text, parts=parts)


def referred(spec: GraphSpec, ref: str) -> tuple[Code, str]:
    """Return the code that "KEY:name" names, and the name in it."""
    key, _, name = ref.rpartition(":")
    return code_of(spec.beside[key], spec.beside), name


def load_ref(spec: GraphSpec, ref: str) -> Any:
    """Return what "KEY:name" names.

    Raises:
        GraphInvalid: the code cannot be run, or has no such name.
    """
    return load_name(*referred(spec, ref))


def _imported(file: Beside, read: Callable[[str], str | None]) -> dict[str, str]:
    """Return the keys of what a file imports, each with its path from the file's folder."""
    if not file.is_code:
        return {}
    folder, name = posixpath.split(file.key)
    texts = imported_texts(name, file.text, lambda path: read(posixpath.join(folder, path)))
    return {posixpath.join(folder, path): path for path in texts}
