"""The faults of the matrix, and how a run is expected to end with each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from flowloom.llm.answers import Answer, Call, Fault, Reply

Api = Literal["ollama", "openai"]
Role = Literal["planner", "coder", "reviewer"]

APIS: tuple[Api, ...] = ("ollama", "openai")
ROLES: tuple[Role, ...] = ("planner", "coder", "reviewer")

BAIT = "CUT.txt"
"""A file that only the calls of broken replies name. It must never exist, nor any tool be called with it."""
SHORT_COUNT = 150
"""Tokens that a server tells of a prompt it cut."""

Ending = Literal["done", "paused 3", "paused 5", "failed 1"]
"""Status of the run and exit code of the command."""
Made = Callable[[Role, Reply], Answer]
"""Gives the fault in the place of an agent's whole reply."""


@dataclass(frozen=True, slots=True)
class WireFault:
    """One row of the matrix.

    Attributes:
        made: the faulty answer; None = the server goes away.
        once: how the run ends when the fault comes once; `lasting`: when it does not go away.
        on: endings of one API that are others, by API.
        cuts_prompt: the server also tells a short count of longer prompts when it is asked for one token.
    """

    name: str
    made: Made | None
    once: Ending
    lasting: Ending
    on: Mapping[Api, tuple[Ending, Ending]] | None = None
    cuts_prompt: bool = False

    def expected(self, api: Api, *, lasting: bool) -> Ending:
        """Return how the run is to end."""
        once, always = (self.on or {}).get(api, (self.once, self.lasting))
        return always if lasting else once


def _cut_reply(role: Role) -> Reply:
    """Return what a broken reply says: a call as text and one of the API, none of which may run.

    The coder's would write a file, the others' would read one.
    """
    name, arguments = "read_file", {"path": BAIT}
    if role == "coder":
        name, arguments = "write_file", {"path": BAIT, "content": "never to be written\n" * 4}
    text = f'<tool_call>{{"name": "{name}", "arguments": {{"path": "{BAIT}", "content": "x"}}}}</tool_call>'
    return Reply(text, calls=[Call(name, arguments)])


def _http(status: int, text: str) -> Made:
    return lambda role, whole: Fault("http", status=status, text=text)


def _breaks(kind: str, delay_s: float = 0.0) -> Made:
    """Return a fault in the middle of a reply that calls a tool."""
    return lambda role, whole: Fault(kind, reply=_cut_reply(role), delay_s=delay_s)  # type: ignore[arg-type]


def _odd(kind: str, delay_s: float = 0.0) -> Made:
    """Return the whole reply with something odd about it."""
    return lambda role, whole: Fault(kind, reply=whole, delay_s=delay_s)  # type: ignore[arg-type]


def _broken_arguments(role: Role, whole: Reply) -> Answer:
    (call,) = _cut_reply(role).calls
    return Reply(calls=[Call(call.name, f'{{"path": "{BAIT}", "content": "x')])


def _short_count(role: Role, whole: Reply) -> Answer:
    return Reply(whole.text, whole.calls, prompt_tokens=SHORT_COUNT)


_FOR_EVER_S = 600.0

FAULTS: tuple[WireFault, ...] = (
    WireFault("connection refused: the server is gone", None, "done", "paused 5"),
    WireFault("connection reset inside the stream", _breaks("reset"), "done", "paused 5"),
    WireFault("connection closed inside the stream", _breaks("drop"), "done", "paused 5"),
    WireFault("HTTP 500", _http(500, "internal error"), "done", "paused 5"),
    WireFault("HTTP 500, the runner died", _http(500, "llama runner process has terminated"), "done", "paused 5"),
    WireFault("HTTP 503, busy", _http(503, "server busy, please try again"), "done", "paused 5"),
    WireFault("HTTP 503, still loading", _http(503, "Loading model"), "done", "paused 5"),
    WireFault("HTTP 429", _http(429, "too many requests"), "done", "paused 5"),
    WireFault("HTTP 404, the model is gone", _http(404, "model not found"), "paused 5", "paused 5"),
    WireFault("HTTP 401", _http(401, "invalid key"), "paused 5", "paused 5"),
    WireFault("HTTP 400", _http(400, "bad request"), "failed 1", "failed 1"),
    WireFault(
        "HTTP 400, the prompt is too long",
        _http(400, "the request exceeds the available context size"),
        "paused 3",
        "paused 3",
    ),
    WireFault("prompt cut silently, its count too low", _short_count, "paused 3", "paused 3", cuts_prompt=True),
    WireFault("a web page instead of JSON", _breaks("not-json"), "done", "paused 5"),
    WireFault("an error as JSON with HTTP 200", _breaks("error-object"), "done", "paused 5"),
    WireFault(
        "a stream under another content type",
        _odd("wrong-type"),
        "done",
        "paused 5",
        on={"ollama": ("done", "done")},
    ),
    WireFault("no part at all", _breaks("empty"), "done", "paused 5"),
    WireFault("a stream without its last part", _breaks("no-done"), "done", "paused 5"),
    WireFault("a part cut in its middle", _breaks("truncated-json"), "done", "paused 5"),
    WireFault("bytes that are no text in a part", _breaks("garbage"), "done", "paused 5"),
    WireFault("an error inside the stream", _breaks("error-line"), "done", "paused 5"),
    WireFault("silence before the first token", _breaks("slow-start", _FOR_EVER_S), "done", "paused 5"),
    WireFault("silence inside the reply", _breaks("stall", _FOR_EVER_S), "done", "paused 5"),
    WireFault("a stream without end", _breaks("endless"), "done", "paused 5"),
    WireFault("each part late, none too late", _odd("slow-drip", 0.2), "done", "done"),
    WireFault("the last part twice, and more after it", _odd("double-done"), "done", "done"),
    WireFault("reply cut at its limit, in a call", _breaks("length"), "done", "failed 1"),
    WireFault("call with arguments that are no JSON", _broken_arguments, "done", "failed 1"),
    WireFault("whole reply with nothing in it", lambda role, whole: Reply(), "done", "failed 1"),
)
