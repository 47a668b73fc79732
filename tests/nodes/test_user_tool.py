"""Functions as tools: arguments, effects by category, and errors that a model can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowloom.core.effects import Command, FileWrite, Nothing
from flowloom.core.errors import GraphInvalid, ToolError
from flowloom.core.tool import ToolContext, ToolSpec
from flowloom.nodes.user_code import Code, load_name
from flowloom.nodes.user_tool import user_tool
from flowloom.tools.args import parse_args

SOURCE = '''\
from pathlib import Path
from flowloom import tool, WriteFile, RunCommand, ToolError
@tool
def words(path: str, workspace: Path, most: int = 5) -> str:
    """Count words.

    Of one file.
    """
    print("aside")
    return f"{workspace.name}/{path} {most}"
@tool
async def data(a: int) -> dict[str, int]:
    "Data."
    return {"a": a}
@tool(category="write")
def note(text: str) -> WriteFile:
    "Note."
    return WriteFile("NOTES.md", text)
@tool(category="command")
def check(path: str) -> RunCommand:
    "Check."
    return RunCommand(["ls", path], 3)
@tool
def sly(path: str) -> str:
    "Sly."
    return WriteFile("x", "y")
@tool
def broken(path: str) -> str:
    "Broken."
    raise KeyError(path)
@tool
def refusing(path: str) -> str:
    "Refusing."
    raise ToolError("not that one.")
def plain(path: str) -> str: return path
@tool
def many(*paths: str) -> str:
    "Many."
    return ""
'''


def spec_of(name: str) -> ToolSpec:
    code = Code("t.py", path=Path("/t.py"), text=SOURCE)
    return user_tool(load_name(code, name), name, code)


def planned(name: str, folder: Path, **args: Any) -> Any:
    spec = spec_of(name)
    context = ToolContext(folder, blobs=None, retriever=None)  # type: ignore[arg-type]
    return spec.plan(parse_args(spec, args), context)


def test_a_model_is_told_the_docstring_and_the_hints() -> None:
    definition = spec_of("words").definition()
    assert definition.description == "Count words.\n\nOf one file."
    assert definition.parameters["properties"] == {
        "path": {"type": "string"},
        "most": {"default": 5, "type": "integer"},
    }
    assert definition.parameters["required"] == ["path"]


def test_a_reading_tool_gives_its_text_and_prints_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    effect = planned("words", tmp_path, path="a.txt", most="7")
    assert isinstance(effect, Nothing)
    assert effect.result.text == f"{tmp_path.name}/a.txt 7"
    assert capsys.readouterr().out == ""


def test_an_async_tool_may_give_data(tmp_path: Path) -> None:
    assert planned("data", tmp_path, a=1).result.text == '{"a": 1}'


def test_a_writing_tool_only_plans_the_write(tmp_path: Path) -> None:
    (tmp_path / "NOTES.md").write_text("old\n")
    effect = planned("note", tmp_path, text="new\n")
    assert isinstance(effect, FileWrite)
    assert (effect.path, effect.post, (tmp_path / "NOTES.md").read_text()) == ("NOTES.md", b"new\n", "old\n")


def test_a_commanding_tool_only_plans_the_command(tmp_path: Path) -> None:
    effect = planned("check", tmp_path, path="; rm x")
    assert isinstance(effect, Command)
    assert (effect.argv, effect.timeout_s, effect.category, effect.by_graph) == (
        ("ls", "; rm x"),
        3.0,
        "shell",
        False,
    )


def test_the_categories_are_those_that_a_mode_asks_for() -> None:
    assert [spec_of(name).category for name in ("words", "note", "check")] == ["read", "edit", "shell"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sly", "sly returned a WriteFile, which its category 'read' does not allow"),
        ("broken", "t.py:30: KeyError: 'a.txt'"),
        ("refusing", "not that one"),
    ],
)
def test_what_goes_wrong_is_told_to_the_model(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(ToolError) as refused:
        planned(name, tmp_path, path="a.txt")
    assert told in str(refused.value)


@pytest.mark.parametrize(("name", "told"), [("plain", "'plain' is no tool"), ("many", r"cannot take \*paths")])
def test_what_can_be_no_tool_is_refused(name: str, told: str) -> None:
    with pytest.raises(GraphInvalid, match=told):
        spec_of(name)
