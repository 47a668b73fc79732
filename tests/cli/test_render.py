from __future__ import annotations

import io
import json

import pytest

from flowloom.cli.amounts import duration, short_number
from flowloom.cli.render import JsonlView, ProgressView
from flowloom.cli.result_text import change_list, result_text
from flowloom.core.events import (
    Event,
    EventRecord,
    ModelCalled,
    ModelRetried,
    NodeEnded,
    NodeFailed,
    NodeStarted,
    Noticed,
    QuestionAnswered,
    QuestionAsked,
    RunEnded,
    RunStarted,
    ToolEnded,
    ToolStarted,
    event_data,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def stored(event: Event, node: str = "") -> EventRecord:
    return EventRecord("abcd2345", 1, "2026-01-01T00:00:00+00:00", node, event.type, event_data(event))


RUN = [
    stored(RunStarted("plan-and-code", {}, "small:24b")),
    stored(NodeStarted("coder", 1), "code#1"),
    stored(ModelCalled("k", "small:24b", 2.0, 12000, 340, ("edit_file",)), "code#1"),
    stored(ToolStarted("c1", "edit_file", "src/合計.py"), "code#1"),
    stored(ToolEnded("c1", "edit_file", True, 0.04, ("src/合計.py",), "Edited."), "code#1"),
    stored(ToolStarted("c2", "bash", "pytest -q"), "code#1"),
    stored(ToolEnded("c2", "bash", False, 3.2, (), "exit code 1\nmore"), "code#1"),
    stored(NodeEnded(1, 12.34, "二行を直した"), "code#1"),
]


def test_plain_progress_is_one_line_an_event() -> None:
    stream = io.StringIO()
    view = ProgressView(stream)
    for record in RUN:
        view.record(record)
        view.progress("code#1", "generating", 5)
    assert stream.getvalue().splitlines() == [
        "Run abcd2345: plan-and-code, model small:24b",
        "code: coder begins",
        "  code: edit_file src/合計.py (0.0 s)",
        "  code: bash pytest -q failed (3.2 s): exit code 1",
        "code (12.3 s, 1 model call, 12.3k tokens): 二行を直した",
    ]


def test_a_failure_is_told_by_a_line_that_says_something() -> None:
    stream = io.StringIO()
    view = ProgressView(stream)
    view.record(stored(ToolStarted("run", "command", "make test"), "verify#1"))
    view.record(stored(ToolEnded("run", "command", False, 1.0, (), "\n=====\nFAIL:  test_total\n"), "verify#1"))
    assert stream.getvalue() == "  verify: command make test failed (1.0 s): FAIL: test_total\n"


def test_verbose_progress_tells_model_calls_and_skipped_nodes() -> None:
    stream = io.StringIO()
    view = ProgressView(stream, verbose=True)
    view.record(RUN[2])
    view.record(stored(ModelCalled("k", "m", 1.0, None, None), "code#1"))
    view.record(stored(NodeEnded(1, 0.0, skipped=True), "approve#1"))
    assert stream.getvalue().splitlines() == [
        "  code: small:24b, 2.0 s, 12000 + 340 tokens, calls edit_file",
        "  code: m, 1.0 s, ? + ? tokens",
        "approve: skipped",
    ]


def test_end_of_the_run_sums_it_up() -> None:
    stream, clock = io.StringIO(), Clock()
    view = ProgressView(stream, clock=clock)
    for record in RUN:
        view.record(record)
    clock.now = 125.0
    view.record(stored(RunEnded("done", 0)))
    last = stream.getvalue().splitlines()[-1]
    assert last == "Run abcd2345: done (2 min 5 s, 1 node run, 1 model call, 12.3k tokens)"


def test_quiet_progress_prints_questions_only() -> None:
    stream = io.StringIO()
    view = ProgressView(stream, quiet=True, live=True)
    for record in RUN:
        view.record(record)
    view.notice("no map")
    view.progress("code#1", "generating", 1)
    view.record(stored(NodeFailed(1, "reply cut"), "code#2"))
    view.record(stored(QuestionAsked("q", "human", "Go on?", ("yes", "no")), "ask#1"))
    assert stream.getvalue() == "ask: Go on? (yes, no)\n"


def test_why_a_node_failed_is_told_once_and_in_one_line() -> None:
    stream = io.StringIO()
    view = ProgressView(stream)
    view.record(stored(NodeFailed(1, "HTTP 400: one\n\n two"), "implement/code#1"))
    view.record(stored(NodeFailed(1, "HTTP 400: one\n\n two"), "implement#1"))
    assert stream.getvalue() == "implement/code: failed: HTTP 400: one two\nimplement: failed\n"


def test_choices_of_a_long_question_stand_on_their_own_line() -> None:
    stream = io.StringIO()
    ProgressView(stream).record(stored(QuestionAsked("q", "approval", "Change a?\n+new\n", ("yes", "no")), "code#1"))
    assert stream.getvalue() == "code: Change a?\n+new\n(yes, no)\n"


def test_question_asked_at_this_terminal_is_not_printed_twice() -> None:
    stream = io.StringIO()
    ProgressView(stream, asks=True).record(stored(QuestionAsked("q", "human", "Go on?", ("yes",)), "ask#1"))
    assert stream.getvalue() == ""


def test_notices_retries_and_answers_are_told() -> None:
    stream = io.StringIO()
    view = ProgressView(stream)
    view.notice("no test command")
    view.record(stored(Noticed("no map")))
    view.record(stored(ModelRetried("k", "not JSON"), "plan#1"))
    view.record(stored(QuestionAnswered("q", "approve", "headless"), "approve#1"))
    assert stream.getvalue().splitlines() == [
        "no test command",
        "Note: no map",
        "  plan: asked again: not JSON",
        "approve: approve (headless)",
    ]


def test_escape_codes_in_text_of_a_model_are_shown_not_obeyed() -> None:
    stream = io.StringIO()
    view = ProgressView(stream)
    view.record(stored(NodeEnded(1, 1.0, "\x1b[2Jgone \u202eevil"), "code#1"))
    assert stream.getvalue() == "code (1.0 s): <U+001B>[2Jgone <U+202E>evil\n"


def test_live_progress_shows_the_phase_and_leaves_the_lines_of_nodes() -> None:
    stream, clock = io.StringIO(), Clock()
    view = ProgressView(stream, live=True, clock=clock)
    view.record(RUN[0])
    view.progress("code#1", "waiting for model")
    view.progress("code#1", "generating", 0)
    clock.now = 10.0
    view.progress("code#1", "generating", 120)
    view.record(RUN[-1])
    view.close()
    view.close()
    shown = stream.getvalue()
    assert "code: generating 10 s, 120 pieces, 12/s  [10 s, 0 tokens]" in shown
    assert "code (12.3 s): 二行を直した" in shown
    assert "begins" not in shown


def test_live_progress_without_colour_sends_no_colours() -> None:
    stream = io.StringIO()
    view = ProgressView(stream, live=True, color=False)
    view.progress("code#1", "generating", 1)
    view.record(stored(NodeFailed(1, "x"), "code#1"))
    view.close()
    assert "\x1b[31m" not in stream.getvalue()
    coloured = io.StringIO()
    view = ProgressView(coloured, live=True, color=True)
    view.record(stored(NodeFailed(1, "x"), "code#1"))
    view.close()
    assert "\x1b[31m" in coloured.getvalue()


def test_live_progress_makes_room_for_a_question() -> None:
    stream = io.StringIO()
    view = ProgressView(stream, live=True, asks=True)
    view.progress("ask#1", "waiting for model")
    view.record(stored(QuestionAsked("q", "human", "?", ("yes",)), "ask#1"))
    # The last thing sent takes the line away and shows the cursor again.
    assert stream.getvalue().endswith("\x1b[2K")
    assert "\x1b[?25h" in stream.getvalue()


def test_json_lines_are_the_stored_events() -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    view = JsonlView(stdout, stderr)
    for record in RUN:
        view.record(record)
    view.progress("code#1", "generating", 1)
    view.notice("no map")
    view.close()
    assert [json.loads(line) for line in stdout.getvalue().splitlines()] == [
        json.loads(json.dumps(record.to_dict())) for record in RUN
    ]
    assert "二行を直した" in stdout.getvalue()
    assert stderr.getvalue() == "no map\n"


DIFF = (
    "diff --git a/src/a b.py b/src/a b.py\n--- a/src/a b.py\n+++ b/src/a b.py\n@@ -1,2 +1,3 @@\n one\n-two\n+2\n+3\n"
    "diff --git a/新.md b/新.md\nnew file mode 100644\n--- /dev/null\n+++ b/新.md\n@@ -0,0 +1 @@\n+diff --git\n"
    "diff --git a/old b/old\ndeleted file mode 100644\n--- a/old\n+++ /dev/null\n@@ -1 +0,0 @@\n--- text\n"
    "diff --git a/x.png b/x.png\nnew file mode 100644\nBinary files /dev/null and b/x.png differ\n"
)


def test_change_list_counts_lines_by_file() -> None:
    assert change_list(DIFF).splitlines() == [
        "Changed files:",
        "  M src/a b.py  +2 -1",
        "  A 新.md  +1 -0",
        "  D old  +0 -1",
        "  A x.png  binary",
    ]


def test_result_of_plan_and_code_is_plan_steps_review_and_files() -> None:
    output = {
        "plan": {
            "title": "合計を直す",
            "steps": [{"id": "a", "title": "テスト", "files": ["t.py"]}, {"title": "直す"}],
        },
        "changes": [{"step": "a", "summary": "wrote\na test"}, {"step": "b", "summary": ""}],
        "verdict": {
            "verdict": "revise",
            "findings": [{"file": "a.py", "line": 3, "severity": "error", "text": "零除算"}],
        },
        "extra": {"n": 1},
        "nothing": None,
    }
    assert result_text(output, DIFF.partition("diff --git a/新")[0]) == (
        "Plan: 合計を直す\n  1. テスト  (t.py)\n  2. 直す\n\n"
        "Steps:\n  a: wrote a test\n\n"
        "Review: revise, 1 finding\n  a.py:3: error: 零除算\n\n"
        "Changed files:\n  M src/a b.py  +2 -1\n\n"
        '{\n  "extra": {\n    "n": 1\n  }\n}'
    )


@pytest.mark.parametrize(("output", "text"), [(None, ""), ("答え", "答え"), ({}, ""), ([1], "[\n  1\n]")])
def test_other_results_are_printed_as_they_are(output: object, text: str) -> None:
    assert result_text(output) == text


def test_result_cannot_steer_the_terminal() -> None:
    assert result_text({"plan": {"title": "\x1b[2J", "steps": []}}) == "Plan: <U+001B>[2J"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (61, "1 min 1 s"), (7322, "2 h 2 min")]
)
def test_durations_are_rounded_to_what_matters(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1000, "1.0k"), (999_949, "999.9k"), (999_950, "1.0M")]
)
def test_large_numbers_are_shortened(number: int, text: str) -> None:
    assert short_number(number) == text


def test_while_a_person_is_asked_nothing_is_drawn_and_lines_wait() -> None:
    stream = io.StringIO()
    view = ProgressView(stream, live=True, board=True, color=True)
    view.record(RUN[1])
    with view.paused():
        before = stream.getvalue()
        view.progress("code#1", "running tool")
        for record in RUN[3:]:
            view.record(record)
        view.notice("a thread has news")
        assert stream.getvalue() == before
    view.close()
    shown = stream.getvalue()[len(before) :]
    assert shown.index("edit_file src/合計.py") < shown.index("二行を直した") < shown.index("a thread has news")


def test_board_stands_above_the_live_line_at_a_terminal() -> None:
    stream = io.StringIO()
    view = ProgressView(stream, live=True, board=True, color=True)
    view.record(stored(RunStarted("g", {}, "m", nodes={"code": "coder", "check": "shell"})))
    view.record(RUN[1])
    view.progress("code#1", "generating", 5)
    view.close()
    drawn = stream.getvalue()
    assert "▶ code" in drawn and "· check" in drawn and "code: generating" in drawn


def test_without_a_board_only_the_line_is_drawn() -> None:
    stream = io.StringIO()
    view = ProgressView(stream, live=True)
    view.record(RUN[1])
    view.progress("code#1", "generating", 5)
    view.close()
    assert "▶" not in stream.getvalue() and "code: generating" in stream.getvalue()


def test_an_answer_with_sources_of_its_own_shape_is_shown_as_data() -> None:
    shown = result_text({"answer": "Yes.", "enough": True, "sources": ["a.md"]}, "")
    assert json.loads(shown)["sources"] == ["a.md"]
