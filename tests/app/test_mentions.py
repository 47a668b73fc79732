"""What a person's task mentions, over the wire: it stands in the first message, once, and is kept with the run."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import ChatRequest
from flowloom.llm.ollama_server import OllamaServer

GRAPH = """flow: 1
name: one
input:
  task: {type: string, required: true, positional: true}
  more: {type: string, default: "see @shop/label.py"}
nodes:
  work: {type: agent, prompt: "Do this: {{ input.task }}", tools: [read_file, edit_file], budget: {code: 0}}
  aside: {type: llm, prompt: "Say ok"}
  again: {type: llm, prompt: "Again, {{ input.task }}"}
edges: [[START, work, aside, again, END]]
"""
UNCONFINED = ("-c", "sandbox.backend=none")
ALLOWED = ("-c", "retrieval.private_addresses=true")
TOKEN = "ghp_" + "a1B2c3D4e5" * 4

Run = Callable[..., Any]


class Heard:
    """Answers every request with "ok", or by the given calls first; keeps the first message of each node."""

    def __init__(self, script: Any, *calls: Any) -> None:
        self._calls, self._ok = calls, script.Reply("ok")
        self.requests: list[ChatRequest] = []

    def __call__(self, request: ChatRequest) -> Any:
        self.requests.append(request)
        said = sum(message["role"] == "assistant" for message in request.messages)
        is_work = "Do this" in str(request.messages[1]["content"])
        return self._calls[said] if is_work and said < len(self._calls) else self._ok

    def first(self, node: str = "Do this") -> str:
        texts = [str(request.messages[1]["content"]) for request in self.requests]
        return next(text for text in texts if f"<task>\n{node}" in text)


@pytest.fixture
def graph(isolated_home: Path) -> str:
    folder = isolated_home / "flow" / "config" / "graphs"
    folder.mkdir(parents=True)
    (folder / "one.yaml").write_text(GRAPH)
    return "one"


@pytest.fixture
def run(shop: Any, graph: str) -> Run:
    def started(answers: Any, task: str, *words: str, mode: str = "ask", **options: Any) -> Any:
        with OllamaServer(answers) as server:
            command = (
                "run",
                graph,
                *([task] if task else []),
                "--mode",
                mode,
                "-c",
                "verify=''",
                *UNCONFINED,
                *words,
            )
            return shop.flow(*command, cwd=options.pop("cwd", shop.repo), url=server.url, **options)

    return started


def test_a_mentioned_file_stands_once_in_the_messages_of_the_node_that_gets_the_task(run: Run, script: Any) -> None:
    heard = Heard(script)
    done = run(heard, "Mend @shop/cart.py, as @shop/cart.py says.")
    assert done.code == 0, done.err
    assert (
        '<mentioned name="shop/cart.py">\n1|def total(prices):\n2|    return max(prices)\n</mentioned>'
        in heard.first()
    )
    assert heard.first().count("<mentioned") == 1
    assert heard.first().index("</mentioned>") < heard.first().index("<task>\n")
    assert "<mentioned" not in heard.first("Say ok")
    assert "attached to the task: shop/cart.py (" in done.err


def test_an_edit_of_a_mentioned_file_needs_no_read(run: Run, script: Any, shop: Any) -> None:
    edit = script.call("edit_file", path="shop/cart.py", old_text="max", new_text="sum")
    done = run(Heard(script, edit), "Mend @shop/cart.py", mode="auto")
    assert done.code == 0, done.err
    assert "sum(prices)" in (shop.repo / "shop/cart.py").read_text()


def test_defaults_of_the_graph_mention_nothing(run: Run, script: Any) -> None:
    heard = Heard(script)
    assert run(heard, "Do nothing").code == 0
    assert "<mentioned" not in heard.first()


def test_lines_a_definition_and_a_folder_are_attached(run: Run, script: Any, shop: Any) -> None:
    heard = Heard(script)
    done = run(heard, "See @test_shop.py#L1-2, @test_shop.py#Shop.test_label、@shop/を直す。")
    assert done.code == 0, done.err
    text = heard.first()
    assert '<mentioned name="test_shop.py#L1-2">\n1|import unittest\n2|from shop.cart import total\n(' in text
    assert "10|    def test_label(self):" in text and "    def test_total" not in text
    assert '<mentioned name="shop/">\nshop/__init__.py\nshop/cart.py: total\nshop/label.py: label\n</m' in text


def test_paths_are_looked_for_in_the_folder_that_a_person_works_in(run: Run, script: Any, shop: Any) -> None:
    heard = Heard(script)
    assert run(heard, "See @cart.py and @test_shop.py#L1", cwd=shop.repo / "shop").code == 0
    assert 'name="shop/cart.py"' in heard.first() and 'name="test_shop.py#L1-1"' in heard.first()


def test_what_names_nothing_is_told_in_a_line_and_the_run_goes_on(run: Run, script: Any) -> None:
    heard = Heard(script)
    done = run(heard, "See @shop/cert.py, @cart.py, @property, @types/node, @docs:deploy, me@example.com")
    assert done.code == 0
    assert "@shop/cert.py is not attached: there is no such file or folder. Did you mean 'shop/cart.py'" in done.err
    assert "@cart.py is not attached: there is no such file or folder. Did you mean 'shop/cart.py'?" in done.err
    assert "@docs:deploy is not attached: no documents are indexed" in done.err
    assert done.err.count("is not attached") == 3
    assert "<mentioned" not in heard.first()


def test_git_changes_hold_new_files_and_leave_denied_ones_out(run: Run, script: Any, shop: Any) -> None:
    (shop.repo / ".flowignore").write_text("private*\n")
    (shop.repo / "private.txt").write_text("PRIVATE\n")
    (shop.repo / "shop/cart.py").write_text("def total(prices):\n    return sum(prices)\n")
    (shop.repo / "new.txt").write_text(f"NEW {TOKEN}\n")
    heard = Heard(script)
    assert run(heard, "Review @git-changes").code == 0
    text = heard.first()
    assert "-    return max(prices)\n+    return sum(prices)" in text and "+NEW " in text
    assert "PRIVATE" not in text and TOKEN not in text


def test_ignore_files_win_and_secrets_are_masked(run: Run, script: Any, shop: Any) -> None:
    (shop.repo / ".flowignore").write_text("hidden/\n")
    (shop.repo / "hidden").mkdir()
    (shop.repo / "hidden/a.md").write_text("HIDDEN\n")
    (shop.repo / "keys.md").write_text(f"token: {TOKEN}\n")
    heard = Heard(script)
    done = run(heard, "See @hidden/a.md, @hidden/ and @keys.md")
    assert done.err.count("ignore file") == 2, done.err
    assert "HIDDEN" not in heard.first() and TOKEN not in heard.first()
    assert "1|token: <secret:" in heard.first()


def test_a_command_runs_as_the_tool_does_and_its_output_is_attached(run: Run, script: Any) -> None:
    heard = Heard(script)
    done = run(heard, "Mend it.\n!python3 -m unittest -q", mode="auto")
    assert done.code == 0, done.err
    assert '<mentioned name="!python3 -m unittest -q">\nexit code 1\n' in heard.first()
    assert "FAILED (failures=2)" in heard.first()


def test_a_command_that_needs_a_yes_ends_a_run_in_which_nobody_can_be_asked(run: Run, script: Any, shop: Any) -> None:
    heard = Heard(script)
    done = run(heard, "Mend it.\n!touch made")
    assert done.code == 7
    assert "`touch made` in the task needs a person's yes, and nobody can be asked." in done.err
    assert not heard.requests and not (shop.repo / "made").exists()


def test_plan_mode_runs_no_command_and_says_so(run: Run, script: Any, shop: Any) -> None:
    heard = Heard(script)
    assert run(heard, "Look.\n!touch made", mode="plan").code == 0
    assert "plan mode" in heard.first() and not (shop.repo / "made").exists()


def test_a_text_from_a_file_or_a_pipe_attaches_files_and_runs_nothing(run: Run, script: Any, shop: Any) -> None:
    task = "From an issue: @shop/cart.py\n!touch made\nsee @http://127.0.0.1:9/x"
    heard = Heard(script)
    done = run(heard, "", "--input-file", "-", mode="auto", stdin=task)
    assert done.code == 0, done.err
    assert 'name="shop/cart.py"' in heard.first() and not (shop.repo / "made").exists()
    assert done.err.count("was read from a file or a pipe") == 2


def test_terminal_and_problems_are_those_of_the_run_before(run: Run, script: Any, shop: Any) -> None:
    assert (
        run(Heard(script), "Look.\n!echo first run; echo x >> ran\n!echo first run; echo x >> ran", mode="auto").code
        == 0
    )
    assert (shop.repo / "ran").read_text() == "x\n"
    (shop.repo / "shop/label.py").write_text("def label(name:\n")
    heard = Heard(script)
    done = run(heard, "What do @terminal and @problems say?")
    assert done.code == 0, done.err
    assert '<mentioned name="@terminal">\n$ echo first run; echo x >> ran\nfirst run\n</mentioned>' in heard.first()
    assert "shop/label.py:1: cannot be parsed" in heard.first()


class Pages:
    """A web server on the loopback with one page; `asked` holds the paths it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(PAGE.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Pages:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


PAGE = "<html><head><title>T</title><script>evil()</script></head><body><h1>Head</h1><p>Some <b>text</b></p></body>"


def test_a_page_is_fetched_in_mode_auto_and_asked_for_otherwise(run: Run, script: Any) -> None:
    with Pages() as pages:
        task = f"See @{pages.url}/a."
        heard = Heard(script)
        done = run(heard, task, mode="auto")
        assert done.code == 0 and "an address of this machine or of a private network" in done.err
        assert pages.asked == []
        assert run(heard, task, *ALLOWED).code == 7
        assert "plan mode" in run(heard, task, *ALLOWED, mode="plan").err
        assert pages.asked == []
        heard = Heard(script)
        done = run(heard, f"{task} And @{pages.url}/b?key={TOKEN}", *ALLOWED, mode="auto")
        assert done.code == 0 and "it holds a secret" in done.err
    assert f'<mentioned name="{pages.url}/a">\nT\n\n# Head\n\nSome text\n</mentioned>' in heard.first()
    assert pages.asked == ["/a"]


def test_a_person_at_the_terminal_decides_about_each_page_and_command(shop: Any, script: Any, graph: str) -> None:
    heard = Heard(script)
    ours, theirs = pty.openpty()
    os.write(ours, b"no\nyes\nno: not now\n")
    with Pages() as pages, OllamaServer(heard) as server:
        task = f"See @{pages.url}/a and @{pages.url}/b\n!touch made"
        done = subprocess.run(
            [sys.executable, "-m", "flowloom", "run", graph, task, *UNCONFINED, *ALLOWED, "-c", "verify=''"],
            cwd=shop.repo,
            env={**os.environ, "OLLAMA_HOST": server.url},
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=120,
        )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert pages.asked == ["/b"]
    assert f"@{pages.url}/a is not attached: you declined it." in done.stderr
    assert "The user declined this: not now" in heard.first() and not (shop.repo / "made").exists()


def test_a_resume_reads_and_runs_nothing_anew(shop: Any, script: Any, graph: str) -> None:
    heard, started = Heard(script), threading.Event()
    process: subprocess.Popen[bytes]

    def kill_first(request: ChatRequest) -> Any:
        if process.poll() is None:
            assert started.wait(30)
            process.kill()
            process.wait()
        return heard(request)

    with OllamaServer(kill_first) as server:
        words = ("run", graph, "Mend @shop/cart.py\n!date +%s%N >> dates; cat dates", "--mode", "auto")
        process = subprocess.Popen(
            [sys.executable, "-m", "flowloom", *words, "-c", "verify=''", *UNCONFINED],
            cwd=shop.repo,
            env={**os.environ, "OLLAMA_HOST": server.url},
            stderr=subprocess.DEVNULL,
        )
        started.set()
        assert process.wait(60) == -signal.SIGKILL
        (shop.repo / "shop/cart.py").write_text("# changed meanwhile\n")
        done = shop.flow("resume", cwd=shop.repo, url=server.url)
    assert done.code == 0, done.err
    assert len((shop.repo / "dates").read_text().splitlines()) == 1
    # This message is made by the second process.
    assert _mentioned(heard.first("Again")) == _mentioned(heard.first()) != ""
    assert "return max(prices)" in heard.first("Again")


def _mentioned(text: str) -> str:
    return text[text.find("<mentioned") : text.rfind("</mentioned>")]
