import pytest

from flowloom.tools.shell_shown import HEAD_LINES, TAIL_LINES, shown_output

LONG = "\n".join(f"line {number}" for number in range(40))


@pytest.mark.parametrize("line", ["cat a.py", "git diff HEAD~1"])
def test_what_shows_files_is_collapsed_to_its_size(line: str) -> None:
    assert shown_output(line, LONG) == "(40 lines)"


@pytest.mark.parametrize("line", ["pytest -q", "npm test", "cargo test"])
def test_tests_show_their_last_lines(line: str) -> None:
    shown = shown_output(line, LONG).split("\n")
    assert shown == [f"({40 - TAIL_LINES} lines before)", *LONG.split("\n")[-TAIL_LINES:]]


def test_any_other_command_shows_its_first_lines() -> None:
    shown = shown_output("./generate", LONG).split("\n")
    assert shown == [*LONG.split("\n")[:HEAD_LINES], f"({40 - HEAD_LINES} more lines)"]


def test_short_output_is_shown_whole() -> None:
    assert shown_output("make", "one\ntwo\n") == "one\ntwo"


@pytest.mark.parametrize("text", ["", "\n", "(no output)"])
def test_nothing_printed_shows_nothing(text: str) -> None:
    assert shown_output("make", text) == ""


def test_a_long_line_is_cut() -> None:
    assert len(shown_output("make", "x" * 500)) == 160
