"""The agent loop: model and tools in turn until the model answers without a call, as a LangGraph subgraph.

One superstep per model call and per tool call, so that a kill never loses more than the step in flight. Called by
nodes/agent.py; imports langgraph, so it is itself imported only when a run starts.
"""

from __future__ import annotations

import asyncio
import operator
import time
from dataclasses import replace
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

from ..context.prompts import fill, load_prompt
from ..core.effects import ToolResult
from ..core.errors import ModelFault, ReplyCut, ReplyInvalid, RunFailed
from ..core.events import ModelCalled, ModelRetried, ToolEnded, ToolStarted
from ..core.messages import CallKey, Message, ModelReply, ModelRequest, ToolCall, ToolDef
from ..core.questions import Answer, Question
from ..core.tool import ToolContext
from ..llm.read_reply import Calls, Reading, Retry, read_reply
from ..llm.structured import format_schema, read_structured, schema_text
from ..tools.calls import run_call
from ..tools.shell_shown import shown_output
from .agent_task import AgentTask, ModelCallsUsedUp
from .changed import changed_contents
from .deps import NodeDeps
from .repeats import HINT_AT, STOP_AT, times_in_a_row
from .window import Measured, prompt_tokens, require_room

MAX_FAULTS = 2
"""Unusable replies in a row that are asked again; the next one ends the node."""
MAX_REPAIRS = 1
"""The same, once the reply is held to a schema: a model that misses it twice will miss it again."""


class AgentState(TypedDict, total=False):
    """State of one visit.

    `messages` only grows; `pending` holds the calls of the last reply that have not run; `measured` is what the
    server counted for the last request (see window.py).
    """

    messages: Annotated[list[dict[str, Any]], operator.add]
    pending: list[dict[str, Any]]
    turn: int
    faults: int
    todos: list[dict[str, str]]
    files_before: dict[str, str]
    final: str | None
    structuring: bool
    measured: dict[str, int]
    value: Any


class AgentLoop:
    """The supersteps of one agent visit."""

    def __init__(self, task: AgentTask, deps: NodeDeps) -> None:
        self._task = task
        self._deps = deps
        self._model = deps.model(task.model)
        self._specs = task.toolset(deps.toolbox.specs)
        self._definitions = tuple(spec.definition() for spec in self._specs.values())

    def compiled(self) -> CompiledStateGraph[Any, Any, Any, Any]:
        """Return the loop as a graph; invoked inside a node it inherits that run's checkpointer."""
        graph = StateGraph(AgentState)
        graph.add_node("begin", self._begin)
        graph.add_node("model", self._call_model)
        graph.add_node("tool", self._run_tools)
        graph.add_edge(START, "begin")
        graph.add_edge("begin", "model")
        graph.add_conditional_edges("model", _after_model, ["model", "tool", END])
        graph.add_conditional_edges("tool", _after_tool, ["model", "tool"])
        return graph.compile()

    async def _begin(self, state: AgentState) -> AgentState:
        task, deps = self._task, self._deps
        deps.events.progress(task.label, "retrieving")
        first = await asyncio.to_thread(self._first_messages)
        return {
            "messages": [message.to_dict() for message in first],
            "turn": 0,
            "faults": 0,
            "files_before": await asyncio.to_thread(changed_contents, deps),
            # Without tools there is nothing to do before the answer, so it is held to its schema at once.
            "structuring": task.schema is not None and not self._definitions,
        }

    def _first_messages(self) -> list[Message]:
        task, deps = self._task, self._deps
        mask = deps.toolbox.secrets.mask
        if task.history:
            return [*task.history, Message("user", mask(task.prompt))]
        role = task.preset
        extra = role.extra(deps.changes, deps.assembler)
        first = deps.assembler.first_message(role.text(task.schema), task.prompt, task.budget, extra)
        return [task.system, replace(first, content=mask(first.content))]

    async def _call_model(self, state: AgentState) -> AgentState:
        key = CallKey(self._task.path, self._task.visit, state["turn"])
        self._check_limits(state, key)
        request = self._request(state, key, structuring=bool(state.get("structuring")))
        measured = Measured.from_dict(state.get("measured"))
        tokens = prompt_tokens(request, self._deps.assembler.counter, measured)
        require_room(self._task.label, self._model.name, self._model.window, request, tokens)
        started = time.monotonic()
        try:
            reply = await self._model.complete(request, self._on_progress)
        except (ReplyCut, ReplyInvalid) as fault:
            return self._retry(state, key, fault, "")
        reading = self._read(state, key, reply)
        if not reply.told:
            seconds = time.monotonic() - started if reply.seconds is None else reply.seconds
            self._report(key, reply, reading, seconds)
        update = self._take(state, key, reply, reading)
        if reply.usage.prompt_tokens is not None:
            update["measured"] = Measured(reply.usage.prompt_tokens, len(request.messages)).to_dict()
        return update

    def _check_limits(self, state: AgentState, key: CallKey) -> None:
        limit = self._task.model_calls or self._deps.limits.model_calls
        if state["turn"] >= limit:
            raise ModelCallsUsedUp(
                f"{self._task.label} used all of its {limit} model calls.",
                hint="Raise limits.model_calls_per_node, or make the step smaller.",
            )
        self._deps.gate.before_model_call(self._task.label, str(key))

    def _request(self, state: AgentState, key: CallKey, *, structuring: bool) -> ModelRequest:
        messages = tuple(Message.from_dict(message) for message in state["messages"])
        tools: tuple[ToolDef, ...] = () if structuring else self._definitions
        schema = format_schema(self._schema()) if structuring else None
        described = self._definitions if structuring else ()
        return ModelRequest(messages, key, tools, schema, self._deps.limits.max_tokens, described)

    def _read(self, state: AgentState, key: CallKey, reply: ModelReply) -> Reading:
        offered = () if state.get("structuring") else self._definitions
        shown = [message["content"] for message in state["messages"] if message["role"] in ("user", "tool")]
        return read_reply(reply, offered, turn=key.turn, read_before=shown)

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
            return {**update, "final": text, "value": text}
        try:
            value = read_structured(text, self._task.schema)
        except ReplyInvalid as fault:
            if unread is None and not state.get("structuring"):
                return self._ask_for_structure(state, update)
            return self._retry(state, key, unread or fault, reply.text)
        return {**update, "final": text, "value": value.model_dump(mode="json")}

    def _take_calls(self, state: AgentState, key: CallKey, reply: ModelReply, reading: Calls) -> AgentState:
        if state.get("structuring"):
            return self._retry(state, key, ReplyInvalid("a tool was called where only the JSON was asked for."), "")
        said = Message("assistant", reading.text, reading.calls, thinking=reply.thinking).to_dict()
        for call in reading.calls:
            self._stop_loop([*self._visit(state), said], call)
        pending = [call.to_dict() for call in reading.calls]
        return {"messages": [said], "turn": state["turn"] + 1, "faults": 0, "pending": pending}

    def _stop_loop(self, messages: list[dict[str, Any]], call: ToolCall) -> None:
        if times_in_a_row(messages, call) < STOP_AT:
            return
        raise RunFailed(
            f"{self._task.label}: {self._model.name!r} made the same call {STOP_AT} times in a row, and the last one "
            f"was not run: {call.name} {call_summary(call)}".rstrip()
            + ".",
            hint="The run is saved: `flow resume` asks again, another model may do better.",
        )

    def _visit(self, state: AgentState) -> list[dict[str, Any]]:
        """Return the messages of this visit, without those of the visits it goes on from."""
        return state["messages"][len(self._task.history) :]

    def _ask_for_structure(self, state: AgentState, update: AgentState) -> AgentState:
        ask = Message("user", fill(load_prompt("nodes", "structure"), schema=schema_text(self._schema())))
        return {**update, "messages": [*update["messages"], ask.to_dict()], "structuring": True, "faults": 0}

    def _schema(self) -> type[BaseModel]:
        if self._task.schema is None:
            raise ValueError(f"{self._task.label} has no schema to ask for")
        return self._task.schema

    def _retry(self, state: AgentState, key: CallKey, fault: ModelFault, said: str) -> AgentState:
        faults = state.get("faults", 0) + 1
        if faults > (MAX_REPAIRS if state.get("structuring") else MAX_FAULTS):
            raise RunFailed(
                f"{self._task.label}: {faults} replies of {self._model.name!r} in a row could not be used; "
                f"the last one: {fault.message}",
                hint="The run is saved: `flow resume` asks again, another model may do better.",
            )
        self._deps.events.emit(self._task.label, ModelRetried(str(key), fault.message))
        # The unusable reply keeps its place in the conversation, so that roles still alternate.
        answer = Message("assistant", said or "(no usable reply)")
        correction = Message("user", fill(load_prompt("nodes", "reply_fault"), fault=fault.message))
        return {
            "messages": [answer.to_dict(), correction.to_dict()],
            "turn": state["turn"] + 1,
            "faults": faults,
            "pending": [],
        }

    async def _run_tools(self, state: AgentState) -> AgentState:
        pending = [ToolCall.from_dict(call) for call in state["pending"]]
        batch = self._batch(pending)
        self._announce(batch)
        results = await asyncio.gather(*(self._run_one(state, call) for call in batch))
        todos = [result.todos for result in results if result.todos is not None]
        update: AgentState = {
            "messages": [
                self._result(state, call, result).to_dict() for call, result in zip(batch, results, strict=True)
            ],
            "pending": [call.to_dict() for call in pending[len(batch) :]],
        }
        return {**update, "todos": list(todos[-1])} if todos else update

    def _result(self, state: AgentState, call: ToolCall, result: ToolResult) -> Message:
        repeated = times_in_a_row(self._visit(state), call) >= HINT_AT
        text = f"{result.text}\n\n{load_prompt('nodes', 'repeated_call')}" if repeated else result.text
        return Message("tool", text, call_id=call.id, tool_name=call.name, seen=result.seen)

    def _batch(self, pending: list[ToolCall]) -> list[ToolCall]:
        """Return the leading calls that may run side by side; any call that could change something runs alone."""
        together: list[ToolCall] = []
        for call in pending:
            spec = self._specs.get(call.name)
            if spec is None or not spec.together:
                break
            together.append(call)
        return together or pending[:1]

    def _announce(self, batch: list[ToolCall]) -> None:
        """Pass the gate for all calls before the first one runs: none is left running when the run stops here."""
        events, label = self._deps.events, self._task.label
        for call in batch:
            if self._deps.gate.before_tool(label, call.id):
                events.emit(label, ToolStarted(call.id, call.name, call_summary(call)))
        events.progress(label, "running tool")

    async def _run_one(self, state: AgentState, call: ToolCall) -> ToolResult:
        events, label = self._deps.events, self._task.label
        started = time.monotonic()
        if refused := self._spawn_refusal(state, call):
            result = ToolResult(refused, failed=True)
        else:
            toolbox = self._deps.toolbox
            result = await run_call(
                call, self._specs, self._tool_context(state), toolbox.effects, self._task.label, ask_person
            )
        seconds = time.monotonic() - started
        line = call.args.get("command")
        ran = call.name == "bash" and isinstance(line, str) and result.exit_code is not None
        shown = shown_output(str(line), result.text) if ran else ""
        ended = ToolEnded(call.id, call.name, not result.failed, seconds, result.files, result.text[:400], shown)
        events.emit(label, ended)
        return result

    def _tool_context(self, state: AgentState) -> ToolContext:
        toolbox = self._deps.toolbox
        return ToolContext(
            workspace=toolbox.workspace,
            blobs=toolbox.blobs,
            retriever=toolbox.retriever,
            offered=tuple(self._specs),
            todos=tuple(state.get("todos") or ()),
            changes=self._deps.changes,
            seen=_seen(state["messages"]),
            secrets=toolbox.secrets,
        )

    def _spawn_refusal(self, state: AgentState, call: ToolCall) -> str:
        if call.name != "spawn_agent":
            return ""
        limits = self._deps.limits
        earlier = [
            said["id"]
            for message in self._visit(state)
            for said in message.get("calls", ())
            if said["name"] == "spawn_agent"
        ]
        if call.id in earlier[limits.spawn_count :]:
            return f"This agent already started {limits.spawn_count} sub-agents, which is the limit. Go on yourself."
        return ""

    def _on_progress(self, phase: Any, amount: int) -> None:
        self._deps.events.progress(self._task.label, phase, amount)

    def _report(self, key: CallKey, reply: ModelReply, reading: Reading, seconds: float) -> None:
        usage = reply.usage
        event = ModelCalled(
            key=str(key),
            model=reply.model or self._model.name,
            seconds=seconds,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            calls=tuple(call.name for call in reading.calls) if isinstance(reading, Calls) else (),
            text=reply.text[:400],
        )
        self._deps.events.emit(self._task.label, event)


def ask_person(question: Question) -> Answer:
    """Return the answer to a question, or stop the graph here until it is answered.

    LangGraph runs the asking node again from its top once there is an answer.
    """
    return Answer.from_dict(interrupt(question.to_dict()))


def _seen(messages: list[dict[str, Any]]) -> dict[str, str]:
    """Return what the conversation shows of files; the latest message counts."""
    seen: dict[str, str] = {}
    for message in messages:
        seen.update(message.get("seen") or {})
    return seen


def call_summary(call: ToolCall) -> str:
    """Return one line that tells a person what a call is about."""
    for name in ("command", "path", "pattern", "task", "action", "query"):
        if value := call.args.get(name):
            return " ".join(str(value).split())[:120]
    return ""


def _after_model(state: AgentState) -> str:
    if state.get("final") is not None:
        return END
    return "tool" if state.get("pending") else "model"


def _after_tool(state: AgentState) -> str:
    return "tool" if state["pending"] else "model"
