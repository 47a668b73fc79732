"""Write notes about a topic, and ask whether they will do."""

import operator
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from flowloom import graph_node


class Wanted(TypedDict):
    topic: Annotated[str, "what the notes are about"]
    count: Annotated[int, "how many"]


class State(TypedDict, total=False):
    topic: str
    count: int
    notes: Annotated[list[str], operator.add]
    verdict: str
    loud: str


def write(state: State) -> State:
    number = len(state.get("notes", []))
    return {"notes": [f"{state['topic']} {number + each}" for each in range(1, state["count"] + 1)]}


def ask(state: State) -> State:
    return {"verdict": interrupt({"question": f"Keep {len(state['notes'])} notes?", "choices": ["keep", "more"]})}


def way_on(state: State) -> str:
    return "shout" if state["verdict"] == "keep" else "write"


graph = StateGraph(State, input_schema=Wanted)
graph.add_node(write)
graph.add_node(ask)
graph.add_node("shout", graph_node("shout", inputs={"word": "topic"}, output="loud"))
graph.add_edge(START, "write")
graph.add_edge("write", "ask")
graph.add_conditional_edges("ask", way_on, ["shout", "write"])
graph.add_edge("shout", END)
