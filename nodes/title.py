"""The title of a conversation, as a small model gives it for the newest input alone.

A side request costs a local server the reading of its prompt, and where it goes to the model that does the work, the
place of that model's conversation in the server's cache. So only another model is asked, and nothing waits for it.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ..context.blocks import Block
from ..context.prompts import fill, load_prompt
from ..core.messages import CallKey, Message, ModelRequest
from ..core.ports import ChatModel
from ..core.run_ports import PlannedCall
from ..llm.structured import format_schema, read_structured, schema_text
from ..llm.tokens import count_request
from .deps import NodeDeps
from .model_call import CallUnderWay

KEY = CallKey("title", 1, 0)
MAX_CHARS = 80
_READ_CHARS = 2_000
_REPLY_TOKENS = 120


class Topic(BaseModel):
    """What the newest input is about."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    isNewTopic: bool
    title: str = Field(max_length=4 * MAX_CHARS, description="two to six words; empty when the topic is not new")


def text_title(text: str) -> str:
    """Return the title that the input gives itself: its first line with words, cut at a word; "" = it has none."""
    lines = (" ".join(line.split()).lstrip("#>*- ") for line in text.splitlines())
    line = next(filter(None, lines), "")
    if len(line) <= MAX_CHARS:
        return line
    cut = line[: MAX_CHARS - 1]
    # Text without blanks, as Japanese has it, is cut anywhere.
    head, _, rest = cut.rpartition(" ")
    return f"{head if head and len(rest) < MAX_CHARS // 3 else cut}…"


async def ask_title(model: ChatModel, deps: NodeDeps, newest: str) -> str:
    """Return a new topic's title in one line; "" = the topic is not new.

    Args:
        newest: the newest input, without secrets.

    Raises:
        FlowError: there is no answer, it cannot be used, or what is left of a budget does not hold it.
    """
    values = {"message": Block("message", newest[:_READ_CHARS]).render(), "schema": schema_text(Topic)}
    message = Message("user", fill(load_prompt("nodes", "title"), **values))
    tokens = count_request([message], (), deps.assembler.counter)
    request = ModelRequest((message,), KEY, schema=format_schema(Topic), max_tokens=_REPLY_TOKENS)
    async with deps.gate.model_call("", PlannedCall(model.name, tokens, _REPLY_TOKENS)):
        call = CallUnderWay(KEY, model.name, deps.prices.of(model.name), tokens, lambda *sign: None)
        reply = await model.complete(request, call)
    written = deps.assembler.counter.count(reply.text)
    deps.events.emit("", call.told(reply.usage, written=written, model=reply.model, seconds=reply.seconds))
    topic = read_structured(reply.text, Topic)
    return " ".join(topic.title.split())[:MAX_CHARS] if topic.isNewTopic else ""
