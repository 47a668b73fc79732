"""`flow map`: the repository's files by their worth, each as an outline; or what one file uses and is used by."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UsageError
from .amounts import read_amount
from .context import CliOptions, app_context
from .embed_progress import EmbedProgress
from .printing import print_json, visible

if TYPE_CHECKING:
    from ..retrieval.code_neighbours import Neighbourhood
    from ..retrieval.code_retriever import CodeRetriever

_FORMS = ("mermaid", "svg")
_NEIGHBOURS = 20


def show_map(
    ctx: typer.Context,
    path: str = typer.Argument("", metavar="[PATH]", help="Only files of this folder; the file for --graph."),
    tokens: str = typer.Option("1k", "--tokens", metavar="N", help="Tokens at most, such as 500 or 4k."),
    focus: Annotated[
        list[str] | None, typer.Option("--focus", metavar="FILE", help="A file that matters; may be repeated.")
    ] = None,
    query: str = typer.Option("", "--query", metavar="TEXT", help="What it is for; without it the most used come."),
    graph: bool = typer.Option(False, "--graph", help="Draw what a file uses and what uses it."),
    form: str = typer.Option("mermaid", "--format", metavar="mermaid|svg", help="Of the drawing."),
) -> None:
    """Show the map that agents are given: the files that matter most, each with signatures of its definitions.

    The same tree and query give the same text, wherever the repository lies. With --graph the neighbourhood of one
    file is drawn instead.
    """
    from ..app.code import ready_retriever

    options: CliOptions = ctx.obj
    if form not in _FORMS:
        raise UsageError(f"there is no format {form!r}.", hint="--format takes mermaid or svg.")
    context = app_context(options)
    progress = EmbedProgress(options, "files", doing="indexing")
    with ready_retriever(context, _tell, progress) as retriever:
        progress.end()
        if graph:
            _draw(options, retriever, [*(focus or []), *([path] if path else [])], form)
            return
        within = _globs(context.workspace, options.directory, path)
        _print_map(options, retriever, query, read_amount("--tokens", tokens), focus or [], within)


def _tell(notice: str) -> None:
    print(f"flow: {visible(notice)}", file=sys.stderr)


def _globs(workspace: Path, directory: Path, path: str) -> list[str]:
    """Return what restricts the map to a path; [] = all. Raises: UsageError: it is not there, or lies outside."""
    if not path:
        return []
    whole = Path(os.path.normpath(directory / path))
    if not whole.exists():
        raise UsageError(f"there is no {path!r}.", hint="Give a file or a folder of this repository.")
    if not whole.is_relative_to(workspace):
        raise UsageError(
            f"{path!r} lies outside of {str(workspace)!r}.", hint="Choose another repository with -C DIR."
        )
    relative = whole.relative_to(workspace).as_posix()
    return [] if relative == "." else ["/" + re.sub(r"([\\*?\[\]!# ])", r"\\\1", relative)]


def _print_map(
    options: CliOptions, retriever: CodeRetriever, query: str, tokens: int, focus: list[str], within: list[str]
) -> None:
    from ..app.code import focus_path, map_texts

    paths = [focus_path(retriever, each) for each in focus]
    texts = map_texts(retriever, query, tokens, paths, within)
    if options.json:
        print_json({"files": [text.split("\n", 1)[0] for text in texts], "text": "\n".join(texts)})
    elif texts:
        print("\n".join(visible(line) for text in texts for line in text.split("\n")))
    else:
        print("No file fits into the map.", file=sys.stderr)


def _draw(options: CliOptions, retriever: CodeRetriever, files: list[str], form: str) -> None:
    from ..app.code import focus_path, neighbours_of
    from ..retrieval.code_neighbours import to_mermaid, to_svg

    if len(files) != 1:
        raise UsageError("--graph draws one file.", hint="flow map --graph FILE")
    around = neighbours_of(retriever, focus_path(retriever, files[0]), _NEIGHBOURS)
    if options.json:
        print_json(_facts(around))
        return
    print(to_svg(around) if form == "svg" else to_mermaid(around), end="")
    if around.more_users or around.more_used:
        more = f"{around.more_users:,} more files use it, and it uses {around.more_used:,} more"
        print(f"flow: {more}.", file=sys.stderr)


def _facts(around: Neighbourhood) -> dict[str, object]:
    sides = {"users": around.users, "uses": around.used}
    return {
        "path": around.path,
        **{
            side: [{"path": each.path, "weight": round(each.weight, 4), "names": list(each.names)} for each in found]
            for side, found in sides.items()
        },
        "more_users": around.more_users,
        "more_used": around.more_used,
    }
