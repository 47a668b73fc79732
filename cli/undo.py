"""`flow undo`: take back the last commit that flow made, or the files that a run without commits wrote."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..core.errors import Denied, UsageError
from .context import CliOptions
from .printing import print_json, visible

if TYPE_CHECKING:
    from ..runs.made_commits import MadeCommit
    from ..runs.store import RunStore
    from ..runs.undo import Target, Undo

WAITING = 4
_HEAD = ("COMMIT", "RUN", "NODE", "MADE", "STATE", "SUBJECT")


def undo(
    ctx: typer.Context,
    ref: str = typer.Argument("", metavar="[RUN]", help="Id of a run, its beginning, or last.", show_default=False),
    yes: bool = typer.Option(False, "--yes", help="Do it without asking."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say what would be done."),
    list_: bool = typer.Option(False, "--list", help="List the commits of this repository that flow made."),
) -> int:
    """Take back the last commit that flow made here, if it is still the last one and pushed nowhere.

    Its files go back to what they were before it; yours, and what you staged, stay. Once more takes back the one
    before. Where the last run made no commit, the files that it wrote go back to what they were before the run. What
    will happen is said first and asked for; without a terminal that takes --yes.
    """
    from ..configs.workspace import find_workspace

    options: CliOptions = ctx.obj
    workspace = find_workspace(options.directory)
    with _store(options) as store:
        if list_:
            _list(options, store, workspace, ref)
            return 0
        return _undo(options, store, workspace, ref, yes=yes, dry_run=dry_run)


def _store(options: CliOptions) -> RunStore:
    from ..configs.dirs import find_dirs
    from ..runs.store import RunStore

    path = find_dirs(options.env).data / "runs.db"
    if not path.exists():
        raise UsageError("There is nothing to take back: nothing was run yet.", hint="`flow run` starts a run.")
    return RunStore(path)


def _undo(options: CliOptions, store: RunStore, workspace: Path, ref: str, *, yes: bool, dry_run: bool) -> int:
    from ..runs.undo import apply_undo, plan_undo

    target, planned = plan_undo(store, workspace, ref)
    told = [*planned.lines(), *_warnings(target)]
    if dry_run or not (yes or options.input_allowed):
        return _only_told(options, target, planned, told, asked=not dry_run)
    if not options.quiet or not yes:
        print(visible("\n".join(told)), file=sys.stderr)
    if not yes and not _confirmed():
        raise Denied("Nothing was taken back.")
    apply_undo(store, target, planned)
    if options.json:
        print_json(_facts(target, planned, done=True))
    else:
        print(visible(planned.done_line()))
    return 0


def _only_told(options: CliOptions, target: Target, planned: Undo, told: list[str], *, asked: bool) -> int:
    if options.json:
        print_json(_facts(target, planned, done=False))
    else:
        print(visible("\n".join(told)))
    if asked:
        print("flow: Nothing was done: there is nobody to ask. --yes does it.", file=sys.stderr)
    return WAITING if asked else 0


def _warnings(target: Target) -> list[str]:
    if target.row.status in ("done", "failed"):
        return []
    return [f"Run {target.row.id} is not finished; going on with it later would build on what is taken back."]


def _confirmed() -> bool:
    sys.stderr.write("Do it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in ("y", "yes", "ｙ", "はい")


def _facts(target: Target, planned: Undo, *, done: bool) -> dict[str, Any]:
    from ..runs.undo_commit import CommitUndo

    facts: dict[str, Any] = {"done": done, "run": target.row.id, "folder": str(target.folder)}
    if isinstance(planned, CommitUndo):
        files = [{"path": each.path, "action": each.action} for each in planned.files]
        return {**facts, "commit": planned.made.commit, "head": planned.parent, "files": files}
    restored = [{"path": each.path, "action": "remove" if each.sha is None else "restore"} for each in planned.files]
    return {**facts, "commit": None, "files": restored, "left": list(planned.other)}


def _list(options: CliOptions, store: RunStore, workspace: Path, ref: str) -> None:
    from ..runs.made_commits import made_commits
    from .runs import columns, local_time

    run_id = store.find_run(ref, workspace).id if ref else ""
    rows = [(made, state) for made in made_commits(store, run_id) if (state := _state(workspace, made))]
    if options.json:
        keys = ("run_id", "commit", "parent", "subject", "node", "at")
        found = [{**{key: getattr(made, key) for key in keys}, "state": state} for made, state in rows]
        print_json(found, indent=2 if options.output == "json" else None)
        return
    if not rows:
        print("Flow made no commits here.")
        return
    table = [
        (made.commit[:10], made.run_id, made.node, local_time(made.at), state, made.subject) for made, state in rows
    ]
    print("\n".join(columns([_HEAD, *table])))


def _state(workspace: Path, made: MadeCommit) -> str:
    """Return "HEAD", "below HEAD" or "not below HEAD"; "" = it is no commit of this repository."""
    from ..runs.git import GitFolder
    from ..runs.undo import is_in_history
    from ..tools.commit import asked

    if not made.commit or asked(workspace, "cat-file", "-e", f"{made.commit}^{{commit}}") is None:
        return ""
    head = GitFolder(workspace).head()
    if made.commit == head:
        return "HEAD"
    return "below HEAD" if head and is_in_history(workspace, made.commit, head) else "not below HEAD"
