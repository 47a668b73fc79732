"""One round of tool calls of an agent: which run side by side, what they are given, how their results are told.

Called by the agent loop, a superstep a round.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from ..context.prompts import load_prompt
from ..context.view import viewed
from ..core.effects import ToolResult
from ..core.events import ToolEnded, ToolStarted
from ..core.messages import Message, ToolCall
from ..core.ports import ChatModel
from ..core.run_ports import PlannedCall
from ..core.tool import ToolContext, ToolSpec
from ..core.tool_names import ToolNames
from ..tools.calls import run_call
from ..tools.output import OutputLimit, fitted, output_name
from ..tools.shell_shown import shown_output
from .agent_state import AgentState, view_of
from .agent_task import AgentTask
from .asking import ask_person
from .deps import NodeDeps
from .job_news import job_news
from .reminders import Done, Reminded, Round, Told, remind
from .repeats import HINT_AT, times_in_a_row
from .shown import calls_at_once, kept_outputs, result_bytes, seen_files, shown_spans
from .window import share_in, window_of


class ToolRound:
    """Runs the tool calls of one agent visit.

    Args:
        specs: the tools that the agent has, by name.
    """

    def __init__(self, task: AgentTask, deps: NodeDeps, specs: Mapping[str, ToolSpec]) -> None:
        self._task = task
        self._deps = deps
        self._specs = specs
        self._live = {name for name, spec in specs.items() if spec.live}

    async def run(self, state: AgentState, names: ToolNames) -> AgentState:
        """Return what the next calls of the last reply bring to the state.

        Args:
            names: what the model knows the tools as.
        """
        pending = [ToolCall.from_dict(call) for call in state["pending"]]
        batch = self._batch(pending)
        self._announce(batch)
        results = await asyncio.gather(*(self._run_one(state, call, names) for call in batch))
        todos = [result.todos for result in results if result.todos is not None]
        messages = [self._result(state, call, result) for call, result in zip(batch, results, strict=True)]
        news = job_news(self._deps.toolbox.jobs, self._task.label, batch, state.get("jobs_told") or ())
        now: AgentState = {**state, "todos": list(todos[-1])} if todos else state
        done = [Done(call, result) for call, result in zip(batch, results, strict=True)]
        reminded = self._reminded(now, done, names, is_last=len(batch) == len(pending))
        update: AgentState = {
            "messages": news.and_then(reminded.text).under(messages),
            "jobs_told": news.told,
            "reminded": reminded.told.to_dict(),
            "pending": [call.to_dict() for call in pending[len(batch) :]],
        }
        return {**update, "todos": now["todos"]} if todos else update

    def _result(self, state: AgentState, call: ToolCall, result: ToolResult) -> Message:
        repeated = call.name not in self._live and times_in_a_row(self._task.own(state["messages"]), call) >= HINT_AT
        text = f"{result.text}\n\n{load_prompt('nodes', 'repeated_call')}" if repeated else result.text
        return Message(
            "tool",
            text,
            call_id=call.id,
            tool_name=call.name,
            seen=result.seen,
            spans=result.spans,
            output=result.full_output,
        )

    def _reminded(self, state: AgentState, done: list[Done], names: ToolNames, *, is_last: bool) -> Reminded:
        deps = self._deps
        now = Round(
            turn=state["turn"],
            done=done,
            specs=self._specs,
            todos=state.get("todos") or (),
            calls_left=self._calls_left(state),
            calls=self._calls,
            names=names,
            is_last=is_last,
            tests=deps.tests,
        )
        reminded = remind(now, Told.from_dict(state.get("reminded")))
        return reminded._replace(text=deps.toolbox.secrets.mask(reminded.text))

    @property
    def _calls(self) -> int:
        return self._task.model_calls or self._deps.limits.model_calls

    def _calls_left(self, state: AgentState) -> int:
        """Return how many more replies there may be; where a schema is asked for at the end, that takes one."""
        left = self._calls - state["turn"] - (self._task.schema is not None)
        if (measured := state.get("measured")) is None:
            return left
        planned = PlannedCall(self._model.name, measured["tokens"], self._deps.limits.max_tokens)
        held = self._deps.gate.calls_left(self._task.label, planned)
        return left if held is None else min(left, held)

    @property
    def _model(self) -> ChatModel:
        return self._deps.model(self._task.model)

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

    async def _run_one(self, state: AgentState, call: ToolCall, names: ToolNames) -> ToolResult:
        events, label = self._deps.events, self._task.label
        started = time.monotonic()
        if refused := self._spawn_refusal(state, call):
            result = ToolResult(refused, failed=True)
        else:
            ctx = self._tool_context(state, names)
            limit = OutputLimit(ctx.output_bytes, _reader(names) if "read_file" in self._specs else "")
            effects = self._deps.toolbox.effects.showing(limit.bytes, limit.reader)
            result = await run_call(call, self._specs, ctx, effects, label, ask_person)
            result = await asyncio.to_thread(fitted, result, limit, ctx.blobs)
        seconds = time.monotonic() - started
        line = call.args.get("command")
        ran = call.name == "bash" and isinstance(line, str) and result.exit_code is not None
        shown = shown_output(str(line), result.text) if ran else ""
        ended = ToolEnded(call.id, call.name, not result.failed, seconds, result.files, result.text[:400], shown)
        events.emit(label, ended)
        return result

    def _tool_context(self, state: AgentState, names: ToolNames) -> ToolContext:
        toolbox, limits = self._deps.toolbox, self._deps.limits
        messages = viewed(state["messages"], view_of(state))
        seen = seen_files(messages)
        window = window_of(self._model, state.get("granted"))
        return ToolContext(
            workspace=toolbox.workspace,
            blobs=toolbox.blobs,
            retriever=toolbox.retriever,
            offered=tuple(self._specs),
            todos=tuple(state.get("todos") or ()),
            changes=self._deps.changes,
            seen=seen,
            shown=shown_spans(messages, seen),
            outputs=kept_outputs(state["messages"], messages),
            output_bytes=result_bytes(limits.output_bytes, share_in(window), window, calls_at_once(messages)),
            secrets=toolbox.secrets,
            hooks=toolbox.hooks,
            memory=toolbox.memory,
            jobs=toolbox.jobs,
            names=names,
        )

    def _spawn_refusal(self, state: AgentState, call: ToolCall) -> str:
        if call.name != "spawn_agent":
            return ""
        limits = self._deps.limits
        earlier = [
            said["id"]
            for message in self._task.own(state["messages"])
            for said in message.get("calls", ())
            if said["name"] == "spawn_agent"
        ]
        if call.id in earlier[limits.spawn_count :]:
            return f"This agent already started {limits.spawn_count} sub-agents, which is the limit. Go on yourself."
        return ""


def _reader(names: ToolNames) -> str:
    return f"{names.tool('read_file')}, {names.argument('read_file', 'path')}"


def output_pointer(names: ToolNames) -> str:
    """Return how a model reads a kept output, {} standing for its short id."""
    return f"{_reader(names)} {output_name('{}')!r}"


def call_summary(call: ToolCall) -> str:
    """Return one line that tells a person what a call is about."""
    for name in ("command", "path", "pattern", "task", "action", "query"):
        if value := call.args.get(name):
            return " ".join(str(value).split())[:120]
    return ""
