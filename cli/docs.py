"""`flow docs`: documents that agents and you can search, added by you, per project or for all of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import UsageError
from ..core.hits import place_text
from .context import CliOptions, app_context
from .printing import one_line, print_items, print_json, visible

if TYPE_CHECKING:
    from ..app.context import AppContext
    from ..app.docs import CollectionState, MeaningState, ScopeName
    from ..retrieval.doc_finder import DocHit
    from ..retrieval.doc_sync import SyncReport

app = typer.Typer(rich_markup_mode=None, add_completion=False, help="Add documents and search them.")

_WORDS = {"allow_extra_args": True, "ignore_unknown_options": True}
_DEFAULT_COUNT = 5
_MOST = 100
_SHOWN_LINES = 8
_SHOWN_UNREAD = 20
_TOLD_AT_ONCE = 3
_PROGRESS_AFTER_S = 1.0
_SCOPES = {"project": "this project", "user": "all projects"}

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Collections; all of them when none is named.")
]


@app.command("add")
def add(
    ctx: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Files, folders, or quoted patterns such as 'docs/**/*.md'."),
    ],
    name: str = typer.Option("", "--name", metavar="NAME", help="Of the collection; the folder's when not given."),
    user: bool = typer.Option(False, "--user", help="For all your projects, not only for this one."),
) -> None:
    """Add documents, for this project or all of yours.

    Markdown, text, reStructuredText, AsciiDoc, HTML, PDF, Word, PowerPoint, Excel, CSV and Jupyter are read. They
    belong to this project, whose agents alone are shown them, unless --user says otherwise. Files stay where they
    are; `flow docs sync` reads what changed.
    """
    from ..app.docs import add_documents, collection_states

    options: CliOptions = ctx.obj
    context = app_context(options)
    scope: ScopeName = "user" if user else "project"
    made = add_documents(context, paths, name, scope, options.directory)
    reports = _read(options, context, [made])
    state = next(each for each in collection_states(context, [made], look=False) if each.scope == scope)
    if not options.json:
        print(_summary(state))
        _tell_unread(options, [state])
    _embed(options, context)
    if options.json:
        print_json({"collection": _facts(state), "sync": {key: _counts(report) for key, report in reports.items()}})


@app.command("sync")
def sync(ctx: typer.Context, names: Names = None) -> None:
    """Read what is new or changed, and forget what is gone."""
    from ..app.docs import collection_states

    options: CliOptions = ctx.obj
    context = app_context(options)
    reports = _read(options, context, names or [])
    if options.json:
        _embed(options, context)
        print_json({scope: _counts(report) for scope, report in reports.items()})
        return
    if not reports:
        print("There are no documents. Add some with: flow docs add PATH")
    for scope, report in reports.items():
        print(
            f"{_SCOPES[scope]}: {report.added:,} added, {report.updated:,} updated, {report.removed:,} removed,"
            f" {report.unchanged:,} unchanged"
        )
        for source in report.missing:
            print(f"flow: {visible(source)} is not there; its documents are kept until it is back.", file=sys.stderr)
    if any(report.failed for report in reports.values()):
        _tell_unread(options, collection_states(context, names or [], look=False))
    _embed(options, context)


@app.command("status")
def status(ctx: typer.Context, names: Names = None) -> None:
    """Show what is not searched and why, and what changed."""
    from ..app.docs import collection_states, meaning_state

    options: CliOptions = ctx.obj
    context = app_context(options)
    states, meaning = collection_states(context, names or [], look=True), meaning_state(context)
    if options.output == "jsonl":
        print_items([_facts(state) for state in states], "jsonl")
    elif options.json:
        print_json({"collections": [_facts(state) for state in states], "meaning": _meaning(meaning)})
    elif not states:
        print("There are no documents. Add some with: flow docs add PATH")
    else:
        for state in states:
            _print_state(state)
        print(_meaning_text(meaning))


@app.command("list")
def list_collections(ctx: typer.Context) -> None:
    """List the collections of this project and of yours."""
    from ..app.docs import collection_states

    options: CliOptions = ctx.obj
    states = collection_states(app_context(options), [], look=False)
    if options.json:
        print_items([_facts(state) for state in states], options.output)
        return
    if not states:
        print("There are no documents. Add some with: flow docs add PATH")
    for state in states:
        print(_summary(state))
        for source in state.facts.sources:
            print(f"  {visible(source)}")


@app.command("rm")
def remove(
    ctx: typer.Context,
    name: str = typer.Argument(..., metavar="NAME", help="The collection."),
    path: str = typer.Argument("", metavar="[PATH]", help="One source of it only.", show_default=False),
    user: bool = typer.Option(False, "--user", help="The one of all projects, where this project has one too."),
) -> None:
    """Forget a collection. Your files are not touched."""
    from ..app.docs import remove_documents

    options: CliOptions = ctx.obj
    scope = remove_documents(app_context(options), name, path, "user" if user else None, options.directory)
    if options.json:
        print_json({"name": name, "scope": scope, "source": path or None, "removed": True})
    else:
        print(f"Forgot {visible(path or name)} ({_SCOPES[scope]}).")


@app.command("query", context_settings=_WORDS, options_metavar="[-k N] [--name NAME]... TEXT")
def query(ctx: typer.Context) -> None:
    """Find the passages that answer a question.

    They are shown with path, lines, page and section. TEXT is a question or words, in any language. -k N sets how
    many passages (5); --name NAME searches one collection only, or the paths that fit a pattern, and may be repeated.
    """
    from ..app.docs_query import find_passages
    from ..configs.dirs import find_dirs
    from ..configs.workspace import find_workspace

    options: CliOptions = ctx.obj
    text, limit, names = _query_words(ctx.args)

    def notify(line: str) -> None:
        if not options.quiet:
            print(f"flow: {visible(line)}", file=sys.stderr)

    workspace, dirs = find_workspace(options.directory), find_dirs(options.env)
    found = find_passages(workspace, dirs, text, limit, names, lambda: app_context(options), notify)
    if options.json:
        print_items([_hit(each) for each in found], options.output)
        return
    if not found:
        print("Nothing was found.", file=sys.stderr)
    for number, each in enumerate(found, start=1):
        _print_hit(number, each)


def _query_words(words: Sequence[str]) -> tuple[str, int, list[str]]:
    """Return text, number of passages and names of a query's command line.

    They are read here, not by typer, which loads pydantic for every option that holds a value.

    Raises:
        UsageError: an option that is not known or lacks its value, or no text.
    """
    text: list[str] = []
    limit, names = _DEFAULT_COUNT, []
    left = list(words)
    while left:
        word = left.pop(0)
        option, equals, value = word.partition("=")
        if option not in ("-k", "--name"):
            if word.startswith("-") and len(word) > 1 and not text:
                raise UsageError(f"There is no option {word!r}.", hint="See: flow docs query --help")
            text.append(word)
            continue
        if not equals:
            if not left:
                raise UsageError(f"The option {option} needs a value.", hint="See: flow docs query --help")
            value = left.pop(0)
        if option == "--name":
            names.append(value)
        elif value.isascii() and value.isdecimal() and 0 < int(value) <= _MOST:
            limit = int(value)
        else:
            raise UsageError(f"-k {value!r} is not a number of passages.", hint=f"Give one from 1 to {_MOST}.")
    if not " ".join(text).strip():
        raise UsageError("What is to be searched for is missing.", hint="Write it as: flow docs query TEXT")
    return " ".join(text), limit, names


class _Progress:
    """A line on stderr that says which document is read, once it takes longer than a second."""

    def __init__(self, options: CliOptions) -> None:
        self._live = sys.stderr.isatty() and not options.quiet and options.env.get("TERM") != "dumb"
        self._began = time.monotonic()
        self._on_line = False

    def __call__(self, done: int, total: int, path: str) -> None:
        seconds = time.monotonic() - self._began
        if not self._live or seconds < _PROGRESS_AFTER_S:
            return
        left = f", {(total - done) / (done / seconds):.0f} s left" if done else ""
        name = visible(path.rpartition("/")[2])[:40]
        print(f"\r\x1b[Kreading {done:,} of {total:,}{left} {name}", end="", file=sys.stderr, flush=True)
        self._on_line = True

    def end(self) -> None:
        """Take the line away."""
        if self._on_line:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _read(options: CliOptions, context: AppContext, names: list[str]) -> dict[ScopeName, SyncReport]:
    from ..app.docs import sync_documents

    progress = _Progress(options)
    try:
        return sync_documents(context, names, progress)
    finally:
        progress.end()


def _embed(options: CliOptions, context: AppContext) -> None:
    """Compute vectors, where there is a model. Comes last: whatever becomes of it, search by words is ready."""
    from ..app.docs import embed_documents
    from .embed_progress import EmbedProgress

    embedding = EmbedProgress(options, "documents")
    try:
        embed_documents(context, embedding, lambda line: print(f"flow: {visible(line)}", file=sys.stderr))
    finally:
        embedding.end()


def _counts(report: SyncReport) -> dict[str, Any]:
    names = ("added", "updated", "removed", "unchanged", "failed", "missing")
    return {name: getattr(report, name) for name in names}


def _facts(state: CollectionState) -> dict[str, Any]:
    facts = state.facts
    return {
        "name": facts.name,
        "scope": state.scope,
        "sources": list(facts.sources),
        "documents": facts.documents,
        "passages": facts.passages,
        "formats": facts.formats,
        "synced_at": facts.synced_at or None,
        "changed": state.behind,
        "missing": list(state.missing),
        "unread": [{"path": each.path, "reason": each.reason} for each in facts.unread],
        "partly": [{"path": each.path, "reason": each.reason} for each in facts.partly],
    }


def _meaning(meaning: MeaningState) -> dict[str, Any]:
    return {"model": meaning.model or None, "reason": meaning.reason, "without_vector": meaning.without_vector}


def _meaning_text(meaning: MeaningState) -> str:
    if not meaning.model:
        return f"Search by meaning: off ({meaning.reason})."
    left = f", {meaning.without_vector:,} passages without a vector" if meaning.without_vector else ""
    return f"Search by meaning: {meaning.model}{left}."


def _summary(state: CollectionState) -> str:
    facts = state.facts
    scope = _SCOPES[state.scope]
    return f"{visible(facts.name)} ({scope}): {facts.documents:,} documents, {facts.passages:,} passages"


def _print_state(state: CollectionState) -> None:
    facts = state.facts
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(facts.synced_at)) if facts.synced_at else "never"
    print(f"{_summary(state)}, synced {when}")
    for source in facts.sources:
        gone = "  is not there: its documents are kept and not shown" if source in state.missing else ""
        print(f"  {visible(source)}{gone}")
    if state.behind:
        print(f"  {state.behind:,} changed since: flow docs sync {visible(facts.name)}")
    for what, unread in (("not searched", facts.unread), ("searched in part", facts.partly)):
        if unread:
            print(f"  {what}: {len(unread):,}")
        for each in unread[:_SHOWN_UNREAD]:
            print(f"    {visible(each.path)}: {visible(each.reason)}")
        if len(unread) > _SHOWN_UNREAD:
            print(f"    and {len(unread) - _SHOWN_UNREAD:,} more: -o json shows all")


def _tell_unread(options: CliOptions, states: list[CollectionState]) -> None:
    unread = [each for state in states for each in (*state.facts.unread, *state.facts.partly)]
    if options.quiet or not unread:
        return
    if len(unread) > _TOLD_AT_ONCE:
        print(f"flow: {len(unread):,} not searched or in part only; `flow docs status` says why.", file=sys.stderr)
        return
    for each in unread:
        print(f"flow: not searched, or in part only: {visible(each.path)}: {visible(each.reason)}", file=sys.stderr)


def _hit(found: DocHit) -> dict[str, Any]:
    hit = found.hit
    return {
        "path": hit.path,
        "start_line": hit.start_line,
        "end_line": hit.end_line,
        "page": hit.page,
        "heading": hit.heading,
        "text": hit.text,
        "score": round(hit.score, 6),
        "lexical_rank": found.lexical_rank,
        "dense_rank": found.dense_rank,
        "collection": found.collection,
        "doc_sha256": hit.doc_sha256,
        "stale": hit.stale,
    }


def _print_hit(number: int, found: DocHit) -> None:
    hit = found.hit
    place = place_text(hit.path, hit.page, hit.start_line, hit.end_line)
    stale = "  [changed since it was read]" if hit.stale else ""
    heading = f"  {visible(one_line(hit.heading))}" if hit.heading else ""
    print(f"{number}. {visible(place)}{heading}{stale}")
    lines = hit.text.splitlines()
    for line in lines[:_SHOWN_LINES]:
        print(f"   {visible(line)}")
    if len(lines) > _SHOWN_LINES:
        print(f"   ... {len(lines) - _SHOWN_LINES} more lines")
