"""A workspace with fakes at the ports: journal, blobs, retrieval, the person who is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flowloom.configs.rules import Rule
from flowloom.core.effects import Command, Effect, FileWrite, Nothing, Spans, ToolResult
from flowloom.core.errors import ToolError
from flowloom.core.events import Decided
from flowloom.core.hits import Hit, Source
from flowloom.core.masking import SecretMask
from flowloom.core.messages import ToolCall
from flowloom.core.ports import CallRef, JournalEntry, Owned, Sandbox
from flowloom.core.questions import Answer, Question
from flowloom.core.tool import OUTPUT_BYTES, MemoryRules, ToolContext
from flowloom.core.tool_names import OWN_NAMES
from flowloom.tools.args import parse_args
from flowloom.tools.background_jobs import BackgroundJobs
from flowloom.tools.calls import run_call
from flowloom.tools.effects import Effects
from flowloom.tools.host import HostSandbox
from flowloom.tools.permissions import Confinement
from flowloom.tools.registry import TOOLS


@dataclass
class MemoryJournal:
    entries: dict[CallRef, JournalEntry] = field(default_factory=dict)
    pre: dict[CallRef, bytes | None] = field(default_factory=dict)

    def find(self, ref: CallRef) -> JournalEntry | None:
        return self.entries.get(ref)

    def begin(self, ref: CallRef, effect: FileWrite | Command, pre: bytes | None) -> None:
        self.entries[ref] = JournalEntry(ref, "intent", "", effect, None)
        self.pre[ref] = pre

    def finish(self, ref: CallRef, result: ToolResult) -> None:
        self.entries[ref] = JournalEntry(ref, "done", "", self.entries[ref].effect, result)


@dataclass
class MemoryBlobs:
    stored: dict[str, bytes] = field(default_factory=dict)

    def put(self, data: bytes) -> str:
        sha = hashlib.sha256(data).hexdigest()
        self.stored[sha] = data
        return sha

    def get(self, sha: str) -> bytes:
        return self.stored[sha]

    def path(self, sha: str) -> Path:
        raise NotImplementedError


@dataclass
class FixedHits:
    hits: list[Hit] = field(default_factory=list)

    def retrieve(
        self, query: str, budget: int, sources: Sequence[Source], *, within: Sequence[str] = ()
    ) -> list[Hit]:
        return self.hits


@dataclass
class FixedChanges:
    changed: list[str]

    def files(self) -> list[str]:
        return self.changed

    def diff(self, files: Sequence[str] | None = None) -> str:
        raise NotImplementedError

    def owned(self, files: Sequence[str] | None = None, agents: str | None = None) -> Owned:
        raise NotImplementedError


class EchoSpawner:
    async def spawn(self, parent: str, call_id: str, task: str, tools: Sequence[str], effects: object) -> str:
        if task == "too deep":
            raise ToolError("no more depth")
        return f"{parent} {call_id}: {task} with {', '.join(tools)}"


@dataclass
class Person:
    """Answers questions in turn; `questions` is what was asked."""

    answers: list[Answer] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    def __call__(self, question: Question) -> Answer:
        self.questions.append(question)
        return self.answers.pop(0)


@dataclass
class KeptDecisions:
    """What was decided; `why` says that nothing more may happen unasked."""

    told: list[Decided] = field(default_factory=list)
    why: str = ""

    def used_up(self) -> str:
        return self.why

    def tell(self, ref: CallRef, decided: Decided) -> None:
        self.told.append(decided)


class Rig:
    """A workspace and everything a call goes through."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.jobs = workspace.parent / "jobs"
        self.journal = MemoryJournal()
        self.blobs = MemoryBlobs()
        self.retriever = FixedHits()
        self.person = Person()
        self.grants: set[str] = set()
        self.offered: tuple[str, ...] = tuple(TOOLS)
        self.changes: FixedChanges | None = None
        self.seen: dict[str, str] | None = None
        self.decisions = KeptDecisions()
        self.secrets = SecretMask(b"run")
        self.names = OWN_NAMES
        self.background: BackgroundJobs | None = None
        self.memory: MemoryRules | None = MemoryRules(2_000, "2026-01-02")
        self.written: list[str] = []
        self.shown: dict[str, Spans] = {}
        self.outputs: dict[str, str] = {}
        self.output_bytes = OUTPUT_BYTES

    def effects(
        self,
        mode: str = "auto",
        sandbox: Sandbox | None = None,
        output_bytes: int = 16_384,
        rules: Sequence[Rule] = (),
        network: bool = False,
        confinement: Confinement = "full",
    ) -> Effects:
        return Effects(
            workspace=self.workspace,
            sandbox=sandbox or HostSandbox(),
            journal=self.journal,
            blobs=self.blobs,
            jobs=self.jobs,
            mode=mode,
            grants=self.grants,
            output_bytes=output_bytes,
            spawner=EchoSpawner(),
            secrets=self.secrets,
            rules=rules,
            network=network,
            decisions=self.decisions,
            confinement=confinement,
            background=self.background,
            after_write=lambda effect: self.written.append(effect.path),
        )

    @property
    def context(self) -> ToolContext:
        return ToolContext(
            self.workspace,
            self.blobs,
            self.retriever,
            self.offered,
            changes=self.changes,
            seen=self.seen,
            secrets=self.secrets,
            names=self.names,
            jobs=self.background,
            memory=self.memory,
            shown=self.shown,
            outputs=self.outputs,
            output_bytes=self.output_bytes,
        )

    def plan(self, tool: str, **args: Any) -> Effect:
        spec = TOOLS[tool]
        return spec.plan(parse_args(spec, args), self.context)

    def read(self, tool: str, **args: Any) -> str:
        """Return the text of a call that has no effect."""
        effect = self.plan(tool, **args)
        assert isinstance(effect, Nothing)
        return effect.result.text

    def refusal(self, tool: str, **args: Any) -> str:
        with pytest.raises(ToolError) as refused:
            self.plan(tool, **args)
        return str(refused.value)

    async def call(self, tool: str, mode: str = "auto", call_id: str = "c1", **args: Any) -> ToolResult:
        request = ToolCall(call_id, tool, args)
        return await run_call(request, TOOLS, self.context, self.effects(mode), "code#1", self.person)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def bytes(self, name: str) -> bytes:
        return (self.workspace / name).read_bytes()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    workspace = tmp_path.resolve() / "ws"
    workspace.mkdir()
    return Rig(workspace)
