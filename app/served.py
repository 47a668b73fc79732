"""A graph as a compiled LangGraph graph for programs that serve those, such as `langgraph dev`.

A run of it is an ordinary run of flow, with its own row, lease, journal and checkpoints in the run database. It is
drawn as its file has it. What the server runs are two nodes: one works until the run ends or a person is asked, the
other asks by LangGraph's interrupt.
The work is done in a process of its own: it blocks at times, which servers forbid, and must not take itself for a
part of the graph that is served.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Required

from typing_extensions import TypedDict

from ..core.errors import RunFailed, UsageError
from ..core.questions import Answer
from ..graphs.find import Loaded
from ..graphs.spec import InputSpec
from .graphs import load_graph
from .served_picture import shown_as
from .surroundings import load_setup

_TYPES: Mapping[str, Any] = {
    "string": str,
    "path": str,
    "int": int,
    "number": float,
    "bool": bool,
    "list": list[Any],
    "object": dict[str, Any],
    "any": Any,
}
_OWN = frozenset({"output", "flow_run", "flow_question"})
"""Channels beside the inputs."""
_LONGEST_LINE = 64 * 1024 * 1024

State = dict[str, Any]


def served_graph(file: Path, workspace: Path) -> Any:
    """Return a compiled LangGraph graph that runs the first graph of a file.

    Its input are the graph's inputs, its output {"output": what the graph returns}. A question to a person is an
    interrupt {id, node, text, choices, value}; it is resumed with a choice, or with {choice, value, reason}. The
    events of the run are told in the stream mode "custom".

    Args:
        workspace: the repository that the graph works on, or a folder in it.

    Raises:
        FlowError: the graph cannot be run or served, or the settings cannot be used.
    """
    from langgraph.graph import END, START, StateGraph

    context = load_setup(workspace, os.environ).context(workspace)
    served = _Served(str(file.resolve()), str(workspace.resolve()), load_graph(context, str(file.resolve())))
    if taken := _OWN & set(served.loaded.spec.inputs):
        raise UsageError(f"The input {min(taken)!r} has a name that a served graph needs.", hint="Rename it.")
    inputs, output = served.schemas()
    graph: Any = StateGraph(served.state(), input_schema=inputs, output_schema=output)
    graph.add_node("work", served.work)
    graph.add_node("ask", served.ask)
    graph.add_edge(START, "work")
    for node in ("work", "ask"):
        graph.add_conditional_edges(node, _following, ["ask", END])
    spec = served.loaded.spec
    return shown_as(graph.compile(name=spec.name), spec, served.loaded.library)


def _following(state: State) -> str:
    from langgraph.graph import END

    return "ask" if state.get("flow_question") else END


class _Served:
    """The nodes of one served graph."""

    def __init__(self, file: str, workspace: str, loaded: Loaded) -> None:
        self.loaded = loaded
        self._file = file
        self._workspace = workspace

    def schemas(self) -> tuple[Any, Any]:
        """Return the types of what goes in and what comes out."""
        return TypedDict("Input", self._inputs(), total=False), TypedDict("Output", {"output": Any})  # type: ignore[operator]

    def state(self) -> Any:
        """Return the type of the whole state: the inputs, the run, its open question (None = there is none)."""
        own = {"output": Any, "flow_run": str, "flow_question": dict[str, Any] | None}
        return TypedDict("State", {**self._inputs(), **own}, total=False)  # type: ignore[operator]

    def _inputs(self) -> dict[str, Any]:
        return {name: _type_of(given) for name, given in self.loaded.spec.inputs.items()}

    async def work(self, state: State) -> State:
        """Start a run and work until it ends or asks. Raises: RunFailed: it failed or was stopped."""
        inputs = {name: state[name] for name in self.loaded.spec.inputs if state.get(name) is not None}
        return await self._driven({"file": self._file, "inputs": inputs})

    async def ask(self, state: State) -> State:
        """Ask the open question and go on with its answer. Raises: RunFailed: as `work`."""
        from langgraph.types import interrupt

        question = state["flow_question"]
        answer = _answer(interrupt(question), question)
        return await self._driven({"run": state["flow_run"], "answers": {question["id"]: answer.to_dict()}})

    async def _driven(self, order: Mapping[str, Any]) -> State:
        from langgraph.config import get_stream_writer

        ended = await _worked({**order, "workspace": self._workspace}, get_stream_writer())
        if "outcome" not in ended:
            raise RunFailed(ended.get("error") or "The process of the run ended without a result.")
        outcome = ended["outcome"]
        if outcome["status"] not in ("done", "waiting"):
            raise RunFailed(f"Run {outcome['run']}: {outcome['message']}")
        return {"flow_run": outcome["run"], "flow_question": outcome["question"], "output": outcome["output"]}


async def _worked(order: Mapping[str, Any], tell: Callable[[Any], None]) -> dict[str, Any]:
    """Return the last line of the process that does the work, having told all others; {} = it printed none."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        # Nothing is imported from the folder that the server was started in.
        "-P",
        "-m",
        f"{__package__}.served_worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process has no pipes")
    process.stdin.write(json.dumps(order).encode())
    process.stdin.close()
    last: dict[str, Any] = {}
    try:
        async for line in process.stdout:
            last = json.loads(line)
            if "type" in last:
                tell(last)
        await process.wait()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await process.wait()
    return last


def _type_of(given: InputSpec) -> Any:
    kind = _TYPES[given.type] if given.type else dict[str, Any]
    return Required[kind] if given.required else kind


def _answer(given: Any, question: Mapping[str, Any]) -> Answer:
    """Return the answer that an interrupt was resumed with.

    Raises:
        RunFailed: it is no choice of the question; the interrupt stays open.
    """
    said = given if isinstance(given, Mapping) else {"choice": given}
    choice = said.get("choice")
    if question["choices"] and choice not in question["choices"]:
        raise RunFailed(f"{choice!r} is no answer to the question; there are: {', '.join(question['choices'])}.")
    return Answer(str(choice), said.get("value"), str(said.get("reason") or ""))
