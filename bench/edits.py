"""What an edit costs as an agent makes it, planned, journaled and written; in a small and in a large repository."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from flowloom.core.messages import ToolCall
from flowloom.core.questions import Question
from flowloom.core.tool import ToolContext
from flowloom.runs.blobs import BlobStore
from flowloom.runs.journal import RunJournal
from flowloom.runs.store import RunStore
from flowloom.tools.calls import run_call
from flowloom.tools.effects import Effects
from flowloom.tools.host import HostSandbox
from flowloom.tools.registry import TOOLS

from .rows import Row

_FILES = (100, 10_000)
_ROUNDS = 40
_LIMIT_MS = 20.0


class _Nobody:
    """The ports that an edit does not use."""

    def retrieve(self, query: str, budget: int, sources: object) -> NoReturn:
        raise AssertionError("an edit retrieves nothing")

    async def spawn(self, parent: str, call_id: str, task: str, tools: object) -> NoReturn:
        raise AssertionError("an edit starts no sub-agent")


def run() -> list[Row]:
    """Return the middle edit of forty for each size of repository."""
    return [asyncio.run(_measure(files)) for files in _FILES]


async def _measure(files: int) -> Row:
    with tempfile.TemporaryDirectory() as name:
        workspace = Path(name, "workspace").resolve()
        for number in range(files):
            path = _path(workspace, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"VALUE = {number}\n" + "x = 1\n" * 500, "utf-8")
        with RunStore(Path(name, "runs.db")) as store:
            times = await _edit_times(workspace, store, files)
    return Row(f"edit of a file, {files:,} files, middle of {_ROUNDS}", statistics.median(times), "ms", _LIMIT_MS)


async def _edit_times(workspace: Path, store: RunStore, files: int) -> list[float]:
    row = store.create_run(
        graph="edits", graph_source="", graph_text="", fingerprint="", input={}, options={}, workspace=workspace
    )
    blobs = BlobStore(store.blobs_folder(row.id))
    effects = Effects(
        workspace=workspace,
        sandbox=HostSandbox(),
        journal=RunJournal(store, row.id, blobs),
        blobs=blobs,
        mode="auto",
        grants=set(),
        output_bytes=16_384,
        spawner=_Nobody(),
        jobs=store.blobs_folder(row.id) / "jobs",
    )
    context = ToolContext(workspace, blobs, _Nobody())
    times = []
    for number in range(_ROUNDS):
        path = _path(workspace, number * 97 % files).relative_to(workspace).as_posix()
        args = {"path": path, "old_text": "VALUE = ", "new_text": f"VALUE = {number} + "}
        began = time.perf_counter()
        result = await run_call(ToolCall(f"t{number}.0", "edit_file", args), TOOLS, context, effects, "code#1", _ask)
        times.append((time.perf_counter() - began) * 1000)
        if result.failed:
            raise AssertionError(result.text)
    return times


def _path(workspace: Path, number: int) -> Path:
    return workspace / f"package{number // 100:03}" / f"module{number:05}.py"


def _ask(question: Question) -> NoReturn:
    raise AssertionError(f"nothing is asked in mode auto: {question.text}")
