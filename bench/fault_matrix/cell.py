"""One cell of the matrix: `flow run plan-and-code` against a server with one fault, then `flow resume` without it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowloom.llm.answers import Answer, Answers, Call, ChatRequest, Fault, Reply
from flowloom.llm.loopback import LoopbackServer
from flowloom.llm.ollama_server import OllamaServer
from flowloom.llm.openai_server import OpenAIServer

from ..process import flow_env
from ..sample import GIT_ENV
from .faults import BAIT, SHORT_COUNT, Api, Role, WireFault
from .warm_flow import run_flow

RUN_LIMIT_S = 60
"""Seconds after which a command counts as hanging; the limits below allow none to take a third of that."""
SETTINGS: Mapping[str, str] = {
    "verify": "",
    "models.max_tokens": "512",
    # Long enough for a server in this very process while all cores are busy.
    "server.connect_timeout_s": "20",
    "server.first_token_timeout_s": "2",
    "server.stall_timeout_s": "1",
    "server.retry_patience_s": "2",
}
_AWAY_S = 0.6
_LONG_PROMPT = 500

_FILES = {"cart.py": "def total(prices):\n    return max(prices)\n", "README.md": "A cart.\n"}
_PLAN = {
    "title": "Mend the cart",
    "steps": [{"id": "total", "title": "Add up", "brief": "total(prices) adds up.", "files": ["cart.py"]}],
}
_JOBS: Mapping[str, Role] = {
    "Your job: plan": "planner",
    "Your job: do the step": "coder",
    "Your job: review": "reviewer",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a fault strikes: at every request of the role when it is lasting, else at the first one."""

    fault: WireFault
    api: Api
    role: Role
    lasting: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What became of it.

    Attributes:
        ending: status and exit code, "hangs" for a command that did not end, "nothing" when no run was begun.
        wrong: what must not be, each in a few words; () = all is as it should be.
    """

    cell: Cell
    ending: str
    wrong: tuple[str, ...]


@dataclass(slots=True)
class _Command:
    """One `flow` process that ended, or was ended. `code` None = it hung."""

    code: int | None
    events: list[dict[str, Any]]
    said: str

    @property
    def ending(self) -> str:
        if self.code is None:
            return "hangs"
        status = self.events[-1]["data"]["status"] if self.events and self.events[-1]["type"] == "run_end" else ""
        return f"{status} {self.code}".removesuffix(" 0") if status else "nothing"


class Trouble:
    """Answers like good agents, but for the fault; knows whether it struck."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._lock = threading.Lock()
        self.struck = False
        self.over = False
        self.server: LoopbackServer

    def __call__(self, request: ChatRequest) -> Answer:
        role = next(role for job, role in _JOBS.items() if job in _first_text(request))
        whole = good_reply(role, request)
        if role != self._cell.role or not self._strikes():
            return whole
        if self._cell.fault.made is None:
            threading.Thread(target=self._go_away).start()
            return Fault("drop")
        return self._cell.fault.made(role, whole)

    def preflight(self, request: ChatRequest) -> Answer:
        """Answer a request for one token."""
        cut = self._cell.fault.cuts_prompt and len(_first_text(request)) > _LONG_PROMPT and not self.over
        return Reply("Hi", prompt_tokens=SHORT_COUNT if cut else None)

    def _strikes(self) -> bool:
        with self._lock:
            strikes = not self.over and (self._cell.lasting or not self.struck)
            self.struck = self.struck or strikes
            return strikes

    def _go_away(self) -> None:
        self.server.__exit__(None, None, None)
        if not self._cell.lasting:
            time.sleep(_AWAY_S)
            self.server.__enter__()


def good_reply(role: Role, request: ChatRequest) -> Reply:
    """Return what an agent says that does its job."""
    if role == "planner":
        return Reply(json.dumps(_PLAN))
    if role == "reviewer":
        return Reply('{"verdict": "approve", "findings": []}')
    if any(message.get("tool_calls") for message in request.messages):
        return Reply("total adds up")
    return Reply(calls=[Call("edit_file", {"path": "cart.py", "old_text": "max", "new_text": "sum"})])


def run_cell(cell: Cell) -> Result:
    """Return what became of one run, from a fresh repository and a fresh home."""
    with tempfile.TemporaryDirectory() as name:
        return _Trial(cell, Path(name)).result()


class _Trial:
    """One run in a folder of its own."""

    def __init__(self, cell: Cell, folder: Path) -> None:
        self._cell = cell
        self._repo = folder / "repo"
        self._home = folder / "home"
        self._home.mkdir()
        _make_repo(self._repo)
        self._trouble = Trouble(cell)

    def result(self) -> Result:
        cell, trouble = self._cell, self._trouble
        with _server(cell.api, trouble, trouble.preflight) as trouble.server:
            url = trouble.server.url
            task = ("run", "plan-and-code", "Mend total().", "--mode", "auto", "--no-approve-plan")
            first = self._flow(url, *task)
            wrong = self._faults_of(first)
            if not trouble.struck:
                wrong.append("the fault never came")
            if first.ending != "done":
                trouble.over = True
                if cell.fault.made is None:
                    trouble.server.__enter__()
                again = self._flow(url, "resume")
                wrong += [f"resumed: {text}" for text in self._faults_of(again)]
                if again.ending != "done":
                    wrong.append(f"resumed: {again.ending} ({again.said})")
        if (expected := cell.fault.expected(cell.api, lasting=cell.lasting)) != first.ending:
            wrong.append(f"{expected} was expected ({first.said})")
        if _tree(self._repo) != {**_FILES, "cart.py": _FILES["cart.py"].replace("max", "sum")}:
            wrong.append("the files are not those of a calm run")
        return Result(cell, first.ending, tuple(wrong))

    def _faults_of(self, command: _Command) -> list[str]:
        wrong = ["a cut call ran"] if (self._repo / BAIT).exists() or _names_bait(command.events) else []
        return wrong if command.code is not None else [*wrong, f"not over after {RUN_LIMIT_S} s"]

    def _flow(self, url: str, *words: str) -> _Command:
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        said = [*words, *settings, "-o", "jsonl"]
        done = run_flow(said, cwd=self._repo, env=flow_env(self._home, url), limit_s=RUN_LIMIT_S)
        return _Command(done.code, _events(done.out), " ".join(done.err.decode("utf-8", "replace").split()))


def _server(api: Api, answers: Answers, preflight: Callable[[ChatRequest], Answer]) -> LoopbackServer:
    if api == "openai":
        return OpenAIServer(answers, preflight=preflight)
    return OllamaServer(answers, preflight=preflight)


def _make_repo(repo: Path) -> None:
    repo.mkdir()
    for name, text in _FILES.items():
        (repo / name).write_text(text, "utf-8")
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        subprocess.run(["git", *words], cwd=repo, check=True, capture_output=True, env=GIT_ENV)


def _tree(repo: Path) -> dict[str, str]:
    shutil.rmtree(repo / ".git")
    return {str(path.relative_to(repo)): path.read_text("utf-8") for path in repo.rglob("*") if path.is_file()}


def _events(stdout: bytes) -> list[dict[str, Any]]:
    events = []
    for line in stdout.splitlines():
        # The last line of a command that was ended may be cut.
        with suppress(ValueError):
            events.append(json.loads(line))
    return [event for event in events if "type" in event]


def _names_bait(events: list[dict[str, Any]]) -> bool:
    """Return whether a tool was called with the bait, or an effect on it decided about."""
    return any(
        BAIT in json.dumps(event["data"])
        for event in events
        if event["type"] in ("tool_start", "tool_end", "decision")
    )


def _first_text(request: ChatRequest) -> str:
    return next(str(message["content"]) for message in request.messages if message["role"] == "user")
