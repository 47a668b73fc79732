"""A run of a small graph with everything real but retrieval: tools, journal, limits, and a chat over HTTP."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from flowloom.configs.rules import Rule
from flowloom.context.assemble import TurnAssembler
from flowloom.core.events import Event, EventRecord, Phase
from flowloom.core.hits import Hit, Source
from flowloom.core.masking import SecretMask
from flowloom.core.prices import Prices
from flowloom.core.questions import Answer, Question
from flowloom.core.tool import MemoryRules
from flowloom.core.tool_names import OWN_NAMES
from flowloom.graphs.build import Flow
from flowloom.graphs.facts import Facts
from flowloom.graphs.read import read_text
from flowloom.graphs.spec import Limits
from flowloom.graphs.validate import require_valid
from flowloom.llm.answers import Answer as ModelAnswer
from flowloom.llm.answers import Answers
from flowloom.llm.ollama import OllamaChat
from flowloom.llm.ollama_server import OllamaServer, scripted
from flowloom.llm.tokens import EstimatingCounter
from flowloom.nodes.deps import AgentLimits, FallBack, NodeDeps, Toolbox, no_other_model
from flowloom.nodes.sub_agent import SubAgents
from flowloom.runs.blobs import BlobStore
from flowloom.runs.changes import RunChanges, baseline
from flowloom.runs.journal import RunJournal
from flowloom.runs.limits import RunLimits
from flowloom.runs.runner import StopControl
from flowloom.runs.store import RunStore
from flowloom.tools.background_jobs import BackgroundJobs
from flowloom.tools.effects import Effects
from flowloom.tools.host import HostSandbox
from flowloom.tools.registry import TOOLS

CONFIG: dict[str, Any] = {"configurable": {"thread_id": "run"}, "recursion_limit": 1000}


class NoHits:
    def retrieve(
        self, query: str, budget: int, sources: Sequence[Source], *, within: Sequence[str] = ()
    ) -> list[Hit]:
        return []


class WholeFiles:
    """Shows every file of the repository in the first message, so that an agent may edit it without reading it."""

    def __init__(self, repo: Path) -> None:
        self._repo = repo

    def retrieve(
        self, query: str, budget: int, sources: Sequence[Source], *, within: Sequence[str] = ()
    ) -> list[Hit]:
        files = [self._repo / name for name in FILES] if "code" in sources else []
        return [self._hit(path.name, path.read_bytes()) for path in files if path.exists()]

    def _hit(self, name: str, data: bytes) -> Hit:
        return Hit(name, name, 1, 1, None, "", data.decode(), 1.0, "code", hashlib.sha256(data).hexdigest())


class Sink:
    def __init__(self, store: RunStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id

    def emit(self, node: str, event: Event) -> None:
        self._store.append_event(self._run_id, node, event)

    def progress(self, node: str, phase: Phase, amount: int = 0) -> None:
        pass


class Bench:
    """One run in one repository; `process()` stands for a new process that goes on with it."""

    def __init__(self, repo: Path, store: RunStore, server: OllamaServer, mode: str, limits: AgentLimits) -> None:
        self.repo = repo
        self.store = store
        self.server = server
        self.mode = mode
        self.limits = limits
        self.run_limits = Limits()
        self.fall_back: FallBack = no_other_model
        self.prices = Prices()
        self.stop = threading.Event()
        self.saver = InMemorySaver()
        self.grants: set[str] = set()
        self.rules: tuple[Rule, ...] = ()
        self.memory: MemoryRules | None = None
        self.names = OWN_NAMES
        self.chat = OllamaChat(url=server.url, model="scripted", window=8192)
        self.row = store.create_run(
            graph="g",
            graph_source="g.yaml",
            graph_text="",
            fingerprint="",
            input={},
            options={},
            workspace=repo,
        )
        self.blobs = BlobStore(store.blobs_folder(self.row.id))
        self.journal = RunJournal(store, self.row.id, self.blobs)
        self.background = BackgroundJobs(store.jobs_folder(self.row.id), SecretMask(), first_look_s=0.1)
        self.rebase()

    def rebase(self) -> None:
        """Take the repository as it is now for the one that the run began in."""
        self.changes = RunChanges(self.repo, baseline(self.repo, self.blobs), self.journal, self.blobs)

    def deps(self) -> NodeDeps:
        spawner = SubAgents()
        effects = Effects(
            workspace=self.repo,
            sandbox=HostSandbox(),
            journal=self.journal,
            blobs=self.blobs,
            jobs=self.store.jobs_folder(self.row.id),
            mode=self.mode,
            grants=self.grants,
            output_bytes=16_384,
            spawner=spawner,
            rules=self.rules,
            background=self.background,
        )
        deps = NodeDeps(
            model=lambda role: self.chat,
            toolbox=Toolbox(
                TOOLS, self.repo, self.blobs, NoHits(), effects, jobs=self.background, memory=self.memory
            ),
            assembler=TurnAssembler(WholeFiles(self.repo), EstimatingCounter(), (), lambda: "Today is 2026-01-02."),
            events=Sink(self.store, self.row.id),
            gate=RunLimits(self.store, self.row.id, self.run_limits),
            changes=self.changes,
            limits=self.limits,
            fall_back=self.fall_back,
            prices=self.prices,
            names=lambda model, key: self.names,
        )
        spawner.attach(deps)
        return deps

    async def run(self, text: str, /, **inputs: Any) -> Any:
        """Start a graph and return its output; None also when it waits for a person."""
        specs = read_text(text, "g.yaml")
        self._spec = next(iter(specs.values()))
        self._library = specs
        require_valid(self._spec, specs, tools=tuple(TOOLS))
        self.process()
        return await self._go(self._flow.initial(inputs))

    async def node(self, node: str, /, **inputs: Any) -> Any:
        """Run a graph of the one node `a` and return the node's value."""
        declared = ", ".join(f"{name}: {{type: any}}" for name in inputs)
        return await self.run(
            f"flow: 1\nname: g\ninput: {{{declared}}}\nstate: {{out: {{type: any}}}}\noutput: state.out\n"
            f"nodes: {{a: {{{node}, output: {{to: out}}}}}}\nedges: [[START, a, END]]\n",
            **inputs,
        )

    def process(self) -> None:
        self._flow = Flow(self._spec, self._library, self.deps(), Facts({}, {"id": self.row.id}, {}))
        self._graph = self._flow.compile(self.saver)

    async def go_on(self) -> Any:
        return await self._go(None)

    async def answer(self, choice: str, value: Any = None, reason: str = "", to: str = "") -> Any:
        (interrupt,) = self._graph.get_state(CONFIG).interrupts
        return await self._go(Command(resume={interrupt.id: Answer(choice, value, reason, to=to).to_dict()}))

    async def _go(self, step: Any) -> Any:
        await self._graph.ainvoke(step, CONFIG, durability="sync", control=StopControl(self.stop))
        snapshot = self._graph.get_state(CONFIG)
        if snapshot.interrupts:
            return None
        output, message, code = self._flow.outcome(snapshot.values)
        return (message, code) if message else output

    @property
    def question(self) -> Question:
        (interrupt,) = self._graph.get_state(CONFIG).interrupts
        return Question.from_dict(interrupt.value)

    @property
    def events(self) -> list[EventRecord]:
        return self.store.events(self.row.id)

    def kinds(self, *types: str) -> list[str]:
        """Return "type node" of these kinds of events."""
        return [f"{event.type} {event.node}" for event in self.events if event.type in types]

    def conversation(self, request: int = -1) -> list[dict[str, Any]]:
        return self.server.requests[request].messages

    def results(self, request: int = -1) -> list[str]:
        """Return what the tools' results said in a request."""
        return [message["content"] for message in self.conversation(request) if message["role"] == "tool"]

    def write(self, name: str, text: str) -> None:
        (self.repo / name).write_text(text, "utf-8")

    def read(self, name: str) -> str:
        return (self.repo / name).read_text("utf-8")


MakeBench = Callable[..., Bench]

FILES = {"a.py": "x = 1\n", "b.py": "y = 2\n", "日本.txt": "こんにちは\n"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with RunStore(tmp_path / "data" / "runs.db") as store:
        yield store


@pytest.fixture
async def bench(make_repo: Any, store: RunStore) -> AsyncIterator[MakeBench]:
    """Return a function that makes a bench whose server gives these answers, one after the other."""
    made: list[Bench] = []
    with ExitStack() as servers:

        def make(
            *answers: ModelAnswer, serve: Answers | None = None, mode: str = "auto", limits: AgentLimits | None = None
        ) -> Bench:
            server = servers.enter_context(OllamaServer(serve or scripted(answers)))
            made.append(Bench(make_repo(FILES), store, server, mode, limits or AgentLimits()))
            return made[-1]

        yield make
        for bench in made:
            bench.background.stop_all()
            await bench.chat.aclose()
            assert bench.server.refused == []


@pytest.fixture
def plan() -> dict[str, Any]:
    return {
        "title": "Mend",
        "steps": [{"id": "s1", "title": "One", "brief": "Do it.", "files": [], "depends_on": []}],
    }


@pytest.fixture
def plan_text(plan: dict[str, Any]) -> str:
    return json.dumps(plan)
