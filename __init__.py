"""Flowloom: graph-orchestrated coding agents on your own machine and your own models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .app.api import RunResult, aresume, arun, resume, run, stream
    from .core.errors import FlowError, ToolError
    from .core.events import EventRecord
    from .core.marks import RunCommand, WriteFile, filter, node, tool
    from .core.questions import Answer, Question
    from .graphs.graph_node import graph_node
    from .nodes.chat_model import chat_model
    from .nodes.python_call import NodeContext

_PLACES = {
    "node": "core.marks",
    "tool": "core.marks",
    "filter": "core.marks",
    "WriteFile": "core.marks",
    "RunCommand": "core.marks",
    "NodeContext": "nodes.python_call",
    "graph_node": "graphs.graph_node",
    "chat_model": "nodes.chat_model",
    "run": "app.api",
    "arun": "app.api",
    "resume": "app.api",
    "aresume": "app.api",
    "stream": "app.api",
    "RunResult": "app.api",
    "Question": "core.questions",
    "Answer": "core.questions",
    "EventRecord": "core.events",
    "FlowError": "core.errors",
    "ToolError": "core.errors",
}

__all__ = [  # noqa: RUF022 - in the order of docs/python.md
    "node",
    "tool",
    "filter",
    "WriteFile",
    "RunCommand",
    "NodeContext",
    "graph_node",
    "chat_model",
    "run",
    "arun",
    "resume",
    "aresume",
    "stream",
    "RunResult",
    "Question",
    "Answer",
    "EventRecord",
    "FlowError",
    "ToolError",
]


def __getattr__(name: str) -> Any:
    # Late, so that `import flowloom` costs as little as a module of its size.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
