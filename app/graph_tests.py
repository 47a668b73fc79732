"""The tests that stand in graph files: each a run against recorded answers, in a repository of its own.

Nothing of the user's is touched: workspace, run database and caches lie in a temporary folder. Settings are the
built-in ones, so that a test ends alike on every machine.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from ..configs.dirs import Dirs
from ..configs.settings import Settings
from ..core.errors import FlowError, UsageError
from ..core.events import EventRecord, Phase
from ..core.questions import Answer, Question
from ..graphs.channels import state_values
from ..graphs.expressions import evaluate
from ..graphs.find import Loaded
from ..graphs.own_filters import own_filters
from ..graphs.spec import GraphTest
from .context import AppContext, Surface, runs_db
from .docs import add_documents, sync_documents
from .driving import run_facts
from .fresh_repository import commit_all
from .graphs import graph_entries, load_graphs
from .run import RunRequest, start_run

if TYPE_CHECKING:
    from ..runs.runner import Outcome

_NO_CALLS = {"v": 1, "key": {"node": ""}, "digest": None, "reply": {"text": ""}}
"""The one record of the cassette of a test that names none: it fits no call, so that every call is told."""


class TestResult(NamedTuple):
    """How one test ended; `message` says what was wrong, "" = nothing."""

    graph: str
    name: str
    passed: bool
    seconds: float
    message: str = ""


def run_graph_tests(context: AppContext, names: Sequence[str], only: str = "") -> Iterator[TestResult]:
    """Yield the result of each test as it ends.

    Args:
        names: graphs or graph files; none = every known graph that is trusted and can be read, but for shipped ones.
        only: tests whose name does not hold this text are left out.

    Raises:
        FlowError: as `load_graph` of a graph that is named.
    """
    for loaded in _graphs(context, names):
        for test in loaded.spec.tests:
            if only in test.name:
                began = time.monotonic()
                try:
                    message = asyncio.run(_run(context, loaded, test))
                except FlowError as err:
                    message = f"{err.message} {err.hint}".strip()
                yield TestResult(loaded.spec.name, test.name, not message, time.monotonic() - began, message)


def _graphs(context: AppContext, names: Sequence[str]) -> Iterator[Loaded]:
    if names:
        for name in names:
            yield from load_graphs(context, name)
        return
    for entry in graph_entries(context):
        if entry.spec is not None and entry.spec.tests and entry.origin != "shipped":
            yield from load_graphs(context, entry.name)


async def _run(context: AppContext, loaded: Loaded, test: GraphTest) -> str:
    """Return what was wrong with the end of a test's run, "" = nothing.

    Raises:
        FlowError: it could not begin.
    """
    with TemporaryDirectory(prefix="flow-test-") as folder:
        root = Path(folder).resolve()
        inside = _surroundings(context, loaded, test, root)
        if test.documents:
            add_documents(inside, test.documents, "documents", "project", inside.workspace)
            sync_documents(inside, ())
        replay = _cassette(loaded, test, root)
        watcher = _Quiet()
        request = RunRequest(loaded.spec.name, inputs=test.input, replay=replay)
        outcome = await start_run(inside, request, Surface(watcher, _Answers(test.answers)), loaded)
        return await _judged(inside, loaded, test, outcome)


def _surroundings(context: AppContext, loaded: Loaded, test: GraphTest, root: Path) -> AppContext:
    workspace = root / "work"
    if test.files:
        _copy(_beside(loaded, test.files), workspace)
    else:
        workspace.mkdir()
    commit_all(workspace, "Files of the test")
    own = Settings()
    settings = own.model_copy(
        update={
            "mode": test.mode,
            "verify": test.settings.get("verify") or "",
            "check": test.settings.get("check") or "",
            # How commands are confined depends on the machine, not on the graph.
            "sandbox": context.settings.sandbox,
            # Nobody goes back in a test.
            "snapshots": own.snapshots.model_copy(update={"enabled": False}),
        }
    )
    dirs = Dirs(*(root / name for name in ("config", "data", "state", "cache")))
    return replace(context, workspace=workspace, dirs=dirs, settings=settings, start=".")


def _copy(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise UsageError(f"There is no folder {str(source)!r}.", hint="'files' of a test names one beside the graph.")
    # Links stay links: nothing beside the folder is read by way of them.
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(".git"))


def _cassette(loaded: Loaded, test: GraphTest, root: Path) -> Path:
    if test.replay:
        return _beside(loaded, test.replay)
    path = root / "none.jsonl"
    path.write_text(json.dumps(_NO_CALLS) + "\n", "utf-8")
    return path


def _beside(loaded: Loaded, name: str) -> Path:
    folder = loaded.file.parent if loaded.file is not None else Path.cwd()
    return folder / name


async def _judged(context: AppContext, loaded: Loaded, test: GraphTest, outcome: Outcome) -> str:
    told = f": {outcome.message}" if outcome.message else ""
    if not test.replay and "was not recorded" in told:
        told = ": a model was asked, and the test names no recorded answers ('replay')"
    if outcome.exit_code != test.exit:
        return f"it ended with exit code {outcome.exit_code}, not {test.exit}{told}"
    names = await _names(context, loaded, outcome)
    for expr in test.expect:
        try:
            value = evaluate(expr, names)
        except FlowError as err:
            return f"{expr}: {err.message}"
        if not value:
            return f"not true: {expr}{_seen(expr, names)}"
    return ""


async def _names(context: AppContext, loaded: Loaded, outcome: Outcome) -> dict[str, Any]:
    """Return what the expectations see of a run that ended."""
    from ..runs.checkpoints import open_saver
    from ..runs.store import RunStore

    path = runs_db(context)
    async with open_saver(path) as saver:
        kept = await saver.aget_tuple({"configurable": {"thread_id": outcome.run_id, "checkpoint_ns": ""}})
    channels: Mapping[str, Any] = kept.checkpoint["channel_values"] if kept is not None else {}
    with RunStore(path) as store:
        row = store.get_run(outcome.run_id)
        facts = replace(run_facts(context, row, store), filters=own_filters(loaded.spec))
        names = facts.names(row.input, state_values(loaded.spec, channels))
    ended = {"status": outcome.status, "exit_code": outcome.exit_code, "message": outcome.message}
    return {**names, "run": {**names["run"], **ended}, "output": outcome.output}


def _seen(expr: str, names: Mapping[str, Any]) -> str:
    """Return the values that an expectation looked at, for the message."""
    from ..graphs.expressions import names_used
    from ..graphs.filter_names import own_name

    shown = []
    for path in sorted(path for path in names_used(expr) if not own_name(path[0])):
        value: Any = names.get(path[0])
        for key in path[1:]:
            value = value.get(key) if isinstance(value, Mapping) else None
        shown.append(f"{'.'.join(path)} is {json.dumps(value, ensure_ascii=False, default=str)[:200]}")
    return f" ({'; '.join(shown)})" if shown else ""


@dataclass(slots=True)
class _Answers:
    """The answers of people by the name of the node that asks (app.context.Answerer)."""

    given: Mapping[str, Sequence[str]]
    asked: dict[str, int] = field(default_factory=dict)

    def __call__(self, question: Question) -> Answer | None:
        name = question.node.split("/")[-1].partition("#")[0].partition("[")[0]
        answers = self.given.get(name, ()) if question.kind in ("human", "interrupt") else ()
        if answers:
            at = self.asked[name] = self.asked.get(name, 0) + 1
            return Answer(answers[min(at, len(answers)) - 1])
        # Nobody is there: what a model wants beyond the test's mode is refused, not waited for.
        refusal = "no" if question.kind == "approval" and "no" in question.choices else question.headless
        return None if refusal is None else Answer(refusal, by="headless")


class _Quiet:
    """Watches without showing anything (app.context.Watcher)."""

    def record(self, record: EventRecord) -> None:
        pass

    def progress(self, node: str, phase: Phase, amount: int) -> None:
        pass

    def notice(self, text: str) -> None:
        pass
