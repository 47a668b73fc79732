from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowloom.configs.rules import CommandRules, RuleDecision, parse_rules
from flowloom.core.effects import Command, FileWrite
from flowloom.tools.network import NetworkVerdict, network_on

RULES: dict[str, RuleDecision] = {
    "network(npm ci:*)": "allow",
    "network(pip install:*)": "ask",
    "network(curl:*)": "deny",
    "network(make net)": "allow",
    "bash(wget:*)": "allow",
}


def held(network: bool | None = None, open_network: bool = False, **_: Any) -> CommandRules:
    return CommandRules(parse_rules(RULES), network, open_network)


def shell(line: str, **more: Any) -> Command:
    return Command(("bash", "-c", line), 1.0, **more)


def said(verdict: NetworkVerdict) -> tuple[bool | None, str]:
    return verdict.on, verdict.question


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("npm ci --silent", (True, "never")),
        ("ls && npm ci | tail -5", (True, "never")),
        ("make net", (True, "never")),
        ("pip install x", (True, "always")),
        ("npm ci && pip install x", (True, "always")),
        ("curl localhost", (False, "never")),
        ("npm ci && curl localhost", (False, "never")),
        ("npm ci $(curl localhost)", (False, "never")),
        ("sudo sh -c 'pip install x; ls'", (True, "always")),
        # Permission is narrow: all of the line, nothing out of sight, and not by a rule about something else.
        ("npm ci; make", (None, "never")),
        ("npm ci > log", (None, "never")),
        ("npm ci $HOME", (None, "never")),
        ("npm ci $(id)", (None, "never")),
        ("for x in a; do npm ci; done", (None, "never")),
        ("FOO=1 npm ci", (None, "never")),
        ("timeout 5 npm ci --x", (True, "never")),
        ("git status && npm ci", (None, "never")),
        ("make net x", (None, "never")),
        ("make", (None, "never")),
        ("wget x", (None, "never")),
    ],
)
def test_rules_decide_about_the_network_of_a_line(
    line: str, expected: tuple[bool | None, str], tmp_path: Path
) -> None:
    assert said(network_on(shell(line), held(), tmp_path)) == expected


def test_a_graph_that_says_yes_gives_it_to_every_command_but_those_denied(tmp_path: Path) -> None:
    assert said(network_on(shell("make $(id)"), held(network=True), tmp_path)) == (True, "by-mode")
    assert said(network_on(shell("npm ci"), held(network=True), tmp_path)) == (True, "never")
    assert said(network_on(shell("pip install x"), held(network=True), tmp_path)) == (True, "always")
    assert said(network_on(shell("curl x"), held(network=True), tmp_path)) == (False, "never")


def test_a_graph_that_says_no_takes_it_from_every_command(tmp_path: Path) -> None:
    closed = held(network=False, open_network=True)
    for command in (shell("npm ci"), shell("make"), shell("ls", category="shell-safe"), shell("x", category="edit")):
        assert network_on(command, closed, tmp_path).on is False


def test_the_settings_give_it_without_a_question_and_a_rule_takes_it(tmp_path: Path) -> None:
    assert said(network_on(shell("make"), held(open_network=True, network=True), tmp_path)) == (True, "never")
    assert said(network_on(shell("curl x"), held(open_network=True), tmp_path)) == (False, "never")


def test_what_only_reads_and_what_is_ours_has_no_use_for_it(tmp_path: Path) -> None:
    everything = CommandRules(parse_rules({"network(*)": "allow"}), network=True)
    for command in (
        shell("ls", category="shell-safe"),
        Command(("git", "status"), 1.0, category="read"),
        Command(("sh", "-c", "commit"), 1.0, category="edit"),
    ):
        assert network_on(command, everything, tmp_path).on is None
    assert network_on(FileWrite("a", None, b"", ""), everything, tmp_path).on is None


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("npm", "ci", "--silent"), (True, "never")),
        (("curl", "x"), (False, "never")),
        (("/usr/bin/curl", "x"), (False, "never")),
        (("pip", "install", "x y"), (True, "always")),
        (("npm", "test"), (None, "never")),
    ],
)
def test_the_words_of_a_shell_node_are_held_to_the_rules_too(
    argv: tuple[str, ...], expected: tuple[bool | None, str], tmp_path: Path
) -> None:
    command = Command(argv, 1.0, category="read", by_graph=True)
    assert said(network_on(command, held(), tmp_path)) == expected


def test_why_a_rule_does_not_reach_is_told(tmp_path: Path) -> None:
    assert network_on(shell("npm ci > log"), held(), tmp_path).reason == "no rule gives it: it writes to log"
    assert network_on(shell("make"), held(), tmp_path).reason == "no rule gives it"
    assert network_on(shell("make"), CommandRules(), tmp_path).reason == ""
