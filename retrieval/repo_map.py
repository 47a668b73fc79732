"""The repository map: files by their worth, each as an outline of its definitions. Called by the retriever."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ..core.hits import Hit
from ..core.ports import TokenCounter
from .code_search import VALUE_KINDS, RankedFile
from .code_snapshot import CodeSnapshot, FileOutline
from .code_terms import terms_of_names
from .fitting import find_most
from .page_rank import rank_pages
from .parse import Symbol
from .stems import stem

_MOST_LINES_A_FILE = 16
_SHARES = 5
_MOST_MISSES = 8  # so many files of which not even the path fits: the budget is used up
_ROUNDS = 25
_DAMPING = 0.7  # 0.7 ** 25 is 1e-4, below what changes an order that is worth anything


@dataclass(frozen=True, slots=True)
class MapWishes:
    """Which definitions of a file tell the most.

    Attributes:
        stems: of the query's words.
        names: identifiers that the query names.
    """

    stems: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


def most_used_files(snapshot: CodeSnapshot) -> list[RankedFile]:
    """Return all files, those first that most others use, directly or through others; ties by path."""
    paths = snapshot.paths()
    if not paths:
        return []
    ranks = rank_pages(len(paths), snapshot.graph().outgoing, [1.0] * len(paths), _DAMPING, _ROUNDS)
    top = max(ranks)
    ordered = sorted((-round(rank / top, 9), at) for at, rank in enumerate(ranks))
    return [RankedFile(paths[at], -rank) for rank, at in ordered]


def render_map(
    snapshot: CodeSnapshot, files: Sequence[RankedFile], wishes: MapWishes, budget: int, counter: TokenCounter
) -> list[Hit]:
    """Return outlines of the best files whose texts together stay within the budget (tokens), best first.

    Signatures only; no file takes more than a fifth of the budget. The same files and query give the same bytes,
    wherever the workspace lies.

    Args:
        files: best first.
    """
    hits: list[Hit] = []
    left = budget
    misses = 0
    share = max(budget // _SHARES, 1)
    for file in files:
        if left <= 0 or misses == _MOST_MISSES:
            break
        outline = snapshot.outline(file.path)
        text = _render_file(snapshot, outline, wishes, min(share, left), left, counter)
        cost = counter.count(f"{text}\n") if text else 0
        if not text or cost > left:
            misses += 1
            continue
        left -= cost
        hits.append(_map_hit(outline, text, file.score))
    return hits


def _render_file(
    snapshot: CodeSnapshot, outline: FileOutline, wishes: MapWishes, share: int, left: int, counter: TokenCounter
) -> str:
    """Return the path and as many of the most telling definitions as fit into the share; "" = not even the path fits.

    One definition is shown also where it takes more than the share, as long as there is room.
    """
    chosen = _choose(snapshot, outline, wishes)[:_MOST_LINES_A_FILE]

    def render(keep: int) -> str:
        return "\n".join([outline.path, *_outline_lines(outline, sorted(chosen[:keep]))])

    def fits(keep: int, budget: int) -> bool:
        return counter.count(f"{render(keep)}\n") <= budget

    keep = find_most(len(chosen), lambda keep: fits(keep, share))
    if keep == 0 and chosen and fits(1, left):
        keep = 1
    return render(keep) if keep or fits(0, left) else ""


def _choose(snapshot: CodeSnapshot, outline: FileOutline, wishes: MapWishes) -> list[int]:
    """Return positions of the definitions worth showing, the most telling first."""
    header = PurePosixPath(outline.path).suffix.lower().startswith(".h")
    shown = [
        at
        for at, symbol in enumerate(outline.symbols)
        if symbol.kind != "local" and (symbol.kind != "prototype" or header)
    ]
    users = snapshot.count_users(sorted({outline.symbols[at].name for at in shown}))
    worth = [(-_worth(outline.symbols[at], wishes, users), at) for at in shown]
    return [at for _, at in sorted(worth)]


def _worth(symbol: Symbol, wishes: MapWishes, users: Mapping[str, int]) -> float:
    worth = math.log1p(users.get(symbol.name, 0))
    worth += 4.0 * (symbol.name in wishes.names)
    worth += 2.0 * bool(wishes.stems.intersection(map(stem, terms_of_names([symbol.name]))))
    worth += 1.0 * (not symbol.parent) - 1.0 * symbol.name.startswith("_")
    return worth - 1.5 * (symbol.kind in VALUE_KINDS)


def _outline_lines(outline: FileOutline, shown: Sequence[int]) -> list[str]:
    """Return a line for each definition: line number, signature indented by nesting."""
    lines = []
    for at in shown:
        symbol = outline.symbols[at]
        depth = symbol.parent.count(".") + 1 if symbol.parent else 0
        lines.append(f"{symbol.line}:{' ' * (depth + 1)}{symbol.signature}")
    return lines


def _map_hit(outline: FileOutline, text: str, score: float) -> Hit:
    return Hit(
        id=outline.path,
        path=outline.path,
        start_line=1,
        end_line=max(outline.lines, 1),
        page=None,
        heading="",
        text=text,
        score=score,
        source="map",
        doc_sha256=outline.sha256,
    )
