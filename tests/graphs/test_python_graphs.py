"""Graphs written in Python as specs: inputs, nodes, ways, what is refused, and where they are found."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.types import Command, Send

from flowloom.core.errors import Denied, GraphInvalid, UsageError
from flowloom.core.masking import SecretMask
from flowloom.graphs.code import load_ref
from flowloom.graphs.find import Loaded, find_graph
from flowloom.graphs.fingerprint import fingerprint
from flowloom.graphs.named_models import named_models
from flowloom.graphs.picture import picture_of
from flowloom.graphs.python_graph import compiled_graph
from flowloom.graphs.python_inputs import first_state
from flowloom.graphs.python_visit import question_of
from flowloom.graphs.stored_state import as_json, masked, not_kept, pack, unpack

HEAD = """\
\"\"\"Count words.\"\"\"
import operator
from typing import Annotated, Optional, TypedDict
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel, Field
class S(TypedDict, total=False):
    word: str
    count: int
def one(state): return {"count": 1}
def built(schema=S, **kw):
    b = StateGraph(schema, **kw); b.add_node("one", one); b.add_edge(START, "one"); b.add_edge("one", END); return b
"""


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, "utf-8")

    def find(self, name: str, trusted: bool = True) -> Loaded:
        return find_graph(
            name, workspace=self.folder, user_dir=self.folder / "none", is_trusted=lambda path, content: trusted
        )

    def graph(self, code: str) -> Loaded:
        self.write("g.py", HEAD + dedent(code))
        return self.find("g.py:graph")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_builder_is_a_graph_with_nodes_ways_and_the_first_line_of_its_file(place: Place) -> None:
    spec = place.graph("graph = built()").spec
    assert (spec.name, spec.description, list(spec.nodes), spec.limits.node_runs) == (
        "g.py:graph",
        "Count words.",
        ["one"],
        1000,
    )
    assert [(a.source, a.target) for a in picture_of(spec).arrows] == [("START", "one"), ("one", "END")]


def test_ways_that_depend_on_code_are_drawn_with_what_their_map_says(place: Place) -> None:
    spec = place.graph(
        """
        graph = StateGraph(S)
        graph.add_node("one", one); graph.add_node("two", one)
        graph.add_edge(START, "one")
        graph.add_conditional_edges("one", lambda s: "again", {"again": "one", "on": "two"})
        graph.add_conditional_edges("two", lambda s: "two", ["two", END])
        """
    ).spec
    arrows = {(arrow.source, arrow.target, arrow.label) for arrow in picture_of(spec).arrows}
    assert arrows == {
        ("START", "one", ""),
        ("one", "one", "again"),
        ("one", "two", "on"),
        ("two", "two", ""),
        ("two", "END", ""),
    }


def test_nothing_of_a_state_that_is_also_the_input_is_required(place: Place) -> None:
    inputs = place.graph("graph = built().compile()").spec.inputs
    assert {name: (each.type, each.required, each.positional) for name, each in inputs.items()} == {
        "word": ("string", False, True),
        "count": ("int", False, False),
    }


def test_an_input_schema_tells_what_is_required_and_what_it_means(place: Place) -> None:
    inputs = place.graph(
        """
        class In(TypedDict):
            word: Annotated[str, "what is counted"]
            count: Optional[int]
        graph = built(input_schema=In)
        """
    ).spec.inputs
    assert [(name, each.type, each.required, each.description) for name, each in inputs.items()] == [
        ("word", "string", True, "what is counted"),
        ("count", "int", True, ""),
    ]


def test_of_a_pydantic_state_what_has_no_default_is_required(place: Place) -> None:
    inputs = place.graph(
        """
        class P(BaseModel):
            word: str = Field(description="a word")
            count: int = 3
        graph = built(P)
        """
    ).spec.inputs
    assert [(name, each.required, each.description) for name, each in inputs.items()] == [
        ("word", True, "a word"),
        ("count", False, ""),
    ]


def test_a_text_for_a_conversation_becomes_its_first_message(place: Place) -> None:
    spec = place.graph("graph = built(MessagesState)").spec
    assert (spec.inputs["messages"].type, spec.inputs["messages"].positional) == ("any", True)
    begun = first_state(compiled_graph(spec).builder, {"messages": "hello"})
    assert begun == {"messages": [{"role": "user", "content": "hello"}]}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("graph = 3", "g.py:graph is no graph but an int."),
        ("other = 3", "g.py: there is no 'graph' in it; its graphs: none."),
        ("raise KeyError('x')", "g.py:12: KeyError: 'x'."),
        ("graph = built().compile(interrupt_before=['one'])", "compiled with interrupt_before or interrupt_after"),
        (
            "from langgraph.store.memory import InMemoryStore\ngraph = built().compile(store=InMemoryStore())",
            "InMemoryStore",
        ),
        (
            "from langgraph.checkpoint.memory import InMemorySaver\n"
            "graph = built(); graph.add_node('below', built().compile(checkpointer=InMemorySaver()));"
            "graph.add_edge('one', 'below')",
            "the graph in the node 'below' is compiled with a checkpointer of its own",
        ),
        (
            "from dataclasses import dataclass\n@dataclass\nclass C:\n    key: str\ngraph = built(context_schema=C)",
            "needs a run-time context",
        ),
        ("graph = built(); graph.add_edge('one', 'gone')", "g.py:graph cannot be compiled"),
    ],
)
def test_what_no_run_can_keep_is_refused_in_one_line(place: Place, code: str, told: str) -> None:
    with pytest.raises(GraphInvalid) as refused:
        place.graph(code)
    assert told in refused.value.message
    assert "\n" not in refused.value.message


def test_a_checkpointer_of_its_own_gives_way_to_that_of_the_run(place: Place) -> None:
    place.graph(
        "from langgraph.checkpoint.memory import InMemorySaver\ngraph = built().compile(checkpointer=InMemorySaver())"
    )


def test_ways_that_nothing_declares_are_those_that_the_code_names(place: Place) -> None:
    spec = place.graph(
        """
        from langgraph.types import Command, Send
        def route(s): return END if s["count"] else "two"
        def jump(s): return Command(goto="four")
        graph = StateGraph(S)
        for name in ("one", "two", "four", "five", "six"):
            graph.add_node(name, one)
        graph.add_node("three", jump)
        graph.add_edge(START, "one")
        graph.add_conditional_edges("one", route)
        graph.add_conditional_edges("two", lambda s: [Send("three", s) for _ in "ab"])
        graph.add_edge("four", "five"); graph.add_edge("four", "six")
        graph.add_conditional_edges("six", lambda s: s["word"])
        """
    ).spec
    ways: dict[str, list[str]] = {}
    for arrow in picture_of(spec).arrows:
        ways.setdefault(arrow.source, []).append(arrow.target)
    everywhere = ["one", "two", "four", "five", "six", "three", "END"]
    assert {source: sorted(targets) for source, targets in ways.items()} == {
        "START": ["one"],
        "one": ["END", "two"],
        "two": ["three"],
        "three": ["four"],
        "four": ["five", "six"],
        "five": ["END"],
        "six": sorted(everywhere),
    }


def test_code_that_is_not_trusted_is_not_run(place: Place) -> None:
    place.write("g.py", "raise SystemExit('it ran')")
    with pytest.raises(Denied, match=r"g\.py belongs to this repository and is not trusted"):
        place.find("g.py:graph", trusted=False)


def test_a_file_that_is_not_there_is_a_wrong_argument(place: Place) -> None:
    with pytest.raises(UsageError, match=r"There is no graph file 'gone\.py'"):
        place.find("gone.py:graph")


def test_a_changed_code_is_another_graph(place: Place) -> None:
    first = place.graph("graph = built()")
    second = place.graph("graph = built()  # more")
    assert fingerprint(first.spec, first.library) != fingerprint(second.spec, second.library)


def test_a_command_line_names_it_by_its_file(place: Place) -> None:
    (place.folder / "flows").mkdir()
    place.write("flows/g.py", f"{HEAD}graph = built()")
    assert place.find("flows/g.py:graph").spec.to_run == "flows/g.py:graph"


def test_a_name_that_is_not_there_is_told_with_the_graphs_that_are(place: Place) -> None:
    place.write("g.py", f"{HEAD}graph = built()\nother = built().compile()")
    with pytest.raises(GraphInvalid, match=r"no 'grap' in it \(did you mean 'graph'\?\); its graphs: graph, other"):
        place.find("g.py:grap")


def test_files_that_it_imports_are_a_part_of_it(place: Place) -> None:
    place.write("helpers.py", "from deeper import COUNT")
    place.write("deeper.py", "COUNT = 7")
    place.write("unused.py", "raise SystemExit('it ran')")
    first = place.graph("from helpers import COUNT\ngraph = built()").spec
    assert sorted(first.beside) == ["deeper.py", "g.py", "helpers.py"]
    assert compiled_graph(first).name == "LangGraph"
    place.write("deeper.py", "COUNT = 8")
    assert fingerprint(first, {}) != fingerprint(place.find("g.py:graph").spec, {})


def test_a_file_that_it_imports_needs_trust_of_its_own_before_anything_runs(place: Place) -> None:
    place.write("helpers.py", "x = 1")
    place.write("g.py", "import os\nopen('ran', 'w').close()\nimport helpers\n")
    with pytest.raises(Denied, match=r"helpers\.py belongs to this repository and is not trusted"):
        find_graph(
            "g.py:graph",
            workspace=place.folder,
            user_dir=place.folder / "none",
            is_trusted=lambda path, content: path.name == "g.py",
        )
    assert not Path("ran").exists()


def test_code_of_graph_files_imports_too_each_from_its_own_folder(place: Place) -> None:
    text = 'flow: 1\nname: NAME\nnodes: {a: {type: python, call: "fn.py:f"}}\nedges: [[START, a, END]]\n'
    for name in ("one", "two"):
        (place.folder / name).mkdir()
        place.write(f"{name}/g.yaml", text.replace("NAME", name))
        place.write(f"{name}/fn.py", "from helpers import x\ndef f(): return x")
        place.write(f"{name}/helpers.py", f"x = {name!r}")
    specs = [place.find(f"{name}/g.yaml").spec for name in ("one", "two")]
    assert [load_ref(spec, "fn.py:f")() for spec in specs] == ["one", "two"]


def test_what_a_helper_does_not_say_well_is_a_fault_at_its_place(place: Place) -> None:
    place.write("g.yaml", 'flow: 1\nname: g\nnodes: {a: {type: python, call: "fn.py:f"}}\nedges: [[START, a, END]]\n')
    place.write("fn.py", "from helpers import x\ndef f(): return x")
    place.write("helpers.py", "x = 1\ndef (")
    with pytest.raises(GraphInvalid, match=r"helpers\.py:2:5: not readable as Python"):
        place.find("./g.yaml")


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("chat_model()", []),
        ("chat_model('light'); flowloom.chat_model(role='a:7b')", ["light", "a:7b"]),
        ("chat_model(name); other('b:7b')", []),
    ],
)
def test_the_models_that_its_code_names_are_known_before_it_runs(place: Place, code: str, names: list[str]) -> None:
    place.write("helpers.py", f"def f():\n    {code}")
    assert named_models(place.graph("import helpers\ngraph = built()").spec) == names


def test_file_beside_it_that_is_no_python_names_no_model(place: Place) -> None:
    place.write("helpers.py", "chat_model('a:7b') +")
    assert named_models(place.graph("def late():\n    import helpers\ngraph = built()").spec) == []


def nesting(given: str) -> str:
    return (
        "flow: 1\nname: outer\nnodes:\n"
        f'  inner: {{type: graph, graph: "g.py:graph", with: {given}}}\nedges: [[START, inner, END]]\n'
    )


def test_a_graph_file_runs_one_in_python_beside_it_and_checks_what_it_gives(place: Place) -> None:
    place.graph("graph = built()")
    place.write("outer.yaml", nesting("{word: hello}"))
    assert list(place.find("outer.yaml").library) == ["g.py:graph"]
    place.write("outer.yaml", nesting("{wrod: hello}"))
    with pytest.raises(GraphInvalid, match=r"outer\.yaml:4:.*has no input 'wrod' \(did you mean 'word'\?\)"):
        place.find("outer.yaml")


def test_a_graph_in_python_runs_a_file_beside_it_and_is_checked_too(place: Place) -> None:
    place.write(
        "small.yaml",
        "flow: 1\nname: small\ninput: {word: {type: string}}\n"
        "nodes: {a: {type: set, value: {}}}\nedges: [[START, a, END]]\n",
    )
    code = """
        from flowloom import graph_node
        graph = StateGraph(S); graph.add_node("small", graph_node(NAME, {"word": "word"}, "word"))
        graph.add_edge(START, "small")
        """
    loaded = place.graph(code.replace("NAME", '"small"'))
    assert (list(loaded.library), loaded.spec.nodes["small"].type) == (["small"], "graph")
    with pytest.raises(GraphInvalid, match="there is no graph 'smal' here"):
        place.graph(code.replace("NAME", '"smal"'))


class Custom:
    pass


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": [1, "x", None, True, 1.5, b"x", {"b": (1, 2)}]}, ""),
        ([HumanMessage("hi"), AIMessage("yes")], ""),
        (Command(update={"a": 1}, goto=[Send("n", {"b": 2})]), ""),
        ({"a": [Custom()]}, "a[0]: Custom"),
        (Command(update={"a": Custom()}), "a: Custom"),
        (HumanMessage("hi", additional_kwargs={"x": Custom()}), "additional_kwargs.x: Custom"),
        ({("a", 1): 2}, "a key: tuple"),
    ],
)
def test_only_what_comes_back_from_a_checkpoint_is_kept(value: Any, told: str) -> None:
    assert not_kept(value) == told
    if not told and not isinstance(value, dict):
        assert unpack(pack(value)) == value


def test_secrets_are_masked_in_messages_and_commands() -> None:
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    value: Any = Command(update={"messages": [AIMessage(f"it is {secret}")]}, goto=Send("n", {"k": secret}))
    assert secret not in repr(masked(value, SecretMask()))


def test_messages_of_an_output_are_plain_data() -> None:
    assert as_json({"messages": (HumanMessage("hi"),)}) == {"messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("value", "text", "choices"),
    [
        ("Go on?", "Go on?", ()),
        ({"question": "Which?", "choices": ["a", "b"]}, "Which?", ("a", "b")),
        ({"message": "Which?", "options": ["a", 3]}, "Which?", ("a",)),
        ({"tool": "rm"}, '{\n  "tool": "rm"\n}', ()),
        ([Custom], "Custom", ()),
    ],
)
def test_whatever_an_interrupt_gives_is_a_question(value: Any, text: str, choices: tuple[str, ...]) -> None:
    question = question_of("n#1", value)
    assert text in question.text
    assert (question.kind, question.choices, question.headless) == ("interrupt", choices, None)
    question.digest()
