"""The small node types: tool (one tool call), human, set and fail."""

from __future__ import annotations

from ..core.errors import RunFailed
from ..core.messages import ToolCall
from ..core.questions import Question
from ..core.tool import ToolContext
from ..tools.calls import run_call
from .agent_loop import ask_person
from .call import Failure, NodeCall, NodeResult
from .deps import NodeDeps


async def run_tool(call: NodeCall, deps: NodeDeps) -> NodeResult:
    """Return {text, files} of one tool call; a refused call is an error of the node."""
    toolbox = deps.toolbox
    name = str(call.fields["call"])
    context = ToolContext(toolbox.workspace, toolbox.blobs, toolbox.retriever, changes=deps.changes)
    request = ToolCall("call", name, dict(call.fields.get("with") or {}))
    result = await run_call(request, toolbox.specs, context, toolbox.effects, call.label, ask_person)
    if result.failed:
        raise RunFailed(f"{call.path}: {result.text}")
    return NodeResult({"text": result.text, "files": list(result.files)}, result.text.partition("\n")[0][:120])


async def run_human(call: NodeCall, deps: NodeDeps) -> NodeResult:
    """Return {choice, value}; the run waits here until somebody answers, or takes the headless answer."""
    fields = call.fields
    edits = fields.get("edits")
    question = Question(
        kind="human",
        node=call.label,
        text=str(fields.get("show", "")),
        choices=tuple(fields["choices"]),
        payload={"edit": fields["edit_value"], "key": edits, "schema": fields.get("edit_schema")} if edits else {},
        headless=fields.get("headless"),
    )
    answer = ask_person(question)
    if answer.choice not in question.choices:
        raise RunFailed(f"{call.path}: {answer.choice!r} is not one of {', '.join(question.choices)}.")
    edited = {edits: answer.value} if edits and answer.value is not None else {}
    return NodeResult({"choice": answer.choice}, answer.choice, state=edited, resets=answer.by == "person")


async def run_set(call: NodeCall, deps: NodeDeps) -> NodeResult:
    """Return the values that stand in the graph file, each written to the state key of its name."""
    value = call.fields["value"]
    return NodeResult(value, ", ".join(value), state=value)


async def run_fail(call: NodeCall, deps: NodeDeps) -> NodeResult:
    """End the graph as failed with the file's message and exit code."""
    failure = Failure(
        str(call.fields.get("message", "The graph ended in a fail node.")), int(call.fields.get("exit", 1))
    )
    return NodeResult(summary=failure.message, failure=failure)
