"""Running graphs from a program: `from flowloom import run`. Everything else of a run is as at the command line."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import (
    FlowError,
    LimitReached,
    ModelUnavailable,
    NodePaused,
    RunFailed,
    RunInterrupted,
    UsageError,
    WallTimeReached,
)
from ..core.events import EventRecord, Phase
from ..core.questions import Answer, Question
from ..core.texts import shortened
from .context import Surface, runs_db
from .resume import ResumeRequest, resume_run
from .run import RunRequest, start_run
from .surroundings import load_setup

if TYPE_CHECKING:
    from ..runs.runner import Outcome
    from .context import AppContext

AnswerTo = Callable[[Question], Any]
"""Answers a question: with one of its choices, with an Answer, with None (nobody can answer now), and where a graph
written in Python asks without choices with any JSON data."""
OnEvent = Callable[[EventRecord], None]

_STOPPED: Mapping[int, type[FlowError]] = {
    each.exit_code: each for each in (LimitReached, WallTimeReached, NodePaused, ModelUnavailable, RunInterrupted)
}
"""What stops a run that can go on, by its exit code."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run came out.

    Attributes:
        run_id: names the run for `resume`, and for `flow runs show`.
        status: "done", or "waiting" while questions are open.
        output: what the graph returned, JSON data; None = nothing yet.
        diff: what the run changed, as one unified diff; "" = nothing.
        questions: those that nobody has answered.
    """

    run_id: str
    status: str
    output: Any = None
    diff: str = ""
    questions: tuple[Question, ...] = ()


@dataclass(slots=True)
class _Watching:
    """Hands the events of a run on (app.context.Watcher)."""

    on_event: OnEvent | None = None

    def record(self, record: EventRecord) -> None:
        if self.on_event is not None:
            self.on_event(record)

    def progress(self, node: str, phase: Phase, amount: int) -> None:
        pass

    def notice(self, text: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Answering:
    """Answers by a program, else with each question's own headless answer."""

    by: AnswerTo | None = None

    def __call__(self, question: Question) -> Answer | None:
        given = self.by(question) if self.by is not None else None
        if given is None:
            return None if question.headless is None else Answer(question.headless, by="headless")
        answer = _as_answer(given, question)
        if question.choices and answer.choice not in question.choices:
            raise UsageError(
                f"{shortened(answer.choice)} is no answer to the question of {question.node}.",
                hint=f"Answer with one of: {', '.join(question.choices)}.",
            )
        return answer


def _as_answer(given: Any, question: Question) -> Answer:
    if isinstance(given, Answer):
        return given
    if isinstance(given, str):
        return Answer(given)
    if question.kind != "interrupt" or question.choices:
        raise UsageError(
            f"{given!r} is no answer to the question of {question.node}.",
            hint="Answer with a text, or with an Answer.",
        )
    return Answer("", value=given)


async def arun(
    graph: str | Path,
    inputs: Mapping[str, Any] | None = None,
    *,
    workspace: str | Path = ".",
    settings: Mapping[str, Any] | None = None,
    answer: AnswerTo | None = None,
    on_event: OnEvent | None = None,
) -> RunResult:
    """Run a graph from its start; as `run`, in a program that has an event loop."""
    context, request = _prepared(graph, inputs, workspace, settings)
    return _result(context, await start_run(context, request, Surface(_Watching(on_event), _Answering(answer))))


def run(
    graph: str | Path,
    inputs: Mapping[str, Any] | None = None,
    *,
    workspace: str | Path = ".",
    settings: Mapping[str, Any] | None = None,
    answer: AnswerTo | None = None,
    on_event: OnEvent | None = None,
) -> RunResult:
    """Run a graph from its start, and wait until it ends or nobody answers its questions.

    Args:
        graph: the name of a graph, the path of a graph file, or "FILE.py:NAME"; paths from the current folder.
        inputs: the graph's inputs by name, as JSON data.
        workspace: the repository that the run works in, or a folder in it.
        settings: dotted keys in place of those of the settings files, such as {"mode": "auto"}.
        answer: called for each question; None, or what returns None, leaves a question its own headless answer, and
            the run waiting where it has none.
        on_event: called for each event of the run, in order, from the thread that runs it.

    Raises:
        FlowError: the run could not begin, failed, or stopped; its class and `exit_code` say why, as the exit codes
            of `flow run` do. A run that began can be found by `flow runs list`.
    """
    return _waited(arun(graph, inputs, workspace=workspace, settings=settings, answer=answer, on_event=on_event))


async def aresume(
    run_id: str = "last",
    *,
    workspace: str | Path = ".",
    settings: Mapping[str, Any] | None = None,
    answer: AnswerTo | None = None,
    on_event: OnEvent | None = None,
) -> RunResult:
    """Go on with a run; as `resume`, in a program that has an event loop."""
    context = _context(workspace, settings)
    surface = Surface(_Watching(on_event), _Answering(answer))
    return _result(context, await resume_run(context, ResumeRequest(run_id), surface))


def resume(
    run_id: str = "last",
    *,
    workspace: str | Path = ".",
    settings: Mapping[str, Any] | None = None,
    answer: AnswerTo | None = None,
    on_event: OnEvent | None = None,
) -> RunResult:
    """Go on with a run that waits, was stopped, or whose process died; otherwise like `run`.

    Args:
        run_id: its id, the beginning of it, or "last".
    """
    return _waited(aresume(run_id, workspace=workspace, settings=settings, answer=answer, on_event=on_event))


async def stream(
    graph: str | Path,
    inputs: Mapping[str, Any] | None = None,
    *,
    workspace: str | Path = ".",
    settings: Mapping[str, Any] | None = None,
    answer: AnswerTo | None = None,
) -> AsyncIterator[EventRecord]:
    """Run a graph from its start and yield its events as they happen; the last one tells how it ended.

    A caller that leaves the loop early stops the run, which can be resumed then. Arguments and errors are those of
    `run`; an error is raised after the events that came before it.
    """
    events: asyncio.Queue[EventRecord | None] = asyncio.Queue()
    running = asyncio.ensure_future(
        arun(graph, inputs, workspace=workspace, settings=settings, answer=answer, on_event=events.put_nowait)
    )
    running.add_done_callback(lambda _: events.put_nowait(None))
    try:
        while (event := await events.get()) is not None:
            yield event
        await running
    finally:
        if not running.done():
            running.cancel()
            await asyncio.wait([running])


def _prepared(
    graph: str | Path,
    inputs: Mapping[str, Any] | None,
    workspace: str | Path,
    settings: Mapping[str, Any] | None,
) -> tuple[AppContext, RunRequest]:
    return _context(workspace, settings), RunRequest(_graph(str(graph)), inputs=dict(inputs or {}))


def _context(workspace: str | Path, settings: Mapping[str, Any] | None) -> AppContext:
    folder = Path(workspace).resolve()
    return load_setup(folder, os.environ, flags=settings or {}).context(folder)


def _graph(name: str) -> str:
    """Return a graph's name, or the absolute path of a file."""
    file, colon, attribute = name.rpartition(":") if ".py:" in name else (name, "", "")
    is_file = bool(colon) or "/" in name or name.endswith((".yaml", ".yml"))
    return f"{os.path.abspath(os.path.expanduser(file))}{colon}{attribute}" if is_file else name


def _result(context: AppContext, outcome: Outcome) -> RunResult:
    """Return how a run came out. Raises: FlowError: it failed or stopped."""
    if outcome.status not in ("done", "waiting"):
        hint = outcome.hint or f"See `flow runs show {outcome.run_id}`."
        # A graph may name any exit code for its own failure.
        kind = None if outcome.status == "failed" else _STOPPED.get(outcome.exit_code)
        if kind is None:
            raise RunFailed(outcome.message, hint=hint, exit_code=outcome.exit_code)
        raise kind(outcome.message, hint=hint)
    questions: tuple[Question, ...] = ()
    if outcome.status == "waiting":
        from ..runs.store import RunStore

        with RunStore(runs_db(context)) as store:
            questions = tuple(store.questions(outcome.run_id))
    return RunResult(outcome.run_id, outcome.status, outcome.output, outcome.diff, questions)


def _waited(work: Awaitable[RunResult]) -> RunResult:
    async def wait() -> RunResult:
        return await work

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    close = getattr(work, "close", None)
    if close is not None:
        close()
    raise UsageError("An event loop is running already.", hint="Use `await arun(...)` or `await aresume(...)` there.")
