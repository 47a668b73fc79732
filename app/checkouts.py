"""Checkouts of their own for single visits of a run: everything that works in the workspace, made for another folder.

Implements nodes.deps.Checkouts.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..context.assemble import TurnAssembler
from ..core.events import Noticed
from ..llm.tokens import EstimatingCounter
from ..nodes.call import NodeCall
from ..nodes.commit import run_commit
from ..nodes.deps import NodeDeps
from ..nodes.sub_agent import SubAgents
from ..retrieval.by_source import BySource
from ..runs.blobs import BlobStore
from ..runs.changes import RunChanges
from ..runs.journal import RunJournal
from ..runs.node_worktrees import index_folder, visit_worktree, worktrees_folder
from ..runs.worktrees import Worktree, summary
from .context import AppContext
from .hooks import told_once
from .memory import memory_files
from .run_documents import run_documents
from .secrets import MaskedChanges, MaskedRetriever

if TYPE_CHECKING:
    from .compose import RunParts


@dataclass
class NodeCheckouts:
    """The checkouts of one run."""

    context: AppContext
    parts: RunParts
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)
    _entered: dict[str, Worktree] = field(default_factory=dict)

    async def enter(self, visit: str, deps: NodeDeps) -> NodeDeps:
        """Return the deps of a visit whose checkout is its own, made now or found as it was left.

        Raises:
            UsageError: the workspace has no commit, or git cannot.
        """
        store, row = self.parts.store, self.parts.row
        async with self._making:
            worktree = await asyncio.to_thread(
                visit_worktree, worktrees_folder(store), self.context.workspace, row.id, visit
            )
        self._entered[visit] = worktree
        return self._deps_in(worktree, visit, deps)

    async def leave(self, call: NodeCall, deps: NodeDeps) -> str:
        """Commit what a visit changed in its checkout and remove the folder; return the branch, "" = nothing changed.

        Where something cannot be committed the folder stays, and a person is told.

        Args:
            deps: what `enter` returned.
        """
        worktree = self._entered[call.label]
        await run_commit(_commit_call(call), deps)
        state = await asyncio.to_thread(worktree.state)
        said = await asyncio.to_thread(summary, worktree, state)
        if state.files:
            deps.events.emit(call.label, Noticed(f"Its checkout {str(worktree.folder)!r} stays: {said}"))
        else:
            await asyncio.to_thread(worktree.remove)
        await asyncio.to_thread(shutil.rmtree, index_folder(worktree), ignore_errors=True)
        if not state.files and not state.commits:
            return ""
        deps.events.emit(call.label, Noticed(f"Left in the branch {said}"))
        return worktree.branch

    def _deps_in(self, worktree: Worktree, visit: str, deps: NodeDeps) -> NodeDeps:
        from .compose import code_retriever, index_file, reminder  # here, since compose.py makes these checkouts

        parts, folder = self.parts, worktree.folder
        context = replace(self.context, workspace=folder)
        blobs = BlobStore(parts.store.blobs_folder(parts.row.id))
        journal = RunJournal(parts.store, parts.row.id, blobs, parts.secrets, checkout=visit)
        tell = told_once(parts.store, parts.row.id, parts.sink)
        # An index of its own that goes with the folder, by words alone: embedding it anew for each visit takes long.
        own_cache = replace(context, dirs=replace(context.dirs, cache=index_folder(worktree)))
        code = code_retriever(own_cache, tell, lambda: None, index_file(self.context, self.context.workspace))
        docs = run_documents(context, tell, self.context.workspace, lambda: None)
        retriever = MaskedRetriever(BySource(code, docs), parts.secrets, folder)
        spawner = SubAgents()
        effects = deps.toolbox.effects.moved(folder, journal, spawner)
        started = {"head": worktree.commit, "dirty": {}, "modified": []}
        changes = MaskedChanges(RunChanges(folder, started, journal, blobs), parts.secrets, folder)
        own = replace(
            deps,
            toolbox=replace(deps.toolbox, workspace=folder, retriever=retriever, effects=effects, hooks=None),
            assembler=TurnAssembler(
                retriever,
                EstimatingCounter(),
                memory_files(context, Path(parts.row.workspace), str(parts.row.options.get("start", "."))),
                lambda: reminder(folder),
                tell,
            ),
            changes=changes,
            checkouts=None,
        )
        spawner.attach(own)
        return own


def _commit_call(call: NodeCall) -> NodeCall:
    """Return the commit of what a visit changed, named after its item."""
    item = call.item if isinstance(call.item, Mapping) else {}
    title = next((str(item[key]) for key in ("title", "name", "id") if item.get(key)), "")
    message = f"{call.path.rpartition('/')[2]}: {title}" if title else call.path
    return NodeCall(f"{call.label}/commit", 1, "commit", {"message": message})
