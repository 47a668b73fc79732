"""What is told of graphs in Python without running them."""

from __future__ import annotations

import pytest

from flowloom.graphs.python_words import graph_inputs, graph_names

CODE = """
import nothing_of_this_is_there
from typing import Annotated, NotRequired, TypedDict

class Wanted(TypedDict):
    topic: Annotated[str, "what they are about"]
    loud: NotRequired[Annotated[bool, "cry it"]]
    LIMIT = 3

class State(Wanted, total=False):
    notes: list[str]

builder = StateGraph(State, input_schema=Wanted)
builder.add_node(print)
graph = builder.compile(name="x").with_config({})
whole: object = langgraph.graph.StateGraph(state_schema=State)
typed = StateGraph[State](State)
agent = create_agent("model", tools=[])
talk = StateGraph(MessagesState).compile()
other = make(State)
round_one = round_two
round_two = round_one
_hidden = StateGraph(State)
raise SystemExit("it is not run")
"""


def test_names_that_stand_for_graphs_are_found() -> None:
    assert graph_names(CODE) == ["builder", "graph", "whole", "typed", "agent", "talk"]


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("graph", ["topic", "loud"]),
        ("whole", ["topic", "loud", "notes"]),
        ("typed", ["topic", "loud", "notes"]),
        ("agent", ["messages"]),
        ("talk", ["messages"]),
        ("other", []),
        ("nowhere", []),
    ],
)
def test_inputs_are_the_fields_of_the_input_schema(name: str, inputs: list[str]) -> None:
    assert list(graph_inputs(CODE, name)) == inputs


def test_a_field_has_its_note_and_a_flag_is_one() -> None:
    assert graph_inputs(CODE, "graph") == {
        "topic": {"type": "", "description": "what they are about"},
        "loud": {"type": "bool", "description": "cry it"},
    }


@pytest.mark.parametrize("text", ["class (", "\0", "x = " + "(" * 5000])
def test_what_is_no_python_has_no_graphs(text: str) -> None:
    assert (graph_names(text), graph_inputs(text, "graph")) == ([], {})


def test_classes_that_inherit_each_other_end() -> None:
    text = "class A(B):\n    a: int\nclass B(A):\n    b: int\ng = StateGraph(A)\n"
    assert set(graph_inputs(text, "g")) == {"a", "b"}
