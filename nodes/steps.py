"""The small node types: tool (one tool call), human, set and fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import RunFailed
from ..core.messages import ToolCall
from ..core.ports import CallRef, EffectRunner
from ..core.questions import Answer, Question
from ..core.tool import ToolContext
from ..tools.calls import run_call
from ..tools.masked import masked_question
from .asking import ask_person
from .call import Failure, NodeCall, NodeResult, attempts, denied
from .deps import NodeDeps
from .values import fitted


async def run_tool(call: NodeCall, deps: NodeDeps) -> NodeResult:
    """Return {text, files} of one tool call; a refused call is an error of the node."""
    toolbox = deps.toolbox
    name = str(call.fields["call"])
    context = ToolContext(
        toolbox.workspace,
        toolbox.blobs,
        toolbox.retriever,
        changes=deps.changes,
        secrets=toolbox.secrets,
        hooks=toolbox.hooks,
        memory=toolbox.memory,
    )
    request = ToolCall(await _call_id(call, toolbox.effects), name, dict(call.fields.get("with") or {}))
    result = await run_call(request, toolbox.specs, context, toolbox.effects, call.label, ask_person)
    if result.denied:
        raise denied(call, result.text)
    if result.failed:
        raise RunFailed(f"{call.path}: {result.text}")
    return NodeResult({"text": result.text, "files": list(result.files)}, result.text.partition("\n")[0][:120])


async def _call_id(call: NodeCall, effects: EffectRunner) -> str:
    """Return the first id whose call is not known to have failed: a resume tries a failed one again."""
    for call_id in attempts("call"):
        earlier = await effects.recover(CallRef(call.label, call_id), ask_person)
        if earlier is None or not earlier.failed:
            return call_id
    raise AssertionError("attempts never end")


async def run_human(call: NodeCall, deps: NodeDeps) -> NodeResult:
    """Return {choice, value, reason}; the run waits here until somebody answers, or takes the headless answer.

    An answer that cannot be used is told and asked for again.
    """
    fields = call.fields
    edits = fields.get("edits")
    question = Question(
        kind="human",
        node=call.label,
        text=str(fields.get("show", "")),
        choices=tuple(fields["choices"]),
        payload=_edited(fields, edits) if edits else {},
        headless=fields.get("headless"),
    )
    answer = _usable_answer(masked_question(question, deps.toolbox.secrets), call)
    edited = {edits: answer.value} if edits and answer.value is not None else {}
    return NodeResult(human_value(answer), answer.choice, edits=edited, resets=answer.by == "person")


def _edited(fields: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return what an editor needs: the value, and what it has to be when it comes back."""
    schema, kind = fields.get("edit_schema"), fields.get("edit_kind")
    return {"edit": fields["edit_value"], "key": key, "schema": schema, "kind": kind}


def human_value(answer: Answer) -> dict[str, Any]:
    """Return a human node's value: what its edges see as `output`."""
    return {"choice": answer.choice, "value": answer.value, "reason": answer.reason}


def _usable_answer(question: Question, call: NodeCall) -> Answer:
    asked = question
    while True:
        answer = ask_person(asked)
        try:
            return _checked(answer, question, call.fields)
        except ValueError as err:
            asked = replace(question, text=f"{err}\n\n{question.text}")


def _checked(answer: Answer, question: Question, fields: Mapping[str, Any]) -> Answer:
    """Return the answer with its edit as the state key takes it.

    Raises:
        ValueError: it is none of the choices, or the edit does not fit the key.
    """
    if answer.choice not in question.choices:
        raise ValueError(f"{answer.choice!r} is not one of {', '.join(question.choices)}.")
    if not fields.get("edits") or answer.value is None:
        return answer
    try:
        return replace(answer, value=fitted(answer.value, fields["edit_schema"], fields["edit_kind"]))
    except ValueError as err:
        raise ValueError(f"The edited {fields['edits']} {err}. Nothing of it was taken; edit it again.") from err


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
