from __future__ import annotations

import io
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowloom.cli.asking import ask_at_terminal, from_yaml, parse_answer, read_answer, to_yaml
from flowloom.core.errors import UsageError
from flowloom.core.questions import Answer, Question

APPROVE = Question("approval", "code#1", "Run this?\nmake test", ("yes", "no", "always"), id="ab12cd34ef")
PLAN: dict[str, Any] = {
    "title": "合計を直す",
    "steps": [{"id": "a", "title": "A", "brief": "一行目\n二行目\n", "files": [], "depends_on": []}],
}
EDIT = Question(
    "human",
    "approve#1",
    "Good?",
    ("approve", "edit", "reject"),
    {"edit": PLAN, "key": "plan", "schema": "Plan"},
    id="ab99cd34ef",
)


def ask(question: Question, typed: str, **options: Any) -> tuple[Answer | None, str]:
    stderr = io.StringIO()
    answer = ask_at_terminal(question, stdin=io.StringIO(typed), stderr=stderr, **options)
    return answer, stderr.getvalue()


@pytest.fixture
def editor(tmp_path: Path) -> Any:
    """Return a function that makes an environment whose editor runs Python code over `text`."""

    def make(*codes: str) -> dict[str, str]:
        script = tmp_path / "editor.py"
        script.write_text(
            "import pathlib, sys\n"
            "turns = pathlib.Path(__file__).with_suffix('.turns')\n"
            "turn = int(turns.read_text()) if turns.exists() else 0\n"
            "turns.write_text(str(turn + 1))\n"
            "path = pathlib.Path(sys.argv[-1])\n"
            "text = path.read_text('utf-8')\n"
            f"codes = {list(codes)!r}\n"
            "exec(codes[turn])\n"
            "path.write_text(text, 'utf-8')\n",
            "utf-8",
        )
        return {"VISUAL": f"'{sys.executable}' '{script}' --wait"}

    return make


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("\n", Answer("yes")),
        ("2\n", Answer("no")),
        ("２\n", Answer("no")),
        ("n\n", Answer("no")),
        ("ALWAYS\n", Answer("always")),
        ("no: use the other module\n", Answer("no", reason="use the other module")),
        ("n：別のモジュールで\n", Answer("no", reason="別のモジュールで")),
        ("yes", Answer("yes")),
    ],
)
def test_answer_is_taken_by_number_name_or_beginning(typed: str, answer: Answer) -> None:
    assert ask(APPROVE, typed)[0] == answer


@pytest.mark.parametrize("typed", ["", "what\n"])
def test_end_of_input_is_no_answer(typed: str) -> None:
    assert ask(APPROVE, typed)[0] is None


@pytest.mark.parametrize("text", ["0", "4", "x", "", "re", ":"])
def test_what_is_no_choice_is_none(text: str) -> None:
    assert read_answer(text, ("retry", "reject")) is None


def test_wrong_answer_is_asked_again_with_the_choices() -> None:
    answer, shown = ask(APPROVE, "maybe\nno\n")
    assert answer == Answer("no")
    assert "Answer with one of: [1] yes  [2] no  [3] always\n" in shown


def test_question_is_shown_with_its_node_and_choices() -> None:
    shown = ask(APPROVE, "\n")[1]
    choices = "[1] yes  [2] no  [3] always  (Enter: yes; a reason may follow, like no: REASON)"
    assert shown == f"\nQuestion from code\nRun this?\nmake test\n{choices}\n> "


def test_text_that_would_steer_the_terminal_is_made_visible() -> None:
    question = Question("approval", "code#1", "rm\x1b[8m -rf /\u202e", ("yes", "no"))
    assert "rm<U+001B>[8m -rf /<U+202E>" in ask(question, "\n")[1]


def test_diff_is_coloured_only_where_colours_are_wanted() -> None:
    question = Question("approval", "code#1", "Change a?\n-old\n+new\n", ("yes",), {"diff": "-old\n+new\n"})
    assert "\x1b" not in ask(question, "\n")[1]
    assert "\x1b[31m-old\x1b[0m\n\x1b[32m+new\x1b[0m\n" in ask(question, "\n", color=True)[1]


def test_edited_value_comes_back_with_the_answer(editor: Any) -> None:
    answer, _ = ask(EDIT, "e\n", env=editor("text = text.replace('合計', '平均')"))
    assert answer == Answer("edit", value={**PLAN, "title": "平均を直す"})


def test_editor_gets_a_private_yaml_file(editor: Any, tmp_path: Path) -> None:
    code = f"pathlib.Path({str(tmp_path / 'seen')!r}).write_text(f'{{path.name}} {{path.parent.stat().st_mode:o}}')"
    ask(EDIT, "edit\n", env=editor(code))
    name, mode = (tmp_path / "seen").read_text().split()
    assert (name, stat.S_IMODE(int(mode, 8))) == ("plan.yaml", 0o700)


def test_value_that_was_not_changed_is_none(editor: Any) -> None:
    assert ask(EDIT, "edit\n", env=editor("pass"))[0] == Answer("edit", value=None)


def test_value_that_does_not_fit_is_refused_and_the_text_kept(editor: Any) -> None:
    env = editor("text = text.replace('id: a', 'id: \"\"')", "text = text.replace('id: \"\"', 'id: b')")
    answer, shown = ask(EDIT, "edit\nedit\n", env=env)
    assert answer is not None
    assert answer.value["steps"][0]["id"] == "b"
    assert "That cannot be used: " in shown
    assert "'edit' opens your text again." in shown


def test_yaml_that_cannot_be_read_is_refused(editor: Any) -> None:
    answer, shown = ask(EDIT, "edit\nreject\n", env=editor("text += '\\n  }: ['"))
    assert answer == Answer("reject")
    assert "That cannot be used: " in shown


def test_what_is_wrong_stands_above_the_text_when_it_is_opened_again(editor: Any, tmp_path: Path) -> None:
    keep = f"pathlib.Path({str(tmp_path)!r}, str(turn)).write_text(text)"
    env = editor(
        "text = text.replace('id: a', 'id: \"\"')", f"{keep}; text += '\\n  }}: ['", f"{keep}; text = text[:-7]"
    )
    ask(EDIT, "edit\nedit\nedit\nreject\n", env=env)
    first, second = ((tmp_path / name).read_text() for name in "12")
    assert first.startswith("#! This cannot be used:\n#! is no Plan: steps.0.id: ")
    assert first.endswith(to_yaml(PLAN).replace("id: a", 'id: ""'))
    assert second.startswith("#! This cannot be used:\n#! while parsing") and second.count("cannot be used") == 1
    assert second.endswith("\n  }: [")


def test_text_put_back_as_it_was_changes_nothing(editor: Any) -> None:
    env = editor("text = text.replace('id: a', 'id: \"\"')", "text = text.replace('id: \"\"', 'id: a')")
    assert ask(EDIT, "edit\nedit\n", env=env)[0] == Answer("edit", value=None)


def test_edited_value_must_be_of_the_type_of_its_key(editor: Any) -> None:
    question = replace(EDIT, payload={"edit": ["a"], "key": "names", "schema": None, "kind": "list"})
    env = editor("text = 'a: 1'", "text = '- b'")
    answer, shown = ask(question, "edit\nedit\n", env=env)
    assert "must be of type list, not {'a': 1}" in shown
    assert answer == Answer("edit", value=["b"])


def test_text_of_an_editor_that_failed_is_kept_for_the_next_try(editor: Any) -> None:
    env = editor("path.write_text(text.replace('合計', '平均')); sys.exit(1)", "pass")
    answer, shown = ask(EDIT, "edit\nedit\n", env=env)
    assert "ended with 1" in shown
    assert answer == Answer("edit", value={**PLAN, "title": "平均を直す"})


@pytest.mark.parametrize(("code", "told"), [("path.unlink(); sys.exit()", "left no text"), ("text = ''", "is empty")])
def test_editor_that_leaves_nothing_changes_nothing(editor: Any, code: str, told: str) -> None:
    answer, shown = ask(EDIT, "edit\nreject\n", env=editor(code))
    assert told in shown
    assert answer == Answer("reject")


def test_own_check_decides_over_an_edited_value(editor: Any) -> None:
    def check(value: Any) -> Any:
        raise ValueError(f"too few steps: {len(value['steps'])}")

    env = editor("text = text.replace('合計', '平均')")
    assert "That cannot be used: too few steps: 1\n" in ask(EDIT, "edit\n", env=env, check=check)[1]


def test_editor_that_fails_changes_nothing(editor: Any) -> None:
    answer, shown = ask(EDIT, "edit\napprove\n", env=editor("sys.exit(3)"))
    assert answer == Answer("approve")
    assert "ended with 3." in shown


def test_editor_that_does_not_exist_is_said() -> None:
    shown = ask(EDIT, "edit\n", env={"EDITOR": "/no/such/editor"})[1]
    assert "'/no/such/editor' cannot be started: set VISUAL or EDITOR.".replace("'", "") in shown.replace("'", "")


def test_an_editor_with_open_quotes_is_told_and_the_question_stays() -> None:
    answer, shown = ask(EDIT, "edit\nreject\n", env={"EDITOR": "vi 'open"})
    assert answer == Answer("reject")
    assert "cannot be read: No closing quotation." in shown


def test_edit_is_a_plain_choice_where_nothing_can_be_edited() -> None:
    assert ask(Question("human", "n", "?", ("keep", "edit")), "edit\n")[0] == Answer("edit")


@pytest.mark.parametrize(
    "value",
    [
        PLAN,
        {"a": "yes", "b": "null", "c": "1.0", "d": "x: y", "e": "#", "f": "", "g": "2026-01-01"},
        {"a": "crlf\r\nline\r\n", "b": " leading\n  blanks", "c": "trailing  \n\n", "d": "tab\t\nx", "e": "\n"},
        [1, None, True, 1.5, [], {}],
        "日本語\n改行",
    ],
)
def test_yaml_gives_back_the_same_data(value: Any) -> None:
    assert from_yaml(to_yaml(value)) == value


def test_yaml_shows_texts_of_several_lines_as_blocks() -> None:
    assert "brief: |\n      一行目\n      二行目\n" in to_yaml(PLAN)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("ab12=no", Answer("no")),
        ("ab12cd34ef=no: not now", Answer("no", reason="not now")),
        ("ab9=approve", Answer("approve")),
    ],
)
def test_answer_option_names_its_question_by_a_beginning(text: str, answer: Answer) -> None:
    assert parse_answer(text, [APPROVE, EDIT])[1] == answer


@pytest.mark.parametrize("text", ["no", "n", "NO", "no: a = b", "2"])
def test_answer_option_needs_no_id_where_one_question_is_open(text: str) -> None:
    question, answer = parse_answer(text, [APPROVE])
    assert (question, answer.choice) == (APPROVE, "no")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no", "2 questions are open and 'no' does not say which"),
        ("ab=no", "'ab' names several open questions"),
        ("zz=no", "'zz' names no open question"),
        ("=no", "'' names no open question"),
        ("ab12=maybe", "'maybe' is not a choice of question ab12cd34"),
    ],
)
def test_answer_option_that_is_not_clear_lists_the_open_questions(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_answer(text, [APPROVE, EDIT])
    assert said in caught.value.message
    assert "ab12cd34 at 'code#1': yes, no, always; ab99cd34 at 'approve#1': approve" in caught.value.message


def test_answer_option_cannot_edit() -> None:
    with pytest.raises(UsageError, match="needs an editor"):
        parse_answer("edit", [EDIT])


def test_answer_option_without_an_open_question_is_refused() -> None:
    with pytest.raises(UsageError, match="no open question"):
        parse_answer("yes", [])
