"""One request to a model: limits before it, its cost and its fault told, what follows a reply that cannot be used.

Called by the agent loop, and by visit_models.py for what code asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from ..context.kept_front import KeptFront
from ..context.prompts import fill, load_prompt
from ..core.errors import FlowError, ModelFault, RunFailed
from ..core.events import ModelRetried, Phase
from ..core.messages import CallKey, Message, ModelReply, ModelRequest
from ..core.ports import ChatModel
from ..core.run_ports import PlannedCall
from ..llm.read_reply import Calls, Reading
from ..llm.tokens import count_request
from .deps import NodeDeps
from .model_call import CallUnderWay

MAX_FAULTS = 2
"""Unusable replies in a row that are asked again; the next one ends the node."""
MAX_REPAIRS = 1
"""The same, once the reply is held to a schema: a model that misses it twice will miss it again."""


class Answered(NamedTuple):
    reply: ModelReply
    reading: Reading


class AskModel:
    """Asks the models of one visit.

    Args:
        label: of the visit.
        on_asked: called at each sign of life of a request.
    """

    def __init__(self, label: str, deps: NodeDeps, on_asked: Callable[[], None]) -> None:
        self._label = label
        self._deps = deps
        self._on_asked = on_asked
        self._front = KeptFront()

    def begin_anew(self) -> None:
        """Take note that the conversation was made smaller: the next request has another front."""
        self._front.begin_anew()

    async def ask(
        self, model: ChatModel, request: ModelRequest, tokens: int, read: Callable[[ModelReply], Reading]
    ) -> Answered:
        """Return the reply and how it reads; what it cost is told, and also what a fault cost.

        Args:
            tokens: of the request, never below what the model will count.

        Raises:
            FlowError: as core.ports.ChatModel.complete and StepGate.model_call.
        """
        deps, key = self._deps, request.key
        planned = PlannedCall(model.name, tokens, request.max_tokens)
        kept = self._front.share(request)
        async with deps.gate.model_call(self._label, planned, str(key)) as cap:

            def on_progress(phase: Phase, amount: int, fault: str = "") -> None:
                self._on_progress(key, phase, amount, fault)

            call = CallUnderWay(key, model.name, deps.prices.of(model.name), tokens, on_progress)
            try:
                reply = await model.complete(replace(request, max_tokens=cap), call)
            except FlowError as err:
                if (cost := call.told_fault(err)) is not None:
                    deps.events.emit(self._label, cost)
                raise
            reading = read(reply)
            if not reply.told:
                self._report(call, reply, reading, kept)
        return Answered(reply, reading)

    def _on_progress(self, key: CallKey, phase: Phase, amount: int, fault: str) -> None:
        if fault:
            self._deps.events.emit(self._label, ModelRetried(str(key), fault))
        self._deps.events.progress(self._label, phase, amount)
        self._on_asked()

    def _report(self, call: CallUnderWay, reply: ModelReply, reading: Reading, kept: float | None) -> None:
        names = tuple(each.name for each in reading.calls) if isinstance(reading, Calls) else ()
        said = Message("assistant", f"{reply.thinking}{reply.text}", reply.calls)
        written = count_request([said], (), self._deps.assembler.counter)
        told = call.told(reply.usage, written=written, model=reply.model, seconds=reply.seconds)
        self._deps.events.emit(self._label, replace(told, calls=names, text=reply.text[:400], kept=kept))


def told_again(fault: ModelFault, said: str) -> tuple[Message, Message]:
    """Return what is added to a conversation whose last reply could not be used.

    Args:
        said: its text; "" = it had none that could be read.
    """
    # The unusable reply keeps its place in the conversation, so that roles still alternate.
    answer = Message("assistant", said or "(no usable reply)")
    return answer, Message("user", fill(load_prompt("nodes", "reply_fault"), fault=fault.message))


def unusable(label: str, model: str, faults: int, last: ModelFault) -> RunFailed:
    """Return the error of a visit whose model does not give a usable reply."""
    return RunFailed(
        f"{label}: {faults} replies of {model!r} in a row could not be used; the last one: {last.message}",
        hint="The run is saved: `flow resume` asks again, another model may do better.",
    )
