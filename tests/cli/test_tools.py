from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowloom.cli.tools import read_arguments
from flowloom.core.errors import UsageError

from .conftest import Flow


def test_arguments_are_pairs_of_text() -> None:
    assert read_arguments(["path=a b.py", "old_text=x=1", "count=3", "空="]) == {
        "path": "a b.py",
        "old_text": "x=1",
        "count": "3",
        "空": "",
    }


def test_arguments_may_be_json_each() -> None:
    assert read_arguments(["limit:=3", 'todos:=[{"a": null}]']) == {"limit": 3, "todos": [{"a": None}]}


def test_arguments_may_be_one_json_object() -> None:
    assert read_arguments([' {"path": "a", "limit": 3}']) == {"path": "a", "limit": 3}


@pytest.mark.parametrize("words", [["path"], ["=x"], [":=1"], ["a:=x"], ["{"], ['{"a": 1}', "b=1", "c"]])
def test_arguments_that_cannot_be_read_are_told(words: list[str]) -> None:
    with pytest.raises(UsageError):
        read_arguments(words)


def test_list_shows_name_category_cost_and_purpose(flow: Flow) -> None:
    tools = {tool["name"]: tool for tool in json.loads(flow("tools", "list", "-o", "json").out)}
    assert tools["read_file"]["category"] == "read"
    assert all(tool["tokens"] > 0 and tool["description"] for tool in tools.values())
    assert any(line.startswith("read_file ") for line in flow("tools", "list").out.splitlines())


def test_call_prints_what_the_tool_answers(flow: Flow, workspace: Path) -> None:
    (workspace / "a.txt").write_text("こんにちは\n", "utf-8")
    ended = flow("tools", "call", "read_file", "path=a.txt")
    assert (ended.code, "こんにちは" in ended.out) == (0, True)


def test_call_as_json_is_the_whole_result(flow: Flow, workspace: Path) -> None:
    (workspace / "a.txt").write_text("text")
    result = json.loads(flow("tools", "call", "read_file", '{"path": "a.txt", "limit": 1}', "-o", "json").out)
    assert (result["failed"], "text" in result["text"]) == (False, True)


def test_call_that_fails_ends_with_1(flow: Flow) -> None:
    ended = flow("tools", "call", "read_file", "path=none.txt")
    assert (ended.code, ended.out, "none.txt" in ended.err) == (1, "", True)


def test_call_of_an_unknown_tool_is_told(flow: Flow) -> None:
    assert flow("tools", "call", "raed_file", "path=a").code == 2


def test_call_cannot_leave_the_workspace(flow: Flow, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    ended = flow("tools", "call", "read_file", "path=../secret.txt")
    assert (ended.code, "secret\n" in ended.out) == (1, False)


def test_call_that_needs_a_yes_is_denied_where_nobody_can_be_asked(flow: Flow, workspace: Path) -> None:
    ended = flow("tools", "call", "write_file", "path=a.txt", "content=x")
    assert (ended.code, (workspace / "a.txt").exists()) == (7, False)


def test_call_changes_a_file_where_the_mode_allows_it(flow: Flow, workspace: Path) -> None:
    ended = flow("-c", "mode=auto", "tools", "call", "write_file", "path=a.txt", "content=x")
    assert (ended.code, (workspace / "a.txt").read_text()) == (0, "x")


def test_a_tool_of_the_project_imports_trusted_files_beside_it(flow: Flow, workspace: Path) -> None:
    folder = workspace / ".flow" / "tools"
    folder.mkdir(parents=True)
    (folder / "words.py").write_text(
        "from flowloom import tool\nfrom shared import count\n\n"
        '@tool\ndef count_words(text: str) -> str:\n    """Count words."""\n    return str(count(text))\n'
    )
    (folder / "shared.py").write_text("def count(text): return len(text.split())\n")
    flow("trust", ".flow/tools/words.py")
    assert flow("tools", "call", "count_words", "text=a b c").out.strip() == "3"
    (folder / "shared.py").write_text("def count(text): return 0\n")
    assert "count_words" not in flow("tools", "list").out
    assert flow("tools", "call", "count_words", "text=a b c").code == 2
