from __future__ import annotations

import pytest

from flowloom import RunCommand, WriteFile, filter, node, tool
from flowloom.core.marks import mark_of


def test_a_mark_leaves_the_function_as_it_is() -> None:
    @node
    def add(a: int, b: int = 1) -> int:
        return a + b

    assert (add(1), add.__name__) == (2, "add")
    assert mark_of(add).kind == "node"  # type: ignore[union-attr]
    assert mark_of(len) is None


def test_a_tool_has_its_category_with_and_without_brackets() -> None:
    @tool
    def look(path: str) -> str:
        "Look."
        return path

    @tool(category="write")
    def write(path: str, workspace) -> WriteFile:  # type: ignore[no-untyped-def] # noqa: ANN001
        "Write."
        return WriteFile(path, "")

    assert [mark_of(each).category for each in (look, write)] == ["read", "write"]  # type: ignore[union-attr]


def test_what_lacks_a_hint_or_a_docstring_is_told_at_once() -> None:
    with pytest.raises(TypeError, match=r"the node f\(\) needs a type hint for a, b"):
        node(_untyped)
    with pytest.raises(TypeError, match=r"the node g\(\) needs a type hint for its value"):
        node(_no_value)
    with pytest.raises(TypeError, match=r"the tool h\(\) needs a docstring"):
        tool(_no_docstring)
    with pytest.raises(TypeError, match="needs a parameter that takes the value"):
        filter(_takes_nothing)
    with pytest.raises(ValueError, match="there is no category 'delete'"):
        tool(category="delete")  # type: ignore[call-overload]


def f(a, b):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    return a


def g(a: int):  # type: ignore[no-untyped-def] # noqa: ANN201
    return a


def h(a: int) -> RunCommand:
    return RunCommand(["true"])


def nothing() -> str:
    return ""


_untyped, _no_value, _no_docstring, _takes_nothing = f, g, h, nothing
