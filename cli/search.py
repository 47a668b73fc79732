"""`flow search`: files that answer a query, each with its reasons, and where names are defined and used."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import UsageError
from .context import CliOptions, app_context
from .embed_progress import EmbedProgress
from .printing import one_line, print_items, visible

if TYPE_CHECKING:
    from ..app.code import FoundFile, FoundSymbol
    from ..retrieval.code_retriever import CodeRetriever
    from ..retrieval.code_symbols import Caller, UsedLine

_COUNT = 20
_MANY_FILES = 200
_MOST = 1000
_STDIN_BYTES = 10_000_000


def search(
    ctx: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="What to look for.")] = None,
    count: int = typer.Option(_COUNT, "-k", min=1, max=_MOST, metavar="N", help="Files at most."),
    symbol: str = typer.Option("", "--symbol", metavar="NAME", help="Print the definitions of NAME (Type.method)."),
    refs: str = typer.Option("", "--refs", metavar="NAME", help="List the lines that use NAME."),
    callers: str = typer.Option("", "--callers", metavar="NAME", help="List the definitions that call NAME."),
    stdin: bool = typer.Option(False, "--stdin", help='Read {"tree": FOLDER, "query": TEXT}, print ranked paths.'),
) -> None:
    """Find files and definitions by words, names, commits, and meaning where an embedder is set.

    Each file has its reasons: which words stand in its path, in the names that it defines, in its text and in the
    messages of the commits that changed it.
    """
    options: CliOptions = ctx.obj
    text = " ".join(words or [])
    asked = [bool(text), bool(symbol), bool(refs), bool(callers), stdin]
    if sum(asked) != 1:
        raise UsageError(
            "give one thing to look for: TEXT, --symbol NAME, --refs NAME, --callers NAME or --stdin.",
            hint="For example: flow search 'where are retries counted'",
        )
    if stdin:
        _search_stdin(options, count)
        return
    from ..app.code import ready_retriever

    progress = EmbedProgress(options, "files", doing="indexing")
    with ready_retriever(app_context(options), _tell, _only_if_many(progress)) as retriever:
        progress.end()
        if text:
            _search_text(options, retriever, text, count)
        elif symbol:
            _show_symbol(options, retriever, symbol)
        elif refs:
            _show_uses(options, retriever, refs)
        else:
            _show_callers(options, retriever, callers)


def _tell(notice: str) -> None:
    print(f"flow: {visible(notice)}", file=sys.stderr)


def _only_if_many(progress: EmbedProgress) -> Any:
    """Return the progress for work that takes long enough to be told of."""

    def show(done: int, total: int) -> None:
        if total >= _MANY_FILES:
            progress(done, total)

    return show


def _search_text(options: CliOptions, retriever: CodeRetriever, text: str, count: int) -> None:
    from ..app.code import search_code

    found = search_code(retriever, text, count)
    if options.json:
        print_items([_file_facts(each) for each in found], options.output)
        return
    if not found:
        print(f"Nothing was found for {visible(one_line(text))!r}.")
    for number, each in enumerate(found, 1):
        print(f"{number:>2}  {visible(each.path)}  {each.score:.2f}  ({visible('; '.join(each.reasons))})")
        for piece in each.pieces:
            print(f"      {piece.start_line}-{piece.end_line}  {visible(piece.name)}".rstrip())


def _file_facts(found: FoundFile) -> dict[str, Any]:
    pieces = [{"name": each.name, "start_line": each.start_line, "end_line": each.end_line} for each in found.pieces]
    return {"path": found.path, "score": found.score, "reasons": list(found.reasons), "pieces": pieces}


def _show_symbol(options: CliOptions, retriever: CodeRetriever, name: str) -> None:
    from ..app.code import symbols_named

    found = symbols_named(retriever, name)
    if options.json:
        print_items([_symbol_facts(each) for each in found], options.output)
        return
    for at, each in enumerate(found):
        symbol = each.definition.symbol
        place = f"{each.definition.path}:{symbol.start_line}-{symbol.end_line}"
        print(("\n" if at else "") + visible(f"{place}  {symbol.kind} {symbol.qualified_name}"))
        print("\n".join(map(visible, each.text.split("\n"))))


def _symbol_facts(found: FoundSymbol) -> dict[str, Any]:
    symbol = found.definition.symbol
    return {
        "path": found.definition.path,
        "name": symbol.qualified_name,
        "kind": symbol.kind,
        "start_line": symbol.start_line,
        "end_line": symbol.end_line,
        "signature": symbol.signature,
        "text": found.text,
    }


def _show_uses(options: CliOptions, retriever: CodeRetriever, name: str) -> None:
    from ..app.code import uses_of

    found = uses_of(retriever, name)
    if options.json:
        print_items([_use_facts(each) for each in found], options.output)
        return
    if not found:
        print(f"Nothing uses {visible(name)!r}.")
    for each in found:
        print(visible(f"{each.use.path}:{each.use.line}: {each.use.kind or 'mention'}: {each.text}"))


def _use_facts(each: UsedLine) -> dict[str, Any]:
    return {
        "path": each.use.path,
        "line": each.use.line,
        "kind": each.use.kind or "mention",
        "text": each.text,
        "inside": each.inside.qualified_name if each.inside else "",
    }


def _show_callers(options: CliOptions, retriever: CodeRetriever, name: str) -> None:
    from ..app.code import callers_of

    found = callers_of(retriever, name)
    if options.json:
        print_items([_caller_facts(each) for each in found], options.output)
        return
    if not found:
        print(f"Nothing calls {visible(name)!r}.")
    for each in found:
        inside = each.inside.signature if each.inside else "(at the top of the file)"
        lines = ", ".join(map(str, each.lines))
        print(visible(f"{each.path}:{lines}: {inside}"))


def _caller_facts(each: Caller) -> dict[str, Any]:
    inside = each.inside
    return {
        "path": each.path,
        "name": inside.qualified_name if inside else "",
        "kind": inside.kind if inside else "",
        "start_line": inside.start_line if inside else 0,
        "end_line": inside.end_line if inside else 0,
        "lines": list(each.lines),
    }


def _search_stdin(options: CliOptions, count: int) -> None:
    from ..app.code import ranked_files

    try:
        asked = json.loads(sys.stdin.read(_STDIN_BYTES))
    except ValueError as err:
        raise UsageError(f"stdin is no JSON: {err}.", hint='Give {"tree": FOLDER, "query": TEXT}.') from err
    if not isinstance(asked, dict) or not all(isinstance(asked.get(key), str) for key in ("tree", "query")):
        raise UsageError("stdin lacks a text for tree or query.", hint='Give {"tree": FOLDER, "query": TEXT}.')
    tree = options.directory / Path(asked["tree"])
    found = ranked_files(app_context(options), tree, asked["query"], count, _tell)
    if options.json:
        print_items([{"path": each.path, "score": each.score} for each in found], options.output)
        return
    for each in found:
        print(visible(each.path))
