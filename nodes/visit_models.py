"""Model calls that the code of a visit makes itself, counted, bounded, kept and recorded like those of agents.

graphs/python_visit.py and nodes/python_call.py open it around a node's code; nodes/chat_model.py asks through it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from pydantic import BaseModel

from ..context.prompts import fill, load_prompt
from ..core.errors import (
    FlowError,
    LimitReached,
    ModelFault,
    ModelNotUsable,
    ReplyCut,
    ReplyInvalid,
    RunFailed,
    RunInterrupted,
)
from ..core.events import ModelRetried
from ..core.messages import CallKey, Message, ModelReply, ModelRequest, ToolDef
from ..llm.read_reply import Calls, Reading, Retry, Text, read_reply
from ..llm.roles import check_roles
from ..llm.structured import format_schema, json_kind, read_structured, schema_text
from .ask_model import MAX_FAULTS, MAX_REPAIRS, AskModel, told_again, unusable
from .deps import NodeDeps
from .window import fitted_cap, prompt_tokens, require_room


@dataclass(frozen=True, slots=True)
class Asked:
    """What code asks of a model.

    Attributes:
        wanted: a role, or an exact tag that the graph's code names.
        schema: what the whole reply must follow; None = free. Never together with tools.
        must_call: a reply without a call of a tool is asked again.
        max_tokens: output cap; None = that of the settings.
        place: the node of a graph inside the visit that asks, "inner[2]#3"; "" = the visit itself.
    """

    wanted: str
    messages: tuple[Message, ...]
    tools: tuple[ToolDef, ...] = ()
    schema: type[BaseModel] | None = None
    must_call: bool = False
    max_tokens: int | None = None
    place: str = ""


class Said(NamedTuple):
    """What came back. `message` is the assistant's: its text, of a schema the JSON alone, and its calls."""

    message: Message
    reply: ModelReply
    key: CallKey


@dataclass(slots=True)
class _Asker:
    """The requests of one place in a visit: who asks, and the number of the next one."""

    asks: AskModel
    turn: int = 0


class VisitModels:
    """The models of a run as the code of one visit may ask them.

    Requests are named by their order in the visit, so that a visit that runs again from its top, after a kill or a
    question, gets the replies that it had.

    Args:
        label: of the visit.
        attempt: which try of the visit it is; another one asks anew.
        namespace: LangGraph's, of the visit; what runs below it has a longer one.
    """

    def __init__(self, label: str, deps: NodeDeps, attempt: int, namespace: str) -> None:
        self.namespace = namespace
        self.stopped_by: FlowError | None = None
        self.label = label
        self._deps = deps
        self._try = f"try-{attempt}" if attempt > 1 else ""
        self._loop = asyncio.get_running_loop()
        self._askers: dict[str, _Asker] = {}
        self._under_way: set[Future[Said]] = set()
        self._ended = False

    async def ask(self, asked: Asked) -> Said:
        """Return a usable reply; from whatever event loop.

        Raises:
            RunFailed: the replies cannot be used, or the conversation cannot be sent.
            FlowError: a limit is reached, the run is to stop, or no model answers.
        """
        if asyncio.get_running_loop() is self._loop:
            return await self._ask(asked)
        return await asyncio.wrap_future(self._handed_over(asked))

    def ask_and_wait(self, asked: Asked) -> Said:
        """Return what `ask` does, in code that is not asynchronous.

        Raises:
            RunFailed: it was called where it would wait for itself. FlowError: as `ask`.
        """
        self.require_thread()
        return self._handed_over(asked).result()

    def require_thread(self) -> None:
        """Return when the code may wait here. Raises: RunFailed: it would wait for itself."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise RunFailed(
            f"{self.label}: a model was asked by invoke() in an async function, where nothing goes on meanwhile.",
            hint="Use `await model.ainvoke(...)` there, or make the function a plain one.",
        )

    def close(self) -> None:
        """End what is under way: nobody waits for it."""
        self._ended = True
        for future in tuple(self._under_way):
            future.cancel()

    def _handed_over(self, asked: Asked) -> Future[Said]:
        if self._ended:
            # A thread that its node left behind.
            raise RunInterrupted(f"{self.label} is over, and still asks a model.")
        future = asyncio.run_coroutine_threadsafe(self._ask(asked), self._loop)
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        return future

    async def _ask(self, asked: Asked) -> Said:
        try:
            return await self._answered(asked)
        except (LimitReached, RunInterrupted) as err:
            self.stopped_by = self.stopped_by or err
            raise

    async def _answered(self, asked: Asked) -> Said:
        asker = self._askers.setdefault(asked.place, _Asker(AskModel(self.label, self._deps, lambda: None)))
        messages = self._sendable(asked)
        faults = 0
        fault: ModelFault
        while True:
            key = self._key(asked.place, asker.turn)
            asker.turn += 1
            try:
                reply, reading = await self._asked(asker.asks, asked, messages, key)
            except (ReplyCut, ReplyInvalid) as err:
                fault, said = err, ""
            else:
                found = _fault(asked, reply, reading)
                if found is None:
                    return Said(_message(asked, reply, reading), reply, key)
                fault, said = found, reply.text
            faults += 1
            if faults > (MAX_FAULTS if asked.schema is None else MAX_REPAIRS):
                raise unusable(self.label, self._deps.model(asked.wanted).name, faults, fault) from fault
            self._deps.events.emit(self.label, ModelRetried(str(key), fault.message))
            messages = (*messages, *told_again(fault, said))

    async def _asked(
        self, asks: AskModel, asked: Asked, messages: tuple[Message, ...], key: CallKey
    ) -> tuple[ModelReply, Reading]:
        """Return one reply, of the model that works for the role now."""
        deps = self._deps
        await deps.connected()
        while True:
            model = deps.model(asked.wanted)
            request = ModelRequest(
                messages,
                key,
                asked.tools,
                None if asked.schema is None else format_schema(asked.schema),
                fitted_cap(asked.max_tokens or deps.limits.max_tokens, model.window),
                keeps_earlier=True,
            )
            tokens = prompt_tokens(request, deps.assembler.counter, None, deps.counts.ratio(asked.wanted))
            require_room(self.label, model.name, model.window, request, tokens)
            try:
                return await asks.ask(model, request, tokens, partial(_read, request))
            except ModelNotUsable as err:
                await deps.fall_back(asked.wanted, err, tokens + request.max_tokens)
                if deps.model(asked.wanted).name == model.name:
                    raise

    def _sendable(self, asked: Asked) -> tuple[Message, ...]:
        """Return the conversation as a model may get it: without secrets, and with the schema it is held to.

        Raises:
            RunFailed: it breaks the order of roles.
        """
        secrets = self._deps.toolbox.secrets
        messages = [Message.from_dict(secrets.mask_data(message.to_dict())) for message in asked.messages]
        if asked.schema is not None and messages:
            schema = fill(
                load_prompt("nodes", "structure"), kind=json_kind(asked.schema), schema=schema_text(asked.schema)
            )
            messages[-1] = replace(messages[-1], content=f"{messages[-1].content}\n\n{schema}")
        try:
            check_roles(messages)
        except ValueError as err:
            raise RunFailed(f"{self.label}: {err}.") from err
        return tuple(messages)

    def _key(self, place: str, turn: int) -> CallKey:
        path, _, visit = self.label.rpartition("#")
        inside = "/".join(filter(None, (self._try, place)))
        if not inside:
            return CallKey(path, int(visit), turn)
        below, mark, step = inside.rpartition("#")
        return CallKey(f"{self.label}/{below if mark else inside}", int(step) if mark else 1, turn)


VISIT_MODELS: ContextVar[VisitModels | None] = ContextVar("flow_visit_models", default=None)


@contextmanager
def models_for(label: str, deps: NodeDeps, attempt: int = 1, namespace: str = "") -> Iterator[None]:
    """Let the code that runs in the block ask the models of the run; arguments as of VisitModels.

    Raises:
        FlowError: a limit was reached or the run is to stop, whatever the code made of that.
    """
    models = VisitModels(label, deps, attempt, namespace)
    token = VISIT_MODELS.set(models)
    try:
        yield
    except Exception as err:
        if models.stopped_by is None or models.stopped_by is err:
            raise
        raise models.stopped_by from err
    finally:
        VISIT_MODELS.reset(token)
        models.close()
    if models.stopped_by is not None:
        raise models.stopped_by


def step_name(name: str, said: Mapping[str, Any]) -> str:
    """Return a node of LangGraph with its step and, of several that Send made in one step, its number: "ask[2]#3".

    Args:
        said: LangGraph's metadata of it.
    """
    path = said.get("langgraph_path") or ("", "")
    item = f"[{path[1]}]" if path[0] == "__pregel_push" else ""
    return f"{name}{item}#{said.get('langgraph_step', 1)}"


def _read(request: ModelRequest, reply: ModelReply) -> Reading:
    shown = [message.content for message in request.messages if message.role in ("user", "tool")]
    return read_reply(reply, request.tools, turn=request.key.turn, read_before=shown)


def _fault(asked: Asked, reply: ModelReply, reading: Reading) -> ModelFault | None:
    """Return why a reply will not do, for the model; None = it will."""
    if isinstance(reading, Retry):
        return ReplyInvalid(reading.fault)
    if isinstance(reading, Calls):
        return None if asked.schema is None else ReplyInvalid("a tool was called where only the JSON was asked for.")
    if not reply.text.strip():
        return ReplyInvalid("it was empty: no text and no tool call.")
    if asked.must_call:
        return ReplyInvalid(f"it called no tool. Call one of: {', '.join(tool.name for tool in asked.tools)}.")
    if asked.schema is not None:
        try:
            read_structured(reading.text, asked.schema)
        except ReplyInvalid as fault:
            return fault
    return None


def _message(asked: Asked, reply: ModelReply, reading: Reading) -> Message:
    if isinstance(reading, Calls):
        return Message("assistant", reading.text, reading.calls, thinking=reply.thinking)
    text = reading.text if isinstance(reading, Text) else reply.text
    if asked.schema is not None:
        text = read_structured(text, asked.schema).model_dump_json()
    return Message("assistant", text, thinking=reply.thinking)
