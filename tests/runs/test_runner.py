from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from flowloom.context.assemble import TurnAssembler
from flowloom.core.events import Event, EventRecord, Phase
from flowloom.core.hits import Hit, Source
from flowloom.core.messages import CallKey, ModelRequest
from flowloom.core.ports import ChatModel
from flowloom.core.questions import Answer, Question
from flowloom.graphs.build import Flow
from flowloom.graphs.facts import Facts
from flowloom.graphs.read import read_text
from flowloom.graphs.spec import Limits
from flowloom.llm.ollama import OllamaChat
from flowloom.llm.tokens import EstimatingCounter
from flowloom.nodes.deps import NodeDeps, Toolbox
from flowloom.nodes.sub_agent import SubAgents
from flowloom.runs.blobs import BlobStore
from flowloom.runs.changes import RunChanges
from flowloom.runs.checkpoints import open_saver
from flowloom.runs.journal import RunJournal
from flowloom.runs.limits import RunLimits
from flowloom.runs.replies import Replies
from flowloom.runs.runner import Outcome, Runner
from flowloom.runs.store import RunRow, RunStore
from flowloom.tools.effects import Effects
from flowloom.tools.host import HostSandbox
from flowloom.tools.registry import TOOLS

HEAD = "flow: 1\nname: g\nstate: {out: {type: any}}\noutput: {out: state.out}\nnodes:\n"
NOTE = "  n: {type: shell, run: [sh, -c, 'echo n >> log; echo なに'], output: {to: out}}\n"
PLAIN = f"{HEAD}{NOTE}edges: [[START, n, END]]\n"
ASKS = (
    f"{HEAD}{NOTE}  h: {{type: human, show: 'よい?', choices: [yes, no], headless: no, output: {{to: out}}}}\n"
    "edges: [[START, n, h, END]]\n"
)
AGENT = f"{HEAD}{NOTE}  a: {{type: agent, prompt: p, output: {{to: out}}}}\nedges: [[START, n, a, END]]\n"


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


def nobody(question: Question) -> Answer | None:
    return None


def headless(question: Question) -> Answer | None:
    return None if question.headless is None else Answer(question.headless, by="headless")


class Process:
    """Drives the one run of a store; each `drive` stands for a process of its own."""

    def __init__(self, store: RunStore, workspace: Path) -> None:
        self.store = store
        self.workspace = workspace
        self.limits = Limits()
        self.stop = threading.Event()
        self.model: ChatModel | None = None
        self.run_id = store.create_run(
            graph="g", graph_source="", graph_text="", fingerprint="", input={}, options={}, workspace=workspace
        ).id

    async def drive(self, text: str, answerer: Callable[[Question], Answer | None] = nobody) -> Outcome:
        row = self.store.claim_run(self.run_id)
        specs = read_text(text, "g.yaml")
        flow = Flow(specs["g"], specs, self._deps(), Facts({}, {}, {}))
        async with open_saver(self.store.path) as saver:
            outcome = await Runner(row, self.store, Sink(self.store, self.run_id), answerer, self.stop).drive(
                flow, saver
            )
        self._check_told(outcome)
        return outcome

    def _check_told(self, outcome: Outcome) -> None:
        """The row, the last event and the outcome say the same, however the run ended."""
        row, last = self.row, self.events[-1]
        assert (row.status, row.exit_code, row.message) == (outcome.status, outcome.exit_code, outcome.message)
        assert row.output == outcome.output
        assert last.type == "run_end"
        assert (last.data["status"], last.data["exit_code"]) == (outcome.status, outcome.exit_code)
        assert last.data["message"] == f"{outcome.message} {outcome.hint}".strip()

    def _deps(self) -> NodeDeps:
        blobs = BlobStore(self.store.blobs_folder(self.run_id))
        journal = RunJournal(self.store, self.run_id, blobs)
        effects = Effects(
            workspace=self.workspace,
            sandbox=HostSandbox(),
            journal=journal,
            blobs=blobs,
            jobs=self.store.blobs_folder(self.run_id) / "jobs",
            mode="auto",
            grants=set(),
            output_bytes=16_384,
            spawner=SubAgents(),
        )
        return NodeDeps(
            model=self._model,
            toolbox=Toolbox(TOOLS, self.workspace, blobs, NoHits(), effects),
            assembler=TurnAssembler(NoHits(), EstimatingCounter(), (), str),
            events=Sink(self.store, self.run_id),
            gate=RunLimits(self.store, self.run_id, self.limits),
            changes=RunChanges(self.workspace, {}, journal, blobs),
        )

    def _model(self, role: str) -> ChatModel:
        assert self.model is not None
        return self.model

    @property
    def row(self) -> RunRow:
        return self.store.get_run(self.run_id)

    @property
    def events(self) -> list[EventRecord]:
        return self.store.events(self.run_id)

    def count(self, kind: str) -> int:
        return sum(event.type == kind for event in self.events)

    @property
    def log(self) -> str:
        return (self.workspace / "log").read_text("utf-8")


BRANCHES = (
    f"{HEAD}  h: {{type: human, show: 'よい?', choices: [yes, no]}}\n"
    "  f: {type: fail, message: だめ, exit: 7}\nedges: [[START, [f, h]], [h, END]]\n"
)
AT_ONCE = (
    f"{HEAD}  a: {{type: shell, each: '[1, 9, 3, 4, 5, 6]', parallel: 2,"
    " run: [sh, -c, 'echo n >> log; sleep 0.$0', '{{ item }}']}\nedges: [[START, a, END]]\n"
)


@pytest.fixture
def process(store: RunStore, work: Path) -> Process:
    return Process(store, work)


async def test_run_that_comes_to_its_end_is_done(process: Process) -> None:
    outcome = await process.drive(PLAIN)
    assert (outcome.status, outcome.exit_code) == ("done", 0)
    assert outcome.output == {"out": {"exit_code": 0, "text": "なに"}}


async def test_failed_node_fails_the_run(process: Process) -> None:
    outcome = await process.drive(f"{HEAD}  n: {{type: shell, run: [none-such]}}\nedges: [[START, n, END]]\n")
    assert (outcome.status, outcome.exit_code) == ("failed", 1)
    assert outcome.message == "n: 'none-such' can not be run: No such file or directory."


@pytest.mark.parametrize(("exit_code", "status"), [(7, "failed"), (0, "done")])
async def test_fail_node_ends_the_run_with_its_exit_code(process: Process, exit_code: int, status: str) -> None:
    graph = f"{HEAD}  f: {{type: fail, message: だめ, exit: {exit_code}}}\nedges: [[START, f]]\n"
    outcome = await process.drive(graph)
    assert (outcome.status, outcome.exit_code, outcome.message) == (status, exit_code, "だめ")


async def test_question_that_nobody_answers_leaves_the_run_waiting(process: Process) -> None:
    outcome = await process.drive(ASKS)
    assert (outcome.status, outcome.exit_code) == ("waiting", 4)
    assert outcome.message == "Waiting for an answer (yes, no)."
    (question,) = process.store.questions(process.run_id)
    assert (question.text, question.node, question.choices) == ("よい?", "h#1", ("yes", "no"))


async def test_stored_answer_lets_the_run_go_on(process: Process) -> None:
    await process.drive(ASKS)
    (question,) = process.store.questions(process.run_id)
    process.store.close_question(process.run_id, question.id, Answer("yes", reason="はい"))
    outcome = await process.drive(ASKS)
    assert outcome.output == {"out": {"choice": "yes", "value": None, "reason": "はい"}}
    assert process.log == "n\n"


async def test_question_is_told_once_however_often_it_is_asked(process: Process) -> None:
    for _ in range(3):
        await process.drive(ASKS)
    assert process.count("question") == 1
    assert len(process.store.questions(process.run_id)) == 1


async def test_question_is_answered_within_the_process_where_somebody_can(process: Process) -> None:
    outcome = await process.drive(ASKS, headless)
    assert outcome.output["out"]["choice"] == "no"
    assert [event.data["by"] for event in process.events if event.type == "answer"] == ["headless"]
    assert process.store.questions(process.run_id) == []


async def test_unusable_answer_makes_a_second_question(process: Process) -> None:
    given = iter([Answer("maybe"), Answer("yes")])
    asked: list[Question] = []

    def person(question: Question) -> Answer:
        asked.append(question)
        return next(given)

    outcome = await process.drive(ASKS, person)
    assert outcome.output["out"]["choice"] == "yes"
    assert asked[1].text.startswith("'maybe' is not one of yes, no.")
    assert asked[0].id != asked[1].id


async def test_model_that_is_not_there_pauses_the_run(process: Process) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        chat = OllamaChat(url=url, model="m", window=8192, retry_patience_s=0)
        process.model = chat
        outcome = await process.drive(AGENT)
        await chat.aclose()
    assert (outcome.status, outcome.exit_code) == ("paused", 5)
    assert "no model server answers" in outcome.message
    assert process.count("node_fail") == 0


async def test_stop_interrupts_the_run_before_the_next_node(process: Process) -> None:
    process.stop.set()
    outcome = await process.drive(PLAIN)
    assert (outcome.status, outcome.exit_code) == ("interrupted", 130)
    assert not (process.workspace / "log").exists()
    process.stop.clear()
    assert (await process.drive(PLAIN)).status == "done"


async def test_cancelled_run_is_interrupted_and_goes_on_later(process: Process) -> None:
    slow = PLAIN.replace("echo n >> log;", "test -e go || sleep 30; echo n >> log;")
    driving = asyncio.create_task(process.drive(slow))
    while not process.count("tool_start"):
        await asyncio.sleep(0.01)
    driving.cancel()
    outcome = await driving
    assert (outcome.status, outcome.exit_code, outcome.message) == ("interrupted", 130, "Stopped at once.")
    (process.workspace / "go").touch()
    assert (await process.drive(slow)).status == "done"
    assert process.log == "n\n"


async def test_limit_of_node_runs_pauses_with_3_and_can_be_raised(process: Process) -> None:
    process.limits = Limits(node_runs=1)
    outcome = await process.drive(ASKS, headless)
    assert (outcome.status, outcome.exit_code) == ("paused", 3)
    process.limits = Limits(node_runs=2)
    assert (await process.drive(ASKS, headless)).status == "done"
    assert process.log == "n\n"


async def test_question_of_the_last_allowed_node_can_still_be_answered(process: Process) -> None:
    process.limits = Limits(node_runs=2)
    await process.drive(ASKS)
    assert (await process.drive(ASKS, headless)).status == "done"


async def test_limit_of_time_pauses_with_124(process: Process) -> None:
    process.limits = Limits(wall_s=0)
    outcome = await process.drive(PLAIN)
    assert (outcome.status, outcome.exit_code) == ("paused", 124)


async def test_failed_run_goes_on_from_the_node_that_failed(process: Process) -> None:
    graph = f"{HEAD}{NOTE}  p: {{type: shell, run: [cat, data], parse: json, output: {{to: out}}}}\n"
    graph += "edges: [[START, n, p, END]]\n"
    assert (await process.drive(graph)).status == "failed"
    (process.workspace / "data").write_text("[1]")
    outcome = await process.drive(graph)
    assert (outcome.status, outcome.output) == ("done", {"out": [1]})
    assert process.log == "n\n"


async def test_run_whose_next_node_is_gone_is_not_done(process: Process) -> None:
    await process.drive(ASKS)
    renamed = ASKS.replace("  h:", "  other:").replace("n, h, END", "n, other, END")
    outcome = await process.drive(renamed)
    assert outcome.status == "failed"
    assert "stopped before its end" in outcome.message


async def test_checkpoints_name_run_and_state_version(process: Process) -> None:
    await process.drive(PLAIN)
    async with open_saver(process.store.path) as saver:
        saved = await saver.aget_tuple({"configurable": {"thread_id": process.run_id}})
    assert saved is not None
    metadata: dict[str, Any] = dict(saved.metadata)
    assert (metadata["run_id"], metadata["state_version"]) == (process.run_id, 1)


async def test_fail_node_ends_the_run_although_another_branch_asks(process: Process) -> None:
    outcome = await process.drive(BRANCHES)
    assert (outcome.status, outcome.exit_code, outcome.message) == ("failed", 7, "だめ")


async def test_every_open_question_is_named_when_the_run_waits_for_several(process: Process) -> None:
    asks = "{type: human, show: 'よい?', choices: [yes, no]}"
    outcome = await process.drive(f"{HEAD}  h: {asks}\n  i: {asks}\nedges: [[START, [h, i], END]]\n")
    ids = [question.id[:8] for question in process.store.questions(process.run_id)]
    assert outcome.exit_code == 4
    assert outcome.message == f"Waiting for 2 answers: {ids[0]} at h#1 (yes, no); {ids[1]} at i#1 (yes, no)."
    assert outcome.hint.endswith("--answer ID=CHOICE")


async def test_stop_lets_items_under_way_finish_and_begins_no_other(process: Process) -> None:
    async def stop_soon() -> None:
        while not (process.workspace / "log").exists():
            await asyncio.sleep(0.01)
        process.stop.set()

    stopping = asyncio.ensure_future(stop_soon())
    outcome = await process.drive(AT_ONCE)
    await stopping
    assert (outcome.status, outcome.exit_code) == ("interrupted", 130)
    assert process.count("node_start") == process.count("node_end") < 6
    process.stop.clear()
    assert (await process.drive(AT_ONCE)).status == "done"
    assert process.log.split() == ["n"] * 6


async def test_paused_run_forgets_the_replies_that_made_it_fail(process: Process) -> None:
    text = f"{HEAD}  n: {{type: shell, run: [cat, ready], parse: json, on_error: pause}}\nedges: [[START, n, END]]\n"
    Replies(process.store, process.run_id).keep(ModelRequest((), CallKey("a", 1, 0)), "sha", {})
    outcome = await process.drive(text)
    assert (outcome.status, outcome.exit_code) == ("paused", 4)
    assert not process.store.query("SELECT 1 FROM reply")
