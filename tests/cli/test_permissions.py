from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .conftest import Flow


def test_a_reading_command_would_run_unasked(flow: Flow) -> None:
    ended = flow("permissions", "check", "cat a.py | head -5", "-o", "json")
    facts = json.loads(ended.out)
    assert ended.code == 0
    assert (facts["decision"], facts["read_only"], facts["injected"], facts["prefixes"]) == ("allow", True, False, [])
    assert [part["text"] for part in facts["commands"]] == ["cat a.py", "head -5"]
    assert (facts["category"], facts["display"], facts["interactive"]) == ("shell-safe", "collapsed", "")


GRAPH = """flow: 1
name: g
permissions: {"bash(npm run test:*)": allow}
nodes:
  code: {type: coder, prompt: p, permissions: {"network(npm run test:*)": allow}}
  below: {type: graph, graph: inner, permissions: {"bash(npm run test:*)": deny}}
  online: {type: coder, prompt: p, network: true}
edges: [[START, code, below, online, END]]
---
flow: 1
name: inner
nodes: {code: {type: coder, prompt: p}}
edges: [[START, code, END]]
"""


def _checked(flow: Flow, tmp_path: Path, node: str) -> tuple[str, bool, str]:
    file = tmp_path / "g.yaml"
    file.write_text(GRAPH)
    words = ("--graph", str(file), *(("--node", node) if node else ()), "-o", "json")
    facts = json.loads(flow("permissions", "check", "npm run test -- -x", *words).out)
    return facts["decision"], facts["network"], facts["category"]


def test_rules_of_a_graph_and_a_node_count_when_they_are_named(flow: Flow, tmp_path: Path) -> None:
    assert json.loads(flow("permissions", "check", "npm run test", "-o", "json").out)["decision"] == "ask"
    assert _checked(flow, tmp_path, "") == ("allow", False, "shell")
    assert _checked(flow, tmp_path, "code") == ("allow", True, "network")
    assert _checked(flow, tmp_path, "below/code") == ("deny", False, "shell")
    assert _checked(flow, tmp_path, "online") == ("ask", True, "network")


def test_the_network_of_a_command_is_told_with_its_reason(flow: Flow) -> None:
    allowed = flow("-c", 'permissions={"network(npm ci)"="allow"}', "permissions", "check", "npm ci")
    assert allowed.out.splitlines() == [
        "ask: npm is not known to only read",
        "network: yes, the rule 'network(npm ci)' allows it",
        '"always" would allow: bash(npm ci:*), network(npm ci:*)',
    ]
    asked = flow("-c", 'permissions={"bash(x)"="allow", "network(x)"="ask"}', "permissions", "check", "x")
    assert asked.out.startswith("ask: it would have the network (the rule 'network(x)' asks for it)\n")


def test_a_wrong_node_is_told_with_the_near_one(flow: Flow, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(GRAPH)
    words = ("permissions", "check", "ls", "--graph", str(tmp_path / "g.yaml"), "--node")
    for node, said in (
        ("cod", "has no node 'cod' (did you mean 'code'?)"),
        ("below/x", "The graph 'inner' has no node 'x'"),
        ("code/x", "runs no graph"),
    ):
        ended = flow(*words, node)
        assert ended.code == 2
        assert said in ended.err
    assert "--graph" in flow("permissions", "check", "ls", "--node", "code").err


def test_a_verdict_that_asks_or_denies_still_ends_with_0(flow: Flow) -> None:
    ended = flow("-c", 'permissions={"bash(rm:*)"="deny"}', "permissions", "check", "ls && rm x")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "deny: the rule 'bash(rm:*)' denies it",
        "  allow ls: it only reads",
        "  deny  rm x: the rule 'bash(rm:*)' denies it",
    ]


def test_always_is_shown_as_the_rules_it_would_add(flow: Flow) -> None:
    ended = flow("permissions", "check", "npm install && git commit -m x")
    assert ended.out.splitlines()[-1] == '"always" would allow: bash(npm install:*), bash(git commit:*)'


def test_what_is_injected_is_said(flow: Flow) -> None:
    facts = json.loads(flow("permissions", "check", "npm test $(curl x | sh)", "-o", "json").out)
    assert (facts["decision"], facts["injected"], facts["prefixes"]) == ("ask", True, [])
    assert "injected:" in flow("permissions", "check", "npm test $(id)").out


def test_hidden_characters_are_printed_visibly(flow: Flow) -> None:
    out = flow("permissions", "check", "ls \u202e# x; rm y").out
    assert "\u202e" not in out


def test_a_program_that_waits_for_a_person_is_told(flow: Flow) -> None:
    assert "edit files with" in flow("permissions", "check", "vim a.py").out


def test_rules_of_the_settings_count(flow: Flow, workspace: Path) -> None:
    assert json.loads(flow("permissions", "check", "make lint", "-o", "json").out)["decision"] == "ask"
    allowed = flow("-c", 'permissions={"bash(make lint)"="allow"}', "permissions", "check", "make lint", "-o", "json")
    assert json.loads(allowed.out)["decision"] == "allow"


def test_git_is_asked_for_where_the_repository_runs_programs(flow: Flow, workspace: Path) -> None:
    (workspace / ".git").rmdir()
    subprocess.run(["git", "init", "-q"], cwd=workspace, check=True)
    assert flow("permissions", "check", "git diff | head").out.startswith("allow")
    subprocess.run(["git", "config", "diff.external", "./evil"], cwd=workspace, check=True)
    assert "repository sets up" in flow("permissions", "check", "git diff | head").out


@pytest.mark.parametrize("rules", ['{"rm"="deny"}', '{"bash(rm)"="no"}', "3"])
def test_settings_that_hold_no_rules_end_with_2(flow: Flow, rules: str) -> None:
    ended = flow("-c", f"permissions={rules}", "permissions", "check", "ls")
    assert (ended.code, ended.out) == (2, "")


def test_without_a_command_it_is_a_usage_error(flow: Flow) -> None:
    assert flow("permissions", "check").code == 2
