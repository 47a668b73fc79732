import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowloom.tools.shell_parse import MAX_CHARACTERS, ParsedLine, parse_line


def words(line: str) -> list[list[str]]:
    parsed = parse_line(line)
    assert parsed.fault == ""
    return [[word.text for word in command.words] for command in parsed.commands]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ls -la | wc -l", [["ls", "-la"], ["wc", "-l"]]),
        ("cd src && ls; pwd", [["cd", "src"], ["ls"], ["pwd"]]),
        ("a\nb # comment\nc", [["a"], ["b"], ["c"]]),
        ("grep 'a b' \"c d\" e\\ f", [["grep", "a b", "c d", "e f"]]),
        ("cat file.{js,ts}", [["cat", "file.js", "file.ts"]]),
        ("git show HEAD@{1}", [["git", "show", "HEAD@{1}"]]),
        ("(cd a && ls) || { pwd; }", [["cd", "a"], ["ls"], ["pwd"]]),
        ("if [ -f a ]; then cat a; else ls; fi", [["[", "-f", "a", "]"], ["cat", "a"], ["ls"]]),
        ("ls \\\n  -la", [["ls", "-la"]]),
        ("! grep -q x 日本語.txt", [["grep", "-q", "x", "日本語.txt"]]),
    ],
)
def test_a_line_is_taken_apart_into_simple_commands(line: str, expected: list[list[str]]) -> None:
    assert words(line) == expected


def test_redirections_and_assignments_stand_with_their_command() -> None:
    (command,) = parse_line("CI=1 make test > out.txt 2>&1").commands
    assert [word.text for word in command.assignments] == ["CI=1"]
    assert [(part.operator, part.descriptor, part.target.text) for part in command.redirects] == [
        (">", "", "out.txt"),
        (">&", "2", "1"),
    ]


def test_each_command_knows_what_joins_it_and_its_group() -> None:
    commands = parse_line("a && b | c\n(d; e) || f").commands
    assert [(command.joint, command.group) for command in commands] == [
        ("", 0),
        ("&&", 0),
        ("|", 0),
        ("", 1),
        (";", 1),
        ("||", 0),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("echo $(id)", "command substitution"),
        ("echo `id`", "command substitution"),
        ('echo "$(id)"', "command substitution"),
        ("diff <(ls) x", "process substitution"),
        ("cat <<EOF\n$(id)\nEOF", "here-document"),
        ("echo ${x:-$(id)}", "more than a variable"),
        ("cat${IFS}x", "more than a variable|IFS"),
        ("cat$IFS x", "IFS"),
        ("ls & id", "background"),
        ("f() { id; }; f", "defines a function"),
        ("{ls,-la}", "name of the program|can be read"),
        ("l* x", "name of the program"),
        ("echo $'\\x41'", "hides characters"),
        ("ls \u202e# x", "not visible"),
        ("ls\u200b", "not visible"),
        ("ls\r", "not visible"),
        ("ls \x1b[2K", "not visible"),
        ("r\\\nm x", "joins two lines"),
        ("cat \n\\\n x", "told apart|line break|joins"),
    ],
)
def test_what_would_run_out_of_sight_is_not_taken_apart(line: str, reason: str) -> None:
    parsed = parse_line(line)
    assert any(part in parsed.fault for part in reason.split("|")), parsed.fault
    assert parsed.hides


@pytest.mark.parametrize(
    "line",
    [
        "",
        "  ",
        "# only a comment",
        "for f in a; do ls; done",
        "while true; do ls; done",
        "x=1",
        "export A=1",
        "unset A",
        "case x in x) ls;; esac",
        "echo 'open",
        "ls ||",
        "((1+1))",
        "ls \\",
        "a" * (MAX_CHARACTERS + 1),
    ],
)
def test_what_is_not_read_here_has_a_fault(line: str) -> None:
    assert parse_line(line).fault


@pytest.mark.parametrize(
    "line", ["(" * 5000, "a &&" * 3000 + "a", "{ " * 3000, "$(" * 5000, "`" * 5000, '"$(' * 3000]
)
def test_deeply_nested_lines_are_refused_and_never_crash(line: str) -> None:
    assert parse_line(line).fault


def test_commands_in_a_line_that_is_not_taken_apart_are_still_named() -> None:
    found = parse_line("echo $(rm -rf x) && for f in a; do 'curl' f; done").commands
    assert [[word.text for word in command.words] for command in found] == [
        ["echo"],
        ["rm", "-rf", "x"],
        ["curl", "f"],
    ]


_PIECES = st.sampled_from(
    [
        "a",
        "b",
        " ",
        "  ",
        "'",
        '"',
        "\\",
        "\n",
        "\t",
        "{a,b}",
        "{",
        "}",
        "~",
        "#",
        "-n",
        "--",
        "=",
        "!",
        "é",
        "日本",
        "1",
        "/",
        ".",
        "$",
        "\\\n",
        "'x y'",
        '"p q"',
        "%",
        "@",
        "+",
        ",",
        ":",
        "\xa0",
        "a=~",
        "]",
        "if ",
        "time ",
        "^",
    ]
)


@given(st.lists(_PIECES, min_size=1, max_size=8).map("".join))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_words_are_the_ones_that_bash_gives_to_a_program(tmp_path: Path, text: str) -> None:
    line = "printf '%s\\0' " + text
    parsed: ParsedLine = parse_line(line)
    if parsed.fault or len(parsed.commands) != 1:
        return
    (command,) = parsed.commands
    if command.redirects or not all(word.fixed for word in command.words):
        return
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, stdin=subprocess.DEVNULL)
    expected = "".join(word.text + "\0" for word in command.words[2:]) or "\0"
    assert done.stdout.decode() == expected
