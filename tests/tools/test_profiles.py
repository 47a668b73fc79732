"""Tool profiles: what each shows, what is refused when one is read, and that nothing slips past its names."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import pytest

from flowloom.configs.catalog import load_catalog
from flowloom.core.effects import ToolResult
from flowloom.core.errors import ConfigError
from flowloom.core.messages import ToolCall
from flowloom.core.tool_names import ToolNames
from flowloom.tools import profiles as module
from flowloom.tools.profiles import profile_of, profiles, tool_names
from flowloom.tools.prompt_text import PROMPTS, description
from flowloom.tools.registry import TOOLS

HEAD = 'families = ["mistral"]\n'


def arguments_of(tool: str) -> set[str]:
    return set(TOOLS[tool].args.model_fields).union(*properties(TOOLS[tool].args.model_json_schema()))


def properties(schema: Any) -> Iterator[set[str]]:
    if isinstance(schema, dict):
        yield set(schema.get("properties", ()))
        for value in schema.values():
            yield from properties(value)


def fault(folder: Path, text: str) -> str:
    folder.joinpath("broken.toml").write_text(text, "utf-8")
    with pytest.raises(ConfigError) as refused:
        tool_names("broken", folder)
    return str(refused.value)


@pytest.mark.parametrize("name", profiles())
def test_a_profile_names_its_public_source_and_families_of_the_catalogue(name: str) -> None:
    assert re.search(r"^# Source: https://\S+", (PROMPTS / f"{name}.toml").read_text("utf-8"), re.MULTILINE)
    assert set(profiles()[name].families) <= set(load_catalog().families)


def test_vibe_shows_the_names_of_mistral_vibe() -> None:
    names = tool_names("vibe")
    shown = {
        own: (names.tool(own), list(names.definition(TOOLS[own].definition()).parameters["properties"]))
        for own in ("read_file", "edit_file", "write_file", "spawn_agent")
    }
    assert shown == {
        "read_file": ("read", ["file_path", "offset", "limit"]),
        "edit_file": ("edit", ["file_path", "old_string", "new_string"]),
        "write_file": ("write_file", ["path", "content"]),
        "spawn_agent": ("task", ["task", "tools"]),
    }
    assert "old_string must match exactly one place" in names.definition(TOOLS["edit_file"].definition()).description
    assert "use edit." in names.definition(TOOLS["write_file"].definition()).description


@pytest.mark.parametrize(
    ("name", "families", "profile"),
    [
        ("devstral-small-2:24b", ["mistral"], "vibe"),
        ("mistralai/Devstral-Small-2-24B-Instruct-2512", ["mistral"], "vibe"),
        ("codestral:22b", ["mistral"], ""),
        ("llama3.3:70b", ["llama"], ""),
        ("gemma3:12b", ["gemma"], ""),
        ("devstral-of-nobody", [], ""),
    ],
)
def test_a_profile_is_chosen_by_family_and_name(name: str, families: list[str], profile: str) -> None:
    assert profile_of(name, families) == profile


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[tools.edit_file]\nname = "bash"\n', "'bash' would be the name of two tools, edit_file and bash."),
        (
            '[tools.grep]\nname = "search"\n[tools.glob]\nname = "search"\n',
            "'search' would be the name of two tools, grep and glob.",
        ),
        (
            '[tools.edit_file]\nname = "edit"\narguments = { old_text = "text", new_text = "text" }\n',
            "edit_file: 'text' would be the name of two arguments, new_text and old_text.",
        ),
        (
            '[tools.edit_file]\nname = "edit"\narguments = { path = "new_text" }\n',
            "edit_file: 'new_text' would be the name of two arguments, new_text and path.",
        ),
        (
            '[tools.edit_file]\nname = "edit"\narguments = { path = "near_line" }\n',
            "'near_line' would be the name of two arguments",
        ),
        (
            '[tools.todo]\nname = "todo"\narguments = { content = "status" }\n',
            "todo: 'status' would be the name of two arguments, content and status.",
        ),
        ('[tools.edit_fil]\nname = "edit"\n', "there is no tool 'edit_fil'. Did you mean 'edit_file'"),
        (
            '[tools.grep]\nname = "grep"\narguments = { patern = "regex" }\n',
            "the tool grep has no argument 'patern'. Did you mean 'pattern'",
        ),
        ('[tools.grep]\nname = "find text"\n', "grep: 'find text' is no name that servers take."),
        ('[tools.grep]\nname = "grep"\nargument = {}\n', "tools.grep.argument: Extra inputs are not permitted"),
        ("[tools.grep\n", "it is no TOML: "),
    ],
)
def test_a_profile_that_cannot_work_is_refused_with_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    message = fault(tmp_path, HEAD + text)
    assert message.startswith("the tool profile 'broken' (broken.toml) cannot be used: ")
    assert told in message


def test_two_tools_may_swap_their_names(tmp_path: Path) -> None:
    tmp_path.joinpath("swap.toml").write_text(
        HEAD + '[tools.grep]\nname = "glob"\n[tools.glob]\nname = "grep"\n', "utf-8"
    )
    names = tool_names("swap", tmp_path)
    assert names.own_call(ToolCall("c", "glob", {})).name == "grep"
    assert names.own_call(ToolCall("c", "grep", {})).name == "glob"


def test_an_unknown_profile_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError) as refused:
        tool_names("vibes")
    assert str(refused.value) == (
        "models.tool_profile: there is no tool profile 'vibes'. Did you mean 'vibe'? Set auto, none or one of: vibe."
    )


@pytest.mark.parametrize("path", sorted(PROMPTS.glob("*.md")), ids=lambda path: path.name)
def test_every_place_in_a_text_is_an_argument_of_the_tool_or_a_tool(path: Path) -> None:
    tool, _, profile = path.stem.partition(".")
    assert tool in TOOLS and profile in ("", *profiles())
    slots = set(Template(path.read_text("utf-8")).get_identifiers())
    assert slots <= arguments_of(tool) | set(TOOLS)


@pytest.mark.parametrize("path", sorted(PROMPTS.glob("*.md")), ids=lambda path: path.name)
def test_no_text_names_a_tool_or_an_argument_but_by_a_place(path: Path) -> None:
    bare = Template(path.read_text("utf-8")).safe_substitute({})
    words = set(re.findall(r"(?<![$\w])\w+", bare))
    assert not words & {name for name in (*TOOLS, *arguments_of(path.stem.partition(".")[0])) if "_" in name}


def everything_renamed() -> ToolNames:
    tools = {own: f"T{number}" for number, own in enumerate(TOOLS)}
    arguments = {own: {name: f"A_{name[::-1]}" for name in arguments_of(own)} for own in TOOLS}
    names = ToolNames("all", tools, arguments)
    return ToolNames("all", tools, arguments, {own: description(own, names) for own in TOOLS})


def own_words() -> set[str]:
    """Return what a model under another profile must not read: names that are no plain words."""
    names = set(TOOLS).union(*map(arguments_of, TOOLS))
    return {name for name in names if "_" in name}


def test_what_a_model_is_shown_of_the_tools_has_none_of_our_names() -> None:
    names = everything_renamed()
    shown = json.dumps([vars_of(names.definition(spec.definition())) for spec in TOOLS.values()])
    assert not {word for word in own_words() if re.search(rf"\b{word}\b", shown)}


def vars_of(tool: Any) -> list[Any]:
    return [tool.name, tool.description, tool.parameters]


@pytest.mark.parametrize(
    ("tool", "args", "told"),
    [
        ("edit_file", {"path": "a.py", "old_text": "zzz", "new_text": "y"}, "A_txet_dlo does not stand in the file"),
        ("edit_file", {"path": "a.py", "old_text": "", "new_text": "y"}, "or use T2 for a whole file"),
        ("edit_file", {"path": "a.py", "old_text": "x", "new_text": "x"}, "A_txet_dlo and A_txet_wen are the same"),
        ("edit_file", {"path": "a.py", "old_text": "= 1", "new_text": "= 2"}, "or add A_enil_raen."),
        ("edit_file", {"path": "b.py", "old_text": "x", "new_text": "y"}, "Use T2 to create one."),
        ("edit_file", {"path": "a.py"}, "argument 'A_txet_dlo' is missing"),
        ("edit_file", {"old": "x"}, "Its arguments: A_htap, A_txet_dlo, A_txet_wen, A_enil_raen (optional)."),
        ("multi_edit", {"path": "a.py", "edits": [{"old_text": "x"}]}, "argument 'A_stide.0.A_txet_wen' is missing"),
        ("write_file", {"path": "a.py", "content": "x"}, "or change a part with T1."),
        ("read_file", {"path": "src"}, "List its files with T5, A_nrettap 'src/*'."),
        ("read_file", {"path": "a.py", "offset": 9}, "A_tesffo 9 lies behind its end."),
        ("read_file", {"path": "a.py", "limit": 1}, "more from A_tesffo=2"),
        ("search_code", {"query": "x"}, "or T4 for an exact one."),
        ("spawn_agent", {"task": "x", "tools": ["T1"]}, "can not have T1. It may have: T0, T4, T5, T7,"),
        ("nothing", {}, "there is no tool 'nothing'. Tools: T0, T1"),
    ],
)
async def test_a_message_speaks_of_tools_and_arguments_as_the_model_knows_them(
    rig: Any, tool: str, args: dict[str, Any], told: str
) -> None:
    rig.write("a.py", "x = 1\ny = 1\n")
    rig.write("src/c.py", "")
    rig.names = everything_renamed()
    rig.seen = {} if tool == "write_file" else None
    result: ToolResult = await rig.call(tool, **args)
    assert told in result.text
    assert not {word for word in own_words() if re.search(rf"\b{word}\b", result.text)}


async def test_a_sub_agent_is_given_the_tools_that_the_model_named_in_its_words(rig: Any) -> None:
    rig.names = tool_names("vibe")
    result = await rig.call("spawn_agent", task="look", tools=["read", "grep"])
    assert result.text.endswith("look with read_file, grep")


def prose(path: Path) -> list[str]:
    """Return the texts of a module that hold several words, docstrings left out."""
    tree = ast.parse(path.read_text("utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in alone]
    return [node.value for node in constants if isinstance(node.value, str) and " " in node.value.strip()]


@pytest.mark.parametrize("path", sorted(Path(module.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_no_message_of_a_tool_has_a_name_written_into_it(path: Path) -> None:
    found = [(word, text) for text in prose(path) for word in own_words() if re.search(rf"\b{word}\b", text)]
    assert found == []
