"""Makes a golden run database: `python tests/golden/make.py` writes vN.tar.gz beside this file, N being the version
of the state. Made once, when a version is released; the tests must load and resume it ever after."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from flowloom.llm.answers import Answer, Call, ChatRequest, Reply
from flowloom.llm.ollama_server import OllamaServer
from flowloom.runs.versions import STATE_VERSION

GRAPH = """flow: 1
name: golden
input: {task: {type: string, required: true, positional: true}}
state: {found: {type: any}, parts: {type: list, reduce: append}, answer: {type: any}}
output: {found: state.found, parts: state.parts, answer: state.answer.choice}
nodes:
  look: {type: agent, prompt: "{{ input.task }}", tools: [read_file, write_file], output: {to: found}}
  parts: {type: graph, graph: part, each: "['一', '二']", as: name, with: {name: "{{ name }}"}, output: {to: parts}}
  ask: {type: human, show: "{{ state.found }}", choices: [yes, no], output: {to: answer}}
edges: [[START, look, parts, ask, END]]
---
flow: 1
name: part
input: {name: {type: string, required: true}}
state: {out: {type: any}}
output: state.out.text
nodes:
  say: {type: shell, run: [echo, "{{ input.name }}"], output: {to: out}}
edges: [[START, say, END]]
"""
TURNS = 7
"""Calls before the agent's answer: its conversation is longer than the lists that stay in a checkpoint."""
INTERRUPTED_AT = 5
_LEFT_OUT = ("flow/cache", "flow/data/snapshots")


def answers(request: ChatRequest) -> Answer:
    """Return what the agent says next; told by its own messages alone, so a resumed run goes on with it."""
    said = sum(message["role"] == "assistant" for message in request.messages)
    if said < TURNS - 1:
        return Reply(calls=[Call("read_file", {"path": "読.txt", "start_line": said + 1})])
    if said < TURNS:
        return Reply(calls=[Call("write_file", {"path": "out.txt", "content": "書いた\n"})])
    return Reply("見つけました")


def flow(folder: Path, url: str, *words: str) -> subprocess.Popen[bytes]:
    """Start `flow` in the repository of the folder, with nothing of this user's settings."""
    env = {**environment(folder), "OLLAMA_HOST": url}
    return subprocess.Popen([sys.executable, "-m", "flowloom", "-q", *words], cwd=folder / "repo", env=env)


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which the folder is home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLOW_", "OLLAMA_", "GIT_"))}
    who = {f"GIT_{role}_{what}": "golden" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    home = {"HOME": str(folder), "FLOW_HOME": str(folder / "flow"), "GIT_CONFIG_GLOBAL": os.devnull}
    return {**kept, **who, **home}


def make(folder: Path) -> None:
    """Make a repository and three runs in it: done, waiting, interrupted."""
    (folder / "repo").mkdir()
    (folder / "repo" / "読.txt").write_text("一\n二\n三\n四\n五\n六\n七\n", "utf-8")
    for words in (["init", "-q", "--template=", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        subprocess.run(["git", *words], cwd=folder / "repo", env=environment(folder), check=True)
    graphs = folder / "flow" / "config" / "graphs"
    graphs.mkdir(parents=True)
    (graphs / "golden.yaml").write_text(GRAPH, "utf-8")
    start = ("--no-input", "run", "golden", "--mode", "auto")
    with OllamaServer(answers) as server:
        expect(flow(folder, server.url, *start, "終わった"), 4)
        expect(flow(folder, server.url, "--no-input", "resume", "--answer", "yes"), 0)
        expect(flow(folder, server.url, *start, "待っている"), 4)
    stopper = Stopper()
    with OllamaServer(stopper) as server:
        process = stopper.process = flow(folder, server.url, *start, "止められた")
        expect(process, 130)


class Stopper:
    """Answers like `answers`, and asks the process to stop while one answer is on its way."""

    process: subprocess.Popen[bytes]

    def __call__(self, request: ChatRequest) -> Answer:
        if request.index == INTERRUPTED_AT:
            self.process.send_signal(signal.SIGINT)
        return answers(request)


def expect(process: subprocess.Popen[bytes], code: int) -> None:
    if (got := process.wait(120)) != code:
        raise RuntimeError(f"flow ended with {got}, not {code}")


def packed(folder: Path, without: Callable[[str], bool]) -> bytes:
    """Return the folder as a tar.gz in which nothing tells when or by whom it was made."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = ""
        return None if without(info.name) else info

    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz", compresslevel=9) as tar:
        for name in sorted(os.listdir(folder)):
            tar.add(folder / name, name, filter=plain)
    return data.getvalue()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a golden database and let its runs work in the repository as it lies here now."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    db = by_hand(folder / "flow" / "data" / "runs.db")
    with db:
        db.execute("UPDATE run SET workspace = ?", (str(folder / "repo"),))
    db.close()


def by_hand(path: Path) -> sqlite3.Connection:
    """Return a connection that may write to every run: it passes for the holder of each one's last lease."""
    db = sqlite3.connect(path)
    leases = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'lease'").fetchone()
    held = dict(db.execute("SELECT name, epoch FROM lease WHERE kind = 'run'").fetchall()) if leases else {}
    db.create_function("flow_epoch", 1, held.get)
    return db


def forget_this_machine(path: Path) -> None:
    """Replace the machine's name, and move everything into the one file."""
    db = by_hand(path)
    with db:
        for table in ("run", "lease"):
            db.execute(f"UPDATE {table} SET host = 'golden'")
    db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def main() -> None:
    """Write the golden database of this version."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        forget_this_machine(folder / "flow" / "data" / "runs.db")
        data = packed(folder, lambda path: path.startswith(_LEFT_OUT) or path.endswith(("-wal", "-shm")))
    archive = Path(__file__).parent / f"v{STATE_VERSION}.tar.gz"
    archive.write_bytes(data)
    print(f"{archive}: {len(data)} bytes")


if __name__ == "__main__":
    main()
