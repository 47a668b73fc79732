"""Canaries in a repository, the environment, a command's output and the task: found only in the files' blobs."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answer, ChatRequest, Reply
from flowloom.llm.ollama_server import OllamaServer

pytestmark = pytest.mark.long

IN_ENV_FILE = "Zk3-qWm8canary"
IN_SOURCE = "ghp_" + "c4N4ryS0ur" * 4
IN_KEY = "MIIEvCanary0ADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us"
IN_ENVIRONMENT = "envCanary-7731-xyz"
IN_OUTPUT = "glpat-" + "c4n4ryOutput77xyZ90a"
IN_TASK = "sk-proj-c4n4ryTask0123456789"
CANARIES = (IN_ENV_FILE, IN_SOURCE, IN_KEY, IN_ENVIRONMENT, IN_OUTPUT, IN_TASK)

CONFIG = f'import os\n\nTOKEN = "{IN_SOURCE}"\nNAME = "shop"\n'
ENV = f"DEBUG=1\nDB_PASSWORD={IN_ENV_FILE}\n"
FILES = {
    "config.py": CONFIG,
    ".env": ENV,
    "deploy.pem": f"-----BEGIN PRIVATE KEY-----\n{IN_KEY}\n{IN_KEY[::-1]}\n-----END PRIVATE KEY-----\n",
    # Prints the password bare, a key without its frame, a token, and what stands in flow's own environment.
    "leak.sh": "cut -d= -f2 .env\ncat deploy.pem\ntail -2 deploy.pem\n"
    f"printf %s {IN_OUTPUT[:10]}\necho {IN_OUTPUT[10:]}\necho envCanary-7731''-xyz\n",
}
TASK = f"Name the shop in @config.py and debug it, see @.env and @deploy.pem (the key {IN_TASK} is in the vault)."
PLAN = {"title": "t", "steps": [{"id": "s", "title": "Name it", "brief": "Name it.", "files": ["config.py"]}]}


class Agents:
    """A planner, a coder that reads, prints and edits beside the secrets, and a reviewer."""

    def __init__(self, script: Any) -> None:
        self._script = script

    def __call__(self, request: ChatRequest) -> Answer:
        first = next(message["content"] for message in request.messages if message["role"] == "user")
        said = sum(message["role"] == "assistant" for message in request.messages)
        if self._script.PLANNER in first:
            return Reply(json.dumps(PLAN))
        if self._script.REVIEWER in first:
            return Reply('{"verdict": "approve", "findings": []}')
        return self._code(said, request.messages)

    def _code(self, said: int, messages: list[dict[str, Any]]) -> Answer:
        call = self._script.call
        first = next(message["content"] for message in messages if message["role"] == "user")
        results = [message["content"] for message in messages if message["role"] == "tool"]
        # What the first message shows already is not sent again.
        results = [first if "shown above" in result else result for result in results]
        calls = [
            lambda: call("read_file", path="config.py"),
            lambda: call("read_file", path=".env"),
            lambda: call("read_file", path="deploy.pem", offset=2, limit=1),
            lambda: call("grep", pattern="TOKEN|PASSWORD|Canary"),
            lambda: call("bash", command="sh leak.sh"),
            lambda: call(
                "edit_file", path="config.py", **beside(results[0], "TOKEN", 'NAME = "shop"', 'NAME = "Shop"')
            ),
            lambda: call("edit_file", path=".env", **beside(results[1], "DB_PASSWORD", "DEBUG=1", "DEBUG=2")),
            lambda: call("write_file", path="copy.txt", content=shown_lines(results[1])),
        ]
        return calls[said]() if said < len(calls) else Reply("named")


def shown_lines(result: str) -> str:
    return "\n".join(re.sub(r"^\d+\|", "", line) for line in result.split("\n"))


def beside(result: str, name: str, old: str, new: str) -> dict[str, str]:
    """Return an edit that quotes the secret's line with the line that changes."""
    lines = shown_lines(result).split("\n")
    pair = dict.fromkeys(line for line in lines if line.startswith(name) or line == old)
    text = "\n".join(pair)
    return {"old_text": text, "new_text": text.replace(old, new)}


@pytest.fixture
def repo(make_repo: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOP_API_TOKEN", IN_ENVIRONMENT)
    folder: Path = make_repo(FILES)
    return folder


def assert_none_in(what: str, *texts: str | bytes) -> None:
    for text in texts:
        data = text if isinstance(text, bytes) else text.encode()
        assert [canary for canary in CANARIES if canary.encode() in data] == [], what


def rows(database: Path) -> Iterator[tuple[str, bytes]]:
    with sqlite3.connect(database) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in db.execute(f"SELECT * FROM {table}"):
                yield table, b"\0".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    db.close()


def answered(flow: Any, repo: Path, server: OllamaServer, *words: str) -> list[Any]:
    """Run in mode ask, and answer yes until the run has ended; return all that was printed."""
    ended = [flow("run", "plan-and-code", TASK, "-c", "verify=", *words, cwd=repo, url=server.url)]
    while ended[-1].code == 4 and len(ended) < 12:
        ended.append(flow("resume", "--answer", "yes", cwd=repo, url=server.url))
    return ended


def test_canaries_are_found_in_no_request_row_event_question_cassette_or_output(
    flow: Any, repo: Path, script: Any, tmp_path: Path
) -> None:
    cassette = tmp_path / "run.jsonl"
    with OllamaServer(Agents(script)) as server:
        ended = answered(flow, repo, server, "--record", str(cassette), "-o", "jsonl")
        assert [each.code for each in ended] == [4] * (len(ended) - 1) + [0], ended[-1].err
        assert len(ended) > 3  # it was asked for the command and for both edits
        assert_none_in("requests", *(json.dumps(request.body) for request in server.requests))
        assert str(server.requests[0].body).count("<mentioned name=") == 3
        sent = json.dumps(server.requests[-1].body) + json.dumps(server.requests[-2].body)
        assert "<secret:GITHUB-" in sent
    assert_none_in("stdout and stderr", *(each.out + each.err for each in ended))
    assert_none_in("the cassette", cassette.read_bytes())
    for words in (
        ["runs", "show"],
        ["runs", "show", "-o", "json"],
        ["runs", "tail"],
        ["runs", "tail", "-o", "jsonl"],
    ):
        done = flow(*words, cwd=repo)
        assert done.code == 0, done.err
        assert_none_in(" ".join(words), done.out, done.err)
    home = Path(os.environ["FLOW_HOME"])
    for table, row in rows(home / "data" / "runs.db"):
        assert_none_in(f"table {table}", row)
    assert_only_in_private_files(home)
    # And the work was done, beside secrets that are as they were.
    assert (repo / "config.py").read_text() == CONFIG.replace('"shop"', '"Shop"')
    assert (repo / ".env").read_text() == ENV.replace("DEBUG=1", "DEBUG=2")
    assert not (repo / "copy.txt").exists()


def assert_only_in_private_files(home: Path) -> None:
    for path in (path for path in home.rglob("*") if path.is_file()):
        if not [canary for canary in CANARIES if canary.encode() in path.read_bytes()]:
            continue
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert {"blobs", "index"} & {*path.relative_to(home).parts}, path


def test_a_recorded_run_among_secrets_replays_with_another_key(
    flow: Any, repo: Path, script: Any, tmp_path: Path
) -> None:
    cassette = tmp_path / "run.jsonl"
    words = ("run", "plan-and-code", TASK, "--mode", "auto", "-c", "verify=")
    with OllamaServer(Agents(script)) as server:
        assert flow(*words, "--record", str(cassette), cwd=repo, url=server.url).code == 0
    changed = (repo / ".env").read_bytes()
    subprocess.run(["git", "checkout", "-q", "."], cwd=repo, check=True)
    done = flow(*words, "--replay", str(cassette), cwd=repo)
    assert done.code == 0, done.err
    assert (repo / ".env").read_bytes() == changed


IN_VERIFY = "v3rifyCanary9921xyz"
VERIFY = f"SHOP_PASSWORD={IN_VERIFY} sh -c 'printf %s $SHOP_PASSWORD | cksum >> seen.txt'"


@pytest.mark.parametrize("form", ["text", "list"])
def test_a_secret_in_the_verify_command_is_stored_apart_and_the_command_runs_with_it_after_a_resume(
    flow: Any, repo: Path, script: Any, form: str
) -> None:
    setting = json.dumps(VERIFY if form == "text" else ["bash", "-c", VERIFY])
    words = ("run", "plan-and-code", TASK, "-c", f"verify={setting}", "-o", "jsonl")
    with OllamaServer(Agents(script)) as server:
        ended = [flow(*words, cwd=repo, url=server.url)]
        while ended[-1].code == 4 and len(ended) < 12:  # no resume is told the setting again
            ended.append(flow("resume", "--answer", "yes", "-o", "jsonl", cwd=repo, url=server.url))
        assert (ended[-1].code, len(ended) > 3) == (0, True), ended[-1].err
        requests = [json.dumps(request.body) for request in server.requests]
    expected = subprocess.run(["cksum"], input=IN_VERIFY, capture_output=True, text=True, check=True).stdout
    assert (repo / "seen.txt").read_text() == expected
    shown = flow("runs", "show", "-o", "json", cwd=repo)
    home = Path(os.environ["FLOW_HOME"])
    stored = [row.decode("utf-8", "replace") for _, row in rows(home / "data" / "runs.db")]
    printed = [each.out + each.err for each in (*ended, shown)]
    assert [text for text in (*requests, *stored, *printed) if IN_VERIFY in text] == []
    assert any("<secret:" in row and "cksum" in row for row in stored)
    kept = [path for path in home.rglob("*") if path.is_file() and IN_VERIFY.encode() in path.read_bytes()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert "verify.json" in {path.name for path in kept}


LEAKING_GRAPH = """flow: 1
name: leaking
nodes:
  one: {type: shell, run: [sh, leak.sh], parse: json, on_error: tell}
  tell: {type: llm, prompt: "It failed: {{ error.message }}"}
  code: {type: python, call: "leaking.py:ask"}
edges: [[START, one, END], [tell, code, END]]
"""
LEAKING_CODE = """from flowloom import chat_model

def ask(ctx):
    texts = [(ctx.workspace / name).read_text() for name in ("config.py", ".env", "deploy.pem")]
    return chat_model().invoke("Read this: " + "".join(texts)).text
"""


def test_canaries_in_an_error_or_in_what_code_asks_reach_no_model_and_no_row(
    flow: Any, repo: Path, isolated_home: Path
) -> None:
    graphs = isolated_home / "flow" / "config" / "graphs"
    graphs.mkdir(parents=True)
    (graphs / "leaking.yaml").write_text(LEAKING_GRAPH)
    (graphs / "leaking.py").write_text(LEAKING_CODE)
    with OllamaServer(lambda request: Reply("noted")) as server:
        ended = flow("run", "leaking", "-o", "jsonl", cwd=repo, url=server.url)
        requests = [json.dumps(request.body) for request in server.requests]
    assert ended.code == 0, ended.err
    told = [text for text in requests if "It failed: one: " in text or "Read this: " in text]
    assert len(told) == 2 and "<secret:" in told[1]
    assert_none_in("requests", *requests)
    assert_none_in("stdout and stderr", ended.out + ended.err)
    home = Path(os.environ["FLOW_HOME"])
    for table, row in rows(home / "data" / "runs.db"):
        assert_none_in(f"table {table}", row)
    assert_only_in_private_files(home)


def test_a_resume_gives_the_same_placeholders(flow: Any, repo: Path, script: Any) -> None:
    with OllamaServer(Agents(script)) as server:
        ended = answered(flow, repo, server)
        assert ended[-1].code == 0, ended[-1].err
        tags = set(re.findall(r"<secret:GITHUB-\w+>", json.dumps([request.body for request in server.requests])))
    assert len(ended) > 3
    # One for the token of config.py, one for what leak.sh prints; in any process.
    assert len(tags) <= 2
