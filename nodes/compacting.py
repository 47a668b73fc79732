"""The superstep that makes a conversation smaller when its window fills. Called by the agent loop.

It asks the model for a summary in the same conversation, so that the server's cache serves all of it, and only then
builds the front anew: once for each filled window. Another model would have to read everything, so the agent's own
one writes the summary, whatever the role `light` is set to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from ..context.compaction import Compaction, Room, can_leave_out, is_due
from ..context.prompts import fill, load_prompt
from ..context.session import Facts
from ..context.view import View, shortened, whole_bytes
from ..core.errors import FlowError, LimitReached, ModelFault, ModelNotUsable, NoRoom, ReplyInvalid, WallTimeReached
from ..core.events import Compacted, ModelRetried, Noticed
from ..core.messages import CallKey, Message, ModelReply, ModelRequest
from ..core.ports import ChatModel, TokenCounter
from ..llm.read_reply import Calls, Reading, Retry
from .agent_state import AgentState, view_of
from .agent_task import AgentTask
from .ask_model import AskModel
from .changed import changed_between, changed_contents
from .deps import NodeDeps
from .window import Granted, fitted_cap, window_of

MAX_SUMMARIES = 2
"""Requests for one summary; then the sliding window does without."""
_WORDS_A_TOKEN = 0.5
_MOST_WORDS = 400

Build = Callable[[AgentState, View], ModelRequest]
"""Makes the next request of a state as a view shows it."""
Count = Callable[[AgentState, ModelRequest], int]


class Compacting:
    """Makes the conversation of one agent visit smaller.

    Args:
        counter: for texts.
        build: the next request.
        count: its tokens, never below what the model will count.
        read: what a reply to the next request says.
        pointer: how the model reads the whole of a result; see View.
    """

    def __init__(
        self,
        task: AgentTask,
        deps: NodeDeps,
        asker: AskModel,
        counter: TokenCounter,
        build: Build,
        count: Count,
        read: Callable[[AgentState, ModelRequest, ModelReply], Reading],
        pointer: Callable[[], str],
    ) -> None:
        self._task = task
        self._deps = deps
        self._asker = asker
        self._counter = counter
        self._build = build
        self._count = count
        self._read = read
        self._pointer = pointer

    def is_close(self, state: AgentState, model: ChatModel, tokens: int) -> bool:
        """Return whether it hangs on the tokens of the next request that it is made smaller, or not sent at all."""
        room = self._room(state, model)
        return tokens > room.most or is_due(state["messages"], view_of(state), tokens, room)

    def is_due(self, state: AgentState, model: ChatModel, tokens: int) -> bool:
        """Return whether this step comes before the next request, which has so many tokens.

        What a person asked for is done at the first request that is made after that.
        """
        messages, view = state["messages"], view_of(state)
        if self._deps.compact_now.take():
            if can_leave_out(messages, view):
                return True
            self._deps.events.emit(self._task.label, Noticed("There is nothing to compact yet."))
        return is_due(messages, view, tokens, self._room(state, model))

    async def step(self, state: AgentState, model: ChatModel) -> AgentState:
        """Return what this step brings to the state: a smaller view, or one more try to get a summary.

        Raises:
            FlowError: the server does not answer, or the time is used up. A summary that cannot be had is no error.
        """
        room = self._room(state, model)
        compaction, tokens = await self._begun(state, room)
        due = is_due(state["messages"], view_of(state), tokens, room)
        if state["compacting"] == 1 and due and (view := compaction.shrunk()) is not None:
            return await self._done(state, view, tokens, "results")
        summary = ""
        try:
            if not state.get("refused") and (self._is_worth_a_call(state, room, tokens) or not due):
                summary = await self._summary(state, model, room)
        except NoRoom as err:
            # Its refusal is recorded under this turn, so what is asked next has another one.
            self._tell(state, err)
            granted = Granted.after(err, model, tokens + room.cap).to_dict()
            return {"turn": state["turn"] + 1, "compacting": MAX_SUMMARIES + 1, "refused": True, "granted": granted}
        except ModelNotUsable as err:
            await self._deps.fall_back(self._task.model, err, tokens + room.cap)
            if self._deps.model(self._task.model).name == model.name:
                raise
            return {"compacting": state["compacting"]}
        except ModelFault as fault:
            self._tell(state, fault)
            return {"turn": state["turn"] + 1, "compacting": state["compacting"] + 1}
        view = await asyncio.to_thread(compaction.rebuilt, summary, len(self._task.history))
        done = await self._done(state, view, tokens, "summary" if summary else "window")
        return {**done, "turn": state["turn"] + bool(summary)}

    async def _begun(self, state: AgentState, room: Room) -> tuple[Compaction, int]:
        facts = await asyncio.to_thread(self._facts, state)
        messages, view = state["messages"], view_of(state)

        def count(view: View) -> int:
            return self._count({**state, "measured": None}, self._build(state, view))

        compaction = Compaction(messages, view, room, facts, count, self._counter, self._pointer())
        return compaction, self._count(state, self._build(state, view))

    def _facts(self, state: AgentState) -> Facts:
        now = changed_contents(self._deps)
        return Facts(
            folder=str(self._deps.toolbox.workspace),
            task=self._deps.toolbox.secrets.mask(self._task.prompt),
            task_at=len(self._task.history),
            plan=[f"[{todo['status']}] {todo['content']}" for todo in state.get("todos") or ()],
            changed=changed_between(state["files_before"], now),
        )

    def _is_worth_a_call(self, state: AgentState, room: Room, tokens: int) -> bool:
        """Return whether enough is new for a summary: one turn that fills the window again is not worth it."""
        view = view_of(state)
        return tokens - view.tokens >= room.new and can_leave_out(state["messages"], view)

    async def _summary(self, state: AgentState, model: ChatModel, room: Room) -> str:
        """Return the model's summary; "" = it is asked no more, or there is no room or no budget to ask.

        Raises:
            ModelFault: what came is none.
            NoRoom: the server has none for the conversation as it is.
        """
        calls = self._task.model_calls or self._deps.limits.model_calls
        request = self._summary_request(state, room)
        tokens = self._count(state, request)
        cap = min(room.cap, room.window - tokens)
        if state["compacting"] > MAX_SUMMARIES or state["turn"] + 1 >= calls or cap < room.summary:
            return ""
        asked = replace(request, max_tokens=cap)
        try:
            _, reading = await self._asker.ask(model, asked, tokens, lambda reply: self._read(state, asked, reply))
        except (WallTimeReached, NoRoom):
            raise
        except LimitReached:
            return ""  # the smaller request may still be made
        text = reading.text if not isinstance(reading, Retry) else ""
        if not text.strip():
            what = "a tool was called" if isinstance(reading, Calls) else "it was empty or looked like a tool call"
            raise ReplyInvalid(f"a summary was asked for, but {what}.")
        return text

    def _summary_request(self, state: AgentState, room: Room) -> ModelRequest:
        """Return the next request with the wish for a summary at its end, where no rule about roles is in its way."""
        words = int(min(room.context / 3 * _WORDS_A_TOKEN, _MOST_WORDS)) // state["compacting"]
        ask = fill(load_prompt("nodes", "summary"), words=str(words))
        next_request = self._build(state, view_of(state))
        *before, last = next_request.messages
        messages = (*before, replace(last, content=f"{last.content}\n\n{ask}"))
        return replace(next_request, messages=messages, schema=None)

    async def _done(
        self, state: AgentState, view: View, before: int, how: Literal["results", "summary", "window"]
    ) -> AgentState:
        await asyncio.to_thread(self._keep_wholes, state, view)
        key = str(self._key(state))
        self._asker.begin_anew()
        left_out = len(state["messages"]) - len(self._shown(state, view))
        self._deps.events.emit(self._task.label, Compacted(key, how, before, view.tokens, left_out))
        return {"view": view.to_dict(), "compacting": 0, "measured": None, "turn": state["turn"]}

    def _keep_wholes(self, state: AgentState, view: View) -> None:
        """Store what is shown short from now on, where a model can read it; on disk before a checkpoint says so."""
        if not view.pointer:
            return
        for stored in state["messages"][view.dropped : view.shrunk]:
            message = Message.from_dict(stored)
            if shortened(message, view).output != message.output:
                self._deps.toolbox.blobs.put(whole_bytes(message))

    def _shown(self, state: AgentState, view: View) -> tuple[Message, ...]:
        return self._build(state, view).messages

    def _tell(self, state: AgentState, fault: FlowError) -> None:
        self._deps.events.emit(self._task.label, ModelRetried(str(self._key(state)), fault.message))

    def _key(self, state: AgentState) -> CallKey:
        return CallKey(self._task.path, self._task.visit, state["turn"])

    def _room(self, state: AgentState, model: ChatModel) -> Room:
        limits, window = self._deps.limits, window_of(model, state.get("granted"))
        return Room(window, fitted_cap(limits.max_tokens, window), limits.compact_at)
