"""Search, map and graph of a workspace's code, for `flow search` and `flow map`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.errors import UsageError
from ..retrieval.code_neighbours import Neighbourhood, neighbourhood
from ..retrieval.code_retriever import CodeRetriever
from ..retrieval.code_search import RankedFile
from ..retrieval.code_snapshot import CodeSnapshot, Definition
from ..retrieval.code_symbols import Caller, UsedLine, find_callers, find_symbol, find_used_lines
from ..retrieval.code_update import OnIndexed
from ..retrieval.query_names import resolve_file
from ..tools.near import did_you_mean, near_names
from .compose import code_retriever
from .context import AppContext

_PIECES = 3
_MOST_PIECES = 60


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file that matches: 1-indexed lines; `name`: of the definition there, "" = none."""

    name: str
    start_line: int
    end_line: int


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that answers a query, why, and its parts that match best."""

    path: str
    score: float
    reasons: tuple[str, ...]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class FoundSymbol:
    """A definition with its text."""

    definition: Definition
    text: str


@contextmanager
def ready_retriever(
    context: AppContext, notify: Callable[[str], None], on_indexed: OnIndexed | None = None
) -> Iterator[CodeRetriever]:
    """Yield a retriever whose index is complete.

    Raises:
        FlowError: the index cannot be written.
    """
    retriever = code_retriever(context, notify)
    try:
        retriever.index.refresh(on_indexed)
        yield retriever
    finally:
        retriever.close()


def search_code(retriever: CodeRetriever, query: str, limit: int) -> list[FoundFile]:
    """Return the files that answer a query, best first."""
    files = retriever.search(query, limit)
    paths = [file.path for file in files]
    found: dict[str, list[Piece]] = {path: [] for path in paths}

    def look(snapshot: CodeSnapshot) -> None:
        for passage in snapshot.search_passages(query, _MOST_PIECES, files=paths):
            if len(found[passage.path]) < _PIECES:
                found[passage.path].append(Piece(passage.heading, passage.start_line, passage.end_line))

    retriever.index.read(look)
    return [FoundFile(file.path, file.score, file.reasons, tuple(found[file.path])) for file in files]


def ranked_files(
    context: AppContext, tree: Path, query: str, limit: int, notify: Callable[[str], None]
) -> list[RankedFile]:
    """Return the files of any folder that answer a query, best first.

    Raises:
        UsageError: there is no such folder.
    """
    if not tree.is_dir():
        raise UsageError(f"there is no folder {str(tree)!r}.", hint='Give {"tree": FOLDER, "query": TEXT}.')
    with ready_retriever(replace(context, workspace=tree.resolve()), notify) as retriever:
        return retriever.search(query, limit)


def symbols_named(retriever: CodeRetriever, name: str) -> list[FoundSymbol]:
    """Return the definitions of a name with their texts.

    Raises:
        UsageError: nothing has that name.
    """

    def look(snapshot: CodeSnapshot) -> list[FoundSymbol]:
        return [_with_text(snapshot, each) for each in find_symbol(snapshot, name)]

    return retriever.index.read(look) or _refuse(retriever, name)


def _with_text(snapshot: CodeSnapshot, definition: Definition) -> FoundSymbol:
    lines = snapshot.read_file(definition.path).lines
    symbol = definition.symbol
    return FoundSymbol(definition, "\n".join(lines[symbol.start_line - 1 : symbol.end_line]))


def _refuse(retriever: CodeRetriever, name: str) -> list[FoundSymbol]:
    names = retriever.index.read(CodeSnapshot.definition_names)
    near = did_you_mean(near_names(name, names))
    raise UsageError(f"nothing defines {name!r}.{near}", hint="flow search --refs NAME finds other places of a name.")


def uses_of(retriever: CodeRetriever, name: str) -> list[UsedLine]:
    """Return the lines that use a name, by path and line."""
    return retriever.index.read(lambda snapshot: find_used_lines(snapshot, name))


def callers_of(retriever: CodeRetriever, name: str) -> list[Caller]:
    """Return the definitions that call a name or derive from it, by path and line."""
    return retriever.index.read(lambda snapshot: find_callers(snapshot, name))


def focus_path(retriever: CodeRetriever, text: str) -> str:
    """Return the one indexed path that a person means.

    Raises:
        UsageError: none, or several.
    """
    paths = retriever.index.read(CodeSnapshot.paths)
    found = resolve_file(text, paths)
    if len(found) == 1:
        return found[0]
    if not found:
        near = did_you_mean(near_names(text, paths))
        raise UsageError(f"no indexed file is {text!r}.{near}", hint="Give it relative to the repository's root.")
    raise UsageError(f"{text!r} may be {', '.join(found)}.", hint="Give more of its path.")


def neighbours_of(retriever: CodeRetriever, path: str, most: int) -> Neighbourhood:
    """Return the files that a file uses and those that use it, with the names."""
    return retriever.index.read(lambda snapshot: neighbourhood(snapshot, path, most))


def map_texts(
    retriever: CodeRetriever, query: str, budget: int, focus: Sequence[str], within: Sequence[str]
) -> list[str]:
    """Return the outlines of the map, whose texts together stay within the budget (tokens)."""
    return [hit.text for hit in retriever.map(query, budget, focus=focus, within=within)]
