"""Ports: what the layers ask of each other, as Protocols. Concrete objects are built in app/ only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from .background import BackgroundJob
from .effects import Command, Effect, FileWrite, ToolResult
from .events import Decided, Event, Phase
from .hits import Hit, Source
from .messages import ModelReply, ModelRequest
from .questions import Answer, Question

JournalState = Literal["intent", "done"]


class TokenCounter(Protocol):
    def count(self, text: str) -> int:
        """Return the number of tokens of the text, never below what the model would count."""
        ...


class OnProgress(Protocol):
    """Is told how a model call gets on."""

    def __call__(self, phase: Phase, amount: int, fault: str = "") -> None:
        """Take the phase and its amount; see core.events.Phase.

        Args:
            fault: why the server is asked again; "" = it is not, or for the same reason as the last time.
        """
        ...


class ChatModel(Protocol):
    """One model on one server at one window size."""

    name: str
    window: int
    """Tokens of prompt and output together."""

    async def complete(self, request: ModelRequest, on_progress: OnProgress) -> ModelReply:
        """Return a complete reply.

        Args:
            on_progress: called at each sign of life, and before the server is asked again.

        Raises:
            ModelUnavailable: no server, no such model on it, or replies that keep breaking.
            NoRoom: the request did not fit the server's window.
            ReplyCut: the output limit ended the reply.
            ReplyInvalid: the reply's tool calls are not readable.
            ModelFault: the server refuses the request, or ended the reply for a reason that is not known.
        """
        ...


class PromptCounts(Protocol):
    """How the models of a run count prompts, as far as that is known."""

    def ratio(self, wanted: str) -> float:
        """Return the tokens that a model counts for one that is estimated; never below 1, which also means unknown.

        Args:
            wanted: a role or an exact tag.
        """
        ...

    async def exact(self, wanted: str, request: ModelRequest) -> int | None:
        """Return the tokens of a prompt as the server's own tokenizer counts all of it; None = it has none."""
        ...

    def learned(self, model: str, ratio: float) -> None:
        """Take note, for later runs, that a model counted so many tokens for one that is estimated.

        Args:
            model: as the server names it.
        """
        ...


class Embedder(Protocol):
    """Turns texts into unit vectors of one dimension; [] for a text in a script that its model does not know."""

    id: str
    """Names model, pooling and prefixes; vectors of different ids never mix."""

    @property
    def dimension(self) -> int:
        """Numbers of a vector."""
        ...

    def embed_query(self, text: str) -> list[float]: ...

    def embed_passages(self, texts: Sequence[str]) -> list[list[float]]: ...


class Reranker(Protocol):
    """Reads a query together with each text."""

    id: str

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the query; only the order of the numbers means anything."""
        ...


class Retriever(Protocol):
    def retrieve(
        self, query: str, budget: int, sources: Sequence[Source], *, within: Sequence[str] = ()
    ) -> list[Hit]:
        """Return the best hits whose texts together stay within `budget` tokens, best first.

        The source "map" gives one hit a file: its outline. The same tree and query give the same bytes. A source that
        is not indexed gives none.

        Args:
            within: globs of paths (core.hits.path_fits) or names of document collections, one of which a hit fits;
                () = all.
        """
        ...


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """How a command ended. `output` is stdout and stderr together, uncut up to the sandbox's own cap (bytes).

    `exit_code` is 124 after a timeout, 128 + signal when a signal ended it. `ended` is False for a command that was
    begun and cut short, by a stop or with its machine: only `output`, what it printed until then, means anything.
    """

    exit_code: int
    output: bytes
    timed_out: bool
    seconds: float
    ended: bool = True


class Jobs(Protocol):
    """What runs in the background of a run."""

    def all(self) -> list[BackgroundJob]:
        """Return all of them, also those that have ended, by number."""
        ...

    def told(self, number: int) -> str:
        """Return a job's state and the end of its output, for the model.

        Raises:
            ToolError: there is no such job.
        """
        ...


class Sandbox(Protocol):
    """Runs commands under whatever confinement this machine offers."""

    kind: str
    """ "none" = no confinement."""

    async def run(self, command: Command, workspace: Path, job: Path) -> CommandOutcome:
        """Return what the command came to, running it unless it was begun before: it is begun once for a job.

        It goes on when this process is killed; the next call with the same job waits for it or takes its result.

        Args:
            job: absolute folder of this command alone, which exists; not the workspace's.

        Raises:
            ToolError: the program or its working directory is not to be had.
            FlowError: the job's folder can not be written.
        """
        ...

    async def start(self, command: Command, workspace: Path, job: Path) -> None:
        """Begin a command in the background unless it was begun before, confined alike; do not wait for it.

        It goes on when this process is killed, and is found by its job.

        Raises:
            ToolError, FlowError: as `run`.
        """
        ...


@dataclass(frozen=True, slots=True)
class CallRef:
    """Names one tool call of a run, the same again after a resume: agent path with visit, and call id."""

    agent: str
    call_id: str


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One journaled call.

    Attributes:
        effect: what was begun, exactly as it was planned: after a kill the tree may already hold it, so it can not
            be planned again.
        result: None while the state is "intent".
    """

    ref: CallRef
    state: JournalState
    effect_sha: str
    effect: FileWrite | Command
    result: ToolResult | None


class Journal(Protocol):
    """Remembers each effect before and after it happens."""

    def find(self, ref: CallRef) -> JournalEntry | None: ...

    def begin(self, ref: CallRef, effect: FileWrite | Command, pre: bytes | None) -> None:
        """Store the intent; it is on disk when this returns. `pre` is a file's content before a write."""
        ...

    def finish(self, ref: CallRef, result: ToolResult) -> None: ...


class Decisions(Protocol):
    """Keeps the verdicts on effects, and counts what happens unasked."""

    def used_up(self) -> str:
        """Return why nothing more may happen unasked; "" = it may."""
        ...

    def tell(self, ref: CallRef, decided: Decided) -> None:
        """Keep a verdict; it is told before it is acted on."""
        ...


class Blobs(Protocol):
    """Content-addressed bytes of a run."""

    def put(self, data: bytes) -> str:
        """Return the SHA-256 hex under which the bytes are stored."""
        ...

    def get(self, sha: str) -> bytes:
        """Raises: KeyError: not stored."""
        ...

    def path(self, sha: str) -> Path:
        """Return where the bytes lie, for a person to open."""
        ...


@dataclass(frozen=True, slots=True)
class Owned:
    """Changed files by whose they are, each list sorted.

    Attributes:
        files: nobody but this run is known to have changed them, so a commit may hold them.
        yours: held changes of the user before the run that are in no commit since; also those of them that the run
            changed as well.
        others: changed by somebody else while the run worked.
    """

    files: tuple[str, ...]
    yours: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class HookTrust(Protocol):
    """Which of a repository's git hooks may run."""

    def covers(self, file: Path, content: bytes) -> bool:
        """True when these bytes, just read from this file, are what a person trusted."""
        ...

    def left_out(self, hooks: Sequence[str]) -> None:
        """Tell a person, once for the same ones, that commits are made without these hooks."""
        ...


class Changes(Protocol):
    """What this run changed in the workspace."""

    def files(self) -> list[str]:
        """Return workspace-relative posix paths, sorted."""
        ...

    def diff(self, files: Sequence[str] | None = None) -> str:
        """Return one unified diff from before the run to now; None = all changed files, "" = no change."""
        ...

    def owned(self, files: Sequence[str] | None = None, agents: str | None = None) -> Owned:
        """Return whose changes these files hold.

        Args:
            files: None = all that the run changed.
            agents: beginning of the paths of the agents that worked on them: what these wrote is added, and a file
                that is not as they left it is somebody else's. None = that is not looked at.
        """
        ...


class EventSink(Protocol):
    def emit(self, node: str, event: Event) -> None:
        """Append one event to the run's table and pass it to whoever watches."""
        ...

    def progress(self, node: str, phase: Phase, amount: int = 0) -> None:
        """Tell a watcher what a node is doing now; never stored. `amount` counts output pieces, 0 = none."""
        ...


class Spawner(Protocol):
    async def spawn(self, parent: str, call_id: str, task: str, tools: Sequence[str], effects: EffectRunner) -> str:
        """Run a sub-agent and return its final report.

        Args:
            effects: the parent's, so that the sub-agent is held to the same rules.

        Raises:
            ToolError: depth or count is used up, or a tool is not to be had.
        """
        ...


Ask = Callable[[Question], Answer]
"""Puts a question; returns the answer, or leaves the run waiting by LangGraph's interrupt."""


class EffectRunner(Protocol):
    """The one place where effects happen: asks, journals, applies."""

    def within(
        self, permissions: Mapping[str, Literal["allow", "ask", "deny"]], network: bool | None
    ) -> EffectRunner:
        """Return this runner held to more rules about commands, of a graph or a node; all else stays the same.

        Args:
            network: what it says of the network; None = nothing.
        """
        ...

    def showing(self, output_bytes: int, reader: str) -> EffectRunner:
        """Return this runner with another limit for what commands print.

        Args:
            output_bytes: that the model reads, head and tail.
            reader: what reads the whole of it, as in tools.output.OutputLimit.
        """
        ...

    def asking(self) -> EffectRunner:
        """Return this runner asking a person for what it would do unasked, but for what only reads; what a graph
        itself runs is not asked for."""
        ...

    def moved(self, workspace: Path, journal: Journal, spawner: Spawner) -> EffectRunner:
        """Return this runner, with all that it is held to, for another folder; nothing there can be undone.

        Args:
            workspace: absolute, resolved.
        """
        ...

    async def run(self, ref: CallRef, effect: Effect, category: str, ask: Ask) -> ToolResult: ...

    async def recover(self, ref: CallRef, ask: Ask) -> ToolResult | None:
        """Return what a call begun before came to, finishing it first where a kill cut it short; None = never begun.

        To be asked before the call is planned, since a plan against a tree that already holds it would be wrong.
        """
        ...
