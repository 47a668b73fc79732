"""Driving a run that this process holds to where it ends or stops. Called by run.py for new runs and resumed ones."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.events import Noticed, RunStarted
from ..core.masking import SecretMask
from ..core.questions import Answer, Question
from ..graphs.below import flow_of, import_flow
from ..graphs.facts import Facts
from ..graphs.find import Loaded
from ..nodes.deps import NodeDeps
from ..runs.limits import RunLimits
from ..runs.replies import Replies
from ..runs.stoppable import Stoppable
from ..runs.store import RunRow, RunStore
from ..tools.sandboxes import choose_sandbox
from .background import RunBackground
from .checkout import left_in_worktree
from .compose import RunParts, background_jobs, git_facts, index_wait_s, node_deps, run_retriever
from .context import Answerer, AppContext, Surface
from .engine import Engine, engine_beside
from .mentions import MentionParts, attach_mentions, attaches
from .model_pool import ModelPool, connecting, falling_back
from .resume import Held
from .secrets import masked_answer, state_mask
from .sink import StoreSink
from .spending import run_limits
from .titles import FirstAnswer, titled
from .verify import graph_settings

if TYPE_CHECKING:
    from ..runs.runner import Outcome, Runner


@dataclass(frozen=True, slots=True)
class _Driven:
    """A run that is put together.

    Attributes:
        context: of the folder that the run works in.
        first: tells when its first answer came.
    """

    context: AppContext
    loaded: Loaded
    parts: RunParts
    deps: NodeDeps
    pool: ModelPool
    surface: Surface
    first: FirstAnswer

    async def to_its_end(self, flow: Any, *, resumed: bool) -> Outcome:
        """Return how the run ended or where it stopped."""
        parts = self.parts
        row, store, specs = parts.row, parts.store, (self.loaded.spec, *self.loaded.library.values())
        # A first request that goes out early would lack what a person attached.
        opening = None if resumed or attaches(row) else flow.open(row.input)
        async with engine_beside(opening) as engine, engine.open_saver(store.path, store.fence) as saver:
            if any(spec.code for spec in specs):
                saver.mask = state_mask(parts.secrets)
            with (background := RunBackground(parts.background, parts.lease, parts.sink)).kept():
                runner, wished = self._runner(engine, background), self.context.settings.models.titles
                async with titled(row, store, specs[0], self.pool, self.deps, self.first, wished=wished):
                    return await runner.drive(flow, saver)

    def _runner(self, engine: Engine, background: RunBackground) -> Runner:
        row, store, sink, secrets = self.parts.row, self.parts.store, self.parts.sink, self.parts.secrets
        answerer = _timed(self.surface.answerer, self.parts.gate, secrets)
        private = self.context.settings.retrieval.private_addresses
        mentions = MentionParts(self.context.workspace, row, store, sink, secrets, self.deps, answerer, private)
        attach = partial(attach_mentions, mentions)
        return engine.runner(row, store, sink, answerer, self.surface.stop, secrets, background.end, attach)


async def drive(
    context: AppContext,
    loaded: Loaded,
    held: Held,
    pool: ModelPool,
    surface: Surface,
    secrets: SecretMask,
    *,
    resumed: bool,
) -> Outcome:
    """Return how a run ended or where it stopped, with what it changed.

    Args:
        resumed: whether it goes on, after it had begun in an earlier process.

    Raises:
        LeaseLost: another process took the run over, or may have; this one has written nothing since.
        FlowError: it could not be put together.
    """
    row, store, _ = held
    context = replace(context, workspace=Path(row.folder))
    first = FirstAnswer(surface.watcher)
    sink = StoreSink(store, row.id, first, secrets)
    _tell_start(sink, row, loaded, pool, resumed=resumed)
    gate = run_limits(context.settings.models, loaded.spec.limits, row, store)
    sink.progress("", "retrieving")
    retriever = run_retriever(context, lambda text: sink.emit("", Noticed(text)), Path(row.workspace))
    # These wait for git and for a probe of the sandbox, so side by side, and beside what has to be imported anyway.
    _, sandbox, facts, _ = await asyncio.gather(
        asyncio.to_thread(retriever.prepare, index_wait_s(row.options)),
        asyncio.to_thread(choose_sandbox, context.settings.sandbox, context.dirs, os.environ),
        asyncio.to_thread(run_facts, context, row, store),
        asyncio.to_thread(import_flow, loaded.spec),
    )
    replies = Replies(store, row.id)
    parts = RunParts(
        row,
        store,
        sink,
        gate,
        lambda wanted: Stoppable(replies.of(pool.model(wanted)), surface.stop),
        held.lease,
        secrets,
        pool.tool_names,
        background_jobs(context, store, row, secrets),
        falling_back(pool, store, row.id, sink),
        sandbox,
        pool,
        connecting(pool, context.settings.models, store, row.id, sink),
    )
    deps = node_deps(context, parts, retriever)
    flow = flow_of(loaded.spec, loaded.library, deps, facts)
    try:
        driven = _Driven(context, loaded, parts, deps, pool, surface, first)
        outcome = await driven.to_its_end(flow, resumed=resumed)
        hint = f"{outcome.hint}\n{left_in_worktree(row, outcome)}".strip()
        return replace(outcome, diff=await asyncio.to_thread(deps.changes.diff), hint=hint)
    finally:
        retriever.close()


def _tell_start(sink: StoreSink, row: RunRow, loaded: Loaded, pool: ModelPool, *, resumed: bool) -> None:
    nodes: dict[str, str] = {node.name: node.type for node in loaded.spec.nodes.values()}
    sink.emit("", RunStarted(row.graph, row.input, pool.names.get("main", ""), resumed, pool.names, nodes))
    for event in pool.news():
        sink.emit("", event)


def _timed(answerer: Answerer, gate: RunLimits, secrets: SecretMask) -> Answerer:
    """Return the answerer with a person's thinking left out of the run's time, and secrets out of the answers."""

    def answer(question: Question) -> Answer | None:
        with gate.paused():
            return masked_answer(answerer(question), secrets)

    return answer


def run_facts(context: AppContext, row: RunRow, store: RunStore) -> Facts:
    """Return what the expressions of a run's graph see beside its inputs and its state."""
    settings = graph_settings(context, row.options, store.blobs_folder(row.id))
    return Facts(settings=settings, run={"id": row.id}, git=_git_facts(context, row))


def _git_facts(context: AppContext, row: RunRow) -> dict[str, Any]:
    """Return {branch, head, uncommitted}: the last lists the tracked files that were changed before the run."""
    return {**git_facts(context.workspace), "uncommitted": row.baseline.get("modified", [])}
