"""Runs of graphs written in Python: questions, kills, nesting, limits, and what the state may hold."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowloom import Answer, FlowError, Question, resume, run
from flowloom.core.errors import GraphInvalid, LimitReached, RunFailed
from flowloom.llm.ollama_server import OllamaServer, scripted

pytestmark = pytest.mark.slow

HEAD = """\
import operator, os, time
from typing import Annotated, TypedDict
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt
from langchain_core.messages import AIMessage
from flowloom import graph_node

class S(TypedDict, total=False):
    word: str
    words: list[str]
    done: Annotated[list[str], operator.add]
    said: object

def log(word):
    with open(os.environ["PY_LOG"], "a") as file:
        file.write(word + "\\n")

def chain(*nodes, schema=S, **named):
    b = StateGraph(schema)
    nodes = [*((f.__name__, f) for f in nodes), *named.items()]
    for name, f in nodes:
        b.add_node(name, f)
    for one, two in zip([START, *(n for n, _ in nodes)], [*(n for n, _ in nodes), END]):
        b.add_edge(one, two)
    return b

def first(state):
    log("first"); return {"done": ["first"]}
def ask(state):
    return {"said": interrupt("How many?")}
def last(state):
    log("last"); return {"done": ["last"]}
"""


class Place:
    """A repository, a file of graphs outside of it, and a log that shows what ran."""

    def __init__(self, repo: Path, url: str) -> None:
        self.repo = repo
        self.file = repo.parent / "g.py"
        self.log = repo.parent / "log"
        self.settings = {"server.url": url, "sandbox.backend": "none"}

    def write(self, code: str) -> None:
        self.file.write_text(HEAD + code, "utf-8")

    def run(self, name: str = "graph", **inputs: Any) -> Any:
        return run(f"{self.file}:{name}", inputs, workspace=self.repo, settings=self.settings)

    def resume(self, answer: Any = None, run_id: str = "last") -> Any:
        given = None if answer is None else lambda question: answer
        return resume(run_id, workspace=self.repo, settings=self.settings, answer=given)

    def run_killed(self, word: str) -> int:
        """Return how the process of a run ended that kills itself."""
        command = [sys.executable, "-m", "flowloom", "--no-input", "-c", f"server.url={self.settings['server.url']}"]
        command += ["-c", "server.connect_timeout_s=60", "-c", "sandbox.backend=none"]
        command += ["run", f"{self.file}:graph", word]
        return subprocess.run(command, cwd=self.repo, capture_output=True, timeout=120).returncode

    @property
    def logged(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []


@pytest.fixture
def place(make_repo: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with OllamaServer(scripted([])) as server:
        found = Place(make_repo({"a.txt": "a\n"}), server.url)
        monkeypatch.setenv("PY_LOG", str(found.log))
        yield found


def test_a_question_stops_the_run_and_its_answer_comes_back_as_the_value(place: Place) -> None:
    place.write("graph = chain(first, ask, last)\n")
    waiting = place.run(word="x")
    assert (waiting.status, [(q.text, q.choices, q.kind) for q in waiting.questions]) == (
        "waiting",
        [("How many?", (), "interrupt")],
    )
    done = place.resume("7")
    assert (done.status, done.output) == ("done", {"word": "x", "done": ["first", "last"], "said": 7})
    assert place.logged == ["first", "last"]


def test_data_is_an_answer_too(place: Place) -> None:
    place.write("graph = chain(ask)\n")
    asked: list[Question] = []

    def answer(question: Question) -> Any:
        asked.append(question)
        return {"decisions": [{"type": "approve"}]}

    done = run(f"{place.file}:graph", {"word": "x"}, workspace=place.repo, settings=place.settings, answer=answer)
    assert (done.output["said"], len(asked)) == ({"decisions": [{"type": "approve"}]}, 1)


def killed(place: Place, seen: int) -> None:
    """Run until the log has so many lines and no more, then kill the process as nothing else can."""
    command = [sys.executable, "-m", "flowloom", "--no-input", "-c", f"server.url={place.settings['server.url']}"]
    command += ["-c", "sandbox.backend=none", "run", f"{place.file}:graph", "--words", "a,b,c"]
    process = subprocess.Popen(command, cwd=place.repo, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while len(place.logged) < seen and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(place.logged) == seen


HANGS = """
def hang():
    if not os.path.exists(os.environ["PY_LOG"] + ".go"):
        time.sleep(60)
"""


def test_a_kill_inside_a_fan_out_repeats_only_what_was_under_way(place: Place) -> None:
    place.write(
        HANGS
        + """
def work(state):
    log(state["word"])
    if state["word"] == "c":
        hang()
    return {"done": [state["word"]]}
graph = StateGraph(S)
graph.add_node("work", work)
graph.add_conditional_edges(START, lambda s: [Send("work", {"word": w}) for w in s["words"]], ["work"])
"""
    )
    killed(place, 3)
    place.log.with_suffix(".go").touch()
    assert place.resume().output["done"] == ["a", "b", "c"]
    assert place.logged == ["a", "b", "c", "c"]


def test_a_kill_inside_a_nested_graph_goes_on_inside_of_it(place: Place) -> None:
    place.write(
        HANGS
        + """
def inner(state):
    log("inner"); hang(); return {"said": "inner"}
graph = chain(first, below=chain(first, inner).compile())
"""
    )
    killed(place, 3)
    place.log.with_suffix(".go").touch()
    assert place.resume().output["said"] == "inner"
    assert place.logged == ["first", "first", "inner", "inner"]


def test_a_graph_file_runs_it_for_each_item_and_waits_for_both(place: Place) -> None:
    place.write("graph = chain(first, ask)\n")
    outer = place.file.with_name("outer.yaml")
    outer.write_text(
        "flow: 1\nname: outer\nstate: {all: {type: list, reduce: append}}\noutput: state.all\nnodes:\n"
        '  inner: {type: graph, graph: "g.py:graph", each: "[\'a\', \'b\']", parallel: 2, with: {word: "{{ item }}"},'
        " output: {to: all}}\nedges: [[START, inner, END]]\n"
    )
    waiting = run(outer, workspace=place.repo, settings=place.settings)
    assert sorted(q.node for q in waiting.questions) == ["inner[1]/ask#2", "inner[2]/ask#2"]
    done = place.resume("yes")
    assert done.output == [{"word": word, "done": ["first"], "said": "yes"} for word in ("a", "b")]
    assert place.logged == ["first", "first"]


def test_it_runs_a_graph_file_whose_person_and_command_work_as_ever(place: Place) -> None:
    place.file.with_name("small.yaml").write_text(
        "flow: 1\nname: small\ninput: {word: {type: string, required: true}}\n"
        "state: {said: {type: object}, loud: {type: object}}\n"
        "output: {loud: state.loud.text, said: state.said.choice}\n"
        'nodes:\n  ask: {type: human, show: "Shout?", choices: [yes, no], output: {to: said}}\n'
        '  shout: {type: shell, run: [echo, "{{ input.word }}!"], output: {to: loud}}\n'
        "edges: [[START, ask, shout, END]]\n"
    )
    place.write('graph = chain(small=graph_node("small", {"word": "word"}, "said"))\n')
    waiting = place.run(word="hi")
    assert [q.node for q in waiting.questions] == ["small#1/ask#1"]
    assert place.resume(Answer("no")).output == {
        "word": "hi",
        "done": [],
        "said": {"loud": "hi!", "said": "no"},
    }


SMALL = (
    "flow: 1\nname: small\ninput: {word: {type: string}}\nstate: {said: {type: object}, loud: {type: object}}\n"
    "output: {loud: state.loud.text, said: state.said.choice}\nnodes:\n"
    '  shout: {type: shell, run: [sh, -c, "echo $0 >> $PY_LOG; echo $0!", "{{ input.word }}"],'
    " env: {PY_LOG: LOG}, output: {to: loud}}\n"
    '  ask: {type: human, show: "Shout?", choices: [yes, no], output: {to: said}}\n'
    "edges: [[START, shout, ask, END]]\n"
)


def test_it_runs_a_graph_file_inside_a_graph_that_is_a_node_of_it(place: Place) -> None:
    place.file.with_name("small.yaml").write_text(SMALL.replace("LOG}", f"{place.log}}}"))
    place.write(
        'runs = graph_node("small", {"word": "word"}, "said")\n'
        "inner = chain(first, one=runs, two=runs).compile()\n"
        "graph = chain(team=chain(mid=inner).compile())\n"
    )
    place.run(word="hi")
    asked: list[str] = []

    def answer(question: Question) -> str:
        asked.append(question.node)
        return "yes"

    done = resume("last", workspace=place.repo, settings=place.settings, answer=answer)
    assert done.output["said"] == {"loud": "hi!", "said": "yes"}
    assert place.logged == ["first", "hi", "hi"]
    assert all(re.search(r"team#1/mid\[[0-9a-f]{8}\]/", each) for each in asked)
    assert [each.partition("]/")[2] for each in asked] == ["one#2/ask#1", "two#3/ask#1"]


def test_a_graph_file_deep_inside_goes_on_after_a_kill_without_doing_anything_twice(place: Place) -> None:
    place.file.with_name("small.yaml").write_text(
        SMALL.replace("LOG}", f"{place.log}}}")
        .replace("shout, ask", "shout, slow, ask")
        .replace("  ask:", "  slow: {type: python, call: 'slow.py:slow'}\n  ask:")
    )
    place.file.with_name("slow.py").write_text(
        "import os, signal\n\n\ndef slow():\n    if not os.path.exists(os.environ['PY_LOG'] + '.killed'):\n"
        "        open(os.environ['PY_LOG'] + '.killed', 'w').close()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    place.write('graph = chain(team=chain(first, one=graph_node("small", {"word": "word"}, "said")).compile())\n')
    assert place.run_killed("hi") == -signal.SIGKILL
    waiting = place.resume()
    assert [each.node for each in waiting.questions] == ["team#1/one#2/ask#1"]
    assert place.logged == ["first", "hi"]


def test_a_graph_node_that_nobody_could_see_before_is_refused(place: Place) -> None:
    place.file.with_name("small.yaml").write_text(SMALL.replace("LOG}", f"{place.log}}}"))
    place.write(
        "async def hidden(state):\n    return await graph_node('small', {'word': 'word'}, 'said')(state)\n"
        "graph = chain(hidden)\n"
    )
    with pytest.raises(RunFailed, match=r"hidden#1: the graph 'small' was not to be seen in g\.py:graph"):
        place.run(word="hi")


def test_a_changed_file_is_not_gone_on_with(place: Place) -> None:
    helper = place.file.with_name("helpers.py")
    helper.write_text("WORD = 'one'\n")
    place.write("from helpers import WORD\ngraph = chain(ask)\n")
    place.run(word="x")
    helper.write_text("WORD = 'two'\n")
    with pytest.raises(GraphInvalid, match=r"The graph 'g\.py:graph' says something else than when run") as changed:
        place.resume("7")
    assert "file 'helpers.py': \"WORD = 'one'\" -> \"WORD = 'two'\"" in changed.value.message


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def n(s): return {'wrod': 1}", r"n#1 wrote the state key 'wrod'.*did you mean 'word'"),
        ("def n(s): return Command(goto='m')", "n#1 goes to 'm', which the graph does not have"),
        ("def n(s): return {'said': {'a': [object()]}}", r"cannot give back \(said\.a\[0\]: object\)"),
        ("def n(s): return s['gone']", r"n#1: .*g\.py:33: KeyError: 'gone'"),
        ("def n(s): raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_what_a_node_does_wrong_is_one_line(place: Place, code: str, told: str) -> None:
    place.write(f"{code}\ngraph = chain(n)\n")
    with pytest.raises(RunFailed, match=told) as failed:
        place.run(word="x")
    assert (failed.value.exit_code, "\n" in failed.value.message) == (1, False)


def test_a_way_to_nowhere_does_not_end_as_done(place: Place) -> None:
    place.write("graph = chain(first)\ngraph.add_conditional_edges('first', lambda s: 'nowhere')\n")
    with pytest.raises(RunFailed, match="A way of the graph leads to 'nowhere'"):
        place.run(word="x")


def test_a_loop_without_end_stops_at_the_limit_and_can_be_raised(place: Place, flow: Any) -> None:
    place.write("graph = chain(first)\ngraph.add_edge('first', 'first')\n")
    url = place.settings["server.url"]
    ended = flow("run", f"{place.file}:graph", "x", "--max-node-runs", "5", cwd=place.repo, url=url)
    assert (ended.code, place.logged) == (3, ["first"] * 5)
    assert "5 of 5 node runs" in ended.err or "node runs" in ended.err
    ended = flow("resume", "--max-node-runs", "7", cwd=place.repo, url=url)
    assert (ended.code, place.logged) == (3, ["first"] * 7)


def test_messages_are_kept_through_a_question(place: Place) -> None:
    place.write(
        "def talk(state): return {'messages': [AIMessage('one'), AIMessage('two')]}\n"
        "def wait(state): return {'messages': [('ai', interrupt('?'))]}\n"
        "graph = chain(talk, wait, schema=MessagesState)\n"
    )
    assert (
        run(f"{place.file}:graph", {"messages": "hi"}, workspace=place.repo, settings=place.settings).status
        == "waiting"
    )
    said = [(each["role"], each["content"]) for each in place.resume("three").output["messages"]]
    assert said == [("user", "hi"), ("assistant", "one"), ("assistant", "two"), ("assistant", "three")]


def test_the_command_line_tells_its_inputs_draws_and_runs_it(place: Place, flow: Any) -> None:
    place.write("def say(state):\n    print('aside'); return {'said': state['word']}\ngraph = chain(say)\n")
    name, url = f"{place.file}:graph", place.settings["server.url"]
    helped = flow("run", name, "--help", cwd=place.repo)
    assert ("--words=VALUE" in helped.out, "WORD" in helped.out) == (True, True)
    assert "say" in flow("graphs", "draw", name, "--as", "mermaid", cwd=place.repo).out
    assert "ok  g.py:graph" in flow("graphs", "validate", name, cwd=place.repo).out
    done = flow("-q", "-o", "json", "run", name, "hello", cwd=place.repo, url=url)
    assert (done.code, json.loads(done.out)["output"]) == (
        0,
        {"word": "hello", "done": [], "said": "hello"},
    )


def test_an_answer_is_given_at_the_command_line(place: Place, flow: Any) -> None:
    place.write("graph = chain(ask)\n")
    url = place.settings["server.url"]
    assert flow("--no-input", "run", f"{place.file}:graph", "x", cwd=place.repo, url=url).code == 4
    ended = flow("-q", "-o", "json", "--no-input", "resume", "--answer", "about 3", cwd=place.repo, url=url)
    assert (ended.code, json.loads(ended.out)["output"]["said"]) == (0, "about 3")


def test_what_lies_in_the_repository_needs_trust(place: Place) -> None:
    inside = place.repo / "g.py"
    inside.write_text("import os\nopen(os.environ['PY_LOG'], 'w').write('ran')\n")
    with pytest.raises(FlowError, match="is not trusted") as refused:
        run(f"{inside}:graph", workspace=place.repo, settings=place.settings)
    assert (refused.value.exit_code, place.logged) == (7, [])


def test_an_answer_that_is_no_choice_is_refused(place: Place) -> None:
    place.write(
        "def pick(s): return {'said': interrupt({'question': '?', 'choices': ['a', 'b']})}\ngraph = chain(pick)\n"
    )
    with pytest.raises(FlowError, match="'c' is no answer to the question of pick#1"):
        run(f"{place.file}:graph", {"word": "x"}, workspace=place.repo, settings=place.settings, answer=lambda q: "c")


def test_limits_are_errors_of_their_own_class(place: Place) -> None:
    place.write("graph = chain(first)\ngraph.add_edge('first', 'first')\n")
    with pytest.raises(LimitReached) as stopped:
        run(f"{place.file}:graph", {"word": "x"}, workspace=place.repo, settings=place.settings)
    assert stopped.value.exit_code == 3
    assert len(place.logged) == 1000


SECRET = "ghp_" + "c4N4ryS0ur" * 4


def test_secrets_of_nodes_and_of_graphs_in_them_are_in_no_row_and_no_output(place: Place) -> None:
    place.write(
        f'SECRET = "{SECRET[:10]}" + "{SECRET[10:]}"\n'
        "def inner(state): return {'word': SECRET}\n"
        "def leak(state):\n    print(SECRET)\n    return {'done': [SECRET], 'said': {'k': [AIMessage(SECRET)]}}\n"
        "def ask_it(state): return {'said': interrupt({'question': SECRET, 'data': SECRET})}\n"
        "graph = chain(leak, below=chain(inner, ask_it).compile())\n"
    )
    waiting = place.run(words=["x"])
    done = place.resume(SECRET)
    data = b"".join(path.read_bytes() for path in Path(os.environ["FLOW_HOME"]).rglob("runs.db*"))
    assert (SECRET in repr(waiting), SECRET in repr(done.output), SECRET.encode() in data) == (False, False, False)
