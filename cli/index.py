"""`flow index`: the index of the workspace's code, which searches and the map are answered from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from .context import CliOptions, app_context
from .embed_progress import EmbedProgress
from .printing import print_json, visible

if TYPE_CHECKING:
    from ..app.index import BuiltIndex, IndexState
    from ..retrieval.code_index import RefreshReport
    from ..retrieval.files import Skipped

app = typer.Typer(rich_markup_mode=None, add_completion=False, help="Build, show and delete the index of the code.")

_SHOWN = 20


@app.callback()
def group() -> None:
    """Build, show and delete the index of this repository's code. Runs and searches keep it up to date themselves."""


@app.command("build")
def build(ctx: typer.Context) -> None:
    """Index what is new or changed, and compute the vectors where the settings name an embedder."""
    from ..app.index import build_index

    options: CliOptions = ctx.obj
    indexing = EmbedProgress(options, "files", doing="indexing")
    embedding = EmbedProgress(options, "passages")
    try:
        built = build_index(app_context(options), _tell, indexing, embedding)
    finally:
        indexing.end()
        embedding.end()
    if options.json:
        print_json(_built_facts(built))
        return
    report = built.report
    print(
        f"{report.files:,} files indexed: {report.updated:,} updated, {report.removed:,} removed, "
        f"{len(report.skipped):,} skipped, in {built.seconds:.1f} s."
    )
    if built.embedded:
        print(f"{built.embedded:,} passages embedded.")
    _print_unparsed(report)


@app.command("status")
def status(ctx: typer.Context) -> None:
    """Show what the index holds, what changed since, and which files are skipped or could not be parsed."""
    from ..app.index import index_state

    options: CliOptions = ctx.obj
    state = index_state(app_context(options), _tell)
    if options.json:
        print_json(None if state is None else _state_facts(state))
    elif state is None:
        print("There is no index yet. Make one with: flow index build")
    else:
        _print_state(state)


@app.command("clean")
def clean(
    ctx: typer.Context,
    everything: bool = typer.Option(False, "--all", help="The indexes of all repositories, not only of this one."),
) -> None:
    """Delete the index; the next run or search makes a new one."""
    from ..app.index import clean_index

    options: CliOptions = ctx.obj
    files, size = clean_index(app_context(options), everything=everything)
    if options.json:
        print_json({"files": files, "bytes": size})
    elif files:
        print(f"Deleted {files:,} files, {size / 1e6:.1f} MB.")
    else:
        print("There was nothing to delete.")


def _tell(notice: str) -> None:
    print(f"flow: {visible(notice)}", file=sys.stderr)


def _print_state(state: IndexState) -> None:
    report = state.report
    print(f"{visible(str(state.path))}: {report.files:,} files, {state.definitions:,} definitions, {_size(state)}")
    named = sorted(((count, name) for name, count in state.languages.items() if name), key=lambda x: (-x[0], x[1]))
    if named:
        print("  " + ", ".join(f"{name} {count:,}" for count, name in named))
    if not report.complete:
        print("  It is not complete: `flow index build` goes on with it.")
    if report.updated or report.removed:
        print(f"  {report.updated:,} files to look at again, {report.removed:,} gone")
    if state.vectors_missing is not None:
        print(f"  {state.vectors_missing:,} passages without a vector")
    _print_list("skipped", report.skipped)
    _print_unparsed(report)


def _print_unparsed(report: RefreshReport) -> None:
    _print_list("searched as plain text", report.unparsed)


def _print_list(title: str, files: tuple[Skipped, ...]) -> None:
    if not files:
        return
    print(f"  {len(files):,} {title}:")
    for each in files[:_SHOWN]:
        print(f"    {visible(each.path)}: {visible(each.reason)}")
    if len(files) > _SHOWN:
        print(f"    and {len(files) - _SHOWN:,} more (-o json lists them)")


def _size(state: IndexState) -> str:
    return f"{state.size / 1e6:.1f} MB"


def _built_facts(built: BuiltIndex) -> dict[str, Any]:
    return {
        "path": str(built.path),
        **_report_facts(built.report),
        "embedded": built.embedded,
        "seconds": round(built.seconds, 3),
    }


def _state_facts(state: IndexState) -> dict[str, Any]:
    return {
        "path": str(state.path),
        **_report_facts(state.report),
        "languages": state.languages,
        "definitions": state.definitions,
        "bytes": state.size,
        "vectors_missing": state.vectors_missing,
    }


def _report_facts(report: RefreshReport) -> dict[str, Any]:
    return {
        "files": report.files,
        "updated": report.updated,
        "removed": report.removed,
        "complete": report.complete,
        "skipped": [{"path": each.path, "reason": each.reason} for each in report.skipped],
        "unparsed": [{"path": each.path, "reason": each.reason} for each in report.unparsed],
    }
