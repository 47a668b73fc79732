"""Graphs of nodes that need no model, run with a real database, journal and commands in a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowloom.context.assemble import TurnAssembler
from flowloom.core.events import Event, EventRecord, Phase
from flowloom.core.hits import Hit, Source
from flowloom.core.masking import SecretMask
from flowloom.core.ports import ChatModel
from flowloom.core.questions import Answer, Question
from flowloom.graphs.beside import KeptFiles
from flowloom.graphs.facts import Facts
from flowloom.graphs.read import read_text
from flowloom.graphs.spec import Limits, NodeSpec
from flowloom.llm.tokens import EstimatingCounter
from flowloom.nodes.call import NodeType
from flowloom.nodes.deps import NodeDeps, Toolbox
from flowloom.nodes.sub_agent import SubAgents
from flowloom.runs.blobs import BlobStore
from flowloom.runs.changes import RunChanges
from flowloom.runs.journal import RunJournal
from flowloom.runs.limits import RunLimits
from flowloom.runs.store import RunStore
from flowloom.tools.effects import Effects
from flowloom.tools.host import HostSandbox
from flowloom.tools.registry import TOOLS

CONFIG: dict[str, Any] = {"configurable": {"thread_id": "run"}, "recursion_limit": 1000}


class NoHits:
    def retrieve(
        self, query: str, budget: int, sources: Sequence[Source], *, within: Sequence[str] = ()
    ) -> list[Hit]:
        return []


class Sink:
    def __init__(self, store: RunStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id

    def emit(self, node: str, event: Event) -> None:
        self._store.append_event(self._run_id, node, event)

    def progress(self, node: str, phase: Phase, amount: int = 0) -> None:
        pass


@dataclass(frozen=True)
class Ended:
    """How an invocation of a graph ended: `outcome()` of the flow, and the state of its channels."""

    output: Any
    message: str
    code: int
    state: dict[str, Any]


class Engine:
    """Compiles and invokes graphs of one file; each invocation gets new objects, as a new process has them."""

    def __init__(self, folder: Path, store: RunStore) -> None:
        from langgraph.checkpoint.memory import InMemorySaver

        self.folder = folder
        self.limits = Limits()
        self.settings: dict[str, Any] = {}
        self.beside: dict[str, str] = {}
        self.stubs: dict[str, NodeType] = {}
        self.secrets = SecretMask()
        self.saver = InMemorySaver()
        self._store = store
        self._row = store.create_run(
            graph="g", graph_source="", graph_text="", fingerprint="", input={}, options={}, workspace=folder
        )

    async def run(self, text: str, /, **inputs: Any) -> Ended | None:
        """Return how the first graph of the text ended; None = it waits for a person."""
        self._text = text
        return await self._invoke(inputs)

    async def go_on(self) -> Ended | None:
        return await self._invoke(None)

    async def answer(self, choice: str, by: str = "person") -> Ended | None:
        from langgraph.types import Command

        (interrupt,) = self.graph.get_state(CONFIG).interrupts
        return await self._invoke(Command(resume={interrupt.id: {**Answer(choice).to_dict(), "by": by}}))

    def change(self, old: str, new: str) -> None:
        """Change the text of the graph before it goes on."""
        self._text = self._text.replace(old, new)

    async def answer_one(self, question: str, choice: str) -> Ended | None:
        """Answer one of several open questions."""
        from langgraph.types import Command

        return await self._invoke(Command(resume={question: Answer(choice).to_dict()}))

    async def _invoke(self, step: Any) -> Ended | None:
        from flowloom.graphs.build import Flow

        specs = read_text(self._text, "g.yaml", KeptFiles(self.beside))
        stubs = self.stubs

        class Stubbed(Flow):
            """A flow in which some node types do something else."""

            def _node_type(self, node: NodeSpec, deps: NodeDeps) -> NodeType:
                return stubs.get(node.type) or super()._node_type(node, deps)

        flow = Stubbed(next(iter(specs.values())), specs, self._deps(), Facts(self.settings, {"id": "r1"}, {}))
        self.graph = flow.compile(self.saver)
        await self.graph.ainvoke(flow.initial(step) if type(step) is dict else step, CONFIG, durability="sync")
        snapshot = self.graph.get_state(CONFIG)
        return None if snapshot.interrupts else Ended(*flow.outcome(snapshot.values), snapshot.values)

    def _deps(self) -> NodeDeps:
        blobs = BlobStore(self._store.blobs_folder(self._row.id))
        journal = RunJournal(self._store, self._row.id, blobs)
        effects = Effects(
            workspace=self.folder,
            sandbox=HostSandbox(),
            journal=journal,
            blobs=blobs,
            jobs=self._store.blobs_folder(self._row.id) / "jobs",
            mode="auto",
            grants=set(),
            output_bytes=16_384,
            spawner=SubAgents(),
            secrets=self.secrets,
        )
        return NodeDeps(
            model=_no_model,
            toolbox=Toolbox(TOOLS, self.folder, blobs, NoHits(), effects, self.secrets),
            assembler=TurnAssembler(NoHits(), EstimatingCounter(), (), str),
            events=Sink(self._store, self._row.id),
            gate=RunLimits(self._store, self._row.id, self.limits),
            changes=RunChanges(self.folder, {}, journal, blobs),
        )

    @property
    def question(self) -> Question:
        (interrupt,) = self.graph.get_state(CONFIG).interrupts
        return Question.from_dict(interrupt.value)

    @property
    def questions(self) -> dict[str, Question]:
        """The open questions by id."""
        return {each.id: Question.from_dict(each.value) for each in self.graph.get_state(CONFIG).interrupts}

    @property
    def events(self) -> list[EventRecord]:
        return self._store.events(self._row.id)

    @property
    def started(self) -> list[str]:
        """The labels of the visits that began, in order."""
        return [event.node for event in self.events if event.type == "node_start"]

    @property
    def log(self) -> list[str]:
        """What `note` nodes wrote, in order."""
        file = self.folder / "log"
        return file.read_text("utf-8").split() if file.exists() else []


def _no_model(role: str) -> ChatModel:
    raise AssertionError(f"no graph of these tests asks a model, {role!r} neither")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    folder = tmp_path / "work"
    folder.mkdir()
    with RunStore(tmp_path / "data" / "runs.db") as store:
        yield Engine(folder, store)
