"""Building a run's concrete objects from settings: the only place where ports meet their implementations."""

from __future__ import annotations

import datetime
import os
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from ..configs.rules import parse_rules
from ..context.assemble import TurnAssembler
from ..core.events import Noticed
from ..core.git import run_git
from ..core.masking import SecretMask
from ..core.messages import CallKey
from ..core.ports import ChatModel, Embedder, EventSink, PromptCounts, Retriever, Sandbox
from ..core.tool import MemoryRules
from ..core.tool_names import ToolNames
from ..llm.tokens import EstimatingCounter
from ..nodes.deps import AgentLimits, CompactNow, FallBack, NoCounts, NodeDeps, Toolbox, always_connected
from ..nodes.sub_agent import SubAgents
from ..retrieval.by_source import BySource
from ..retrieval.code_retriever import FIRST_WAIT_S, CodeRetriever
from ..retrieval.code_store import index_path
from ..runs.blobs import BlobStore
from ..runs.changes import RunChanges
from ..runs.command_snapshots import CommandSnapshots
from ..runs.decisions import RunDecisions
from ..runs.ends import VisitEnds
from ..runs.journal import RunJournal
from ..runs.lease import RunLease
from ..runs.limits import RunLimits
from ..runs.snapshots import SnapshotLimits, Snapshots
from ..runs.store import RunRow, RunStore
from ..tools.background_jobs import SHOWN_BYTES, BackgroundJobs
from ..tools.effects import Effects
from ..tools.sandboxes import confinement_by
from .checkouts import NodeCheckouts
from .context import AppContext
from .embedding import embedder
from .hooks import TrustedHooks, told_once
from .memory import memory_files, trusted_when_written
from .project_tools import project_tools
from .run_documents import run_documents
from .secrets import MaskedChanges, MaskedRetriever
from .spending import prices_of

_WHOLE_INDEX_S = 600.0
"""More than a first index of a large repository takes."""


@dataclass(frozen=True, slots=True)
class RunParts:
    """What a run is put together from before its graph is compiled."""

    row: RunRow
    store: RunStore
    sink: EventSink
    gate: RunLimits
    model: Callable[[str], ChatModel]
    lease: RunLease
    secrets: SecretMask
    tool_names: Callable[[str, CallKey], ToolNames]
    background: BackgroundJobs
    fall_back: FallBack
    sandbox: Sandbox
    counts: PromptCounts = field(default_factory=NoCounts)
    connected: Callable[[], Awaitable[None]] = always_connected


def node_deps(context: AppContext, parts: RunParts, retriever: Retriever) -> NodeDeps:
    """Return what every node of the run is given."""
    row, settings = parts.row, context.settings
    blobs = BlobStore(parts.store.blobs_folder(row.id))
    journal = RunJournal(parts.store, row.id, blobs, parts.secrets)
    changes = RunChanges(context.workspace, row.baseline, journal, blobs)
    retriever = MaskedRetriever(retriever, parts.secrets, context.workspace)
    spawner = SubAgents()
    tell = told_once(parts.store, row.id, parts.sink)
    effects = run_effects(context, parts, journal, blobs, spawner, tell)
    deps = NodeDeps(
        model=parts.model,
        toolbox=toolbox(context, parts, retriever, blobs, effects, tell),
        assembler=TurnAssembler(
            retriever,
            EstimatingCounter(),
            memory_files(context, Path(row.workspace), str(row.options.get("start", "."))),
            lambda: reminder(context.workspace),
            tell,
        ),
        events=parts.sink,
        gate=parts.gate,
        changes=MaskedChanges(changes, parts.secrets, context.workspace),
        limits=agent_limits(context),
        commit_trailer=f"Made-with: Flowloom, run {row.id}" if settings.commits.trailer else "",
        names=parts.tool_names,
        fall_back=parts.fall_back,
        prices=prices_of(settings.models),
        compact_now=CompactNow(bool(row.options.get("compact"))),
        tests=_as_line(row.options.get("verify")),
        ends=VisitEnds(parts.store, row.id),
        checkouts=NodeCheckouts(context, parts),
        counts=parts.counts,
        connected=parts.connected,
    )
    spawner.attach(deps)
    return deps


def run_effects(
    context: AppContext,
    parts: RunParts,
    journal: RunJournal,
    blobs: BlobStore,
    spawner: SubAgents,
    tell: Callable[[str], None],
) -> Effects:
    """Return the run's one place of effects: asked for, journaled, confined, and undone by snapshots."""
    store, row, settings = parts.store, parts.row, context.settings
    snapshots = command_snapshots(context, parts, journal)
    return Effects(
        workspace=context.workspace,
        sandbox=parts.sandbox,
        journal=journal,
        blobs=blobs,
        jobs=store.jobs_folder(row.id),
        mode=row.options["mode"],
        grants=RunGrants(store, row.id, parts.secrets),
        output_bytes=settings.tools.output_bytes,
        spawner=spawner,
        before_command=snapshots.before if snapshots else None,
        restore=snapshots.restore if snapshots else None,
        require_ours=parts.lease.check,
        secrets=parts.secrets,
        rules=parse_rules(settings.permissions),
        network=settings.sandbox.network,
        decisions=RunDecisions(store, row.id, parts.sink, settings.approvals.max_requests),
        confinement=confinement_by(settings.sandbox, parts.sandbox),
        background=parts.background,
        after_write=trusted_when_written(context.trust, context.workspace, Path(row.workspace), tell),
    )


def toolbox(
    context: AppContext,
    parts: RunParts,
    retriever: Retriever,
    blobs: BlobStore,
    effects: Effects,
    tell: Callable[[str], None],
) -> Toolbox:
    """Return the tools of the run's agents and what these work with."""
    workspace, row = context.workspace, parts.row
    return Toolbox(
        project_tools(context, Path(row.workspace)),
        workspace,
        blobs,
        retriever,
        effects,
        parts.secrets,
        TrustedHooks(context.trust, workspace, Path(row.workspace), tell),
        parts.background,
        MemoryRules(context.settings.memory.auto_bytes, row.created_at[:10]),
    )


def command_snapshots(context: AppContext, parts: RunParts, journal: RunJournal) -> CommandSnapshots | None:
    """Return the snapshots of the run's commands, reading ahead already; None = no command will change anything."""
    settings = context.settings.snapshots
    if not settings.enabled or parts.row.options["mode"] == "plan":
        return None
    limits = SnapshotLimits(settings.max_file_bytes, settings.max_files, settings.quota_bytes, settings.timeout_s)
    snapshots = CommandSnapshots(
        Snapshots(context.workspace, context.dirs.data / "snapshots", limits),
        journal,
        lambda text: parts.sink.emit("", Noticed(text)),
        keep=settings.keep,
        required=settings.required,
    )
    snapshots.warm_up()
    return snapshots


def background_jobs(context: AppContext, store: RunStore, row: RunRow, secrets: SecretMask) -> BackgroundJobs:
    """Return what runs in the background of the run, or will."""
    settings = context.settings.tools
    return BackgroundJobs(
        store.jobs_folder(row.id),
        secrets,
        max_jobs=settings.background_jobs,
        shown_bytes=min(settings.output_bytes, SHOWN_BYTES),
    )


class RunGrants:
    """What a person allowed for the rest of the run, kept in its database."""

    def __init__(self, store: RunStore, run_id: str, secrets: SecretMask) -> None:
        self._store = store
        self._run_id = run_id
        self._secrets = secrets

    def __contains__(self, grant: object) -> bool:
        return isinstance(grant, str) and self._secrets.mask(grant) in self._store.grants(self._run_id)

    def add(self, grant: str) -> None:
        self._store.add_grant(self._run_id, self._secrets.mask(grant))


def agent_limits(context: AppContext) -> AgentLimits:
    settings = context.settings
    return AgentLimits(
        max_tokens=settings.models.max_tokens,
        model_calls=settings.limits.model_calls_per_node,
        spawn_depth=settings.tools.spawn_depth,
        spawn_count=settings.tools.spawn_count,
        compact_at=settings.context.compact_at,
        output_bytes=settings.tools.output_bytes,
        no_map_for=tuple(settings.context.no_map_for),
    )


def _as_line(command: str | Sequence[str] | None) -> str:
    """Return a command of the settings as one would type it; "" = there is none."""
    return command if isinstance(command, str) else shlex.join(command or ())


def run_retriever(context: AppContext, notify: Callable[[str], None], project: Path | None = None) -> BySource:
    """Return the retriever of a run: map and code of the workspace, documents of the project.

    Args:
        project: the folder that a run was started in, where it works in another one; None = the workspace.
    """
    shared = cache(partial(embedder, context))  # one model in memory for both
    code = code_retriever(context, notify, shared, index_file(context, project) if project is not None else None)
    return BySource(code, run_documents(context, notify, project, shared))


def index_wait_s(options: Mapping[str, Any]) -> float:
    """Return how many seconds a run with these options waits for a first index of its code.

    What is recorded has to come to the same requests when it is replayed, so the whole index is waited for.
    """
    return _WHOLE_INDEX_S if options["record"] or options["replay"] else FIRST_WAIT_S


def code_retriever(
    context: AppContext,
    notify: Callable[[str], None],
    embedding: Callable[[], Embedder | None] | None = None,
    like: Path | None = None,
) -> CodeRetriever:
    """Return the retriever of the workspace; with an embedder when the settings name one.

    Args:
        embedding: gives the embedder; None = a new one of the settings.
        like: the index file of another checkout of the repository; None = there is none.
    """
    return CodeRetriever(
        context.workspace,
        context.dirs.cache / "index",
        EstimatingCounter(),
        embedding() if embedding is not None else embedder(context),
        max_file_bytes=context.settings.retrieval.max_file_bytes,
        max_files=context.settings.retrieval.max_files,
        notify=notify,
        like=like,
    )


def index_file(context: AppContext, workspace: Path) -> Path:
    """Return where the code index of a workspace lies, or would lie."""
    return index_path(workspace, context.dirs.cache / "index")


def reminder(workspace: Path) -> str:
    """Return the day, the working directory and the git state, as an agent is told them once."""
    branch = _git(workspace, *_BRANCH) or "(no branch)"
    return f"Today is {datetime.date.today().isoformat()}. Repository root: {workspace}. Branch: {branch}."


_BRANCH = ("symbolic-ref", "--short", "-q", "HEAD")


def git_facts(workspace: Path) -> Mapping[str, Any]:
    """Return {branch, head}; each "" when there is none yet. Runs git without anything a repository could hook in."""
    head, _, branch = _git(workspace, "rev-parse", "HEAD", "--abbrev-ref", "HEAD").partition("\n")
    if not head:  # before the first commit, or no repository
        branch = _git(workspace, *_BRANCH)
    return {"branch": "" if branch == "HEAD" else branch, "head": head}


def _git(workspace: Path, *args: str) -> str:
    done = run_git(workspace, *args)
    return os.fsdecode(done.stdout).strip() if done.returncode == 0 else ""
