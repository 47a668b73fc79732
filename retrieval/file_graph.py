"""The graph of files: what leads from one to others, and how far what matters spreads along it."""

from __future__ import annotations

import sqlite3
from bisect import insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .page_rank import push_ranks
from .resolve import unpack_targets

# How much a step against an edge counts: who uses a file tells less of it than what it uses.
_BACKWARDS = 0.5
# Coarse: what is farther away changes no order that is worth anything, and walking there takes most of the time.
_TOLERANCE = 1e-3


@dataclass(slots=True)
class FileGraph:
    """Weighted edges between files, named by their places in the file table.

    Attributes:
        outgoing, incoming: for each file that has any, (file, weight) by file.
        _ids, _stored: the files and the stored edges that it was made of; `read_graph` patches it by these.
    """

    outgoing: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    incoming: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    _ids: Sequence[int] = ()
    _stored: dict[int, bytes] = field(default_factory=dict)

    def spread(self, start: Mapping[int, float]) -> dict[int, float]:
        """Return how near each file is to the weighted start files along the edges, both ways; the sum is at most 1.

        Files that are not reached to any degree worth counting are left out.
        """
        return push_ranks(self._both_ways, start, tolerance=_TOLERANCE)

    def _both_ways(self, at: int) -> Sequence[tuple[int, float]]:
        # A file that all others use leads to none of them in particular.
        incoming = self.incoming.get(at, ())
        share = _BACKWARDS / max(len(incoming), 1) ** 0.5
        return [*self.outgoing.get(at, ()), *((source, weight * share) for source, weight in incoming)]


def read_graph(db: sqlite3.Connection, ids: Sequence[int], before: FileGraph | None = None) -> FileGraph:
    """Return the graph of all edges between the files of a table, which has these ids.

    Args:
        before: the graph of an earlier state; where it had the same files, only what changed is read anew.
    """
    places = {file_id: at for at, file_id in enumerate(ids)}
    stored: dict[int, bytes] = dict(db.execute("SELECT file_id, targets FROM edges").fetchall())
    if before is not None and before._ids == ids:
        return _patched(before, stored, places)
    graph = FileGraph(_ids=ids, _stored=stored)
    incoming: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for at, file_id in enumerate(ids):
        if targets := _targets(stored.get(file_id), places):
            graph.outgoing[at] = targets
            for target, weight in targets:
                incoming[target].append((at, weight))
    graph.incoming = dict(incoming)
    return graph


def _targets(data: bytes | None, places: Mapping[int, int]) -> list[tuple[int, float]]:
    if not data:
        return []
    return sorted([(places[target], weight) for target, weight in unpack_targets(data) if target in places])


def _patched(before: FileGraph, stored: dict[int, bytes], places: Mapping[int, int]) -> FileGraph:
    """Return the graph with other edges; the one before stays as it is, for who still reads it."""
    graph = FileGraph(dict(before.outgoing), dict(before.incoming), before._ids, stored)
    for file_id in [each for each in places if stored.get(each) != before._stored.get(each)]:
        at = places[file_id]
        old, new = graph.outgoing.pop(at, []), _targets(stored.get(file_id), places)
        if new:
            graph.outgoing[at] = new
        weights = dict(new)
        for target in {target for target, _ in (*old, *new)}:
            sources = [each for each in graph.incoming.pop(target, ()) if each[0] != at]
            if target in weights:
                insort(sources, (at, weights[target]))
            if sources:
                graph.incoming[target] = sources
    return graph
