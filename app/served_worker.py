"""The process that does the work of a served graph; see served.py, which starts it as `python -m`.

It reads one JSON object from stdin, {workspace, file, inputs} to start a run or {workspace, run, answers} to go on
with one, and prints the run's events as JSON lines; the last line is {outcome} or {error}.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import FlowError
from ..core.events import EventRecord, Phase
from ..core.questions import Answer, Question
from .context import AppContext, Surface, runs_db
from .resume import ResumeRequest, resume_run
from .run import RunRequest, start_run
from .surroundings import load_setup

if TYPE_CHECKING:
    from ..runs.runner import Outcome


def main() -> None:
    """Do what stdin says."""
    order = json.loads(sys.stdin.read())
    try:
        workspace = Path(order["workspace"])
        context = load_setup(workspace, os.environ).context(workspace)
        outcome = asyncio.run(_drive(context, order))
        _print({"outcome": _ended(context, outcome)})
    except FlowError as err:
        _print({"error": f"{err.message} {err.hint}".strip()})


async def _drive(context: AppContext, order: Mapping[str, Any]) -> Outcome:
    surface = Surface(_Printed(), lambda question: None)
    # The server that is stopped, or cancels its run, stops this one after the step under way.
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, surface.stop.set)
    if "run" not in order:
        return await start_run(context, RunRequest(order["file"], inputs=order["inputs"]), surface)
    answers = tuple((question, Answer.from_dict(answer)) for question, answer in order["answers"].items())
    return await resume_run(context, ResumeRequest(order["run"], answers), surface)


def _ended(context: AppContext, outcome: Outcome) -> dict[str, Any]:
    ended = {"run": outcome.run_id, "status": outcome.status, "output": outcome.output, "question": None}
    told = f"{outcome.message} {outcome.hint}".strip()
    if outcome.status == "waiting":
        from ..runs.store import RunStore

        with RunStore(runs_db(context)) as store:
            ended["question"] = _shown(store.questions(outcome.run_id)[0])
    return {**ended, "message": told}


def _shown(question: Question) -> dict[str, Any]:
    """Return a question as an interrupt tells it; `value` is what an answer may change, None = nothing."""
    return {
        "id": question.id,
        "node": question.node,
        "text": question.text,
        "choices": list(question.choices),
        "value": question.payload.get("edit"),
    }


def _print(data: Mapping[str, Any]) -> None:
    print(json.dumps(data), flush=True)


class _Printed:
    """Prints the events of a run (app.context.Watcher)."""

    def record(self, record: EventRecord) -> None:
        _print(record.to_dict())

    def progress(self, node: str, phase: Phase, amount: int) -> None:
        pass

    def notice(self, text: str) -> None:
        _print({"type": "notice", "data": {"text": text}})


if __name__ == "__main__":
    main()
