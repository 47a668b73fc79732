"""`permissions:` and `network:` of a graph over the real wire: what runs unasked, what waits, and what is reached."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.ollama_server import OllamaServer, scripted
from flowloom.tools.bwrap import probe_bwrap

TEST = "python3 -m unittest -q test_shop.Shop"
UNCONFINED = ("-c", "sandbox.backend=none")  # chosen by name, so that no command is asked for the lack of one


def answers(script: Any, *agents: tuple[str, str]) -> Any:
    """Return coders, each known by its prompt, that run one shell line and say what they saw."""
    return script.conversation(
        *(
            script.Agent((script.CODER, prompt), [script.call("bash", command=line), script.Reply("done")])
            for prompt, line in agents
        )
    )


def graph(tmp_path: Path, nodes: str, names: str, top: str = "") -> str:
    file = tmp_path / "g.yaml"
    file.write_text(f"flow: 1\nname: g\n{top}nodes:\n{nodes}edges: [[START, {names}, END]]\n")
    return str(file)


def decided(done: Any) -> list[tuple[str, str, str]]:
    return [
        (line["node"], line["data"]["verdict"], line["data"]["category"])
        for line in done.lines
        if line["type"] == "decision"
    ]


def test_a_rule_of_a_node_lets_its_command_run_and_that_of_another_waits(
    shop: Any, script: Any, tmp_path: Path
) -> None:
    file = graph(
        tmp_path,
        "  first: {type: coder, prompt: ONE, permissions: {'bash(python3 -m unittest:*)': allow}}\n"
        "  second: {type: coder, prompt: TWO}\n",
        "first, second",
    )
    with OllamaServer(answers(script, ("ONE", TEST), ("TWO", TEST))) as server:
        done = shop.flow("run", file, "--mode", "ask", *UNCONFINED, "-o", "jsonl", cwd=shop.repo, url=server.url)
    assert done.code == 4, done.err
    assert decided(done) == [("first#1", "allow", "shell"), ("second#1", "ask", "shell")]
    assert "the rule 'bash(python3 -m unittest:*)' allows it" in done.out


def test_no_graph_lifts_what_the_user_s_settings_deny_or_ask_for(shop: Any, script: Any, tmp_path: Path) -> None:
    file = graph(
        tmp_path,
        "  first: {type: coder, prompt: ONE, permissions: {'bash(python3:*)': allow}}\n"
        "  second: {type: coder, prompt: TWO}\n",
        "first, second",
        "permissions: {'bash(*)': allow}\n",
    )
    rules = "permissions={'bash(python3 -m http.server:*)'='deny', 'bash(git push:*)'='ask'}"
    lines = (("ONE", "python3 -m http.server 1"), ("TWO", "git push"))
    with OllamaServer(answers(script, *lines)) as server:
        words = ("run", file, "--mode", "auto", *UNCONFINED, "-c", rules, "-o", "jsonl")
        done = shop.flow(*words, cwd=shop.repo, url=server.url)
        told = [message["content"] for message in server.requests[1].messages if message["role"] == "tool"]
    assert done.code == 4, done.err
    assert decided(done) == [("first#1", "deny", "shell"), ("second#1", "ask", "shell")]
    assert told == ["It was not run: the rule 'bash(python3 -m http.server:*)' denies it."]


class Listener:
    """A server on loopback that only counts who came."""

    def __init__(self) -> None:
        self.visits = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                self._socket.accept()[0].close()
                self.visits += 1

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    if isinstance(missing := probe_bwrap(os.environ["PATH"]), str):
        pytest.skip(f"no sandbox that keeps commands from the network: {missing}")
    made = Listener()
    yield made
    made.close()


CODE = "import socket, sys; socket.create_connection(('127.0.0.1', {port}), 5); print('reached')"


def test_the_network_is_there_for_the_nodes_that_are_given_it(
    shop: Any, script: Any, tmp_path: Path, listener: Listener
) -> None:
    probe = f'python3 -c "{CODE.format(port=listener.port)}"'
    (shop.repo / "probe.py").write_text(CODE.format(port=listener.port))
    file = graph(
        tmp_path,
        "  shut: {type: coder, prompt: ONE}\n"
        "  open: {type: coder, prompt: TWO, network: true}\n"
        "  ruled: {type: coder, prompt: THREE, permissions: {'network(python3 probe.py)': allow}}\n"
        "  off: {type: shell, run: [python3, probe.py]}\n"
        "  on: {type: shell, run: [python3, probe.py], network: true}\n"
        "  code: {type: tool, call: run_code, with: {language: python, code: import probe}, network: true}\n",
        "shut, open, ruled, off, on, code",
    )
    lines = (("ONE", probe), ("TWO", probe), ("THREE", "python3 probe.py"))
    with OllamaServer(answers(script, *lines)) as server:
        words = ("run", file, "--mode", "auto", "-c", "sandbox.backend=bubblewrap", "-o", "jsonl")
        done = shop.flow(*words, cwd=shop.repo, url=server.url)
    assert done.code == 0, done.err
    ended = [(line["node"], line["data"]["ok"]) for line in done.lines if line["type"] == "tool_end"]
    reached = {name: name in ("open#1", "ruled#1", "on#1", "code#1") for name, _ in ended}
    assert dict(ended) == reached
    assert listener.visits == 4
    assert [row for row in decided(done) if row[2] == "network"] == [
        (name, "allow", "network") for name in ("open#1", "ruled#1", "on#1", "code#1")
    ]


def test_a_graph_keeps_its_commands_from_a_network_that_the_settings_open(
    shop: Any, tmp_path: Path, listener: Listener
) -> None:
    (shop.repo / "probe.py").write_text(CODE.format(port=listener.port))
    nodes = (
        "  usual: {type: shell, run: [python3, probe.py]}\n"
        "  kept: {type: shell, run: [python3, probe.py], network: false}\n"
    )
    file = graph(tmp_path, nodes, "usual, kept")
    settings = ("-c", "sandbox.backend=bubblewrap", "-c", "sandbox.network=true")
    with OllamaServer(lambda request: pytest.fail("no model is asked")) as server:
        done = shop.flow("run", file, *settings, "-o", "jsonl", cwd=shop.repo, url=server.url)
    assert done.code == 0, done.err
    assert {line["node"]: line["data"]["ok"] for line in done.lines if line["type"] == "tool_end"} == {
        "usual#1": True,
        "kept#1": False,
    }
    assert listener.visits == 1


@pytest.mark.parametrize(
    ("node", "exit_code"),
    [
        ("type: shell, run: [make, deploy]", 7),
        ("type: tool, call: bash, with: {command: make deploy}", 7),
        ("type: python, call: 'deploys.py:deploy'", 7),
        ("type: shell, run: [make, deploy], on_error: other", 0),
    ],
)
def test_a_node_whose_command_is_denied_ends_the_run_as_denied_and_goes_on_once_it_is_allowed(
    shop: Any, tmp_path: Path, node: str, exit_code: int
) -> None:
    (shop.repo / "Makefile").write_text("deploy:\n\techo made > made\n")
    (tmp_path / "deploys.py").write_text("def deploy(ctx):\n    return ctx.command(['make', 'deploy'])\n")
    file = tmp_path / "g.yaml"
    file.write_text(
        f"flow: 1\nname: g\nnodes:\n  deploy: {{{node}}}\n  other: {{type: set, value: {{}}}}\n"
        "edges: [[START, deploy, other, END]]\n"
    )
    with OllamaServer(scripted([])) as server:
        words = ("run", str(file), "--mode", "auto", *UNCONFINED, "-q")
        done = shop.flow(*words, "-c", "permissions={'bash(make deploy:*)'='deny'}", cwd=shop.repo, url=server.url)
        assert (done.code, (shop.repo / "made").exists()) == (exit_code, False), done.err
        if not exit_code:
            return
        assert "the rule 'bash(make deploy:*)' denies it" in done.err
        assert "`flow permissions check" in done.err
        assert "`flow resume` goes on" in done.err
        done = shop.flow("resume", *UNCONFINED, "-q", cwd=shop.repo, url=server.url)
    assert (done.code, (shop.repo / "made").exists()) == (0, True), done.err
