import subprocess
from typing import Any

import pytest

from flowloom.configs.rules import RuleDecision, parse_rules
from flowloom.core.effects import Command, Effect, FileWrite, Nothing, Spawn, ToolResult
from flowloom.tools.commit import commit_command
from flowloom.tools.network import NetworkVerdict
from flowloom.tools.permissions import approval_question, decide, grants_for, reach_of
from flowloom.tools.shell_policy import check_command

WRITE = FileWrite("src/a.py", None, b"x", "")
ALWAYS_EDIT = "always: every edit of a file, for the rest of this run."
SHELL = Command(("bash", "-c", "make"), 1.0)
READING = Command(("git", "status"), 1.0, category="read")
COMMIT = Command(("sh", "-c", "commit"), 1.0, category="edit")
NOTHING = Nothing(ToolResult(""))
SPAWN = Spawn("t", ())

VERDICTS = {
    "plan": {"edit": "deny", "commit": "deny", "shell": "deny"},
    "ask": {"edit": "ask", "commit": "ask", "shell": "ask"},
    "auto-edit": {"edit": "allow", "commit": "allow", "shell": "ask"},
    "auto": {"edit": "allow", "commit": "allow", "shell": "allow"},
}


@pytest.mark.parametrize(
    ("mode", "kind", "verdict"), [(mode, kind, v) for mode, row in VERDICTS.items() for kind, v in row.items()]
)
def test_each_mode_decides_by_category(mode: str, kind: str, verdict: str) -> None:
    effects: dict[str, Effect] = {"edit": WRITE, "commit": COMMIT, "shell": SHELL}
    category = "shell" if kind == "shell" else "edit"
    assert decide(effects[kind], category, mode, frozenset()).verdict == verdict


@pytest.mark.parametrize("mode", VERDICTS)
@pytest.mark.parametrize("effect", [NOTHING, SPAWN, READING])
def test_what_changes_nothing_is_allowed_in_every_mode(effect: Effect, mode: str) -> None:
    assert decide(effect, "agent" if effect is SPAWN else "read", mode, frozenset()).verdict == "allow"


@pytest.mark.parametrize("mode", VERDICTS)
@pytest.mark.parametrize("path", [".git/hooks/x", "a/.GIT/config", ".flow/config.toml", ".flowignore"])
def test_protected_paths_are_denied_in_every_mode(mode: str, path: str) -> None:
    decision = decide(FileWrite(path, None, b"", ""), "edit", mode, frozenset({"edit"}))
    assert decision.verdict == "deny"
    assert "protected" in decision.reason


@pytest.mark.parametrize("effect", [WRITE, SHELL])
def test_a_tool_that_says_it_reads_does_not_widen_its_effect(effect: Effect) -> None:
    assert decide(effect, "read", "ask", frozenset()).verdict == "ask"


def test_a_command_that_reads_in_a_shell_tool_is_asked_for() -> None:
    assert decide(READING, "shell", "ask", frozenset()).verdict == "ask"


def test_an_unknown_category_is_asked_for_even_where_edits_are_not() -> None:
    assert decide(WRITE, "something", "auto-edit", frozenset()).verdict == "ask"


def test_plan_mode_is_named_to_the_model() -> None:
    assert "plan mode" in decide(SHELL, "shell", "plan", frozenset()).reason


def test_a_grant_covers_all_writes_or_exactly_one_command() -> None:
    assert decide(WRITE, "edit", "ask", {"edit"}).verdict == "allow"
    assert decide(SHELL, "shell", "ask", {*grants_for(SHELL)}).verdict == "allow"
    other = Command(("bash", "-c", "make "), 1.0)
    assert decide(other, "shell", "ask", {*grants_for(SHELL), "edit"}).verdict == "ask"


@pytest.mark.parametrize(
    ("line", "mode", "verdict"),
    [
        ("ls src", "ask", "allow"),
        ("ls src", "auto-edit", "allow"),
        ("ls src", "plan", "deny"),
        ("make lint", "ask", "allow"),
        ("make", "ask", "ask"),
        ("make", "auto-edit", "ask"),
        ("make", "auto", "allow"),
        ("rm x", "ask", "deny"),
        ("ls; rm x", "auto", "deny"),
        ("git push", "auto", "ask"),
        ("ls $(make)", "ask", "ask"),
        ("ls $(make)", "auto", "allow"),
    ],
)
def test_a_shell_line_is_decided_by_the_shell_policy(line: str, mode: str, verdict: str) -> None:
    rules = parse_rules({"bash(make lint)": "allow", "bash(git push:*)": "ask", "bash(rm:*)": "deny"})
    shell = check_command(line, rules)
    command = Command(("bash", "-c", line), 1.0, category="shell-safe" if shell.read_only else "shell")
    assert decide(command, "shell", mode, frozenset(), shell).verdict == verdict


def test_always_grants_the_prefixes_of_a_shell_line() -> None:
    first, second = check_command("npm test -- a && git commit -m x"), check_command("git commit -m y; npm test")
    command = Command(("bash", "-c", "npm test -- a && git commit -m x"), 1.0)
    granted = set(grants_for(command, first))
    assert granted == {"bash(npm test:*)", "bash(git commit:*)"}
    assert decide(command, "shell", "ask", granted, second).verdict == "allow"
    assert decide(command, "shell", "ask", granted - {"bash(npm test:*)"}, second).verdict == "ask"
    assert decide(command, "shell", "ask", granted, check_command("npm test $(id)")).verdict == "ask"


def test_a_grant_does_not_lift_plan_mode() -> None:
    assert decide(WRITE, "edit", "plan", {"edit"}).verdict == "deny"


def test_an_unknown_mode_is_a_bug() -> None:
    with pytest.raises(ValueError, match="'yolo'"):
        decide(WRITE, "edit", "yolo", frozenset())


def test_a_write_is_asked_for_with_its_diff() -> None:
    write = FileWrite("設定.txt", "sha", "一\n弐\n三\n".encode(), "")
    question = approval_question(write, "code#1", "一\n二\n三\n".encode())
    assert question.kind == "approval"
    assert question.node == "code#1"
    assert question.choices == ("yes", "no", "always")
    assert question.text.startswith(
        f"Change 設定.txt?\n{ALWAYS_EDIT}\n--- a/設定.txt\n+++ b/設定.txt\n@@ -1,3 +1,3 @@\n"
    )
    assert "\n-二\n+弐\n" in question.text
    assert question.payload["diff"] in question.text


def test_a_new_file_is_shown_against_nothing() -> None:
    question = approval_question(FileWrite("a", None, b"x", ""), "n")
    assert (
        question.text
        == f"Create a?\n{ALWAYS_EDIT}\n--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n"
    )


def test_a_crlf_file_shows_only_what_changes() -> None:
    diff = approval_question(FileWrite("a", "s", b"a\r\nB\r\n", ""), "n", b"a\r\nb\r\n").payload["diff"]
    assert diff.endswith(" a\n-b\n+B\n")


def test_a_change_of_line_ends_encoding_or_mark_is_shown() -> None:
    ends = approval_question(FileWrite("a", "s", b"a\n", ""), "n", b"a\r\n").payload["diff"]
    assert "-a<U+000D>\n+a\n" in ends
    encoding = approval_question(
        FileWrite("a", "s", "日本語の文章".encode(), ""), "n", "日本語の文章".encode("cp932")
    )
    assert "(encoding cp932 -> utf-8)" in encoding.text
    mark = approval_question(FileWrite("a", "s", b"\xef\xbb\xbfa", ""), "n", b"a")
    assert "byte order mark added" in mark.text


def test_a_binary_change_is_told_by_its_sizes() -> None:
    assert (
        "(binary: 3 bytes before, 4 bytes after)"
        in approval_question(FileWrite("a", "s", b"text", ""), "n", b"\0\1\2").text
    )


def test_a_command_is_shown_exactly() -> None:
    question = approval_question(Command(("bash", "-c", "rm -rf build && make"), 120.0, cwd="sub"), "n")
    always = "always: exactly this command, for the rest of this run."
    assert question.text == f"Run this command in sub (at most 120 s)?\n{always}\nrm -rf build && make"
    assert question.payload["argv"] == ["bash", "-c", "rm -rf build && make"]


def test_a_program_with_arguments_is_shown_quoted() -> None:
    assert approval_question(Command(("git", "commit", "-m", "a b; c"), 1, category="edit"), "n").text.endswith(
        "git commit -m 'a b; c'"
    )


def test_hidden_text_is_visible_in_questions(rig: Any) -> None:
    command = approval_question(Command(("bash", "-c", "ls \u202e# fr- mr"), 1), "n")
    write = approval_question(FileWrite("a\u200b.py", None, b"x = 1 \xe2\x80\xae# y\n", ""), "n")
    for question in (command, write):
        shown = question.text + str(question.payload)
        assert "\u202e" not in shown
        assert "\u200b" not in shown
        assert "<U+202E>" in shown


def test_a_question_says_why_it_is_asked_and_what_always_gives() -> None:
    line = "npm test -- a && git commit -m x"
    shell = check_command(line)
    question = approval_question(Command(("bash", "-c", line), 1.0), "n", None, shell, "mode ask asks for it")
    told = (
        "Asked since mode ask asks for it. always: bash(npm test:*) and bash(git commit:*), for the rest of this run."
    )
    assert question.text.split("\n")[1] == told
    assert question.payload["always"] == ["bash(npm test:*)", "bash(git commit:*)"]


@pytest.mark.parametrize(
    ("line", "category"),
    [("ls src", "shell-safe"), ("make", "shell"), ("cat /etc/passwd", "outside-workspace")],
)
def test_a_shell_line_has_the_category_of_what_it_reaches(line: str, category: str) -> None:
    assert reach_of(Command(("bash", "-c", line), 1.0), "shell", check_command(line)) == category


def test_a_commit_is_shown_by_its_files_and_its_message(rig: Any) -> None:
    subprocess.run(["git", "init", "-q"], cwd=rig.workspace, check=True)
    rig.write("名前 a.txt", "x")
    question = approval_question(commit_command(rig.workspace, "直す\n\nBecause.", ["."]), "n")
    always = "always: every commit, for the rest of this run."
    told = f"Commit these files?\n{always}\n  名前 a.txt\nwith the message\n直す\n\nBecause."
    assert question.text == told
    assert question.payload["argv"][0] == "sh"


ONLINE = Command(("bash", "-c", "npm ci"), 1.0, network=True)
BY_MODE = NetworkVerdict(on=True, question="by-mode", reason="the graph says network: true")
GIVEN = NetworkVerdict(on=True, reason="the rule allows it")
ASKED = NetworkVerdict(on=True, question="always", reason="the rule 'network(npm ci)' asks for it")
ALLOWED = check_command("npm ci", parse_rules({"bash(npm ci)": "allow"}))


@pytest.mark.parametrize(
    ("mode", "network", "verdict"),
    [
        ("plan", GIVEN, "deny"),
        ("ask", GIVEN, "allow"),
        ("ask", BY_MODE, "ask"),
        ("auto-edit", BY_MODE, "ask"),
        ("auto", BY_MODE, "allow"),
        ("ask", ASKED, "ask"),
        ("auto", ASKED, "ask"),
        ("plan", ASKED, "deny"),
    ],
)
def test_an_allowed_line_with_the_network_is_decided_as_what_reaches_it(
    mode: str, network: NetworkVerdict, verdict: str
) -> None:
    decision = decide(ONLINE, "shell", mode, frozenset(), ALLOWED, network=network)
    assert decision.verdict == verdict
    if verdict == "ask":
        assert decision.reason == f"it would have the network ({network.reason})"


def test_the_network_alone_lets_nothing_run() -> None:
    shell = check_command("npm ci")
    assert decide(ONLINE, "shell", "ask", frozenset(), shell, network=GIVEN).verdict == "ask"
    assert reach_of(ONLINE, "shell", shell) == "network"


def test_a_grant_without_the_network_does_not_reach_it() -> None:
    shell = check_command("npm ci")
    offline = Command(ONLINE.argv, 1.0)
    assert set(grants_for(ONLINE, shell)) == {"bash(npm ci:*)", "network(npm ci:*)"}
    granted = set(grants_for(offline, shell))
    assert granted == {"bash(npm ci:*)"}
    assert decide(ONLINE, "shell", "ask", granted, shell, network=BY_MODE).verdict == "ask"
    assert decide(ONLINE, "shell", "ask", {*grants_for(ONLINE, shell)}, shell, network=BY_MODE).verdict == "allow"
    assert decide(ONLINE, "shell", "ask", {*grants_for(offline)}, None, network=BY_MODE).verdict == "ask"
    assert decide(ONLINE, "shell", "ask", {*grants_for(ONLINE)}, None, network=BY_MODE).verdict == "allow"


def test_a_command_is_shown_with_its_network() -> None:
    question = approval_question(ONLINE, "n", None, check_command("npm ci"))
    always = "always: bash(npm ci:*) and network(npm ci:*), for the rest of this run."
    assert question.text == f"Run this command with the network (at most 1 s)?\n{always}\nnpm ci"
    assert question.payload["network"] is True
    assert "network" not in approval_question(SHELL, "n").payload
    assert "always: exactly this command," in approval_question(ONLINE, "n").text


@pytest.mark.parametrize("mode", VERDICTS)
def test_a_command_of_the_graph_is_held_to_rules_alone(mode: str) -> None:
    command = Command(("bash", "-c", "npm ci"), 1.0, category="read", network=True, by_graph=True)

    def verdict(rules: dict[str, RuleDecision], network: NetworkVerdict = BY_MODE) -> str:
        shell = check_command("npm ci", parse_rules(rules))
        return decide(command, "read", mode, frozenset(), shell, network=network).verdict

    assert verdict({}) == "allow"
    assert verdict({"bash(npm:*)": "ask"}) == "ask"
    assert verdict({"bash(npm:*)": "deny"}) == "deny"
    assert verdict({}, ASKED) == "ask"


def test_what_a_rule_asks_for_offers_no_always() -> None:
    question = approval_question(SHELL, "n", None, None, "the rule 'bash(make)' asks for it", by_rule=True)
    assert question.choices == ("yes", "no")
    assert question.text == "Run this command (at most 1 s)?\nAsked since the rule 'bash(make)' asks for it.\nmake"
