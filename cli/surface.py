"""What `flow run`, `resume` and `demo` share: a view on the run, a way to answer, Ctrl-C, and the result."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..app.context import Surface
from ..core.errors import RunInterrupted
from ..core.questions import Answer, Question
from .asking import ask_at_terminal
from .context import CliOptions
from .notify import Notify, notify
from .printing import one_line, print_json, visible
from .render import JsonlView, ProgressView
from .result_text import result_text

if TYPE_CHECKING:
    from ..app.context import AppContext
    from ..runs.runner import Outcome

Start = Callable[[Surface], "Awaitable[Outcome]"]

TERM_GRACE_S = 10.0
"""Seconds that a step under way is given after SIGTERM: whoever sends it kills soon after."""


def drive(options: CliOptions, context: AppContext, start: Start) -> int:
    """Run `start` to its end, show it, print the result, and return the exit code."""
    view = make_view(options, context.settings.output)
    surface = Surface(view, answerer(options, view, context.settings.approvals.notify))
    try:
        outcome = asyncio.run(_until_end(surface, start, view))
    finally:
        view.close()
    _print_outcome(options, context.settings.output, outcome)
    return outcome.exit_code


def make_view(options: CliOptions, output: str) -> ProgressView | JsonlView:
    """Return JSON lines on stdout for `-o jsonl`, else progress on stderr."""
    if output == "jsonl":
        return JsonlView(sys.stdout, sys.stderr, quiet=options.quiet)
    live = sys.stderr.isatty() and options.env.get("TERM") != "dumb"
    return ProgressView(
        sys.stderr,
        live=live,
        board=live and options.color,
        color=options.color,
        quiet=options.quiet,
        verbose=options.verbose,
        asks=options.input_allowed,
    )


def answerer(
    options: CliOptions, view: ProgressView | JsonlView, call: Notify = "off"
) -> Callable[[Question], Answer | None]:
    """Return what answers questions: the person at the terminal, else each question's own headless answer.

    Args:
        call: how a person is called to the terminal.
    """

    def answer(question: Question) -> Answer | None:
        if options.input_allowed:
            with view.paused():
                notify(call, f"{question.node} waits for an answer", sys.stderr)
                return _asked(options, question)
        return None if question.headless is None else Answer(question.headless, by="headless")

    return answer


def _asked(options: CliOptions, question: Question) -> Answer | None:
    color = options.color and sys.stderr.isatty()
    try:
        with _own_signals():
            return ask_at_terminal(question, stdin=sys.stdin, stderr=sys.stderr, color=color, env=options.env)
    except KeyboardInterrupt as err:
        print(file=sys.stderr)
        raise RunInterrupted("Stopped at the question, which was not answered.") from err


@contextmanager
def _own_signals() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into KeyboardInterrupt: the event loop stands still, and so do its handlers."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    # Else the loop would learn of the same signal once it goes on, and stop a second time.
    wakeup = signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


async def _until_end(surface: Surface, start: Start, view: ProgressView | JsonlView) -> Outcome:
    task = asyncio.ensure_future(start(surface))

    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        if surface.stop.is_set():
            task.cancel()
            return
        surface.stop.set()
        view.notice("Stopping after this step; once more stops at once. What is finished is saved.")
        if number == signal.SIGTERM:
            loop.call_later(TERM_GRACE_S, task.cancel)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    return await task


def _print_outcome(options: CliOptions, output: str, outcome: Outcome) -> None:
    if outcome.message:
        print(f"flow: {visible(one_line(outcome.message))}", file=sys.stderr)
    if hint := _hint(outcome):
        print(visible(hint), file=sys.stderr)
    if output == "text":
        if text := result_text(outcome.output, outcome.diff):
            print(text)
    elif output == "json":
        print_json(
            {
                "run_id": outcome.run_id,
                "status": outcome.status,
                "exit_code": outcome.exit_code,
                "message": outcome.message,
                "hint": _hint(outcome),
                "output": outcome.output,
                "diff": outcome.diff,
            }
        )


def _hint(outcome: Outcome) -> str:
    """Return what to do next; how to go on is said of every run that can."""
    if outcome.status not in ("interrupted", "paused") or "flow resume" in outcome.hint:
        return outcome.hint
    return f"{outcome.hint} Go on with `flow resume {outcome.run_id}`.".strip()


def say(options: CliOptions, text: str) -> None:
    """Print a text for people on stderr; nothing with -q."""
    if not options.quiet and text:
        print(visible(text), file=sys.stderr, flush=True)
