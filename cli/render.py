"""How a run looks while it goes on: progress on stderr, or JSON lines on stdout."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any, TextIO

from ..core.events import EventRecord, Phase
from .amounts import counted, duration, short_number
from .board import NodeBoard
from .live import LiveArea
from .model_text import call_text, changed_course_text, cost_text, models_text, note_text
from .printing import node_name, one_line, visible


@dataclass(slots=True)
class _Node:
    """What is known of a node that runs now. Times are of the view's clock."""

    began: float
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0


class ProgressView:
    """Shows a run on stderr: a permanent line when a node or a tool ends, and on a terminal what goes on.

    Args:
        live: True on a terminal that can move its cursor.
        board: True where that shows the nodes as well.
        color: False for NO_COLOR, TERM=dumb and --no-color.
        quiet: print questions only.
        verbose: print model calls and skipped nodes as well.
        asks: True when questions are asked at this terminal by somebody else, so that they need no line here.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        live: bool = False,
        board: bool = False,
        color: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        asks: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._color = color
        self._quiet = quiet
        self._verbose = verbose
        self._asks = asks
        self._clock = clock
        self._began = clock()
        self._nodes: dict[str, _Node] = {}
        self._calls: dict[tuple[str, str], str] = {}
        self._totals = _Node(self._began)
        self._node_runs = 0
        self._phase: tuple[str, Phase] | None = None
        self._phase_began = self._began
        self._amount = 0
        self._failure = ""
        self._board = NodeBoard(clock)
        self._held: list[tuple[str, str]] | None = None
        self._lock = RLock()
        above = self._board.lines if board else None
        self._line = LiveArea(stream, color, self._now, above) if live and not quiet else None

    def record(self, record: EventRecord) -> None:
        """Show one stored event."""
        self._count(record)
        self._board.record(record)
        line = self._text(record)
        # Why a run failed is said at its end; with -q that is enough.
        if line and (not self._quiet or record.type == "question"):
            self._print(line, _STYLES.get(record.type, ""))
        if record.type in {"question", "run_end"}:
            # A question is read from the same terminal; the next phase shows the line again.
            self.close()
        elif record.node:
            self._show()

    def progress(self, node: str, phase: Phase, amount: int = 0) -> None:
        """Show what a node does now; `amount` counts pieces of output."""
        if self._phase != (node, phase):
            self._phase = (node, phase)
            self._phase_began = self._clock()
        self._amount = amount
        self._show()

    def notice(self, text: str) -> None:
        """Show one line that belongs to no run."""
        if not self._quiet:
            self._print(text, "yellow")

    def close(self) -> None:
        """Take the live part away; permanent lines stay. It comes back with the next phase."""
        with self._lock:
            if self._line is not None:
                self._line.hide()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to somebody who asks there: whatever threads tell meanwhile is shown afterwards."""
        with self._lock:
            self.close()
            self._held = []
        try:
            yield
        finally:
            with self._lock:
                held, self._held = self._held, None
                for text, style in held or ():
                    self._print(text, style)

    def _show(self) -> None:
        with self._lock:
            if self._line is not None and self._held is None:
                self._line.show()

    def _print(self, text: str, style: str) -> None:
        with self._lock:
            if self._held is not None:
                self._held.append((text, style))
            elif self._line is not None:
                self._line.print(visible(text), style)
            else:
                print(visible(text), file=self._stream, flush=True)

    def _count(self, record: EventRecord) -> None:
        if record.type == "tool_start":
            self._calls[record.node, record.data["call_id"]] = record.data["summary"]
        elif record.type == "node_start":
            self._nodes[record.node] = _Node(self._clock())
            self._node_runs += 1
        elif record.type == "model_call":
            data = record.data
            counts = (data.get(name) or 0 for name in ("prompt_tokens", "completion_tokens", "estimated_tokens"))
            tokens = sum(counts)
            for node in (self._totals, self._nodes.get(record.node)):
                if node is not None:
                    node.calls += 1
                    node.tokens += tokens
                    node.cost += data.get("cost") or 0.0

    def _text(self, record: EventRecord) -> str:
        """Return the permanent line of an event; "" = it has none."""
        data, name = record.data, node_name(record.node)
        match record.type:
            case "run_start":
                again = " (resumed)" if data["resumed"] else ""
                models = models_text(data.get("models") or {"main": data["model"]})
                asked = f", model {models}" if models else ""
                return f"Run {record.run_id}: {data['graph']}{asked}{again}"
            case "node_start":
                return "" if self._line is not None else f"{name}: {data['kind']} begins"
            case "node_end":
                return self._ended(record, name)
            case "node_fail":
                return self._failed(data["message"], name)
            case "model_call":
                return f"  {name}: {call_text(data)}" if self._verbose else ""
            case "model_retry" | "compacted":
                return f"  {name}: {changed_course_text(record)}"
            case "tool_end":
                about = self._calls.pop((record.node, data["call_id"]), "")
                shown = "".join(f"\n    | {line}" for line in str(data.get("shown") or "").splitlines())
                return f"  {name}: {_tool_text(data, about)}{shown}"
            case "question":
                return "" if self._asks else _question_text(data, name)
            case "answer":
                return f"{name}: {data['choice']} ({data['by']})".removeprefix(": ")
            case "notice" | "undo" | "model_replaced":
                return note_text(record)
            case "run_end":
                return self._totals_text(record)
            case _:
                return ""

    def _ended(self, record: EventRecord, name: str) -> str:
        node = self._nodes.pop(record.node, None)
        if record.data["skipped"]:
            return f"{name}: skipped" if self._verbose else ""
        facts = [f"{record.data['seconds']:.1f} s"]
        if node is not None and node.calls:
            facts += [counted(node.calls, "model call"), f"{short_number(node.tokens)} tokens"]
        summary = f": {record.data['summary']}" if record.data["summary"] else ""
        return f"{name} ({', '.join(facts)}){summary}"

    def _failed(self, message: str, name: str) -> str:
        """Return what failed; the reason only once, not again for every graph around the node."""
        if message == self._failure:
            return f"{name}: failed"
        self._failure = message
        return f"{name}: failed: {one_line(message)}"

    def _totals_text(self, record: EventRecord) -> str:
        total = self._totals
        facts = [duration(self._clock() - self._began), counted(self._node_runs, "node run")]
        facts += [counted(total.calls, "model call"), f"{short_number(total.tokens)} tokens"]
        facts += [f"cost {cost_text(total.cost)}"] if total.cost else []
        return f"Run {record.run_id}: {record.data['status']} ({', '.join(facts)})"

    def _now(self) -> str:
        """Return the live line: what goes on, for how long, how fast, and what the run has used."""
        if self._phase is None:
            return ""
        node, phase = self._phase
        seconds = self._clock() - self._phase_began
        doing = f"{phase} {seconds:.0f} s"
        if phase == "waiting to ask again":
            doing += f", asked {counted(self._amount, 'time')}"
        if phase == "generating" and self._amount:
            rate = f", {self._amount / seconds:.0f}/s" if seconds >= 1 else ""
            doing += f", {counted(self._amount, 'piece')}{rate}"
        if phase == "reading prompt":
            doing += f", {self._amount} %"
        used = f"  [{duration(self._clock() - self._began)}, {short_number(self._totals.tokens)} tokens]"
        return visible(f"{node_name(node)}: {doing}".removeprefix(": ") + used)


_STYLES = {
    "node_fail": "red",
    "model_retry": "yellow",
    "notice": "yellow",
    "model_replaced": "yellow",
    "tool_end": "dim",
    "run_start": "bold",
}


class JsonlView:
    """Prints every event of a run as one line of JSON; what belongs to no run goes to stderr."""

    def __init__(self, stdout: TextIO, stderr: TextIO, *, quiet: bool = False) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._quiet = quiet

    def record(self, record: EventRecord) -> None:
        """Print one stored event."""
        print(json.dumps(record.to_dict(), ensure_ascii=False), file=self._stdout, flush=True)

    def progress(self, node: str, phase: Phase, amount: int = 0) -> None:
        """Print nothing: a phase is no event."""

    def notice(self, text: str) -> None:
        """Show one line that belongs to no run."""
        if not self._quiet:
            print(visible(text), file=self._stderr, flush=True)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do nothing: the lines go to stdout, and questions do not."""
        yield

    def close(self) -> None:
        """Do nothing; every line is out already."""


def _question_text(data: Mapping[str, Any], name: str) -> str:
    text = data["text"].rstrip("\n")
    choices = f"({', '.join(data['choices'])})"
    return f"{name}: {text}\n{choices}" if "\n" in text else f"{name}: {text} {choices}"


def _telling_line(text: str) -> str:
    """Return the first line of a text that says something; rules of marks such as "=====" do not."""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return next((line for line in lines if any(map(str.isalnum, line))), "")


def _tool_text(data: Mapping[str, Any], about: str) -> str:
    # A file's text or a command's output says little in one line; why a call failed says a lot.
    reason = "" if data["ok"] else _telling_line(str(data["text"]))[:120]
    end = f"failed ({data['seconds']:.1f} s): {reason}" if reason else f"({data['seconds']:.1f} s)"
    return " ".join(part for part in (data["name"], about or ", ".join(data["files"]), end) if part)
