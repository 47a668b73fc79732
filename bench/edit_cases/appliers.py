"""What is compared: Flowloom's applier, a plain one, and Aider's, which runs in an interpreter that has it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flowloom.core.errors import UsageError
from flowloom.tools.edit_text import EditError, apply_edit

from .cases import Case
from .task import Task


@dataclass(frozen=True, slots=True)
class Answer:
    """What an applier did.

    Attributes:
        text: the whole file after it; None = refused.
        said: the stage that applied it, or why it was refused; "" where it does not say.
    """

    text: str | None
    ms: float
    said: str = ""


Applier = Callable[[Iterable[Case]], Iterator[Answer]]


def flowloom(cases: Iterable[Case]) -> Iterator[Answer]:
    """Yield the answers of `tools.edit_text.apply_edit`."""
    for case in cases:
        asked = case.task
        began = time.perf_counter()
        result = apply_edit(asked.text, asked.old, asked.new, asked.near_line)
        ms = (time.perf_counter() - began) * 1000
        if isinstance(result, EditError):
            yield Answer(None, ms, result.reason)
        else:
            yield Answer(result.text, ms, result.stage)


def exact_only(cases: Iterable[Case]) -> Iterator[Answer]:
    """Yield what replacing a quote that stands once, byte for byte, gives."""
    for case in cases:
        began = time.perf_counter()
        text = _replaced(case.task)
        yield Answer(text, (time.perf_counter() - began) * 1000)


def aider(python: Path) -> Applier:
    """Return the applier of the Aider that this interpreter has installed; its use raises UsageError if none is."""

    def answers(cases: Iterable[Case]) -> Iterator[Answer]:
        worker = Path(__file__).with_name("aider_worker.py")
        try:
            process = subprocess.Popen(
                [str(python), str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
            )
        except OSError as err:
            raise UsageError(f"{python} does not start: {err.strerror}.") from err
        with process:
            yield from _asked(process, cases)

    return answers


def _asked(process: subprocess.Popen[str], cases: Iterable[Case]) -> Iterator[Answer]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the worker has no pipes")
    if process.stdout.readline() != "ready\n":
        raise UsageError("The interpreter that was given for Aider has no package `aider`.")
    for case in cases:
        asked = case.task
        process.stdin.write(json.dumps({"text": asked.text, "old": asked.old, "new": asked.new}) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        yield Answer(answer["text"], answer["ms"], answer["said"])


def _replaced(asked: Task) -> str | None:
    return asked.text.replace(asked.old, asked.new) if asked.text.count(asked.old) == 1 else None
