"""Driving a run: from its row to its end, through questions, limits, faults and Ctrl-C.

Used by app/ for `flow run` and `flow resume` alike; imports langgraph, so it is imported only when a run starts.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.types import Command, StateSnapshot
from langsmith import tracing_context

from ..core.errors import FlowError, LimitReached, ModelUnavailable, NodePaused, RunFailed, RunInterrupted
from ..core.events import QuestionAnswered, QuestionAsked, RunEnded, RunStatus
from ..core.masking import SecretMask
from ..core.ports import EventSink
from ..core.questions import Answer, Question, given_back
from .ends import VisitEnds
from .replies import Replies
from .saver import RunSaver
from .store import RunRow, RunStore
from .versions import STATE_VERSION

Answerer = Callable[[Question], Answer | None]
"""Returns an answer, or None: nobody can answer now and the run waits."""


class Stop(Protocol):
    """A threading.Event as seen from here: set by the signal handler."""

    def is_set(self) -> bool: ...


class StopControl(RunControl):
    """LangGraph's drain, asked for by a Stop: every graph, nested ones too, ends at its next superstep's border."""

    __slots__ = ("_stop",)

    def __init__(self, stop: Stop) -> None:
        super().__init__()
        self._stop = stop

    @property
    def drain_requested(self) -> bool:
        return super().drain_requested or self._stop.is_set()


class Runnable(Protocol):
    """A graph as graphs/below.flow_of gives it."""

    def compile(self, saver: RunSaver) -> Any: ...

    def initial(self, inputs: Mapping[str, Any]) -> Any:
        """Return what the compiled graph is begun with."""
        ...

    def has_failed(self, state: Mapping[str, Any]) -> bool:
        """Return whether a fail node ended the graph."""
        ...

    def outcome(self, state: Mapping[str, Any]) -> tuple[Any, str, int]:
        """Return (output, failure message, exit code); the message is "" when the graph ended well."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command that drove a run ended. `diff` is what the run changed so far, as one unified diff."""

    run_id: str
    status: RunStatus
    exit_code: int
    message: str = ""
    hint: str = ""
    output: Any = None
    diff: str = ""


class Runner:
    """Drives one run in this process.

    Args:
        stop: set when a person asked the run to stop after the step in flight.
        secrets: masks what is said at the end; None = only what looks like a secret by itself.
        before_end: awaited before the run counts as ended or stopped; None = nothing has to be done.
        before_begin: awaited before the graph begins or goes on; what it raises ends or stops the run as if the graph
            had. None = nothing has to be done.
    """

    def __init__(
        self,
        row: RunRow,
        store: RunStore,
        sink: EventSink,
        answerer: Answerer,
        stop: Stop,
        secrets: SecretMask | None = None,
        before_end: Callable[[], Awaitable[None]] | None = None,
        before_begin: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._row = row
        self._before_end = before_end
        self._before_begin = before_begin
        self._secrets = secrets or SecretMask()
        self._store = store
        self._sink = sink
        self._answerer = answerer
        self._control = StopControl(stop)
        self._config: dict[str, Any] = {
            "configurable": {"thread_id": row.id},
            # Bounded by the graph's own limits, never by LangGraph's.
            "recursion_limit": 1_000_000,
            "metadata": {"run_id": row.id},
        }

    async def drive(self, flow: Runnable, saver: RunSaver) -> Outcome:
        """Return how the run ended or where it stopped; its row and its last event say the same."""
        saver.stamp = self._stamp
        try:
            if self._before_begin is not None:
                await self._before_begin()
            # LangGraph would send traces to a hosted service wherever the environment says so.
            with tracing_context(enabled=False):
                outcome = await self._until_end(flow, flow.compile(saver))
        except GraphDrained:
            outcome = self._stopped(RunInterrupted("Stopped after the step that was under way."))
        except asyncio.CancelledError:
            outcome = self._stopped(RunInterrupted("Stopped at once."))
        except FlowError as err:
            outcome = self._stopped(err)
        except sqlite3.OperationalError as err:
            raise RunFailed(
                f"The run database cannot be written ({err}).",
                hint=f"Free space or mend its permissions, then `flow resume {self._row.id}`.",
            ) from err
        outcome = replace(
            outcome,
            message=self._secrets.mask(outcome.message),
            output=self._secrets.mask_data(outcome.output),
        )
        if self._before_end is not None:
            await self._before_end()
        self._record(outcome)
        return outcome

    async def _until_end(self, flow: Runnable, graph: Any) -> Outcome:
        snapshot: StateSnapshot = await graph.aget_state(self._config)
        step: Any = None if snapshot.created_at else flow.initial(self._row.input)
        while True:
            # A fail node of one branch ends the graph, whatever another branch still asks.
            if snapshot.interrupts and not flow.has_failed(snapshot.values):
                answers = self._answers(snapshot)
                if answers is None:
                    return self._waiting(snapshot)
                step = Command(resume=answers)
            await graph.ainvoke(step, self._config, durability="sync", control=self._control)
            snapshot = await graph.aget_state(self._config)
            if not snapshot.interrupts or flow.has_failed(snapshot.values):
                return self._finished(flow, snapshot.values)

    def _stamp(self) -> dict[str, Any]:
        """Return what each checkpoint says of itself: its state's version, the graph, the last event before it."""
        last = self._store.query("SELECT max(seq) FROM event WHERE run_id = ?", (self._row.id,))[0][0]
        return {"state_version": STATE_VERSION, "fingerprint": self._row.fingerprint, "event": last or 0}

    def _answers(self, snapshot: StateSnapshot) -> dict[str, Any] | None:
        """Return answers by interrupt id; None when no open question could be answered now."""
        answers: dict[str, Any] = {}
        for interrupt in snapshot.interrupts:
            question = Question.from_dict({**interrupt.value, "id": interrupt.id})
            if answer := self._answer(question):
                answers[interrupt.id] = given_back(question, answer)
        return answers or None

    def _answer(self, question: Question) -> Answer | None:
        if (stored := self._store.answer_of(self._row.id, question.id)) is not None:
            return stored
        if self._store.open_question(self._row.id, question):
            self._sink.emit(question.node, QuestionAsked(question.id, question.kind, question.text, question.choices))
        if (answer := self._answerer(question)) is not None:
            self._store.close_question(self._row.id, question.id, answer)
            self._sink.emit(question.node, QuestionAnswered(question.id, answer.choice, answer.by))
        return answer

    def _finished(self, flow: Runnable, state: Mapping[str, Any]) -> Outcome:
        output, failure, exit_code = flow.outcome(state)
        status: RunStatus = "failed" if exit_code else "done"
        return Outcome(self._row.id, status, exit_code, failure, output=output)

    def _waiting(self, snapshot: StateSnapshot) -> Outcome:
        asked = [Question.from_dict({**each.value, "id": each.id}) for each in snapshot.interrupts]
        if len(asked) == 1:
            told, given = (
                f"Waiting for an answer ({_answers_to(asked[0])}).",
                "CHOICE" if asked[0].choices else "TEXT",
            )
        else:
            listed = "; ".join(f"{each.id[:8]} at {each.node} ({_answers_to(each)})" for each in asked)
            told, given = f"Waiting for {len(asked)} answers: {listed}.", "ID=CHOICE"
        hint = f"Answer with: flow resume {self._row.id} --answer {given}"
        return Outcome(self._row.id, "waiting", 4, told, hint=hint)

    def _stopped(self, err: FlowError) -> Outcome:
        status: RunStatus = "failed"
        if isinstance(err, RunInterrupted):
            status = "interrupted"
        elif isinstance(err, (ModelUnavailable, LimitReached, NodePaused)):
            status = "paused"
        if isinstance(err, NodePaused):
            # What made it fail may have been a reply: it is asked anew.
            Replies(self._store, self._row.id).drop()
        return Outcome(self._row.id, status, err.exit_code, err.message, err.hint)

    def _record(self, outcome: Outcome) -> None:
        told = f"{outcome.message} {outcome.hint}".strip()
        # All at once: whoever follows the run must find its last event when the row says that it ended.
        with self._store.change():
            if outcome.status in ("done", "failed"):
                Replies(self._store, self._row.id).drop()
                VisitEnds(self._store, self._row.id).drop()
            self._store.update_run(
                self._row.id,
                status=outcome.status,
                exit_code=outcome.exit_code,
                message=outcome.message,
                output=outcome.output,
            )
            self._sink.emit("", RunEnded(outcome.status, outcome.exit_code, told, outcome.output))


def _answers_to(question: Question) -> str:
    return ", ".join(question.choices) or "any text"
