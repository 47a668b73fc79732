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
