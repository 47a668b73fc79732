"""The steps of a run, one for each visit of a node, and the run's events as they come. Read by the commands that show
and follow runs; imports nothing heavy."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ..core.events import EventRecord
from .rows import shown_status, this_host
from .store import RunStore
from .usage import ModelUse

POLL_S = 0.2
"""Seconds between two looks at the events of a run that another process drives."""

StepState = Literal["running", "waiting", "stopped", "done", "skipped", "failed"]

_MARKS = re.compile(r"\[[^\]]*\]|#\d+")
"""What a path says of items and visits; the namespaces of checkpoints name nodes alone."""


@dataclass(slots=True)
class Step:
    """One visit of a node.

    Attributes:
        number: from 1, in the order in which the steps began.
        node: path with the visit, e.g. "implement[total]/code#1".
        kind: type of the node; "" for one that was skipped.
        model: of its last model call; "" = it made none.
        used: by its model calls, those of its sub-agents apart.
        seconds: of its last try, 0 while it runs. began, ended: UTC, ISO 8601; ended is "" while it runs.
        compactions: the data of their events (core.events.Compacted).
        tools: tool calls by name. failed_tools: how many of all were refused or failed.
        files: workspace-relative paths that its tool calls say they changed, sorted.
        checkpoint: id of the first checkpoint that holds the step's result; "" = there is none yet.
        namespace: of that checkpoint, "" = the graph at the top.
    """

    number: int
    node: str
    kind: str = ""
    state: StepState = "running"
    model: str = ""
    used: ModelUse = field(default_factory=ModelUse)
    seconds: float = 0.0
    began: str = ""
    ended: str = ""
    tools: dict[str, int] = field(default_factory=dict)
    failed_tools: int = 0
    compactions: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    summary: str = ""
    checkpoint: str = ""
    namespace: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the step as JSON data, its usage beside the rest."""
        data = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "used"}
        return {**data, **self.used.to_dict()}


def read_steps(store: RunStore, run_id: str) -> list[Step]:
    """Return the steps of a run in the order in which they began; a visit that began again after a kill is one.

    Raises:
        UsageError: no such run.
    """
    status = shown_status(store.get_run(run_id), this_host())
    steps: dict[str, Step] = {}
    ends: dict[str, int] = {}
    for event in store.events(run_id):
        if not event.node:
            continue
        step = steps.setdefault(event.node, Step(len(steps) + 1, event.node, began=event.at))
        _add(step, event)
        if event.type in {"node_end", "node_fail"}:
            ends[event.node] = event.seq
    for step in steps.values():
        if step.state == "running" and status != "running":
            step.state = "waiting" if status == "waiting" else "stopped"
    _find_checkpoints(store, run_id, steps, ends)
    return list(steps.values())


def _add(step: Step, event: EventRecord) -> None:
    data = event.data
    match event.type:
        case "node_start":
            step.kind, step.state, step.ended = data["kind"], "running", ""
        case "node_end":
            step.state = "skipped" if data["skipped"] else "done"
            step.seconds, step.summary, step.ended = data["seconds"], data["summary"], event.at
        case "node_fail":
            step.state, step.summary, step.ended = "failed", data["message"], event.at
        case "model_call":
            step.model = data["model"]
            step.used = step.used.plus(data)
        case "compacted":
            # Told again after a kill, one has the same key.
            step.compactions = [each for each in step.compactions if each["key"] != data["key"]] + [data]
        case "tool_end":
            step.tools[data["name"]] = step.tools.get(data["name"], 0) + 1
            step.failed_tools += not data["ok"]
            step.files = sorted({*step.files, *data["files"]})


@dataclass(frozen=True, slots=True)
class _Saved:
    namespace: str
    id: str
    event: int


def _find_checkpoints(store: RunStore, run_id: str, steps: dict[str, Step], ends: dict[str, int]) -> None:
    """Give each finished step the first checkpoint of its graph that was made after the event of its end."""
    saved: dict[tuple[str, ...], list[_Saved]] = {}
    for each in _checkpoints(store, run_id):
        saved.setdefault(_graph_in(each.namespace), []).append(each)
    for node, seq in ends.items():
        if found := _first_after(saved.get(_graph_of(node), ()), seq):
            steps[node].checkpoint, steps[node].namespace = found.id, found.namespace


def _checkpoints(store: RunStore, run_id: str) -> list[_Saved]:
    """Return the run's checkpoints, oldest first; those from before they named an event are left out."""
    if not store.query("SELECT 1 FROM sqlite_master WHERE name = 'checkpoints'"):
        return []
    rows = store.query(
        "SELECT checkpoint_ns, checkpoint_id, json_extract(CAST(metadata AS TEXT), '$.event') AS event"
        " FROM checkpoints WHERE thread_id = ? ORDER BY checkpoint_id",
        (run_id,),
    )
    return [_Saved(*row) for row in rows if row["event"] is not None]


def _first_after(saved: Sequence[_Saved], seq: int) -> _Saved | None:
    return next((each for each in saved if each.event >= seq), None)


def _graph_in(namespace: str) -> tuple[str, ...]:
    """Return the nodes below which a checkpoint's graph runs; items at once have a LangGraph node of their own."""
    return tuple(_MARKS.sub("", part.partition(":")[0]) for part in namespace.split("|") if part)


def _graph_of(node: str) -> tuple[str, ...]:
    """Return the nodes below which the step's graph runs: "implement[a]/code#1" is a step below "implement"."""
    return tuple(_MARKS.sub("", part) for part in node.split("/")[:-1])


def follow(
    store: RunStore, run_id: str, *, after: int = 0, pause: Callable[[float], None] = time.sleep
) -> Iterator[EventRecord]:
    """Yield the run's events with a number above `after`, then further ones as they come, until nobody works on it.

    Args:
        pause: waits that many seconds between two looks.

    Raises:
        UsageError: no such run, or it was removed meanwhile.
    """
    while True:
        # Asked first: what is written after the events were read must not be missed.
        ended = shown_status(store.get_run(run_id), this_host()) != "running"
        for event in store.events(run_id, after):
            after = event.seq
            yield event
        if ended:
            return
        pause(POLL_S)
