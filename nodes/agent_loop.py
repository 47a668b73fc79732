"""The agent loop: model and tools in turn until the model answers without a call, as a LangGraph subgraph.

One superstep per model call and per tool call, so that a kill never loses more than the step in flight. Called by
nodes/agent.py. It imports langgraph only to become a graph: its first steps may run before that (opening.py).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langgraph.constants import END, START
from pydantic import BaseModel

from ..context.prompts import fill, load_prompt
from ..context.view import View, group_starts, viewed
from ..core.errors import ModelFault, ModelNotUsable, NoRoom, ReplyCut, ReplyInvalid, RunFailed
from ..core.events import ModelRetried
from ..core.messages import CallKey, Message, ModelReply, ModelRequest, ToolCall, ToolDef
from ..core.ports import ChatModel
from ..llm.read_reply import Calls, Reading, Retry, read_reply
from ..llm.structured import format_schema, json_kind, read_structured, schema_text
from .agent_state import AgentState, view_of
from .agent_task import AgentTask, ModelCallsUsedUp
from .ask_model import MAX_FAULTS, MAX_REPAIRS, AskModel, told_again, unusable
from .changed import changed_contents
from .compacting import Compacting
from .deps import NodeDeps
from .first_messages import first_messages, too_large
from .opening import FIRST, Opening
from .repeats import STOP_AT, times_in_a_row
from .tool_round import ToolRound, call_summary, output_pointer
from .window import (
    Granted,
    Measured,
    Ratio,
    fitted_cap,
    learned_ratio,
    prompt_tokens,
    require_room,
    window_of,
)

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph


class AgentLoop:
    """The supersteps of one agent visit."""

    def __init__(self, task: AgentTask, deps: NodeDeps) -> None:
        self._task = task
        self._deps = deps
        self._opening: Opening | None = None
        if task.tokens:
            deps.gate.bound(task.label, task.tokens)
        self._specs = task.toolset(deps.toolbox.specs)
        self._live = {name for name, spec in self._specs.items() if spec.live}
        self._tool_round = ToolRound(task, deps, self._specs)
        self._asker = AskModel(task.label, deps, self._note_asked)
        self._compacting = Compacting(
            task,
            deps,
            self._asker,
            deps.assembler.counter,
            self._request,
            self._count,
            self._read_reply,
            self._pointer,
        )
        self._take_names(CallKey(task.path, task.visit, 0))

    def compiled(self) -> CompiledStateGraph[Any, Any, Any, Any]:
        """Return the loop as a graph; invoked inside a node it inherits that run's checkpointer."""
        from langgraph.graph import StateGraph

        first = self._opening or self
        graph = StateGraph(AgentState)
        graph.add_node("begin", first.begin)
        graph.add_node("model", first.call_model)
        graph.add_node("compact", self._compact)
        graph.add_node("tool", self._run_tools)
        graph.add_edge(START, "begin")
        graph.add_edge("begin", "model")
        graph.add_conditional_edges("model", _after_model, ["model", "compact", "tool", END])
        graph.add_conditional_edges("compact", _after_compact, ["model", "compact"])
        graph.add_conditional_edges("tool", _after_tool, ["model", "tool"])
        return graph.compile()

    def is_of(self, task: AgentTask) -> bool:
        """Return whether this is the loop of just that task."""
        return self._task == task

    def open(self) -> Opening:
        """Begin the first steps now; the graph takes them over."""
        self._opening = Opening(self.begin, self.call_model)
        return self._opening

    async def begin(self, state: AgentState) -> AgentState:
        """Return the state that the visit begins with.

        Raises:
            TaskTooLarge: the task leaves no room to work on it.
        """
        begun = await self._begun()
        first = [Message.from_dict(message) for message in begun["messages"]]
        if err := too_large(self._task, self._deps, first, len(self._definitions)):
            raise err
        return begun

    async def _begun(self) -> AgentState:
        task, deps = self._task, self._deps
        deps.events.progress(task.label, "retrieving")
        first, before = await asyncio.gather(
            asyncio.to_thread(first_messages, task, deps, self._names, self._definitions),
            asyncio.to_thread(changed_contents, deps),
        )
        return {
            "messages": [message.to_dict() for message in first],
            "turn": 0,
            "faults": 0,
            "ratio": Ratio(deps.counts.ratio(task.model), self._model.name).to_dict(),
            "files_before": before,
            # Without tools there is nothing to do before the answer, so it is held to its schema at once.
            "structuring": task.schema is not None and not self._definitions,
        }

    async def first_request(self) -> ModelRequest:
        """Return what the visit asks its model first, also for a task that is too large; nothing is asked or kept."""
        state: AgentState = {**FIRST, **await self._begun()}
        return self._request(state, view_of(state))

    def _take_names(self, key: CallKey) -> None:
        """Show the tools as the model of the task knows them, which may be another one than at the last call."""
        self._names = self._deps.names(self._task.model, key)
        self._definitions = tuple(self._names.definition(spec.definition()) for spec in self._specs.values())

    @property
    def _model(self) -> ChatModel:
        """The model of the task, which another one may have taken over since the last call."""
        return self._deps.model(self._task.model)

    async def call_model(self, state: AgentState) -> AgentState:
        self._check_limits(state)
        while True:
            model = self._model
            self._take_names(self._key(state))
            request = self._request(state, view_of(state))
            tokens = await self._tokens(state, model, request)
            if self._compacting.is_due(state, model, tokens):
                return {"compacting": 1}
            window = window_of(model, state.get("granted"))
            require_room(self._task.label, model.name, window, request, tokens)
            try:
                return await self._ask(state, model, request, tokens)
            except NoRoom as err:
                return self._refused(state, model, request, tokens, err)
            except ModelNotUsable as err:
                await self._deps.fall_back(self._task.model, err, tokens + request.max_tokens)
                if self._model.name == model.name:
                    raise

    async def _tokens(self, state: AgentState, model: ChatModel, request: ModelRequest) -> int:
        """Return the tokens of the next request, by the server's own tokenizer where a decision hangs on them."""
        tokens = self._count(state, request)
        if not self._compacting.is_close(state, model, tokens):
            return tokens
        exact = await self._deps.counts.exact(self._task.model, request)
        return tokens if exact is None else exact

    def _refused(
        self, state: AgentState, model: ChatModel, request: ModelRequest, tokens: int, err: NoRoom
    ) -> AgentState:
        """Return the step that makes the conversation smaller, after the server had no room for a request.

        Raises:
            NoRoom: it has none for the smaller one either, or there is nothing to leave out.
        """
        if state.get("refused") or not group_starts(state["messages"], view_of(state).dropped):
            raise err
        self._deps.events.emit(self._task.label, ModelRetried(str(request.key), err.message))
        granted = Granted.after(err, model, tokens + request.max_tokens)
        # The refusal is recorded under this turn, so the repeat has another one.
        turn = state["turn"] + 1
        return {"turn": turn, "compacting": 1, "refused": True, "measured": None, "granted": granted.to_dict()}

    async def _compact(self, state: AgentState) -> AgentState:
        self._take_names(self._key(state))
        return await self._compacting.step(state, self._model)

    async def _ask(self, state: AgentState, model: ChatModel, request: ModelRequest, tokens: int) -> AgentState:
        """Return what one request to the model brings to the state.

        Args:
            tokens: of the request, never below what the model will count.
        """
        try:
            answered = await self._asker.ask(
                model, request, tokens, lambda reply: self._read_reply(state, request, reply)
            )
        except (ReplyCut, ReplyInvalid) as err:
            return self._retry(state, request.key, err, "")
        reply, reading = answered
        update = self._take(state, request.key, reply, reading)
        if state.get("refused"):
            update["refused"] = False
        if reply.usage.prompt_tokens is not None:
            self._take_count(state, update, request, reply.usage.prompt_tokens, model.name)
        return update

    def _take_count(
        self, state: AgentState, update: AgentState, request: ModelRequest, counted: int, model: str
    ) -> None:
        """Let the next requests be counted by what the server counted for this one."""
        update["measured"] = Measured(counted, len(request.messages), model).to_dict()
        ratio = self._ratio(state)
        learned = learned_ratio(request, self._deps.assembler.counter, counted, ratio)
        if learned > ratio:
            update["ratio"] = Ratio(learned, model).to_dict()
            self._deps.counts.learned(model, learned)
        view = view_of(state)
        if view.tokens / 2 <= counted < view.tokens and view.until == len(state["messages"]):
            # What the compaction left was estimated; how much is new from here on is told by the server's counts.
            update["view"] = replace(view, tokens=counted).to_dict()

    def _check_limits(self, state: AgentState) -> None:
        limit = self._task.model_calls or self._deps.limits.model_calls
        if state["turn"] >= limit:
            raise ModelCallsUsedUp(
                f"{self._task.label} used all of its {limit} model calls.",
                hint="Raise limits.model_calls_per_node, or make the step smaller.",
            )

    def _key(self, state: AgentState) -> CallKey:
        return CallKey(self._task.path, self._task.visit, state["turn"])

    def _request(self, state: AgentState, view: View) -> ModelRequest:
        """Return the next request, its conversation as a view shows it."""
        structuring = bool(state.get("structuring"))
        messages = tuple(map(self._names.told, viewed(state["messages"], view)))
        tools: tuple[ToolDef, ...] = () if structuring else self._definitions
        schema = format_schema(self._schema()) if structuring else None
        described = self._definitions if structuring else ()
        window = window_of(self._model, state.get("granted"))
        most = fitted_cap(self._deps.limits.max_tokens, window)
        return ModelRequest(messages, self._key(state), tools, schema, most, described, self._names.profile)

    def _count(self, state: AgentState, request: ModelRequest) -> int:
        measured = Measured.from_dict(state.get("measured"), self._model.name)
        return prompt_tokens(request, self._deps.assembler.counter, measured, self._ratio(state))

    def _ratio(self, state: AgentState) -> float:
        learned = Ratio.from_dict(state.get("ratio"), self._model.name)
        return self._deps.counts.ratio(self._task.model) if learned is None else learned.tokens

    def _read_reply(self, state: AgentState, request: ModelRequest, reply: ModelReply) -> Reading:
        offered = () if state.get("structuring") else self._definitions
        shown = [message.content for message in request.messages if message.role in ("user", "tool")]
        reading = read_reply(reply, offered, turn=request.key.turn, read_before=shown)
        if not isinstance(reading, Calls):
            return reading
        return replace(reading, calls=tuple(map(self._names.own_call, reading.calls)))

    def _take(self, state: AgentState, key: CallKey, reply: ModelReply, reading: Reading) -> AgentState:
        if isinstance(reading, Calls):
            return self._take_calls(state, key, reply, reading)
        said = Message("assistant", reply.text, thinking=reply.thinking)
        update: AgentState = {"messages": [said.to_dict()], "turn": state["turn"] + 1, "pending": []}
        if not reply.text.strip():
            return self._retry(state, key, ReplyInvalid("it was empty: no text and no tool call."), "")
        unread, text = None, reply.text
        if isinstance(reading, Retry):
            unread = ReplyInvalid(reading.fault)
        else:
            text = reading.text
        if self._task.schema is None:
            if unread is not None:
                return self._retry(state, key, unread, reply.text)
            return self._answered(state, key, update, text, text)
        try:
            value = read_structured(text, self._task.schema)
        except ReplyInvalid as fault:
            if unread is None and not state.get("structuring"):
                return self._ask_for_structure(state, update)
            return self._retry(state, key, unread or fault, reply.text)
        return self._answered(state, key, update, text, value.model_dump(mode="json"))

    def _answered(self, state: AgentState, key: CallKey, update: AgentState, text: str, value: Any) -> AgentState:
        """Return the end of the visit; or what tells the model, once, that its answer will not do.

        Raises:
            RunFailed: the second answer will not do either.
        """
        check = self._task.check
        unmet = check(value, state["files_before"]) if check is not None else ""
        if not unmet:
            return {**update, "final": text, "value": value}
        if state.get("unmet"):
            raise RunFailed(f"{self._task.label}: two answers of {self._model.name!r} would not do: {unmet}.")
        return {**self._told_again(state, key, ReplyInvalid(f"{unmet}."), text), "unmet": True}

    def _take_calls(self, state: AgentState, key: CallKey, reply: ModelReply, reading: Calls) -> AgentState:
        if state.get("structuring"):
            return self._retry(state, key, ReplyInvalid("a tool was called where only the JSON was asked for."), "")
        said = Message("assistant", reading.text, reading.calls, thinking=reply.thinking).to_dict()
        for call in reading.calls:
            self._stop_loop([*self._task.own(state["messages"]), said], call)
        pending = [call.to_dict() for call in reading.calls]
        return {"messages": [said], "turn": state["turn"] + 1, "faults": 0, "pending": pending}

    def _stop_loop(self, messages: list[dict[str, Any]], call: ToolCall) -> None:
        if call.name in self._live or times_in_a_row(messages, call) < STOP_AT:
            return
        raise RunFailed(
            f"{self._task.label}: {self._model.name!r} made the same call {STOP_AT} times in a row, and the last one "
            f"was not run: {call.name} {call_summary(call)}".rstrip()
            + ".",
            hint="The run is saved: `flow resume` asks again, another model may do better.",
        )

    def _ask_for_structure(self, state: AgentState, update: AgentState) -> AgentState:
        ask = Message("user", self._structure_prompt())
        return {**update, "messages": [*update["messages"], ask.to_dict()], "structuring": True, "faults": 0}

    def _structure_prompt(self) -> str:
        schema = self._schema()
        return fill(load_prompt("nodes", "structure"), kind=json_kind(schema), schema=schema_text(schema))

    def _schema(self) -> type[BaseModel]:
        if self._task.schema is None:
            raise ValueError(f"{self._task.label} has no schema to ask for")
        return self._task.schema

    def _retry(self, state: AgentState, key: CallKey, fault: ModelFault, said: str) -> AgentState:
        faults = state.get("faults", 0) + 1
        if faults > (MAX_REPAIRS if state.get("structuring") else MAX_FAULTS):
            raise unusable(self._task.label, self._model.name, faults, fault) from fault
        return {**self._told_again(state, key, fault, said), "faults": faults}

    def _told_again(self, state: AgentState, key: CallKey, fault: ModelFault, said: str) -> AgentState:
        """Return what asks the model again, with what was wrong with its reply."""
        self._deps.events.emit(self._task.label, ModelRetried(str(key), fault.message))
        return {
            "messages": [message.to_dict() for message in told_again(fault, said)],
            "turn": state["turn"] + 1,
            "pending": [],
        }

    async def _run_tools(self, state: AgentState) -> AgentState:
        return await self._tool_round.run(state, self._names)

    def _pointer(self) -> str:
        return output_pointer(self._names) if "read_file" in self._specs else ""

    def _note_asked(self) -> None:
        if self._opening is not None:
            self._opening.note_asked()


def _after_model(state: AgentState) -> str:
    if state.get("final") is not None:
        return END
    if state.get("compacting"):
        return "compact"
    return "tool" if state.get("pending") else "model"


def _after_tool(state: AgentState) -> str:
    return "tool" if state["pending"] else "model"


def _after_compact(state: AgentState) -> str:
    return "compact" if state["compacting"] else "model"
