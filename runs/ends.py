"""Ends of visits on disk: what a visit came to, stored together with the event that tells its end. Built by app/.

LangGraph stores what a node wrote only after the node has returned. A process that is killed in between has told that
the visit ended and would make it again; from here it takes what was written instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .rows import belongs_to, to_json
from .store import RunStore


@dataclass(slots=True)
class _Superstep:
    """The newest superstep of a graph of which ends are stored."""

    number: int
    visits: set[str] = field(default_factory=set)


class VisitEnds:
    """The ends of one run that no checkpoint may hold yet (core.run_ports.VisitEnds).

    Those of a graph go when a later superstep of it stores one, and with the visit that runs the graph. All go when
    the run ends, fails, or goes back to an earlier step.
    """

    def __init__(self, store: RunStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        rows = store.query("SELECT visit, graph, step, body FROM visit_end WHERE run_id = ?", (run_id,))
        self._kept: dict[str, str] = {row["visit"]: row["body"] for row in rows}
        self._stored: dict[str, _Superstep] = {}
        for row in rows:
            self._stored.setdefault(row["graph"], _Superstep(row["step"])).visits.add(row["visit"])

    def find(self, visit: str) -> dict[str, Any] | None:
        """Return the update of a visit that ended before this process began; None = it did not."""
        body = self._kept.get(visit)
        update: dict[str, Any] | None = None if body is None else json.loads(body)
        return update

    @contextmanager
    def keeping(self, visit: str, graph: str, update: dict[str, Any]) -> Iterator[None]:
        """Store the end of a visit; it is on disk together with the events that the block emits."""
        step = _superstep()
        with self._store.change() as db:
            old = [(self._run_id, each) for each in self._taken_out(visit, graph, step)]
            db.executemany("DELETE FROM visit_end WHERE run_id = ? AND visit = ?", old)
            db.execute(
                "INSERT OR REPLACE INTO visit_end (run_id, visit, graph, step, body) VALUES (?, ?, ?, ?, ?)",
                (self._run_id, visit, graph, step, to_json(update)),
            )
            yield
        self._stored.setdefault(graph, _Superstep(step)).visits.add(visit)

    def _taken_out(self, visit: str, graph: str, step: int) -> list[str]:
        """Return the visits whose ends checkpoints hold now: of the superstep before, and of graphs in this visit."""
        done = [each for each in self._stored if belongs_to(f"{each}/", visit)]
        if graph in self._stored and self._stored[graph].number != step:
            done.append(graph)
        return [each for name in done for each in self._stored.pop(name).visits]

    def drop(self) -> None:
        """Forget all ends of the run."""
        with self._store.change() as db:
            db.execute("DELETE FROM visit_end WHERE run_id = ?", (self._run_id,))


def _superstep() -> int:
    """Return the number of the superstep of the graph that runs now."""
    from langgraph.config import get_config

    return int(get_config()["metadata"]["langgraph_step"])
