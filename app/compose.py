"""Building a run's concrete objects from settings: the only place where ports meet their implementations."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..configs.project_files import instruction_names, read_project_file
from ..configs.rules import parse_rules
from ..configs.trust import TrustStore
from ..context.assemble import MemoryFile, TurnAssembler
from ..core.events import Noticed
from ..core.git import run_git
from ..core.masking import SecretMask
from ..core.ports import ChatModel, Embedder, EventSink, Retriever
from ..llm.tokens import EstimatingCounter
from ..nodes.deps import AgentLimits, NodeDeps, Toolbox
from ..nodes.sub_agent import SubAgents
from ..retrieval.code_retriever import CodeRetriever
from ..runs.blobs import BlobStore
from ..runs.changes import RunChanges
from ..runs.command_snapshots import CommandSnapshots
from ..runs.decisions import RunDecisions
from ..runs.journal import RunJournal
from ..runs.lease import RunLease
from ..runs.limits import RunLimits
from ..runs.snapshots import SnapshotLimits, Snapshots
from ..runs.store import RunRow, RunStore
from ..tools.effects import Effects
from ..tools.registry import TOOLS
from ..tools.sandboxes import choose_sandbox, confinement_by
from .context import AppContext
from .secrets import MaskedChanges, MaskedRetriever
from .servers import check_allowed


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


def node_deps(context: AppContext, parts: RunParts, retriever: Retriever) -> NodeDeps:
    """Return what every node of the run is given."""
    store, row = parts.store, parts.row
    blobs = BlobStore(store.blobs_folder(row.id))
    secrets = parts.secrets
    journal = RunJournal(store, row.id, blobs, secrets)
    changes = MaskedChanges(RunChanges(context.workspace, row.baseline, journal, blobs), secrets, context.workspace)
    retriever = MaskedRetriever(retriever, secrets, context.workspace)
    spawner = SubAgents()
    snapshots = command_snapshots(context, parts, journal)
    settings = context.settings
    sandbox = choose_sandbox(settings.sandbox, context.dirs, os.environ)
    effects = Effects(
        workspace=context.workspace,
        sandbox=sandbox,
        journal=journal,
        blobs=blobs,
        jobs=store.blobs_folder(row.id) / "jobs",
        mode=row.options["mode"],
        grants=RunGrants(store, row.id, secrets),
        output_bytes=context.settings.tools.output_bytes,
        spawner=spawner,
        before_command=snapshots.before if snapshots else None,
        restore=snapshots.restore if snapshots else None,
        require_ours=parts.lease.check,
        secrets=secrets,
        rules=parse_rules(settings.permissions),
        decisions=RunDecisions(store, row.id, parts.sink, settings.approvals.max_requests),
        confinement=confinement_by(settings.sandbox, sandbox),
    )
    assembler = TurnAssembler(
        retriever,
        EstimatingCounter(),
        memory_files(context.workspace, context.trust, Path(row.workspace), str(row.options.get("start", "."))),
        lambda: reminder(context.workspace),
    )
    deps = NodeDeps(
        model=parts.model,
        toolbox=Toolbox(TOOLS, context.workspace, blobs, retriever, effects, secrets),
        assembler=assembler,
        events=parts.sink,
        gate=parts.gate,
        changes=changes,
        limits=agent_limits(context),
        commit_trailer=f"Made-with: Flowloom, run {row.id}" if context.settings.commits.trailer else "",
    )
    spawner.attach(deps)
    return deps


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
    )


def code_retriever(context: AppContext, notify: Callable[[str], None]) -> CodeRetriever:
    """Return the retriever of the workspace; with an embedder when the settings name one."""
    return CodeRetriever(
        context.workspace,
        context.dirs.cache / "index",
        EstimatingCounter(),
        embedder(context),
        max_file_bytes=context.settings.retrieval.max_file_bytes,
        max_files=context.settings.retrieval.max_files,
        notify=notify,
    )


def embedder(context: AppContext) -> Embedder | None:
    """Return the configured embedder; None = search by words only.

    Raises:
        ConfigError: the folder with the weights is not complete, or the extra e5 is not installed.
        Denied: the policy denies the model.
    """
    embed = context.settings.embed
    if embed.backend == "none":
        return None
    check_allowed(context.settings, embed.model)
    from ..retrieval.embeddings import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder(Path(embed.path), embed.device, embed.model)


def memory_files(
    workspace: Path, trust: TrustStore, project: Path | None = None, start: str = "."
) -> list[MemoryFile]:
    """Return the project's memory files that are trusted; the others are never read into a prompt.

    Args:
        project: the checkout that a person trusts files of; None = the workspace. A worktree is another one: what was
            trusted there counts here where the content is the same.
        start: the folder that the run was started in, relative to the workspace: memory files of the folders on the
            way there count too.
    """
    found = []
    for name in instruction_names(workspace, workspace / start):
        try:
            content = read_project_file(workspace / name)
        except OSError:
            continue
        if trust.covers((project or workspace) / name, content):
            found.append(MemoryFile(name, content.decode("utf-8", errors="replace")))
    return found


def reminder(workspace: Path) -> str:
    """Return the day, the working directory and the git state, as an agent is told them once."""
    facts = git_facts(workspace)
    branch = facts["branch"] or "(no branch)"
    return f"Today is {datetime.date.today().isoformat()}. Repository root: {workspace}. Branch: {branch}."


def git_facts(workspace: Path) -> Mapping[str, Any]:
    """Return {branch, head}; each "" when there is none yet. Runs git without anything a repository could hook in."""
    return {
        "branch": _git(workspace, "symbolic-ref", "--short", "-q", "HEAD"),
        "head": _git(workspace, "rev-parse", "-q", "--verify", "HEAD"),
    }


def _git(workspace: Path, *args: str) -> str:
    done = run_git(workspace, *args)
    return os.fsdecode(done.stdout).strip() if done.returncode == 0 else ""
