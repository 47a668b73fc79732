"""Models that the code of graphs asks: counted, bounded, kept, recorded, stopped, and read like agents' own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowloom import EventRecord, arun, chat_model, run
from flowloom.core.errors import LimitReached, ModelUnavailable, RunFailed, UsageError
from flowloom.llm.answers import Answer, Call, ChatRequest, Fault, Reply
from flowloom.llm.ollama_server import OllamaServer

pytestmark = pytest.mark.slow

MODELS = ("devstral:24b", "llama3.3:70b")
HEAD = """\
import asyncio, operator, os, time
from typing import Annotated, TypedDict
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, RetryPolicy, Send, interrupt
from pydantic import BaseModel
from flowloom import chat_model

class S(TypedDict, total=False):
    word: str
    said: Annotated[list[str], operator.add]

model = chat_model()

def chain(*nodes, schema=S, **options):
    b = StateGraph(schema)
    for f in nodes:
        b.add_node(f.__name__, f, **options)
    names = [f.__name__ for f in nodes]
    for one, two in zip([START, *names], [*names, END]):
        b.add_edge(one, two)
    return b
"""
ASK = "def ask(state): return {'said': [model.invoke(state['word']).text]}\n"


def echo(request: ChatRequest) -> Answer:
    """Say what was said last, so that the order of requests does not matter."""
    return Reply(f"re {request.messages[-1]['content']}", prompt_tokens=11, completion_tokens=7)


class Place:
    """A repository, a file of graphs outside of it, and a server."""

    def __init__(self, repo: Path, server: OllamaServer) -> None:
        self.repo = repo
        self.file = repo.parent / "g.py"
        self.server = server
        self.settings: dict[str, Any] = {"server.url": server.url, "sandbox.backend": "none"}
        self.events: list[EventRecord] = []

    def write(self, code: str) -> None:
        self.file.write_text(HEAD + code, "utf-8")

    def run(self, word: Any = "x", **options: Any) -> Any:
        given = {"word": word} if isinstance(word, str) else word
        settings = {**self.settings, **options.pop("settings", {})}
        return run(
            f"{self.file}:graph",
            given,
            workspace=self.repo,
            settings=settings,
            on_event=self.events.append,
            **options,
        )

    def flow(self, flow: Any, *words: str) -> Any:
        return flow("-q", "-c", "sandbox.backend=none", *words, cwd=self.repo, url=self.server.url)

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [event.data for event in self.events if event.type == "model_call"]

    @property
    def asked(self) -> list[str]:
        return [request.messages[-1]["content"] for request in self.server.requests]


@pytest.fixture
def serve(make_repo: Any) -> Iterator[Callable[..., Place]]:
    """Return what makes a place whose server has these answers."""
    servers = []

    def make(answers: Any = echo, **options: Any) -> Place:
        servers.append(OllamaServer(answers, **{"models": MODELS[:1], **options}).__enter__())
        return Place(make_repo({"a.txt": "a\n"}), servers[-1])

    yield make
    for server in servers:
        server.__exit__(None, None, None)


def test_a_call_is_counted_for_its_node_and_in_the_run(serve: Any, flow: Any) -> None:
    place = serve()
    place.write(ASK + "graph = chain(ask)\n")
    assert place.run("hi").output["said"] == ["re hi"]
    (call,) = [event for event in place.events if event.type == "model_call"]
    assert (call.node, call.data["key"], call.data["prompt_tokens"]) == ("ask#1", "ask#1.0", 11)
    shown = place.flow(flow, "-o", "json", "runs", "show", "last").out
    assert '"completion_tokens": 7' in shown


def test_async_code_asks_side_by_side_and_keeps_its_order(serve: Any) -> None:
    place = serve()
    place.write(
        "async def ask(state):\n"
        "    got = await asyncio.gather(*(model.ainvoke(w) for w in state['word'].split()))\n"
        "    return {'said': [each.text for each in got]}\n"
        "def more(state): return {'said': [each.text for each in model.batch(['d', 'e'])]}\n"
        "graph = chain(ask, more)\n"
    )
    assert place.run("a b c").output["said"] == [f"re {word}" for word in "abcde"]
    keys = {call["key"]: call["text"] for call in place.calls}
    assert keys == {
        "ask#1.0": "re a",
        "ask#1.1": "re b",
        "ask#1.2": "re c",
        "more#2.0": "re d",
        "more#2.1": "re e",
    }


def test_nodes_of_a_graph_inside_a_node_have_calls_of_their_own(serve: Any) -> None:
    place = serve()
    place.write(
        ASK
        + "inner = StateGraph(S)\ninner.add_node('ask', ask)\n"
        + "inner.add_conditional_edges(START, lambda s: [Send('ask', {'word': w}) for w in 'ab'], ['ask'])\n"
        + "graph = chain(ask)\ngraph.add_node('below', inner.compile())\ngraph.add_edge('ask', 'below')\n"
    )
    place.run("x")
    keys = {call["key"]: call["text"] for call in place.calls}
    assert keys == {"ask#1.0": "re x", "below#2/ask[0]#1.0": "re a", "below#2/ask[1]#1.0": "re b"}


def test_tools_are_bound_and_calls_read_in_whatever_form_they_come(serve: Any) -> None:
    def answers(request: ChatRequest) -> Answer:
        results = [message["content"] for message in request.messages if message["role"] == "tool"]
        if len(results) == 0:
            return Reply(calls=[Call("add", {"a": 1, "b": "2"})])
        if len(results) == 1:
            return Reply('<tool_call>{"name": "add", "arguments": {"a": 3, "b": 4}}</tool_call>')
        return Reply(f"sums: {', '.join(results)}")

    place = serve(answers)
    place.write(
        "def add(a: int, b: int) -> int:\n    '''Add.'''\n    return a + b\n"
        "def agent(state): return {'messages': [model.bind_tools([add]).invoke(state['messages'])]}\n"
        "graph = StateGraph(MessagesState)\ngraph.add_node(agent)\ngraph.add_node('tools', ToolNode([add]))\n"
        "graph.add_edge(START, 'agent')\ngraph.add_conditional_edges('agent', tools_condition)\n"
        "graph.add_edge('tools', 'agent')\n"
    )
    said = place.run({"messages": "sum up"}).output["messages"]
    assert said[-1]["content"] == "sums: 3, 7"
    ids = [call["id"] for message in said for call in message.get("tool_calls", ())]
    assert len(set(ids)) == 2
    assert place.server.requests[0].body["tools"][0]["function"]["name"] == "add"


def test_a_tool_that_must_be_called_is_asked_for_again(serve: Any) -> None:
    def answers(request: ChatRequest) -> Answer:
        wrong = "it called no tool" in request.messages[-1]["content"]
        return Reply(calls=[Call("pick", {"name": "a"})]) if wrong else Reply("I would pick a.")

    place = serve(answers)
    place.write(
        "def pick(name: str) -> str:\n    '''Pick.'''\n"
        "async def ask(state):\n"
        "    said = await model.bind_tools([pick], tool_choice='any').ainvoke('pick')\n"
        "    return {'said': [said.tool_calls[0]['args']['name']]}\n"
        "graph = chain(ask)\n"
    )
    assert place.run().output["said"] == ["a"]
    assert [event.type for event in place.events].count("model_retry") == 1


def test_structured_output_is_checked_and_asked_for_once_more(serve: Any) -> None:
    def answers(request: ChatRequest) -> Answer:
        again = "could not be used" in request.messages[-1]["content"]
        return Reply('{"name": "otter", "legs": 4}' if again else '{"name": "otter"}')

    place = serve(answers)
    place.write(
        "class Animal(BaseModel):\n    name: str\n    legs: int\n"
        "class Plain(TypedDict):\n    name: str\n    legs: int\n"
        "def ask(state):\n"
        "    one = model.with_structured_output(Animal).invoke('x')\n"
        "    two = model.with_structured_output(Plain, include_raw=True).invoke('y')['parsed']\n"
        "    return {'said': [f'{one.name} {one.legs}', f'{two}']}\n"
        "graph = chain(ask)\n"
    )
    assert place.run().output["said"] == ["otter 4", "{'name': 'otter', 'legs': 4}"]
    assert place.server.requests[0].body["format"]["required"] == ["name", "legs"]
    assert '"legs"' in place.asked[0]


def test_a_model_that_misses_the_schema_twice_ends_the_node(serve: Any) -> None:
    place = serve(lambda request: Reply("no"))
    place.write(
        "class A(BaseModel):\n    n: int\n"
        "def ask(state): return {'said': [str(model.with_structured_output(A).invoke('x'))]}\ngraph = chain(ask)\n"
    )
    with pytest.raises(RunFailed, match="ask#1: 2 replies of 'devstral:24b' in a row could not be used"):
        place.run()


def test_a_budget_stops_the_run_before_a_request_whatever_the_code_catches(serve: Any, flow: Any) -> None:
    place = serve()
    place.write(
        "def ask(state):\n    said = []\n    for n in range(5):\n        try:\n"
        "            said.append(model.invoke(str(n)).text)\n"
        "        except Exception:\n            said.append('-')\n"
        "    return {'said': said}\n"
        "graph = chain(ask)\n"
    )
    stopped = place.flow(flow, "run", f"{place.file}:graph", "x", "--max-model-calls", "2")
    assert (stopped.code, place.asked) == (3, ["0", "1"])
    assert "used 2 of at most 2 model calls" in stopped.err
    done = place.flow(flow, "-o", "json", "resume", "--max-model-calls", "9")
    assert json.loads(done.out)["output"]["said"] == [f"re {n}" for n in range(5)]
    assert place.asked == ["0", "1", "2", "3", "4"]


def test_a_killed_node_does_not_pay_again_for_what_it_was_answered(serve: Any, flow: Any) -> None:
    place = serve()
    go = place.repo.parent / "go"
    place.write(
        "def ask(state):\n    said = [model.invoke('one').text, model.invoke('two').text]\n"
        f"    open({str(go)!r} + '.told', 'w').close()\n"
        f"    while not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
        "    return {'said': [*said, model.invoke('three').text]}\n"
        "graph = chain(ask)\n"
    )
    words = ["-c", "sandbox.backend=none", "-c", f"server.url={place.server.url}", "run", f"{place.file}:graph", "x"]
    process = subprocess.Popen(
        [sys.executable, "-m", "flowloom", *words],
        cwd=place.repo,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 300
    while not go.with_suffix(".told").exists() and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    go.touch()
    done = place.flow(flow, "-o", "json", "resume")
    assert json.loads(done.out)["output"]["said"] == ["re one", "re two", "re three"]
    assert place.asked == ["one", "two", "three"]
    assert json.loads(place.flow(flow, "-o", "json", "runs", "show", "last").out)["usage"]["model_calls"] == 3


def test_an_answer_to_a_question_does_not_ask_the_model_again(serve: Any) -> None:
    place = serve()
    place.write(
        "def ask(state):\n    text = model.invoke('draft').text\n"
        "    return {'said': [text, interrupt({'question': 'Keep it?', 'choices': ['yes', 'no']})]}\n"
        "graph = chain(ask)\n"
    )
    assert place.run(answer=lambda question: "yes").output["said"] == ["re draft", "yes"]
    assert (place.asked, len(place.calls)) == (["draft"], 1)


def test_langgraphs_own_retry_asks_anew(serve: Any) -> None:
    place = serve()
    place.write(
        "tries = []\n"
        "def ask(state):\n    said = model.invoke('x').text\n    tries.append(said)\n"
        "    if len(tries) == 1: raise ConnectionError('the reply was no good')\n    return {'said': tries}\n"
        "graph = chain(ask, retry_policy=RetryPolicy(initial_interval=0.01))\n"
    )
    assert place.run().output["said"] == ["re x", "re x"]
    assert [call["key"] for call in place.calls] == ["ask#1.0", "ask#1/try-2#1.0"]


def test_a_recorded_run_is_replayed_without_a_model(serve: Any, flow: Any, tmp_path: Path) -> None:
    place = serve()
    place.write(ASK + "def other(state): return {'said': [model.invoke('again').text]}\ngraph = chain(ask, other)\n")
    cassette, graph = str(tmp_path / "c.jsonl"), f"{place.file}:graph"
    assert place.flow(flow, "run", graph, "hi", "--record", cassette).code == 0
    asked = len(place.asked)
    done = place.flow(flow, "-o", "json", "run", graph, "hi", "--replay", cassette)
    assert json.loads(done.out)["output"]["said"] == ["re hi", "re again"]
    other = place.flow(flow, "run", graph, "ho", "--replay", cassette)
    assert "call 'ask#1.0' is not the recorded one" in other.err
    assert len(place.asked) == asked


def test_another_model_takes_over_for_code_too(serve: Any) -> None:
    def answers(request: ChatRequest) -> Answer:
        if request.body["model"] == MODELS[0]:
            return Fault("http", text="model requires more system memory (40 GiB) than is available (8 GiB)")
        return echo(request)

    place = serve(answers, models=MODELS)
    place.write(ASK + "graph = chain(ask)\n")
    settings = {"models.main": MODELS[0], "models.fallback": [MODELS[1]], "models.preflight": False}
    assert place.run("hi", settings=settings).output["said"] == ["re hi"]
    assert [call["model"] for call in place.calls] == [MODELS[1]]


def test_a_model_that_code_names_must_be_there_before_the_run_begins(serve: Any) -> None:
    place = serve()
    place.write("other = chat_model('gone:7b')\n" + ASK + "graph = chain(ask)\n")
    with pytest.raises(ModelUnavailable, match="has no model 'gone:7b'"):
        place.run()
    assert place.events == []


def test_a_model_that_only_running_code_names_is_refused(serve: Any) -> None:
    place = serve()
    place.write("def ask(state): return {'said': [chat_model(state['word']).invoke('x').text]}\ngraph = chain(ask)\n")
    with pytest.raises(RunFailed, match="The run has no model 'gone:7b'"):
        place.run("gone:7b")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("async def ask(state): return {'said': [model.invoke('x').text]}", "ask#1: a model was asked by invoke"),
        ("async def ask(state): return {'said': model.batch(['x'])}", "ask#1: a model was asked by invoke"),
        (
            "def ask(state): return {'said': [model.invoke([('user', [{'type': 'image', 'url': 'x'}])]).text]}",
            "ask#1: a message holds 'image', and models are given texts alone",
        ),
        (
            "def ask(state): return {'said': [model.invoke([('tool', 'x', )]).text]}",
            "ask#1",
        ),
    ],
)
def test_what_a_model_cannot_be_asked_is_one_line(serve: Any, code: str, told: str) -> None:
    place = serve()
    place.write(f"{code}\ngraph = chain(ask)\n")
    with pytest.raises(RunFailed, match=told) as failed:
        place.run()
    assert "\n" not in failed.value.message


def test_outside_of_a_run_it_refuses() -> None:
    with pytest.raises(UsageError, match=r"chat_model\('light'\) answers only in a node of a run"):
        chat_model("light").invoke("hi")


def test_a_function_of_a_graph_file_asks_too_and_is_held_to_its_nodes_limits(serve: Any) -> None:
    place = serve()
    place.write("def count(word: str) -> list:\n    return [model.invoke(w).text for w in word.split()]\n")
    outer = place.file.with_name("outer.yaml")
    outer.write_text(
        "flow: 1\nname: outer\ninput: {word: {type: string}}\nstate: {said: {type: list}}\noutput: state.said\n"
        'nodes:\n  count: {type: python, call: "g.py:count", limits: {model_calls: 2}, output: {to: said}}\n'
        "edges: [[START, count, END]]\n"
    )

    def count(word: str) -> Any:
        return run(outer, {"word": word}, workspace=place.repo, settings=place.settings).output

    assert count("a b") == ["re a", "re b"]
    with pytest.raises(LimitReached, match="'count#1' has used 2 of at most 2 model calls"):
        count("a b c")


async def test_leaving_the_run_ends_a_request_under_way(serve: Any) -> None:
    place = serve(lambda request: Reply("late", delay_s=30))
    place.write(ASK + "graph = chain(ask)\n")
    from flowloom import stream

    events = stream(f"{place.file}:graph", {"word": "x"}, workspace=place.repo, settings=place.settings)
    began = time.monotonic()
    async for event in events:
        if event.type == "node_start":
            break
    await events.aclose()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 20


async def test_an_event_loop_of_the_codes_own_reaches_the_model(serve: Any) -> None:
    place = serve()
    place.write(
        "def ask(state): return {'said': [asyncio.run(model.ainvoke(state['word'])).text]}\ngraph = chain(ask)\n"
    )
    done = await arun(f"{place.file}:graph", {"word": "x"}, workspace=place.repo, settings=place.settings)
    assert done.output["said"] == ["re x"]


def test_secrets_that_code_tells_a_model_are_masked(serve: Any) -> None:
    secret = "ghp_" + "c4N4ryS0ur" * 4
    place = serve()
    place.write(f"SECRET = '{secret[:9]}' + '{secret[9:]}'\n")
    place.file.write_text(place.file.read_text() + ASK.replace("state['word']", "SECRET") + "graph = chain(ask)\n")
    done = place.run()
    data = b"".join(path.read_bytes() for path in Path(os.environ["FLOW_HOME"]).rglob("runs.db*"))
    assert (secret in place.asked[0], secret in repr(done.output), secret.encode() in data) == (False, False, False)
