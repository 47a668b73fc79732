"""Label reports side by side, then say in one sentence what to do first."""

import operator
from typing import Annotated, Literal, TypedDict

from labels import LABELS, worst_first
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from pydantic import BaseModel

from flowloom import chat_model

main, light = chat_model(), chat_model("light", max_tokens=200)


class Label(BaseModel):
    label: Literal["crash", "wrong", "wish"]


class State(TypedDict, total=False):
    reports: list[str]
    labelled: Annotated[list[dict[str, str]], operator.add]
    advice: str


def each(state: State) -> list[Send]:
    return [Send("label", {"report": report}) for report in state["reports"]]


async def label(item: dict[str, str]) -> State:
    asked = f"Which is it? {LABELS}\n\n{item['report']}"
    found = await light.with_structured_output(Label).ainvoke(asked)
    return {"labelled": [{"report": item["report"], "label": found.label}]}


def advise(state: State) -> State:
    listed = "\n".join(f"{one['label']}: {one['report']}" for one in worst_first(state["labelled"]))
    return {"advice": main.invoke(f"Say in one sentence what to do first.\n\n{listed}").text}


graph = StateGraph(State)
graph.add_node(label)
graph.add_node(advise)
graph.add_conditional_edges(START, each, ["label"])
graph.add_edge("label", "advise")
graph.add_edge("advise", END)
