import subprocess
from pathlib import Path
from typing import Any

import pytest

from flowloom.configs.rules import parse_rules
from flowloom.core.effects import Command
from flowloom.tools.shell_line import judge_line, verdict_on


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "ws"
    folder.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def test_a_reading_line_runs_without_what_would_make_it_do_more(repo: Path) -> None:
    judged = judge_line("ls | head", (), repo)
    assert judged.verdict.decision == "allow"
    assert judged.env["BASH_ENV"] == ""
    assert "GIT_CONFIG_COUNT" not in judged.env


def test_a_reading_line_with_git_runs_under_the_shield(repo: Path) -> None:
    env = judge_line("git diff | head", (), repo).env
    assert env["GIT_CONFIG_KEY_0"] == "core.fsmonitor"
    assert env["GIT_PAGER"] == "cat"


def test_a_line_that_is_asked_for_keeps_its_environment(repo: Path) -> None:
    assert judge_line("git commit -m x", (), repo).env == {}
    assert judge_line("make", parse_rules({"bash(make)": "allow"}), repo).env == {}


def test_git_is_asked_for_where_the_repository_brings_programs(repo: Path) -> None:
    subprocess.run(["git", "config", "diff.external", "./x"], cwd=repo, check=True)
    judged = judge_line("git diff | head", (), repo)
    assert (judged.verdict.decision, judged.env) == ("ask", {})
    assert judge_line("ls", (), repo).verdict.decision == "allow"


def test_a_planned_command_has_a_verdict_when_a_shell_reads_it(repo: Path) -> None:
    rules = parse_rules({"bash(rm:*)": "deny", "bash(make)": "allow"})

    def decision(*argv: str) -> str:
        verdict = verdict_on(Command(argv, 1.0), rules, repo)
        return "" if verdict is None else verdict.decision

    assert decision("bash", "-c", "ls; rm x") == "deny"
    assert decision("bash", "-c", "make") == "allow"
    assert decision("bash", "-c", "make x") == "ask"


def test_a_program_with_arguments_is_held_to_what_rules_deny_or_ask(repo: Path) -> None:
    rules = parse_rules({"bash(rm:*)": "deny", "bash(git push:*)": "ask", "bash(make)": "allow"})

    def decision(*argv: str, **more: Any) -> tuple[str, bool]:
        verdict = verdict_on(Command(argv, 1.0, **more), rules, repo)
        return ("", False) if verdict is None else (verdict.decision, verdict.asked_by_rule)

    assert decision("rm", "x") == ("deny", False)
    assert decision("bash", "-lc", "rm x") == ("deny", False)
    assert decision("/bin/rm", "x", category="read", by_graph=True) == ("deny", False)
    assert decision("git", "-C", "a", "push") == ("ask", True)
    assert decision("make") == ("", False)
    assert decision("rm", "x", category="read") == ("", False)


def test_a_line_that_would_read_but_was_not_planned_to_has_none(repo: Path) -> None:
    command = ("bash", "-c", "git status")
    assert verdict_on(Command(command, 1.0), (), repo) is None
    planned = verdict_on(Command(command, 1.0, category="shell-safe"), (), repo)
    assert planned is not None
    assert planned.decision == "allow"
