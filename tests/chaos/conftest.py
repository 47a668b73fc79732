"""The run that the chaos tests disturb: one plan step with edits and commands that must each happen once."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answers
from flowloom.llm.ollama_server import OllamaServer

SCRIPT = Path(__file__).with_name("killed_at.py")
FILES = {"notes.txt": "first\n", "src/app.py": "VALUE = 1\n"}
PLAN = {
    "title": "Write the log",
    "steps": [
        {"id": "one", "title": "First half", "brief": "FIRST-HALF of the log"},
        {"id": "two", "title": "Second half", "brief": "SECOND-HALF of the log", "depends_on": ["one"]},
    ],
}
VERIFY = "verify=['sh', '-c', 'grep -q four log.txt']"


def answers_of(script: Any) -> Answers:
    """Two coders with eight calls that are not idempotent: appending commands, edits that only fit once."""
    call, reply = script.call, script.Reply
    append = 'echo {0} >> log.txt; echo {0} >> "$CHAOS_OUTSIDE"'
    found: Answers = script.conversation(
        script.Agent((script.PLANNER,), [call("read_file", path="notes.txt"), reply(json.dumps(PLAN))]),
        script.Agent(
            (script.CODER, "FIRST-HALF"),
            [
                call("bash", command=append.format("one")),
                call("edit_file", path="notes.txt", old_text="first\n", new_text="first\nfirst\n"),
                call("bash", command=append.format("two") + "; sleep 0.05"),
                call("write_file", path="新しい.txt", content="新しい\n"),
                reply("first half"),
            ],
        ),
        script.Agent(
            (script.CODER, "SECOND-HALF"),
            [
                call("edit_file", path="src/app.py", old_text="VALUE = 1", new_text="VALUE = 11"),
                call("bash", command=append.format("three") + "; mv src/app.py src/main.py"),
                call("edit_file", path="src/main.py", old_text="VALUE = 1", new_text="VALUE = 111"),
                call("bash", command=append.format("four")),
                reply("second half"),
            ],
        ),
        script.Agent((script.REVIEWER,), [reply('{"verdict": "approve", "findings": []}')]),
    )
    return found


@dataclass
class Chaos:
    """One disturbed run: its repository, its own home, and a file outside that every command also appends to."""

    repo: Path
    home: Path
    server: OllamaServer
    resume_s: float | None = None
    verify = VERIFY

    @property
    def outside(self) -> Path:
        return self.home / "outside" / "log.txt"

    @property
    def database(self) -> Path:
        return self.home / "data" / "runs.db"

    def env(self) -> dict[str, str]:
        self.outside.parent.mkdir(parents=True, exist_ok=True)
        names = {"FLOW_HOME": str(self.home), "OLLAMA_HOST": self.server.url, "CHAOS_OUTSIDE": str(self.outside)}
        # Shown to sandboxed commands as well: what was executed is counted where no restore takes it back.
        return {**os.environ, **names, "FLOW_SANDBOX__WRITABLE": json.dumps([str(self.outside.parent)])}

    def run(self, point: int) -> int:
        words = ("run", "plan-and-code", "Write the log", "--mode", "auto", "-c", VERIFY, "-q", "--no-approve-plan")
        return self._flow(point, *words)

    def resume(self, point: int = 0) -> int:
        """Resume the run; `resume_s` is then the time from the process's start to its first new step."""
        began = datetime.now(UTC)
        code = self._flow(point, "resume", "-q")
        if (first := self._first_step_since(began)) is not None:
            self.resume_s = (first - began).total_seconds()
        return code

    def _first_step_since(self, began: datetime) -> datetime | None:
        if not self.database.exists():
            return None
        with closing(sqlite3.connect(self.database)) as connection:
            row = connection.execute(
                "SELECT min(at) FROM event WHERE at > ? AND type NOT IN ('run_start', 'run_end', 'notice')",
                (began.isoformat(timespec="microseconds"),),
            ).fetchone()
        return datetime.fromisoformat(row[0]) if row[0] else None

    def _flow(self, point: int, *words: str) -> int:
        command = [sys.executable, str(SCRIPT), str(point), str(self.home / "points"), *words]
        done = subprocess.run(command, cwd=self.repo, env=self.env(), capture_output=True, text=True, timeout=120)
        self.last_error = done.stderr
        return done.returncode

    def points(self) -> int:
        return int((self.home / "points").read_text().split()[-1])

    def tree(self) -> dict[str, bytes]:
        paths = [path.relative_to(self.repo) for path in sorted(self.repo.rglob("*")) if path.is_file()]
        return {str(path): (self.repo / path).read_bytes() for path in paths if ".git" not in path.parts}

    def executed(self) -> list[str]:
        return self.outside.read_text().split() if self.outside.exists() else []

    def asked(self) -> Counter[str]:
        """Count model calls by their conversation, the same in every run: without the folder it is told."""
        folder = str(self.repo.resolve())
        return Counter(
            json.dumps(request.messages, ensure_ascii=False).replace(folder, "<repo>")
            for request in self.server.requests
        )

    def is_sound(self) -> bool:
        with closing(sqlite3.connect(self.database)) as connection:
            row = connection.execute("PRAGMA integrity_check").fetchone()
        return bool(row[0] == "ok")


@pytest.fixture
def new_chaos(tmp_path: Path, script: Any) -> Any:
    """Return a function that gives a fresh repository and home around a running server."""

    def make(name: str, server: OllamaServer) -> Chaos:
        repo = tmp_path / name / "repo"
        for path, text in FILES.items():
            (repo / path).parent.mkdir(parents=True, exist_ok=True)
            (repo / path).write_text(text, "utf-8")
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
            subprocess.run(["git", *words], cwd=repo, check=True, capture_output=True)
        home = tmp_path / name / "home"
        home.mkdir(mode=0o700)
        return Chaos(repo, home, server)

    return make


@pytest.fixture
def answers(script: Any) -> Answers:
    return answers_of(script)
