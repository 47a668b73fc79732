"""From what a graph's file says of Python code to the code itself. Called when a graph is compiled."""

from __future__ import annotations

from typing import Any

from ..nodes.user_code import Code, load_name
from .beside import MODULE, Beside
from .spec import GraphSpec


def code_of(file: Beside) -> Code:
    """Return where the code of a file beside a graph stands."""
    if file.key.startswith(MODULE):
        return Code(file.shown, module=file.key.removeprefix(MODULE))
    return Code(file.shown, path=file.path, text=file.text)


def referred(spec: GraphSpec, ref: str) -> tuple[Code, str]:
    """Return the code that "KEY:name" names, and the name in it."""
    key, _, name = ref.rpartition(":")
    return code_of(spec.beside[key]), name


def load_ref(spec: GraphSpec, ref: str) -> Any:
    """Return what "KEY:name" names.

    Raises:
        GraphInvalid: the code cannot be run, or has no such name.
    """
    return load_name(*referred(spec, ref))
