"""The commit node: one commit of what steps changed, with a message made from what is known of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.effects import ToolResult
from ..core.errors import RunFailed, ToolError
from ..core.events import Noticed, ToolEnded, ToolStarted
from ..core.ports import CallRef, Owned
from ..tools.commit import asked, commit_command, commit_id, committed_files, uncommitted
from .asking import ask_person
from .call import NodeCall, NodeResult, attempts
from .commit_message import commit_message
from .deps import NodeDeps

INCLUDE = "include"
"""Value of `yours` that lets a commit hold what the user had changed in its files before the run."""


_REASON_CHARS = 1000


async def run_commit(call: NodeCall, deps: NodeDeps) -> NodeResult:
    """Return {commit, files, text}: the commit's full hash, "" when there was nothing to commit or it was declined.

    Files that held changes of the user before the run, and files that somebody else changed meanwhile, are left out
    and named in a notice.

    Raises:
        RunFailed: git could not commit; the files are as they were.
        UsageError: git does not work in the workspace.
    """
    effects = deps.toolbox.effects
    for call_id in attempts("commit"):
        ref = CallRef(call.label, call_id)
        if (earlier := await effects.recover(ref, ask_person)) is None:
            return await _new_commit(call, deps, ref)
        if not earlier.failed:
            return await _value(call, deps, earlier)
    raise AssertionError("attempts never end")


async def _new_commit(call: NodeCall, deps: NodeDeps, ref: CallRef) -> NodeResult:
    title, started = " ".join(str(call.fields["message"]).split()), time.monotonic()
    wanted = _Wanted.of(call)
    files = await asyncio.to_thread(wanted.files_of, call, deps)
    if not files:
        return NodeResult(_nothing("There is nothing to commit."), "nothing to commit")
    message = commit_message(title, wanted.changes, files, deps.commit_trailer)
    try:
        toolbox = deps.toolbox
        command = await asyncio.to_thread(commit_command, toolbox.workspace, message, files, toolbox.hooks)
        deps.events.emit(call.label, ToolStarted(ref.call_id, "commit", title[:120]))
        result = await deps.toolbox.effects.run(ref, command, "edit", ask_person)
    except ToolError as err:
        raise RunFailed(f"{call.path}: {err}") from err
    seconds = time.monotonic() - started
    deps.events.emit(
        call.label, ToolEnded(ref.call_id, "commit", not result.failed, seconds, text=result.text[-400:])
    )
    if result.failed and result.exit_code is not None:
        made = commit_id(result.text)
        what = f"{made[:10]} was committed, but the command failed" if made else "nothing was committed"
        raise RunFailed(f"{call.path}: {what}: {_reason(result.text)}")
    return await _value(call, deps, result)


async def _value(call: NodeCall, deps: NodeDeps, result: ToolResult) -> NodeResult:
    commit = "" if result.failed else commit_id(result.text)
    if not commit:
        return NodeResult(_nothing(result.text), result.text.partition("\n")[0][:120])
    workspace = deps.toolbox.workspace
    files = await asyncio.to_thread(committed_files, workspace, commit)
    subject = (await asyncio.to_thread(asked, workspace, "show", "--no-patch", "--format=%s", commit) or "").strip()
    return NodeResult({"commit": commit, "files": files, "text": result.text}, f"{commit[:10]} {subject}"[:120])


def _reason(text: str) -> str:
    """Return what a commit that failed had printed, in one line; of much of it the end, where hooks say why."""
    line = " ".join(text.split())
    return line if len(line) <= _REASON_CHARS else f"... {line[-_REASON_CHARS:]}"


def _nothing(text: str) -> dict[str, Any]:
    return {"commit": "", "files": [], "text": text}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a node asks to be committed.

    Attributes:
        changes: Changes of coders.
        paths: files that the graph names itself; None = those of the changes, or all that the run changed.
    """

    changes: Sequence[Mapping[str, Any]]
    paths: Sequence[str] | None
    includes_yours: bool

    @staticmethod
    def of(call: NodeCall) -> _Wanted:
        """Raises: RunFailed: `changes` or `files` is of another kind."""
        given, paths = call.fields.get("changes"), call.fields.get("files")
        changes = [each for each in (given if isinstance(given, list) else [given]) if each is not None]
        if not all(isinstance(each, Mapping) for each in changes):
            raise RunFailed(f"{call.path}: 'changes' must be a Change or a list of them.")
        if paths is not None and not (isinstance(paths, list) and all(isinstance(path, str) for path in paths)):
            raise RunFailed(f"{call.path}: 'files' must be a list of paths.")
        return _Wanted(changes, paths, call.fields.get("yours") == INCLUDE)

    def files_of(self, call: NodeCall, deps: NodeDeps) -> list[str]:
        """Return what there is to commit, sorted, and tell a person what is left out."""
        owned = self._owned(call, deps)
        included = {*owned.files, *(owned.yours if self.includes_yours else ())}
        left_out = {"held changes of yours before the run": () if self.includes_yours else owned.yours}
        left_out["changed by somebody else meanwhile"] = owned.others
        dirty = set(_committable(call, deps, {*included, *owned.yours, *owned.others}))
        for why, names in left_out.items():
            if named := [name for name in names if name in dirty]:
                deps.events.emit(call.label, Noticed(f"Left out of the commit ({why}): {', '.join(named)}"))
        return sorted(included & dirty)

    def _owned(self, call: NodeCall, deps: NodeDeps) -> Owned:
        if self.paths is not None:
            return deps.changes.owned(self.paths)
        if "changes" not in call.fields:
            return deps.changes.owned()
        named = [str(path) for change in self.changes for path in change.get("files") or ()]
        # The agents beside this node: those of the same graph, and of the graphs that it runs.
        return deps.changes.owned(named, "".join(call.path.rpartition("/")[:2]))


def _committable(call: NodeCall, deps: NodeDeps, files: set[str]) -> list[str]:
    try:
        return uncommitted(deps.toolbox.workspace, sorted(files)) if files else []
    except ToolError as err:
        raise RunFailed(f"{call.path}: {err}") from err
