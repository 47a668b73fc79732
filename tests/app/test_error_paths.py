"""What a person meets when something is wrong: one clear line, its exit code, nothing lost."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answer, Answers, ChatRequest, Fault, Reply
from flowloom.llm.ollama_server import OllamaServer
from flowloom.llm.openai_server import OpenAIServer

DEAD = "http://127.0.0.1:9"
GRAPH = """flow: 1
name: tiny
input: {task: {type: string, positional: true, required: true}}
nodes:
  stop: {type: fail, message: It ran., exit: 1}
  skip: {type: set, value: {}}
edges:
  - [START, skip]
  - {from: skip, when: input.task == "good", to: END, else: stop}
"""


def told(done: Any, code: int, *texts: str) -> None:
    """Check the exit code, and that stderr of a quiet command is one line and at most one of what to do next."""
    assert done.code == code and "Traceback" not in done.err and "bug:" not in done.err, done.err
    lines = done.err.splitlines()
    assert lines and lines[0].startswith("flow: ") and len(lines) <= 2, done.err
    for text in texts:
        assert text in done.err


def unchanged(repo: Path) -> bool:
    return subprocess.run(["git", "status", "--porcelain"], cwd=repo, capture_output=True).stdout == b""


def planned(script: Any, shop: Any, coder: Sequence[Answer]) -> Answers:
    """Return a plan of one step, this coder, and a reviewer who approves."""
    plan = {**shop.plan, "steps": [shop.plan["steps"][1]]}
    answers: Answers = script.conversation(
        script.Agent((script.PLANNER,), [Reply(json.dumps(plan))]),
        script.Agent((script.CODER,), coder),
        script.Agent((script.REVIEWER,), [Reply('{"verdict": "approve", "findings": []}')]),
    )
    return answers


def mended(script: Any) -> list[Answer]:
    return [script.call("edit_file", path="shop/cart.py", old_text="max", new_text="sum"), Reply("total adds up")]


RUN = ("run", "plan-and-code", "x", "-q", "--no-approve-plan")


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (("run", "plan-and-cod", "x"), ["no graph 'plan-and-cod'", "'plan-and-code'"]),
        (("run", "./none.yaml", "x"), ["none.yaml"]),
        (("run", "plan-and-code"), ["needs the input 'task'", 'flow run plan-and-code "..."']),
        (("run", "plan-and-code", "合計を", "直して"), ["'直して'", "in quotes"]),
        ((*RUN, "-i", "tsk=x"), ["no input 'tsk'", "'task'"]),
        ((*RUN, "--comit"), ["'--comit'", "--[no-]commit"]),
        ((*RUN, "--commit=perhaps"), ["'commit' must be of type bool", "'perhaps'"]),
        ((*RUN, "-c", "server.ulr=x"), ["unknown setting 'server.ulr'", "server.url"]),
        ((*RUN, "--mode", "fast"), ["'fast'", "'auto-edit'"]),
        (("run", "plan-and-code", "--input-file", "none.txt"), ["'none.txt' cannot be read: No such file"]),
        (("resume", "zzzz"), ["no run 'zzzz'", "flow runs list"]),
    ],
)
def test_a_wrong_word_is_told_with_the_right_one(
    flow: Any, repo: Path, words: tuple[str, ...], texts: list[str]
) -> None:
    told(flow(*words, cwd=repo, url=DEAD), 2, *texts)
    assert unchanged(repo)


@pytest.mark.parametrize(
    "words", [("--commit-steps", "x"), ("x", "--commit-steps"), ("--no-commit", "--commit-steps", "x")]
)
def test_options_of_a_graph_may_stand_before_its_plain_input(flow: Any, repo: Path, words: tuple[str, ...]) -> None:
    told(flow("run", "plan-and-code", *words, "-q", "--no-approve-plan", cwd=repo, url=DEAD), 5, "no model server")


def test_a_folder_without_git_is_refused(flow: Any, tmp_path: Path) -> None:
    told(flow(*RUN, cwd=tmp_path, url=DEAD), 2, "is not a git repository", "git init")


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("[models]\nmian = 'x'\n", ["config.toml:2: unknown setting 'models.mian'", "models.main"]),
        ("mode = \n", ["config.toml:1:8: not valid TOML"]),
    ],
)
def test_a_users_settings_file_with_a_fault_is_told_by_line(
    flow: Any, repo: Path, isolated_home: Path, text: str, texts: list[str]
) -> None:
    path = isolated_home / "flow" / "config" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    told(flow(*RUN, cwd=repo, url=DEAD), 2, *texts)


def test_a_variable_that_is_no_setting_is_told_with_the_near_one(
    flow: Any, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOW_SERVER__ULR", "x")
    told(flow(*RUN, cwd=repo, url=DEAD), 2, "FLOW_SERVER__ULR: unknown setting 'server.ulr'", "server.url")


def test_a_projects_settings_are_ignored_until_they_are_trusted(flow: Any, repo: Path, answers: Answers) -> None:
    (repo / ".flow").mkdir()
    (repo / ".flow" / "config.toml").write_text("[server]\nurl = 'http://127.0.0.1:9'\n")
    with OllamaServer(answers) as server:
        ignored = flow("doctor", cwd=repo, url=server.url)
        assert flow("trust", ".flow/config.toml", cwd=repo).code == 0
        acting = flow("doctor", cwd=repo, url=server.url)
    assert (ignored.code, acting.code) == (0, 5)
    assert "config.toml is not trusted and was ignored" in ignored.out
    assert "'http://127.0.0.1:9'" in acting.out


def test_a_projects_graph_is_refused_until_it_is_trusted_and_again_when_it_changed(
    flow: Any, repo: Path, answers: Answers
) -> None:
    graph = repo / ".flow" / "graphs" / "tiny.yaml"
    graph.parent.mkdir(parents=True)
    graph.write_text(GRAPH)
    with OllamaServer(answers) as server:
        words = ("run", "tiny", "good", "-q", "-c", "verify=")
        told(flow(*words, cwd=repo, url=server.url), 7, "tiny.yaml", "flow trust")
        assert flow("trust", str(graph), cwd=repo).code == 0
        assert flow(*words, cwd=repo, url=server.url).code == 0
        told(flow("run", "tiny", "bad", "-q", "-c", "verify=", cwd=repo, url=server.url), 1, "It ran.")
        graph.write_text(GRAPH + "# changed\n")
        told(flow(*words, cwd=repo, url=server.url), 7, "is not trusted")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("type: set", "type: sett", "broken.yaml:6:16: "),
        ("to: END", "to: EDN", "broken.yaml:9:"),
        ("name: tiny", "name: [tiny", "broken.yaml:"),
        ("input.task ==", "input.tsk ==", "broken.yaml:9:"),
    ],
)
def test_a_broken_graph_file_is_told_by_line_and_column(
    flow: Any, repo: Path, tmp_path: Path, old: str, new: str, fault: str
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(GRAPH.replace(old, new))
    done = flow("run", "../broken.yaml", "good", "-q", cwd=repo, url=DEAD)
    assert (done.code, "Traceback" in done.err) == (6, False), done.err
    assert fault in done.err and re.search(r"broken\.yaml:\d+:\d+: ", done.err)


@pytest.mark.parametrize("url", [DEAD, "MUTE"])
def test_a_server_that_does_not_answer_is_told_at_once_with_the_next_command(flow: Any, repo: Path, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        began = time.monotonic()
        done = flow(*RUN, cwd=repo, url=url.replace("MUTE", f"http://127.0.0.1:{mute.getsockname()[1]}"))
        assert time.monotonic() - began < 10
    told(done, 5, "no model server answers at", "ollama serve")


def test_a_web_server_is_no_model_server(flow: Any, repo: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as web:
        threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
        told(flow(*RUN, cwd=repo, url=f"http://127.0.0.1:{web.server_port}"), 5, "but no model server")
        web.shutdown()


@pytest.mark.parametrize(
    ("models", "words", "texts"),
    [
        ((), (), ["has no chat model", "ollama pull"]),
        (("a:1b", "b:2b"), (), ["several models: a:1b, b:2b", "-m NAME"]),
        (("devstral:24b",), ("-m", "devstrall:24b"), ["no model 'devstrall:24b'", "`-m devstral:24b`"]),
        (("a:1b",), ("-m", "a:1b", "-m", "coder=b:2b"), ["no model 'b:2b'", "ollama pull b:2b"]),
    ],
)
def test_a_missing_model_is_told_with_what_there_is(
    flow: Any, repo: Path, answers: Answers, models: tuple[str, ...], words: tuple[str, ...], texts: list[str]
) -> None:
    with OllamaServer(answers, models=models) as server:
        told(flow(*RUN, *words, cwd=repo, url=server.url), 5, *texts)
        assert server.requests == []


class Ending:
    """Answers like the script until request `last`; then the whole server is gone."""

    def __init__(self, answers: Answers, last: int) -> None:
        self._answers = answers
        self._last = last
        self.server: OllamaServer

    def __call__(self, request: ChatRequest) -> Answer:
        if request.index < self._last:
            return self._answers(request)
        threading.Thread(target=self.server.__exit__, args=(None, None, None)).start()
        return Fault("drop")


def test_a_server_that_goes_away_pauses_the_run_and_resume_goes_on(shop: Any, answers: Answers) -> None:
    ending = Ending(answers, 3)
    with OllamaServer(ending) as ending.server:
        gone = shop.run(ending.server, "-q", "--no-approve-plan", "-c", "server.retry_patience_s=1")
    told(gone, 5, "no model server answers", "flow resume")
    with OllamaServer(answers) as server:
        again = shop.flow("resume", "-q", cwd=shop.repo, url=server.url)
    assert again.code == 0, again.err
    assert shop.is_green()


@pytest.mark.parametrize("serving", [OllamaServer, OpenAIServer])
def test_a_server_that_is_busy_from_the_start_is_waited_for(
    shop: Any, script: Any, serving: type[OllamaServer | OpenAIServer]
) -> None:
    with serving(planned(script, shop, mended(script)), busy=8) as server:
        words = (*RUN[:3], "--no-approve-plan", "--mode", "auto", "-c", "verify=")
        done = shop.flow(*words, cwd=shop.repo, url=server.url)
    assert done.code == 0, done.err
    assert "Waiting for the model server" in done.err and "still loading its model" in done.err


def test_a_busy_server_is_asked_again_until_it_answers(shop: Any, script: Any) -> None:
    answers = planned(script, shop, mended(script))

    def busy(request: ChatRequest) -> Answer:
        return Fault("http-503") if request.index < 3 else answers(request)

    with OllamaServer(busy) as server:
        done = shop.flow(*RUN, "--mode", "auto", "-c", "verify=", cwd=shop.repo, url=server.url)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("fault", "requests", "texts"),
    [
        (Reply("Certainly! Here is my plan."), 3, ["no valid Plan: - it is not one whole JSON value"]),
        (Reply('{"title": "x", "steps": []}'), 3, ["steps: List should have at least 1 item"]),
        (Fault("bad-arguments"), 3, ["must be one JSON object", "`flow resume` asks again"]),
        (Fault("length"), 3, ["cut at its limit of 4096 tokens"]),
        (Fault("http", status=400, text="line one\nline two"), 1, ["line one line two"]),
    ],
)
def test_a_reply_that_cannot_be_used_is_asked_again_and_then_ends_the_run(
    flow: Any, repo: Path, fault: Answer, requests: int, texts: list[str]
) -> None:
    with OllamaServer(lambda _: fault) as server:
        done = flow(*RUN, "-c", "verify=", cwd=repo, url=server.url)
        assert len(server.requests) == requests
    told(done, 1, *texts)
    assert unchanged(repo)


@pytest.mark.parametrize(
    ("fault", "requests", "code", "texts"),
    [
        (
            Fault("error-line", text="slot is lost"),
            3,
            5,
            ["answering: slot is lost", "flow resume"],
        ),
        (Fault("no-done"), 3, 5, ["the reply of model 'scripted:latest' broke", "flow resume"]),
        (
            Fault("http", status=400, text="exceeds the available context size"),
            1,
            3,
            ["models.num_ctx", "flow resume"],
        ),
    ],
)
def test_a_server_that_fails_again_and_again_pauses_the_run(
    flow: Any, repo: Path, fault: Answer, requests: int, code: int, texts: list[str]
) -> None:
    with OllamaServer(lambda _: fault) as server:
        told(flow(*RUN, "-c", "verify=", cwd=repo, url=server.url), code, *texts)
        assert len(server.requests) == requests
        assert [run["status"] for run in flow("runs", "list", "-o", "jsonl", cwd=repo).lines] == ["paused"]
    assert unchanged(repo)


def test_what_a_tool_refuses_goes_back_to_the_model_and_the_run_goes_on(
    shop: Any, script: Any, tmp_path: Path
) -> None:
    (shop.repo / "blob.bin").write_bytes(bytes(range(256)) * 50)
    (shop.repo / "huge.txt").write_text("行\n" * 8_000_000, "utf-8")
    asked = [
        script.call("read_file", path="blob.bin"),
        script.call("read_file", path="huge.txt"),
        script.call("write_file", path="../escape.txt", content="x"),
        script.call("write_file", path=".git/hooks/pre-commit", content="x"),
        script.call("no_such_tool", path="x"),
        script.call("read_file", pth="x"),
        *mended(script),
    ]
    with OllamaServer(planned(script, shop, asked)) as server:
        done = shop.flow(*RUN, "--mode", "auto", "-c", "verify=", cwd=shop.repo, url=server.url)
        assert done.code == 0, done.err
        results = [m["content"] for m in server.requests[-2].messages if m["role"] == "tool"]
    expected = [
        "binary",
        "more from offset=",
        "outside the workspace",
        ".git",
        "no_such_tool",
        "did you mean 'path'",
    ]
    for text, result in zip(expected, results, strict=False):
        assert text in result and len(result) < 20_000
    assert not (tmp_path / "escape.txt").exists()
    assert (shop.repo / "shop/cart.py").read_text() == "def total(prices):\n    return sum(prices)\n"


def test_a_run_out_of_tokens_ends_with_3_and_goes_on_with_more(shop: Any, answers: Answers) -> None:
    with OllamaServer(answers) as server:
        words = ("--max-tokens", "3k", "--no-approve-plan")
        told(shop.run(server, "-q", *words), 3, "of at most 3,000 tokens", "flow resume", "--max-tokens")
        assert shop.flow("resume", "-q", "--max-tokens", "1M", cwd=shop.repo, url=server.url).code == 0
    assert shop.is_green()


def test_a_run_out_of_time_ends_with_124(shop: Any, answers: Answers) -> None:
    with OllamaServer(answers) as server:
        told(shop.run(server, "-q", "--max-time", "1ms"), 124, "flow resume", "--max-time")


@pytest.mark.parametrize("text", ["", "{not json\n", "flow: 1\nname: x\n", "\x00\xff"])
def test_a_broken_cassette_is_told_before_anything_runs(flow: Any, repo: Path, tmp_path: Path, text: str) -> None:
    cassette = tmp_path / "run.jsonl"
    cassette.write_bytes(text.encode("latin-1"))
    told(flow(*RUN, "--replay", str(cassette), cwd=repo), 2, "run.jsonl")


@pytest.mark.parametrize("words", [("runs", "list"), ("resume",), RUN])
def test_a_damaged_run_database_is_told_and_left_as_it_is(
    flow: Any, repo: Path, isolated_home: Path, answers: Answers, words: tuple[str, ...]
) -> None:
    database = isolated_home / "flow" / "data" / "runs.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"no database at all, but somebody's data" * 100)
    before = database.read_bytes()
    with OllamaServer(answers) as server:
        told(flow(*words, "-c", "verify=", cwd=repo, url=server.url), 2, "runs.db", "damaged")
    assert database.read_bytes() == before


def test_a_home_that_cannot_be_written_is_told(
    flow: Any, repo: Path, tmp_path: Path, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("a file stands in its place")
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "home" / "flow"))
    with OllamaServer(answers) as server:
        told(flow(*RUN, "-c", "verify=", cwd=repo, url=server.url), 2, "FLOW_HOME")


def test_odd_files_in_a_repository_do_not_stop_a_run(shop: Any, answers: Answers) -> None:
    (shop.repo / "secret.py").write_text("x = 1\n")
    (shop.repo / "secret.py").chmod(0)
    os.mkfifo(shop.repo / "pipe.py")
    (shop.repo / "dangling.py").symlink_to("nowhere.py")
    (shop.repo / "latin1.py").write_bytes("# caf\xe9\n".encode("latin-1"))
    with OllamaServer(answers) as server:
        done = shop.run(server, "-q")
    assert done.code == 0, done.err
    assert shop.is_green()


def test_a_repository_without_a_commit_at_an_odd_place_is_worked_on_with_c(
    shop: Any, answers: Answers, tmp_path: Path
) -> None:
    folder = tmp_path / "仕事 場" / "-リポ $HOME `x` 'y'"
    for name, text in shop.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=folder, check=True)
    words = ("run", "plan-and-code", shop.task, "-q", "--mode", "auto", "-c", shop.verify, "-C", str(folder))
    with OllamaServer(answers) as server:
        done = shop.flow(*words, "-o", "json", cwd=tmp_path, url=server.url)
    assert done.code == 0, done.err
    assert "shop/cart.py" in json.loads(done.out)["diff"]
    assert shop.is_green(folder)


def at_terminal(repo: Path, url: str, typed: str) -> tuple[int, str]:
    """Run plan-and-code at a terminal of its own, type this at the first question; return exit code and stderr."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "flowloom", "run", "plan-and-code", "x", "-c", "verify="]
    env = {**os.environ, "OLLAMA_HOST": url}
    process = subprocess.Popen(
        command, cwd=repo, env=env, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, start_new_session=True
    )
    os.close(theirs)
    assert process.stderr is not None
    shown = b""
    while not shown.endswith(b"\n> ") and (byte := process.stderr.read(1)):
        shown += byte
    if typed == "\x03":
        process.send_signal(2)
    else:
        os.write(ours, typed.encode())
    shown += process.stderr.read()
    code = process.wait(60)
    process.stderr.close()
    os.close(ours)
    return code, shown.decode()


@pytest.mark.parametrize(
    ("typed", "code", "status", "text"),
    [
        ("reject\n", 7, "failed", "The plan was rejected."),
        ("\x04", 4, "waiting", "flow resume"),
        ("\x03", 130, "interrupted", "flow resume"),
    ],
)
def test_a_plan_that_is_not_approved_changes_nothing(
    shop: Any, answers: Answers, typed: str, code: int, status: str, text: str
) -> None:
    with OllamaServer(answers) as server:
        ended, shown = at_terminal(shop.repo, server.url, typed)
        assert (ended, "Traceback" in shown) == (code, False), shown
        assert text in shown.split("\n> ")[-1]
        assert [run["status"] for run in shop.flow("runs", "list", "-o", "jsonl", cwd=shop.repo).lines] == [status]
        assert unchanged(shop.repo)
