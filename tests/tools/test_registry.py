import json
import subprocess
import sys
from pathlib import Path

import pytest
from rs_bpe.bpe import openai

from flowloom.core.errors import UsageError
from flowloom.core.messages import ToolDef
from flowloom.core.tool import ToolSpec
from flowloom.tools import prompt_text
from flowloom.tools.profiles import profiles, tool_names
from flowloom.tools.registry import TOOLS, toolset
from flowloom.tools.spawn_agent import CHILD_TOOLS

CODER = ("read_file", "edit_file", "write_file", "bash", "grep", "glob", "spawn_agent")
READER = ("read_file", "grep", "glob", "search_code")
MARGIN = 1.1
PROFILES = ("", *profiles())


def tokens(text: str) -> float:
    return float(openai.cl100k_base().count(text)) * MARGIN


def shown(spec: ToolSpec, profile: str) -> ToolDef:
    return tool_names(profile).definition(spec.definition())


def wire(spec: ToolSpec, profile: str) -> str:
    tool = shown(spec, profile)
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return json.dumps({"type": "function", "function": function}, ensure_ascii=False)


def test_every_tool_is_listed_under_its_name() -> None:
    assert all(name == spec.name for name, spec in TOOLS.items())
    named = {
        "search_code",
        "repo_map",
        "find_symbol",
        "find_references",
        "search_docs",
        "git",
        "todo",
        "multi_edit",
        "apply_patch",
    }
    assert set(TOOLS) == {*CODER, *named, "run_code", "background", "remember"}


def test_every_description_has_a_file_and_every_file_a_tool() -> None:
    files = {path.stem for path in (Path(prompt_text.__file__).parent / "prompts").glob("*.md")}
    assert {name for name in files if "." not in name} == set(TOOLS)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", TOOLS)
def test_a_description_has_at_most_25_words(name: str, profile: str) -> None:
    assert 0 < len(shown(TOOLS[name], profile).description.split()) <= 25


@pytest.mark.parametrize("profile", PROFILES)
def test_the_coder_s_descriptions_stay_within_150_tokens(profile: str) -> None:
    assert sum(tokens(shown(spec, profile).description) for spec in toolset(CODER)) <= 150


@pytest.mark.parametrize("profile", PROFILES)
def test_the_coder_s_tools_stay_within_700_tokens(profile: str) -> None:
    assert sum(tokens(wire(spec, profile)) for spec in toolset(CODER)) <= 700


@pytest.mark.parametrize("profile", PROFILES)
def test_a_reader_s_tools_stay_within_450_tokens(profile: str) -> None:
    assert sum(tokens(wire(spec, profile)) for spec in toolset(READER)) <= 450


@pytest.mark.parametrize("name", TOOLS)
def test_a_schema_is_a_plain_object_without_references(name: str) -> None:
    schema = TOOLS[name].definition().parameters
    assert schema["type"] == "object"
    assert "$ref" not in json.dumps(schema)
    assert "$defs" not in schema


def test_the_todo_schema_is_what_the_tool_checks() -> None:
    shown = TOOLS["todo"].definition().parameters["properties"]["todos"]["items"]
    assert set(shown["properties"]) == set(shown["required"]) == {"content", "status", "active_form"}


def test_what_only_reads_is_what_a_sub_agent_may_have() -> None:
    read_only = {name for name, spec in TOOLS.items() if spec.category == "read"}
    assert set(CHILD_TOOLS) == read_only
    assert all(TOOLS[name].together for name in read_only)


def test_a_toolset_keeps_the_order_and_drops_repeats() -> None:
    assert [spec.name for spec in toolset(["grep", "bash", "grep"])] == ["grep", "bash"]


def test_an_unknown_tool_is_refused_with_near_names() -> None:
    with pytest.raises(UsageError) as refused:
        toolset(["read_fil"])
    assert "there is no tool 'read_fil'. Did you mean 'read_file'" in str(refused.value)
    assert refused.value.exit_code == 2


def test_the_registry_can_not_be_changed() -> None:
    with pytest.raises(TypeError):
        TOOLS["x"] = TOOLS["bash"]  # type: ignore[index]


def test_importing_the_tools_loads_nothing_heavy() -> None:
    code = (
        "import sys, flowloom.tools.registry, flowloom.tools.effects, flowloom.tools.calls, flowloom.tools.host;"
        "heavy = {'langchain', 'langgraph', 'ollama', 'chromadb', 'torch', 'numpy', 'networkx', 'tree_sitter'};"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
