"""Ranks the files of a workspace for a query, by several signals, and says of each why. Called by the retriever.

A score adds up what the signals say, each scaled to its best file: the words of the query; whether the query names
the file or a definition in it; the words of the commits that changed it; the likeness of meaning; and for the map,
how near it is to the best files in the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .code_history import HistoryMatches
from .code_snapshot import CodeSnapshot, Definition
from .code_terms import QueryTerm
from .lexical import WordMatches
from .query_names import QueryNames, read_names, resolve_file

# Set on the tuning repositories of bench/code_search.py.
FILE_NAMED = 2.0
DEFINITION_NAMED = 0.8
HISTORY_WEIGHT = 1.2
GRAPH_WEIGHT = 0.05
MEANING_WEIGHT = 0.5
_GRAPH_SEEDS = 20
_GRAPH_SHARPNESS = 3
_RANK_SCALE = 20
_MOST_OF_A_NAME = 3
_MOST_OF_A_PLAIN_NAME = 2
_SHOWN_WORDS = 6
# A plain word that is also the name of one of these is most often just a word.
VALUE_KINDS = frozenset({"constant", "variable", "property"})
_COMMON_KINDS = VALUE_KINDS | frozenset({"method", "prototype", "local", "impl"})


@dataclass(frozen=True, slots=True)
class Signals:
    """Which signals count; each can be switched off, to see what it is worth.

    Attributes:
        graph: off in searches, which find no more with it on the tuning repositories of bench/code_search.py; on for
            the map, which shows what surrounds the files that matter.
    """

    words: bool = True
    names: bool = True
    history: bool = True
    graph: bool = False
    meaning: bool = True


@dataclass(frozen=True, slots=True)
class RankedFile:
    """A file that answers a query; a higher score is better, and comparable only within one answer."""

    path: str
    score: float
    reasons: tuple[str, ...] = ()


@dataclass(slots=True)
class _Scores:
    """What each signal says, by the file's place in the table."""

    words: WordMatches = field(default_factory=WordMatches)
    named: dict[int, float] = field(default_factory=dict)
    why_named: dict[int, list[str]] = field(default_factory=dict)
    history: HistoryMatches = field(default_factory=HistoryMatches)
    meaning: dict[int, float] = field(default_factory=dict)


SEARCH_SIGNALS = Signals()


def rank_files(
    snapshot: CodeSnapshot,
    query: str,
    *,
    signals: Signals = SEARCH_SIGNALS,
    focus: Sequence[str] = (),
    by_meaning: Sequence[str] = (),
    limit: int | None = None,
) -> list[RankedFile]:
    """Return the files that answer a query, best first, ties by path; those that no signal speaks for are left out.

    Args:
        focus: paths that count as named.
        by_meaning: paths in the order of their likeness to the query, from an embedder.
        limit: so many at most, each with its reasons; None = all, without reasons.
    """
    terms = snapshot.read_query(query)
    names = read_names(query)
    scores = _Scores()
    if signals.words:
        scores.words = snapshot.match_words(terms)
    if signals.names:
        _add_named(snapshot, names, focus, scores)
    if signals.history:
        scores.history = snapshot.match_history(terms)
    if signals.meaning:
        _add_meaning(snapshot, by_meaning, scores)
    total = _sum_up(scores)
    if signals.graph and total:
        for at, amount in _spread(snapshot, total).items():
            total[at] = total.get(at, 0.0) + GRAPH_WEIGHT * amount
    paths = snapshot.paths()
    # Rounded, so that the order of additions can not decide between equals.
    ordered = sorted(((-round(score, 9), at) for at, score in total.items()))
    if limit is None:
        return [RankedFile(paths[at], -score) for score, at in ordered]
    return [RankedFile(paths[at], -score, tuple(_reasons(at, terms, scores))) for score, at in ordered[:limit]]


def _sum_up(scores: _Scores) -> dict[int, float]:
    total: dict[int, float] = {}
    top = max(scores.words.scores.values(), default=0.0) or 1.0
    for at, score in scores.words.scores.items():
        total[at] = score / top
    # Words and commits are measured by a perfect match, not by their best: commits that say little count little.
    perfect = sum(scores.words.weights) / top if scores.words.scores else 1.0
    for at, score in scores.history.scores.items():
        total[at] = total.get(at, 0.0) + HISTORY_WEIGHT * score * perfect
    for part in (scores.named, scores.meaning):
        for at, score in part.items():
            total[at] = total.get(at, 0.0) + score
    return total


def _add_named(snapshot: CodeSnapshot, names: QueryNames, focus: Sequence[str], scores: _Scores) -> None:
    paths = snapshot.paths()
    places = {path: at for at, path in enumerate(paths)}
    found = [path for mention in names.files for path in resolve_file(mention.text, paths)]
    for path in dict.fromkeys([*focus, *found]):
        if path in places:
            scores.named[places[path]] = FILE_NAMED
            scores.why_named.setdefault(places[path], []).append("named")
    # A plain word that is a name too is a word as often as not, and counts as one.
    for definition in marked_definitions(snapshot, names):
        at = places[definition.path]
        scores.named[at] = max(scores.named.get(at, 0.0), DEFINITION_NAMED)
        why = f"defines {definition.symbol.name}"
        if why not in scores.why_named.setdefault(at, []):
            scores.why_named[at].append(why)


def _add_meaning(snapshot: CodeSnapshot, by_meaning: Sequence[str], scores: _Scores) -> None:
    places = {path: at for at, path in enumerate(snapshot.paths())} if by_meaning else {}
    for rank, path in enumerate(dict.fromkeys(by_meaning)):
        if path in places:
            scores.meaning[places[path]] = MEANING_WEIGHT * _RANK_SCALE / (_RANK_SCALE + rank)


def _spread(snapshot: CodeSnapshot, total: Mapping[int, float]) -> dict[int, float]:
    """Return how near each file is to the best ones in the graph, the nearest scaled to 1."""
    best = sorted(total, key=lambda at: (-round(total[at], 9), at))[:_GRAPH_SEEDS]
    near = snapshot.graph().spread({at: total[at] ** _GRAPH_SHARPNESS for at in best})
    top = max(near.values(), default=0.0) or 1.0
    return {at: amount / top for at, amount in near.items()}


def _reasons(at: int, terms: Sequence[QueryTerm], scores: _Scores) -> list[str]:
    reasons = list(scores.why_named.get(at, ()))
    in_path: list[str] = []
    in_names: list[str] = []
    in_body: list[str] = []
    for term, counts in zip(terms, scores.words.counts, strict=False):
        if counts_here := counts.get(at):
            kept = in_path if counts_here[0] else in_names if counts_here[1] else in_body
            kept.append(term.text)
    in_commits = [term.text for term, counts in zip(terms, scores.history.counts, strict=False) if at in counts]
    found = ((in_path, "path"), (in_names, "names"), (in_body, "text"), (in_commits, "commits"))
    for words, where in found:
        if words:
            more = ", ..." if len(words) > _SHOWN_WORDS else ""
            reasons.append(f"{where}: {', '.join(words[:_SHOWN_WORDS])}{more}")
    if at in scores.meaning:
        reasons.append("meaning")
    return reasons


def marked_definitions(snapshot: CodeSnapshot, names: QueryNames) -> list[Definition]:
    """Return up to three definitions of each name that is written as code.

    When one of a name lies within a type that is named too ("Type.method"), it alone is meant: neither the name's
    others nor the type as a whole.
    """
    found = snapshot.find_definitions(names.marked)
    words = {*names.marked, *names.plain}
    chosen: list[Definition] = []
    parents: set[tuple[str, str]] = set()
    for name in names.marked:
        same = _without_common(sorted((each for each in found if each.symbol.name == name), key=definition_order))
        meant = [each for each in same if each.symbol.parent.rsplit(".", 1)[-1] in words]
        parents |= {(each.path, each.symbol.parent) for each in meant}
        chosen += (meant or same)[:_MOST_OF_A_NAME]
    return [each for each in chosen if (each.path, each.symbol.qualified_name) not in parents]


def _without_common(same: list[Definition]) -> list[Definition]:
    """Return the definitions without those of values, when so many values have the name that none is meant."""
    values = [each for each in same if each.symbol.kind in VALUE_KINDS]
    return same if len(values) <= _MOST_OF_A_NAME else [each for each in same if each not in values]


def definition_order(each: Definition) -> tuple[bool, bool, str, int]:
    """Return what definitions of one name are sorted by: real ones before declarations, those of tests last."""
    lesser = each.symbol.kind in ("prototype", "local")
    in_tests = any(part.startswith("test") for part in each.path.lower().split("/"))
    return (lesser, in_tests, each.path, each.symbol.start_line)


def plain_definitions(snapshot: CodeSnapshot, names: QueryNames) -> list[Definition]:
    """Return the definitions of plain words that are names of one or two functions or types, so hardly by chance."""
    found = [each for each in snapshot.find_definitions(names.plain) if each.symbol.kind not in _COMMON_KINDS]
    chosen: list[Definition] = []
    for name in names.plain:
        same = [each for each in found if each.symbol.name == name]
        chosen += same if len(same) <= _MOST_OF_A_PLAIN_NAME else []
    return chosen
