"""Events: the closed set of things a run reports. The table of them is the one source for JSONL, the live view
and `flow runs show|tail`.

Every event is stored as `(v, run_id, seq, at, node, type, data)`; `data` is the event's own fields.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

EVENT_VERSION = 1

Phase = Literal[
    "retrieving",
    "waiting for model",
    "loading model",
    "reading prompt",
    "generating",
    "waiting to ask again",
    "running tool",
    "running command",
]
"""What goes on; of "reading prompt" the amount is a percentage, of the others it counts pieces or attempts."""
RunStatus = Literal["running", "waiting", "paused", "interrupted", "done", "failed"]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """`model` is that of the role main, `models` those of all roles; `nodes` of the graph with their types."""

    type: ClassVar[str] = "run_start"
    graph: str
    input: dict[str, Any]
    model: str
    resumed: bool = False
    models: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeStarted:
    type: ClassVar[str] = "node_start"
    kind: str
    visit: int


@dataclass(frozen=True, slots=True)
class NodeEnded:
    """`summary` is one line for people; `skipped` means its `if` was false."""

    type: ClassVar[str] = "node_end"
    visit: int
    seconds: float
    summary: str = ""
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class NodeFailed:
    type: ClassVar[str] = "node_fail"
    visit: int
    message: str


@dataclass(frozen=True, slots=True)
class ModelCalled:
    """A model call that was paid for. Counts, in tokens, and times are the server's own; None = not reported.

    Attributes:
        cached_tokens: those of the prompt that the server had computed before.
        prefill_s, decode_s: seconds of reading the prompt and of writing the reply.
        estimated_tokens: our estimate of what the server did not report: counts that are None, and attempts that
            broke before a reply came whole.
        kept: share (0..1) of the request before it in the same visit that stands unchanged at the front of this one;
            None = there was none, the conversation was made smaller since, or another process sent it.
        cost: by the setting models.prices, in its currency; None = the model has no price.
        fault: "cut" at the output limit, "invalid" = its calls cannot be read, "broken" = it never came whole;
            "" = the reply could be used.
    """

    type: ClassVar[str] = "model_call"
    key: str
    model: str
    seconds: float
    prompt_tokens: int | None
    completion_tokens: int | None
    calls: tuple[str, ...] = ()
    text: str = ""
    cached_tokens: int | None = None
    prefill_s: float | None = None
    decode_s: float | None = None
    estimated_tokens: int = 0
    cost: float | None = None
    fault: str = ""
    kept: float | None = None


@dataclass(frozen=True, slots=True)
class ModelReplaced:
    """Another model took over.

    Attributes:
        roles: what it works for now; exact tags that the graph names are among them.
        reason: why the wanted model does not.
    """

    type: ClassVar[str] = "model_replaced"
    wanted: str
    model: str
    roles: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ModelRetried:
    """A reply that did not come whole or could not be used; the same step is asked again."""

    type: ClassVar[str] = "model_retry"
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Compacted:
    """A conversation that filled its window was made smaller.

    Attributes:
        key: of the model call that it came before or was made by; after a kill the same may be told twice.
        how: "results" = old results are shown short, "summary" = the model summed up what is left out, "window" = it
            is left out without.
        before_tokens, after_tokens: of the request, by our count.
        left_out: messages that are not sent any more, in all.
    """

    type: ClassVar[str] = "compacted"
    key: str
    how: Literal["results", "summary", "window"]
    before_tokens: int
    after_tokens: int
    left_out: int


@dataclass(frozen=True, slots=True)
class ToolStarted:
    type: ClassVar[str] = "tool_start"
    call_id: str
    name: str
    summary: str


@dataclass(frozen=True, slots=True)
class ToolEnded:
    """`shown` is what a person sees of a command's output as it is told; "" = nothing."""

    type: ClassVar[str] = "tool_end"
    call_id: str
    name: str
    ok: bool
    seconds: float
    files: tuple[str, ...] = ()
    text: str = ""
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Decided:
    """The verdict on an effect, before it happens.

    Attributes:
        what: the file that is written, or the command line.
        category: how far it reaches: edit, shell-safe, shell, outside-workspace, network, mcp.
        verdict: "allow", "ask" or "deny".
        unasked: True when it happens without a person's word, now or earlier in the run.
    """

    type: ClassVar[str] = "decision"
    call_id: str
    what: str
    category: str
    verdict: str
    reason: str
    unasked: bool


@dataclass(frozen=True, slots=True)
class QuestionAsked:
    type: ClassVar[str] = "question"
    id: str
    kind: str
    text: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuestionAnswered:
    """`by` is "person", "headless" or "mode"."""

    type: ClassVar[str] = "answer"
    id: str
    choice: str
    by: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something a person should know that is no failure (no map, retrieval off, a file skipped)."""

    type: ClassVar[str] = "notice"
    text: str


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A person took back a commit of the run, or ("") the files that it wrote."""

    type: ClassVar[str] = "undo"
    commit: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunEnded:
    type: ClassVar[str] = "run_end"
    status: RunStatus
    exit_code: int
    message: str = ""
    output: Any = None


Event = (
    RunStarted
    | NodeStarted
    | NodeEnded
    | NodeFailed
    | ModelCalled
    | ModelReplaced
    | ModelRetried
    | Compacted
    | ToolStarted
    | ToolEnded
    | Decided
    | QuestionAsked
    | QuestionAnswered
    | Noticed
    | TakenBack
    | RunEnded
)


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One stored event. `seq` counts from 1 in its run; `at` is UTC, ISO 8601; `node` is "" for the run itself."""

    run_id: str
    seq: int
    at: str
    node: str
    type: str
    data: dict[str, Any] = field(default_factory=dict)
    v: int = EVENT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return the record as it is printed by `-o jsonl`."""
        return {
            "v": self.v,
            "run_id": self.run_id,
            "seq": self.seq,
            "at": self.at,
            "node": self.node,
            "type": self.type,
            "data": self.data,
        }


def event_data(event: Event) -> dict[str, Any]:
    """Return an event's fields as JSON data."""
    return asdict(event)
