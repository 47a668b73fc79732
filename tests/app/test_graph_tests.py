"""`flow graphs test`: tests that stand in graph files, run against recorded answers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

GRAPH = """\
flow: 1
name: mend
input: {word: {type: string, default: hi}}
state: {found: {type: object}, said: {type: string}, asked: {type: object}}
output: {found: state.found, said: state.said}
nodes:
  look: {type: shell, run: [grep, -c, "{{ input.word }}", a.txt], output: {to: found}}
  ask: {type: human, show: s, choices: [go, again, stop], headless: go, output: {to: asked}}
  say: {type: llm, prompt: "Say {{ input.word }}", output: {to: said}}
  no: {type: fail, message: Stopped., exit: 7}
edges:
  - [START, look, ask]
  - {from: ask, switch: output.choice, cases: {go: say, again: ask, stop: no}}
  - [say, END]
tests:
"""
GRAPH = GRAPH.replace("headless: go,", "headless: go, max_visits: 5, on_limit: no,")
REPLY = {"v": 1, "key": {"node": "say", "visit": 1, "turn": 0}, "digest": None, "reply": {"text": "hello"}}


class Place:
    """The user's own graphs, tested from a repository whose files no test may touch."""

    def __init__(self, repo: Path, folder: Path, flow: Any) -> None:
        self.repo = repo
        self.folder = folder
        self._flow = flow
        (folder / "files").mkdir(parents=True)
        (folder / "files" / "a.txt").write_text("hi\n")
        (folder / "hello.jsonl").write_text(json.dumps(REPLY) + "\n")

    def results(self, *tests: str, words: tuple[str, ...] = ()) -> tuple[int, list[dict[str, Any]]]:
        (self.folder / "mend.yaml").write_text(GRAPH + "".join(f"  - {test}\n" for test in tests))
        done = self._flow("graphs", "test", *words, "-o", "json", cwd=self.repo)
        assert done.err == "", done.err
        return done.code, json.loads(done.out)


@pytest.fixture
def place(make_repo: Any, flow: Any, isolated_home: Path) -> Place:
    return Place(make_repo({"a.txt": "mine\n"}), isolated_home / "flow" / "config" / "graphs", flow)


def test_tests_run_against_recorded_answers_without_a_model(place: Place) -> None:
    code, results = place.results(
        "{name: says it, files: files, replay: hello.jsonl, expect: [output.said == 'hello',"
        " state.found.exit_code == 0, run.status == 'done', input.word == 'hi', state.asked.choice == 'go']}",
        "{name: is stopped, files: files, answers: {ask: stop}, exit: 7, expect: [\"'Stopped' in run.message\"]}",
        "{name: asks again, files: files, replay: hello.jsonl, answers: {ask: [again, again, go]}}",
        "{name: in an empty repository, input: {word: x}, replay: hello.jsonl, expect: [state.found.exit_code == 2]}",
        "{name: without words, words: x}".replace(", words: x", ", files: files, replay: hello.jsonl"),
    )
    assert [(result["name"], result["passed"], result["message"]) for result in results] == [
        (name, True, "")
        for name in ("says it", "is stopped", "asks again", "in an empty repository", "without words")
    ]
    assert code == 0


def test_what_fails_says_what_was_expected_and_seen(place: Place) -> None:
    code, results = place.results(
        "{name: a, files: files, replay: hello.jsonl, expect: [output.said == 'bye']}",
        "{name: b, files: files, replay: hello.jsonl, exit: 7}",
        "{name: c, files: files, answers: {ask: stop}}",
        "{name: d, files: files}",
        "{name: e, files: nowhere, replay: hello.jsonl}",
        "{name: f, files: files, replay: nothing.jsonl}",
    )
    messages = {result["name"]: result["message"] for result in results}
    assert code == 1 and not any(result["passed"] for result in results)
    assert messages["a"] == "not true: output.said == 'bye' (output.said is \"hello\")"
    assert messages["b"] == "it ended with exit code 0, not 7"
    assert messages["c"] == "it ended with exit code 7, not 0: Stopped."
    assert "a model was asked, and the test names no recorded answers ('replay')" in messages["d"]
    assert "There is no folder" in messages["e"] and "nowhere" in messages["e"]
    assert "there is no cassette" in messages["f"]


def test_expectations_see_the_graph_s_own_filters(place: Place, flow: Any) -> None:
    (place.folder / "texts.py").write_text(
        "from flowloom import filter\n\n\n@filter\ndef cut(text: str, length: int) -> str:\n"
        "    return text[:length]\n"
    )
    (place.folder / "cuts.yaml").write_text(
        "flow: 1\nname: cuts\nfilters: texts.py\nstate: {said: {type: string}}\noutput: state.said\n"
        "nodes: {say: {type: set, value: {said: hello}}}\nedges: [[START, say, END]]\n"
        "tests: [{name: a, expect: [output | texts.cut(2) == 'he']},"
        " {name: b, expect: [output | texts.cut(1) == 'he']},"
        " {name: c, expect: [output | texts.cut('x')]}]\n"
    )
    done = flow("graphs", "test", "cuts", "-o", "json", cwd=place.repo)
    passed, failed, broken = (each["message"] for each in json.loads(done.out))
    assert (passed, failed) == ("", "not true: output | texts.cut(1) == 'he' (output is \"hello\")")
    assert broken.startswith("output | texts.cut('x'): The filter 'texts.cut': ") and "TypeError" in broken


def test_nothing_of_the_user_is_touched(place: Place, isolated_home: Path) -> None:
    place.results("{name: a, files: files, replay: hello.jsonl}")
    assert (place.repo / "a.txt").read_text() == "mine\n"
    status = subprocess.run(["git", "status", "--porcelain"], cwd=place.repo, capture_output=True, check=True)
    assert status.stdout == b""
    assert not (isolated_home / "flow" / "data" / "runs.db").exists()


def test_single_tests_are_chosen_by_their_name(place: Place) -> None:
    tests = [f"{{name: {name}, files: files, replay: hello.jsonl}}" for name in ("one", "two")]
    assert [each["name"] for each in place.results(*tests, words=("mend", "-k", "tw"))[1]] == ["two"]
    assert place.results(*tests, words=("mend", "-k", "three")) == (0, [])


def test_a_line_tells_how_each_test_ended(place: Place, flow: Any) -> None:
    place.results(
        "{name: a, files: files, replay: hello.jsonl}", "{name: b, files: files, exit: 3, answers: {ask: stop}}"
    )
    done = flow("graphs", "test", "mend", cwd=place.repo)
    first, second = done.out.splitlines()
    assert done.code == 1
    assert first.startswith("ok    mend: a (") and first.endswith(" s)")
    assert second.startswith("FAIL  mend: b (") and second.endswith(" s): it ended with exit code 7, not 3: Stopped.")


def test_a_model_that_wants_a_command_in_a_test_is_refused(place: Place, flow: Any) -> None:
    graph = (
        "flow: 1\nname: act\nnodes:\n  act: {type: agent, prompt: p, tools: [bash, write_file]}\n"
        "edges: [[START, act, END]]\noutput: run.id\ntests: [{name: a, replay: act.jsonl}]\n"
    )
    calls = [("bash", {"command": "touch ran"}), ("write_file", {"path": "made.txt", "content": "x"})]
    replies: list[dict[str, Any]] = [{"calls": [{"name": name, "arguments": given}]} for name, given in calls]
    lines = [
        json.dumps({"v": 1, "key": {"node": "act", "turn": turn}, "digest": None, "reply": reply})
        for turn, reply in enumerate([*replies, {"text": "done"}])
    ]
    folder = place.folder
    (folder / "act.yaml").write_text(graph)
    (folder / "act.jsonl").write_text("\n".join(lines) + "\n")
    done = flow("graphs", "test", "act", cwd=place.repo)
    assert done.code == 0, done.out + done.err
    assert not (place.repo / "ran").exists() and not (place.repo / "made.txt").exists()


DOCUMENTS = """\
flow: 1
name: mend
state: {hits: {type: list}}
nodes:
  look: {type: retrieve, index: docs, query: hello, output: {to: hits}}
edges: [[START, look, END]]
output: state.hits | pluck("path")
tests:
  - {name: with them, files: files, documents: [notes], expect: ['output == ["notes/a.md"]']}
  - {name: without them, files: files, expect: ['output == []']}
"""


def test_a_test_has_the_documents_that_it_names_and_no_others(place: Place, flow: Any) -> None:
    (place.folder / "files" / "notes").mkdir()
    (place.folder / "files" / "notes" / "a.md").write_text("# Greeting\n\nhello there\n")
    (place.folder / "docs.yaml").write_text(DOCUMENTS)
    done = flow("graphs", "test", str(place.folder / "docs.yaml"), "-o", "json", cwd=place.repo)
    assert [(each["name"], each["message"]) for each in json.loads(done.out)] == [
        ("with them", ""),
        ("without them", ""),
    ]
