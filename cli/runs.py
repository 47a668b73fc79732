"""`flow runs list`, `show`, `tail` and `rm`: readings of the run database, without langgraph.

Their words are read here and not by typer, which loads pydantic for every option that holds a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from ..core.errors import UsageError
from ..core.masking import SecretMask
from ..core.texts import width
from .background import job_lines, running_jobs
from .context import CliOptions
from .model_text import compacted_text, models_text, replaced_text, use_table, used_text
from .printing import node_name, print_json, visible

if TYPE_CHECKING:
    from pathlib import Path

    from ..core.background import BackgroundJob
    from ..core.questions import Question
    from ..runs.steps import Step
    from ..runs.store import RunRow, RunStore, RunUsage

DEFAULT_COUNT = 20
_STEP_HEAD = (
    *("STEP", "NODE", "TYPE", "STATE", "MODEL", "CALLS"),
    *("TOKENS", "SECONDS", "TOOLS", "FILES", "CHECKPOINT"),
)

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    help="List, show and remove runs. RUN is an id, the beginning of one, or last.",
)
_WORDS = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command("list", context_settings=_WORDS, options_metavar="[--all] [-n COUNT]")
def list_runs(ctx: typer.Context) -> None:
    """List the runs of this workspace, newest first.

    --all lists those of every workspace; -n COUNT sets how many (20; 0 = all).
    """
    options: CliOptions = ctx.obj
    every, count = _list_words(ctx.args)
    store = _open(options)
    if store is None:
        _print_runs(options, [], every)
        return
    with store:
        _print_runs(options, store.list_runs(None if every else _workspace(options), count or -1), every)


@app.command("show", context_settings=_WORDS, options_metavar="[RUN]")
def show(ctx: typer.Context) -> None:
    """Show one run: its state, steps, files written, questions and result.

    Without RUN the last one of this workspace.
    """
    options: CliOptions = ctx.obj
    ref = _one_run(ctx, "show")
    with _required(options, ref) as store:
        row = store.find_run(ref, _workspace(options))
        report = RunReport(row, *_facts(store, row), running_jobs(store, row.id), _replaced(store, row))
    if options.json:
        print_json(report.to_dict(), indent=2 if options.output == "json" else None)
    else:
        print(visible("\n".join(report.lines())))


@app.command("tail", context_settings=_WORDS, options_metavar="[RUN]")
def tail(ctx: typer.Context) -> None:
    """Follow a run that another process works on, from its first event until nobody works on it.

    Without RUN the last one of this workspace. -o jsonl prints the events themselves.
    """
    from .tail import show_events

    options: CliOptions = ctx.obj
    ref = _one_run(ctx, "tail")
    with _required(options, ref) as store:
        show_events(store, store.find_run(ref, _workspace(options)).id, options)


@app.command("rm", context_settings=_WORDS, options_metavar="[--force] RUN...")
def remove(ctx: typer.Context) -> None:
    """Remove runs with all that is stored of them, worktrees too.

    The workspace stays as it is. --force gives up what is in a worktree and in no commit.
    """
    from ..runs.removal import remove_run, require_removable

    options: CliOptions = ctx.obj
    refs = [word for word in ctx.args if word != "--force"]
    if not refs:
        raise UsageError("`flow runs rm` needs a RUN.", hint="`flow runs list` shows them.")
    with _required(options, refs[0]) as store:
        # All are looked at before any goes: a mistyped one must not leave half of the work done.
        rows = {row.id: row for row in (store.find_run(ref, _workspace(options)) for ref in refs)}
        if "--force" not in ctx.args:
            for row in rows.values():
                require_removable(store, row)
        kept = {run_id: remove_run(store, row) for run_id, row in rows.items()}
    if options.json:
        print_json({"removed": list(rows)})
    else:
        print("\n".join(f"Removed run {run_id}. {left}".strip() for run_id, left in kept.items()))


def _one_run(ctx: typer.Context, command: str) -> str:
    if len(ctx.args) > 1:
        raise UsageError(f"`flow runs {command}` takes one RUN, got {' '.join(ctx.args)!r}.")
    return ctx.args[0] if ctx.args else "last"


def _list_words(words: Sequence[str]) -> tuple[bool, int]:
    every, count, left = False, DEFAULT_COUNT, list(words)
    while left:
        word = left.pop(0)
        if word == "--all":
            every = True
        elif word.startswith("-n"):
            text = word[2:] or (left.pop(0) if left else "")
            if not text.isdecimal():
                raise UsageError(f"-n {text!r} is no count.", hint="Write it like -n 50; 0 = all.")
            count = int(text)
        else:
            raise UsageError(f"`flow runs list` does not know {word!r}.", hint="It takes --all and -n COUNT.")
    return every, count


def _open(options: CliOptions) -> RunStore | None:
    """Return the store; None = nothing was ever run, and nothing is created by looking."""
    from ..configs.dirs import find_dirs
    from ..runs.store import RunStore

    path = find_dirs(options.env).data / "runs.db"
    return RunStore(path) if path.exists() else None


def _required(options: CliOptions, ref: str) -> RunStore:
    store = _open(options)
    if store is None:
        raise UsageError(f"There is no run {ref!r}: nothing was run yet.", hint="`flow run` starts one.")
    return store


def _workspace(options: CliOptions) -> Path:
    from ..configs.workspace import find_workspace

    return find_workspace(options.directory)


def _print_runs(options: CliOptions, rows: Sequence[RunRow], every: bool) -> None:
    from ..runs.rows import shown_status, this_host

    host = this_host()
    shown = [(row, shown_status(row, host)) for row in rows]
    if options.output == "json":
        print_json([_brief(row, status) for row, status in shown], indent=2)
    elif options.output == "jsonl":
        for row, status in shown:
            print_json(_brief(row, status))
    elif not rows:
        print("No runs yet." if every else "No runs in this workspace yet; --all lists those of every workspace.")
    else:
        table = [("ID", "STATUS", "GRAPH", "STARTED", *(["WORKSPACE"] if every else []), "TITLE")]
        for row, status in shown:
            place = [row.workspace] if every else []
            table.append((row.id, status, row.graph, local_time(row.created_at), *place, row.title))
        print("\n".join(columns(table)))


def _brief(row: RunRow, status: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "status": status,
        "graph": row.graph,
        "title": row.title,
        "workspace": row.workspace,
        "exit_code": row.exit_code,
        "message": row.message,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def _facts(store: RunStore, row: RunRow) -> tuple[str, RunUsage, list[Step], list[str], list[Question]]:
    from ..runs.rows import shown_status, this_host
    from ..runs.steps import read_steps

    steps = read_steps(store, row.id)
    files = sorted({file for step in steps for file in step.files})
    return shown_status(row, this_host()), store.usage(row.id), steps, files, store.questions(row.id)


def _replaced(store: RunStore, row: RunRow) -> list[dict[str, Any]]:
    return [event.data for event in store.events(row.id) if event.type == "model_replaced"]


@dataclass(slots=True)
class RunReport:
    """Everything that `flow runs show` says of a run."""

    row: RunRow
    status: str
    usage: RunUsage
    steps: list[Step] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    jobs: list[BackgroundJob] = field(default_factory=list)
    replaced: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        row, usage = self.row, self.usage
        return {
            **_brief(row, self.status),
            "graph_source": row.graph_source,
            "input": row.input,
            # The verify command is stored as it has to run.
            "options": SecretMask().mask_data(row.options),
            "usage": {
                "node_runs": usage.node_runs,
                **usage.models.to_dict(),
                "active_s": round(usage.active_s, 3),
            },
            "models_replaced": self.replaced,
            "steps": [step.to_dict() for step in self.steps],
            "files": self.files,
            "jobs": [job.to_dict() for job in self.jobs],
            "questions": [{**asked.to_dict(), "answer": self._answers(asked)} for asked in self.questions],
            "output": row.output,
        }

    def lines(self) -> list[str]:
        told = [
            self._head(),
            self._step_lines(),
            self._use_lines(),
            self._compaction_lines(),
            self._file_lines(),
            job_lines(self.jobs),
        ]
        parts = [*told, self._question_lines(), self._end_lines()]
        return [line for at, part in enumerate(filter(None, parts)) for line in ([""] if at else []) + part]

    def _head(self) -> list[str]:
        from .amounts import duration

        row, usage = self.row, self.usage
        code = (
            "" if row.exit_code is None or self.status in {"running", "interrupted"} else f" (exit {row.exit_code})"
        )
        facts = [
            ("Run", f"{row.id}  {self.status}{code}"),
            ("Title", row.title),
            ("Graph", f"{row.graph}  ({row.graph_source})"),
            ("Workspace", row.workspace),
            *_worktree_facts(row),
            ("Started", local_time(row.created_at)),
            ("Last", local_time(usage.last_at or row.updated_at)),
            ("Model", models_text(row.options.get("models") or {})),
            *(("Fallback", replaced_text(each)) for each in self.replaced),
            ("Mode", str(row.options.get("mode") or "")),
            ("Worked", duration(usage.active_s)),
            ("Used", f"{usage.node_runs:,} node runs, {usage.models.calls:,} model calls, {used_text(usage.models)}"),
            *((f"Input {name}", _short(value)) for name, value in row.input.items()),
        ]
        return columns([(f"{name}:", value) for name, value in facts if value])

    def _step_lines(self) -> list[str]:
        if not self.steps:
            return []
        rows = [_STEP_HEAD]
        for step in self.steps:
            calls = (str(step.used.calls), f"{step.used.tokens:,}")
            counts = (*calls, f"{step.seconds:.1f}", _tools(step), str(len(step.files)))
            place = (str(step.number), node_name(step.node), step.kind or "-", step.state, step.model or "-")
            rows.append((*place, *counts, step.checkpoint or "-"))
        return columns(rows)

    def _use_lines(self) -> list[str]:
        table = use_table(self.steps, self.usage.models)
        return columns(table) if table else []

    def _compaction_lines(self) -> list[str]:
        return [
            f"Step {step.number}, {node_name(step.node)}: {compacted_text(data)}"
            for step in self.steps
            for data in step.compactions
        ]

    def _file_lines(self) -> list[str]:
        return ["Files written by tools:", *(f"  {file}" for file in self.files)] if self.files else []

    def _question_lines(self) -> list[str]:
        lines = ["Open questions:"] if self.questions else []
        for asked in self.questions:
            lines += [f"  {self._short_id(asked)}  {asked.node}", *(f"    {line}" for line in asked.text.split("\n"))]
            lines += [f"    {command}" for command in self._answers(asked)]
        return lines

    def _answers(self, asked: Question) -> list[str]:
        """Return the commands that answer a question; an answer that needs an editor is given at a terminal."""
        import shlex

        commands = []
        for choice in asked.choices:
            by_editor = choice == "edit" and "edit" in asked.payload
            given = "" if by_editor else f" --answer {shlex.quote(f'{self._short_id(asked)}={choice}')}"
            commands.append(f"flow resume {self.row.id}{given}")
        return commands

    def _short_id(self, asked: Question) -> str:
        """Return the shortest beginning of at least 8 characters that names no other open question."""
        others = [other.id for other in self.questions if other.id != asked.id]
        size = 8
        while size < len(asked.id) and any(other.startswith(asked.id[:size]) for other in others):
            size += 1
        return asked.id[:size]

    def _end_lines(self) -> list[str]:
        from .result_text import result_text

        output = result_text(self.row.output)
        lines = [self.row.message] if self.row.message else []
        if self.status in {"interrupted", "paused"}:
            lines.append(f"Go on with: flow resume {self.row.id}")
        return lines + ([*([""] if lines else []), *output.split("\n")] if output else [])


def _worktree_facts(row: RunRow) -> list[tuple[str, str]]:
    """Return where a run with a worktree works, what is there, and what may be done with it now."""
    from ..runs.worktrees import Worktree, next_steps, summary

    worktree = Worktree.of(row)
    if worktree is None:
        return []
    try:
        state = worktree.state()
    except UsageError as err:
        return [("Worktree", str(worktree.folder)), ("Branch", f"{worktree.branch} ({err.message})")]
    facts = [("Worktree", str(worktree.folder)), ("Branch", summary(worktree, state))]
    return [*facts, *next_steps(worktree, state, row.id)]


def _tools(step: Step) -> str:
    calls = ", ".join(f"{count} {name}" for name, count in step.tools.items()) or "-"
    return f"{calls} ({step.failed_tools} failed)" if step.failed_tools else calls


def _short(value: Any, size: int = 100) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= size else text[: size - 1] + "…"


def local_time(at: str) -> str:
    """Return a stored time as this machine's clock shows it, to the minute."""
    from datetime import datetime

    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M")


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines of aligned columns, wide characters counted as two; the last column is not padded."""
    shown = [[visible(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(*shown, strict=True)]
    padded = (
        [cell + " " * (size - width(cell)) for cell, size in zip(row[:-1], widths[:-1], strict=True)] + [row[-1]]
        for row in shown
    )
    return ["  ".join(row).rstrip() for row in padded]
