"""Whether a model does what agents live on: calls a tool when it is told to, and keeps to a schema.

Asked by `flow models test` over the same chat model that a run uses; a server's own word on it is often wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ..core.errors import ModelFault
from ..core.messages import CallKey, Message, ModelRequest, ToolDef
from ..core.ports import ChatModel
from .capabilities import Capabilities
from .read_reply import Calls, read_reply
from .structured import format_schema, read_structured, schema_text

CallForm = Literal["native", "text", "prompt", "none"]
"""How a model calls a tool: as the server's own tool call; written in its text; as JSON that its prompt asks for,
since the other ways failed or it takes no tools; not at all."""

_MOST_TOKENS = {True: 1024, False: 256, None: 512}
"""Of a reply, by whether the model thinks first."""
_TOOL = ToolDef(
    "read_file",
    "Returns the text of a file.",
    {
        "type": "object",
        "properties": {"path": {"type": "string", "description": "the file"}},
        "required": ["path"],
    },
)
_FILE = "notes.txt"
_ASK_TOOL = f"Call the tool read_file for the file {_FILE}. Write nothing else."


class _City(BaseModel):
    model_config = ConfigDict(extra="forbid")

    city: str
    population: int


async def try_model(
    found: Capabilities, chat: Callable[[bool], ChatModel], tell: Callable[[str], None]
) -> Capabilities:
    """Return the record with how the model was seen to call a tool, and whether it kept to a schema.

    A model that calls only what its prompt describes is taken for one without tools: runs describe them to it.

    Args:
        chat: makes the model; True = its tools stand in its prompt.
        tell: told what it is asked for.

    Raises:
        FlowError: the server does not work any more.
    """
    most = _MOST_TOKENS[found.thinking]
    calls = await _call_form(found.tools is not False, most, chat, tell)
    tell("asking for JSON of a schema")
    held = await _holds_schema(chat(False), most)
    return replace(found, calls=calls, holds_schema=held, tools=found.tools and calls != "prompt")


async def _call_form(
    takes_tools: bool, most: int, chat: Callable[[bool], ChatModel], tell: Callable[[str], None]
) -> CallForm:
    if takes_tools:
        tell("asking for a tool call")
        if form := await _called(chat(False), most):
            return form
    tell("asking for a tool call as JSON")
    return "prompt" if await _called(chat(True), most) else "none"


async def _called(model: ChatModel, most: int) -> CallForm | None:
    """Return how the model made the one call that it was told to make; None = it did not, or broke it."""
    request = ModelRequest(
        (Message("system", "You work with tools."), Message("user", _ASK_TOOL)),
        CallKey("models-test", 1, 0),
        (_TOOL,),
        max_tokens=most,
    )
    try:
        reply = await model.complete(request, _unseen)
        reading = read_reply(reply, (_TOOL,), turn=0, read_before=[_ASK_TOOL])
    except ModelFault:
        return None
    if not isinstance(reading, Calls) or _FILE not in str(reading.calls[0].args.get("path")):
        return None
    return "native" if reply.calls else "text"


async def _holds_schema(model: ChatModel, most: int) -> bool:
    text = (
        f"Name the capital of Japan with its population. Answer with JSON of this schema alone: {schema_text(_City)}"
    )
    request = ModelRequest(
        (Message("user", text),), CallKey("models-test", 1, 1), (), format_schema(_City), max_tokens=most
    )
    try:
        read_structured((await model.complete(request, _unseen)).text, _City)
    except ModelFault:
        return False
    return True


def _unseen(phase: object, amount: int, fault: str = "") -> None:
    """Show no progress of a reply of a few words."""
