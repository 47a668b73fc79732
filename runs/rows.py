"""What the run database holds, as plain data: the run row, the usage counted from its events, and whether a run's
process is still there. Read by runs/ and by the commands that list and show runs; imports nothing heavy."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from ..core.events import EventRecord, RunStatus
from .usage import ModelUse


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run.

    Attributes:
        id: 8 lowercase base32 characters; also the thread id of its checkpoints.
        graph_source: where the graph was found ("builtin:plan-and-code" or a path); `graph_text` is its
            text then, with those of the graphs it runs behind it, as documents of one YAML text.
        fingerprint: of the compiled graph, compared before a resume.
        options: how it was started (mode, model names, server address, limits, worktree).
        workspace: absolute, resolved folder it was started for; it works in `folder`.
        title: one line for lists; "" = none yet.
        status: as last written; `shown_status` tells a run whose process is gone.
        exit_code: None until it has ended once.
        output: what the graph returned; None = nothing yet.
        created_at, updated_at: UTC, ISO 8601.
        host, pid, process_start: the process that works on it, or last did.
        baseline: the workspace as it was at the start (see runs/changes.py); {} = not taken yet.
    """

    id: str
    graph: str
    graph_source: str
    graph_text: str
    fingerprint: str
    input: dict[str, Any]
    options: dict[str, Any]
    workspace: str
    title: str
    status: RunStatus
    exit_code: int | None
    message: str
    output: Any
    created_at: str
    updated_at: str
    host: str
    pid: int
    process_start: str
    baseline: dict[str, Any] = field(default_factory=dict)

    @property
    def worktree(self) -> dict[str, Any] | None:
        """What runs/worktrees.py made for the run; None = it works in the workspace itself."""
        made: dict[str, Any] | None = self.options.get("worktree")
        return made

    @property
    def folder(self) -> str:
        """Absolute folder that the run reads and changes: its worktree, else the workspace."""
        return self.worktree["folder"] if self.worktree else self.workspace


RUN_FIELDS = tuple(each.name for each in fields(RunRow))
"""The columns of the table `run`, in order."""
_JSON_FIELDS = frozenset({"input", "options", "output", "baseline"})


@dataclass(frozen=True, slots=True)
class VisitUse:
    """What one visit used. `began_s`: RunUsage.active_s when it began; None = not known."""

    tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    node_runs: int = 0
    began_s: float | None = None

    def plus(self, other: VisitUse) -> VisitUse:
        return VisitUse(
            self.tokens + other.tokens,
            self.model_calls + other.model_calls,
            self.tool_calls + other.tool_calls,
            self.node_runs + other.node_runs,
            self.began_s,
        )


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What a run has used over all its processes, counted from its events.

    Attributes:
        models: what its model calls used.
        by_visit: what each visit under way used, by its label; what runs in it stands under labels of its own until
            it ends, and is added to it then.
        active_s: seconds in which a process worked on it: not between processes, not while a person was asked.
        last_seq, last_at, last_type: of the last event counted; 0 and "" = none yet.
        called: keys of the last call of each visit under way.
        unfinished: visits that began and neither ended nor failed; begun again after a kill, one counts once.
        open_tools: the same of tool calls, see `call_name`.
        shown: visits and calls under way since the run was last started or resumed, see `call_name`.
    """

    node_runs: int = 0
    models: ModelUse = field(default_factory=ModelUse)
    by_visit: Mapping[str, VisitUse] = field(default_factory=dict)
    active_s: float = 0.0
    last_seq: int = 0
    last_at: str = ""
    last_type: str = ""
    called: frozenset[str] = frozenset()
    unfinished: frozenset[str] = frozenset()
    open_tools: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()

    def of_visit(self, visit: str) -> VisitUse:
        """Return what a visit, its sub-agents and the graph that it runs used so far."""
        total = VisitUse(began_s=self.by_visit.get(visit, VisitUse()).began_s)
        for label, use in self.by_visit.items():
            if belongs_to(label, visit):
                total = total.plus(use)
        return total


def belongs_to(label: str, visit: str) -> bool:
    """Return whether a label names the visit itself, a sub-agent that was started in it, or a visit in the graph that
    it runs: the paths of these begin like the visit's own, with its number from the second one on."""
    if label == visit or label.startswith(f"{visit}/"):
        return True
    return visit.endswith("#1") and label.startswith(f"{visit[:-2]}/")


def tally(records: Iterable[EventRecord], usage: RunUsage | None = None) -> RunUsage:
    """Return the usage after these further events of one run, in order."""
    total = usage or RunUsage()
    for record in records:
        total = _count(total, record)
    return total


def _count(usage: RunUsage, record: EventRecord) -> RunUsage:
    idle = not usage.last_at or record.type == "run_start" or usage.last_type in {"question", "run_end"}
    elapsed = 0.0 if idle else _seconds_between(usage.last_at, record.at)
    called = record.type == "model_call"
    began = record.type == "node_start" and record.node not in usage.unfinished
    active_s = usage.active_s + elapsed
    return replace(
        usage,
        node_runs=usage.node_runs + began,
        models=usage.models.plus(record.data) if called else usage.models,
        by_visit=_by_visit(usage, record, active_s, began=began),
        active_s=active_s,
        last_seq=record.seq,
        last_at=record.at,
        last_type=record.type,
        called=_called(usage.called, record),
        unfinished=_under_way(usage.unfinished, record),
        open_tools=_open_tools(usage.open_tools, record),
        shown=_shown(usage.shown, record),
    )


def _by_visit(usage: RunUsage, record: EventRecord, active_s: float, *, began: bool) -> Mapping[str, VisitUse]:
    uses, label = usage.by_visit, record.node
    if began:
        # A graph that runs again inside another one counts its visits anew.
        others = {each: use for each, use in uses.items() if not belongs_to(each, label)}
        return {**others, label: VisitUse(node_runs=1, began_s=active_s)}
    if record.type in {"node_end", "node_fail"}:
        return _added_up(usage, label)
    used = VisitUse()
    if record.type == "model_call":
        used = VisitUse(tokens=ModelUse().plus(record.data).tokens, model_calls=1)
    elif record.type == "tool_start" and call_name(label, record.data["call_id"]) not in usage.open_tools:
        used = VisitUse(tool_calls=1)
    return uses if used == VisitUse() else {**uses, label: uses.get(label, VisitUse()).plus(used)}


def _added_up(usage: RunUsage, ended: str) -> Mapping[str, VisitUse]:
    """Return the uses without those of a visit that ended: they are added to the visit that it was made in."""
    if ended not in usage.by_visit:
        return usage.by_visit
    around = [visit for visit in usage.unfinished if visit != ended and belongs_to(ended, visit)]
    others = {label: use for label, use in usage.by_visit.items() if not belongs_to(label, ended)}
    if not around:
        return others
    nearest = max(around, key=len)
    return {**others, nearest: others.get(nearest, VisitUse()).plus(usage.of_visit(ended))}


def _open_tools(calls: frozenset[str], record: EventRecord) -> frozenset[str]:
    if record.type not in {"tool_start", "tool_end"}:
        return calls
    name = call_name(record.node, record.data["call_id"])
    return calls | {name} if record.type == "tool_start" else calls - {name}


def call_name(node: str, call_id: str) -> str:
    """Return how `RunUsage.shown` names a tool call; no node's name holds a blank."""
    return f"{node} {call_id}"


def _called(keys: frozenset[str], record: EventRecord) -> frozenset[str]:
    if record.type not in {"model_call", "node_end", "node_fail"}:
        return keys
    others = frozenset(key for key in keys if key.rpartition(".")[0] != record.node)
    # Of a reply that broke nothing is kept: its call is made anew, and has to pass the limits again.
    paid = record.type == "model_call" and record.data.get("fault") != "broken"
    return others | {record.data["key"]} if paid else others


def _under_way(visits: frozenset[str], record: EventRecord) -> frozenset[str]:
    if record.type == "node_start":
        return visits | {record.node}
    return visits - {record.node} if record.type in {"node_end", "node_fail"} else visits


def _shown(shown: frozenset[str], record: EventRecord) -> frozenset[str]:
    if record.type == "run_start":
        return frozenset()
    return _under_way(_open_tools(shown, record), record)


def _seconds_between(earlier: str, later: str) -> float:
    # A clock that was set back must not give time back.
    return max(0.0, (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds())


def this_host() -> str:
    """Return the name under which this machine's processes are stored."""
    return platform.node()


def process_start(pid: int) -> str | None:
    """Return when the process with this id started, in a form only good for comparing.

    Returns:
        None when there is no such process (a zombie counts as gone), "" when the system does not tell.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _signalled_start(pid)
    # The name in brackets may itself hold brackets and blanks; what follows the last one is regular.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in {"Z", "X"}:
        return None
    # Ticks since boot alone could come again after a reboot.
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{boot.read_text().strip() if boot.exists() else ''}:{fields[19]}"


def this_process() -> dict[str, Any]:
    """Return the columns that name this process: host, pid and process_start."""
    pid = os.getpid()
    return {"host": this_host(), "pid": pid, "process_start": process_start(pid) or ""}


def _signalled_start(pid: int) -> str | None:
    if Path("/proc/self/stat").exists() or pid <= 0:
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return ""
    return ""


class Process(Protocol):
    """Names a process in a way that no later one shares."""

    @property
    def host(self) -> str: ...

    @property
    def pid(self) -> int: ...

    @property
    def process_start(self) -> str: ...


def is_alive(row: Process, host: str, started: Callable[[int], str | None] = process_start) -> bool:
    """Return whether the process that wrote itself into the row still runs; True when it is on another host."""
    if row.host != host:
        return True
    found = started(row.pid)
    return found is not None and (not found or not row.process_start or found == row.process_start)


def shown_status(row: RunRow, host: str, started: Callable[[int], str | None] = process_start) -> RunStatus:
    """Return the status a person should see: a run marked running whose process is gone was interrupted."""
    if row.status == "running" and not is_alive(row, host, started):
        return "interrupted"
    return row.status


def to_json(value: Any) -> str:
    """Return the value as compact JSON that SQLite can store."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair, from a file name that is not UTF-8: only its escape can be stored.
        return json.dumps(value, separators=(",", ":"))
    return text


def column(name: str, value: Any) -> Any:
    """Return one field of a row as it is stored."""
    return to_json(value) if name in _JSON_FIELDS else value


def run_row(row: sqlite3.Row) -> RunRow:
    """Return a stored row of the table `run`."""
    return RunRow(**{name: json.loads(row[name]) if name in _JSON_FIELDS else row[name] for name in RUN_FIELDS})


def event_record(row: sqlite3.Row) -> EventRecord:
    """Return a stored row of the table `event`."""
    data = json.loads(row["data"])
    return EventRecord(row["run_id"], row["seq"], row["at"], row["node"], row["type"], data, row["v"])
