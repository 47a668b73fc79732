"""What users write in Python for their graphs: functions that are nodes, tools or filters.

A mark changes nothing of a function. It is checked when it is put, so that a missing type hint is told where it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

Kind = Literal["node", "tool", "filter"]
ToolCategory = Literal["read", "write", "command"]
"""What a tool does: gives a text, replaces a file, or runs a command. The last two are asked for as the mode says."""

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__flowloom__"
_CATEGORIES = ("read", "write", "command")
_GIVEN = frozenset({"ctx", "workspace"})
"""Parameters that flow itself fills in."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a function is. `category` is that of a tool."""

    kind: Kind
    category: ToolCategory = "read"


@dataclass(frozen=True, slots=True)
class WriteFile:
    """What a tool of category "write" returns: the file to write, relative to the workspace, and all of its text."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class RunCommand:
    """What a tool of category "command" returns: the command to run in the workspace, as a list of words."""

    argv: Sequence[str]
    timeout_s: float = 120.0


def node(function: F) -> F:
    """Make a function a node: `{type: python, call: "file.py:function"}`.

    Its parameters are given by name from `with:`, the item, state keys and inputs, and checked against their type
    hints; so is what it returns. A parameter `ctx` is given a NodeContext.

    Raises:
        TypeError: a parameter or the value has no type hint.
    """
    return _marked(function, Mark("node"))


@overload
def tool(function: F, /) -> F: ...


@overload
def tool(*, category: ToolCategory = "read") -> Callable[[F], F]: ...


def tool(function: F | None = None, /, *, category: ToolCategory = "read") -> F | Callable[[F], F]:
    """Make a function a tool: `tools: [file.py:function]`, or in .flow/tools by its name.

    The docstring tells the model what it is for, the type hints are its arguments. A parameter `workspace` is given
    the folder that the run works in.

    Args:
        category: "read": the function returns a text, and changes nothing. "write": it returns a WriteFile.
            "command": it returns a RunCommand. What these say is shown, asked for, journaled and undone like an edit
            or a command of the model.

    Raises:
        TypeError: a parameter or the value has no type hint, or there is no docstring.
        ValueError: there is no such category.
    """
    if category not in _CATEGORIES:
        raise ValueError(f"there is no category {category!r}; there are: {', '.join(_CATEGORIES)}")
    mark = Mark("tool", category)
    return (lambda each: _marked(each, mark)) if function is None else _marked(function, mark)


def filter(function: F) -> F:
    """Make a function a filter of a graph's expressions: with `filters: file.py`, `{{ value | file.function(3) }}`.

    It takes the value and returns plain JSON data, and must not depend on anything else: it may run at any time.

    Raises:
        TypeError: a parameter or the value has no type hint, or there is no parameter.
    """
    if not inspect.signature(function).parameters:
        raise TypeError(f"the filter {function.__name__}() needs a parameter that takes the value")
    return _marked(function, Mark("filter"))


def mark_of(value: object) -> Mark | None:
    """Return what a value was marked as; None = nothing."""
    return getattr(value, _MARK, None)


def _marked(function: F, mark: Mark) -> F:
    name = getattr(function, "__name__", repr(function))
    bare = [each for each, hint in _hints(function).items() if hint is inspect.Parameter.empty and each not in _GIVEN]
    if bare:
        said = "its value" if bare == ["return"] else ", ".join(each for each in bare if each != "return")
        raise TypeError(f"the {mark.kind} {name}() needs a type hint for {said}")
    if mark.kind == "tool" and not (function.__doc__ or "").strip():
        raise TypeError(f"the tool {name}() needs a docstring: it tells the model what the tool is for")
    setattr(function, _MARK, mark)
    return function


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    signature = inspect.signature(function)
    return {
        **{each.name: each.annotation for each in signature.parameters.values()},
        "return": signature.return_annotation,
    }
