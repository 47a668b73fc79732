"""A visit as a graph of its own: its result is kept while a person is asked about it, so that it runs only once."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from typing_extensions import TypedDict

from ..core.messages import Message
from .call import Failure, NodeCall, NodeResult, NodeType
from .deps import NodeDeps


class HeldState(TypedDict, total=False):
    """State of one visit: what it gave, as JSON data."""

    result: dict[str, Any]


async def run_held(run: NodeType, call: NodeCall, deps: NodeDeps) -> NodeResult:
    """Return what the visit gives; called again after a question, what it gave before."""
    from langgraph.graph import END, START, StateGraph

    async def visit(state: HeldState) -> HeldState:
        return {"result": _to_dict(await run(call, deps))}

    graph = StateGraph(HeldState)
    graph.add_node("visit", visit)
    graph.add_edge(START, "visit")
    graph.add_edge("visit", END)
    state: dict[str, Any] = await graph.compile().ainvoke({"result": {}})
    return _from_dict(state["result"])


def _to_dict(result: NodeResult) -> dict[str, Any]:
    return {
        "value": result.value,
        "summary": result.summary,
        "messages": [message.to_dict() for message in result.messages],
        "state": dict(result.state),
        "edits": dict(result.edits),
        "failure": None if result.failure is None else asdict(result.failure),
        "resets": result.resets,
    }


def _from_dict(data: dict[str, Any]) -> NodeResult:
    failure = data["failure"]
    return NodeResult(
        **{
            **data,
            "messages": tuple(Message.from_dict(message) for message in data["messages"]),
            "failure": None if failure is None else Failure(**failure),
        }
    )
