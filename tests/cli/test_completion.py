from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowloom.runs.store import RunStore

from .conftest import Flow
from .test_help_speed import HEAVY

GRAPH = """\
flow: 1
name: mend
description: Mend it.
input:
  task: {type: string, positional: true}
  dry_wash: {type: bool, description: wash it dry}
nodes: {a: {type: set, value: {}}}
edges: [[START, a, END]]
---
flow: 1
name: mend-inside
nodes: {a: {type: set, value: {}}}
edges: [[START, a, END]]
"""


@pytest.fixture
def graph(workspace: Path) -> Path:
    path = workspace / ".flow" / "graphs" / "mend.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(GRAPH, "utf-8")
    return path


def words(flow: Flow, *typed: str) -> list[str]:
    ended = flow("completion", "words", "--", *typed)
    assert (ended.code, ended.err) == (0, "")
    return [line.partition("\t")[0] for line in ended.out.splitlines()]


def test_commands_and_their_commands_are_completed(flow: Flow) -> None:
    assert words(flow, "ru") == ["run", "runs"]
    assert words(flow, "runs", "") == ["list", "show", "tail", "rm"]
    assert "draw" in words(flow, "graphs", "d")


def test_candidates_carry_their_meaning(flow: Flow) -> None:
    assert flow("completion", "words", "--", "doct").out == (
        "doctor\tCheck this machine: programs, model server, model, folders.\n"
    )


def test_graphs_are_completed_by_the_names_in_their_files(flow: Flow, graph: Path) -> None:
    assert words(flow, "run", "me") == ["mend", "mend-inside"]
    assert words(flow, "graphs", "draw", "plan") == ["plan-and-code"]
    assert words(flow, "permissions", "check", "ls", "--graph", "mend-") == ["mend-inside"]
    assert words(flow, "graphs", "new", "x", "--from", "mend-") == ["mend-inside"]


def test_inputs_of_a_graph_are_completed_as_options(flow: Flow, graph: Path) -> None:
    assert words(flow, "run", "mend", "--dry-w") == ["--dry-wash"]
    assert words(flow, "run", "mend", "--no-dry") == ["--no-dry-wash"]
    assert words(flow, "run", "mend", "do it", "--ta") == ["--task="]
    assert words(flow, "run", ".flow/graphs/mend.yaml", "--ta") == ["--task="]
    assert words(flow, "run", "mend-inside", "--ta") == []


def test_options_and_their_values_are_completed(flow: Flow) -> None:
    assert words(flow, "run", "--max-t") == ["--max-tokens", "--max-time"]
    assert words(flow, "run", "x", "--mode", "au") == ["auto-edit", "auto"]
    assert words(flow, "-o", "json") == ["json", "jsonl"]
    assert words(flow, "-C", "somewhere", "ru") == ["run", "runs"]


def test_runs_of_the_workspace_are_completed(flow: Flow, workspace: Path, isolated_home: Path) -> None:
    with RunStore(isolated_home / "flow" / "data" / "runs.db") as store:
        for place, title in ((workspace, "題"), (workspace / "elsewhere", "no")):
            store.create_run(
                graph="g",
                graph_source="",
                graph_text="",
                fingerprint="",
                input={},
                options={},
                workspace=place,
                title=title,
            )
    found = flow("completion", "words", "--", "runs", "show", "").out.splitlines()
    assert found[0].startswith("last\t") and len(found) == 2 and found[1].endswith("\tg: 題")
    assert words(flow, "resume", "") == words(flow, "runs", "rm", "") == [line.split("\t")[0] for line in found]


@pytest.mark.parametrize("typed", [("nope", ""), ("run", "mend", ""), ("run", "nope", "--x"), ("version", "")])
def test_where_nothing_is_known_nothing_is_said(flow: Flow, typed: tuple[str, ...]) -> None:
    assert words(flow, *typed) == []


def test_a_file_that_is_no_graph_does_not_stand_in_the_way(flow: Flow, graph: Path) -> None:
    graph.with_name("broken.yaml").write_bytes(b"name: [\xff\n\x1b[31m: {")
    graph.with_name("evil.yaml").write_text("name: $(touch x)\nname: '`id`'\n")
    assert words(flow, "run", "me") == ["mend", "mend-inside"]
    assert words(flow, "run", "broken", "--ta") == []


@pytest.mark.parametrize("typed", [("run", "pl"), ("run", "plan-and-code", "--ta"), ("resume", ""), ("graphs", "")])
def test_completion_loads_nothing_heavy(typed: tuple[str, ...], tmp_path: Path, isolated_home: Path) -> None:
    RunStore(isolated_home / "flow" / "data" / "runs.db").close()
    code = (
        "import json, os, sys\n"
        "from flowloom.cli.app import run_command_line\n"
        "run_command_line(['completion', 'words', '--', *sys.argv[1:]], os.environ)\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *typed], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    loaded = set(json.loads(ended.stderr))
    # What reads the one graph that is asked for, and the runs.
    needed = {"ruamel", "sqlite3"}
    assert ended.stdout and sorted(loaded & set(HEAVY) - needed) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_of_each_shell_asks_for_words(flow: Flow, shell: str) -> None:
    script = flow("completion", shell).out
    assert "flow completion words --" in script
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=script, text=True, check=True)


PYTHON = """\
class Wanted(TypedDict):
    topic: Annotated[str, "what about"]
    loud: bool
graph = StateGraph(State, input_schema=Wanted)
raise SystemExit("a Tab runs nothing")
"""


def test_graphs_in_python_and_their_inputs_are_completed_like_those_of_files(flow: Flow, workspace: Path) -> None:
    (workspace / "notes.py").write_text(PYTHON)
    assert words(flow, "run", "notes.py:") == ["notes.py:graph"]
    assert words(flow, "graphs", "draw", "notes.py:gr") == ["notes.py:graph"]
    assert words(flow, "run", "notes.py:graph", "--to") == ["--topic="]
    assert words(flow, "run", "notes.py:graph", "otters", "--no-l") == ["--no-loud"]
    assert words(flow, "run", "notes.py:other", "--to") == words(flow, "run", "gone.py:graph", "--to") == []


@pytest.fixture
def flow_program(tmp_path: Path) -> dict[str, str]:
    """The environment of a shell that finds `flow`."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "flow"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m flowloom "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("typed", "reply"),
    [
        ("flow run mend --ta", "--task=|"),
        ("flow run notes.py :", "graph|"),
        ("flow run notes.py : gr", "graph|"),
        ("flow run notes.py : graph --to", "--topic=|"),
    ],
)
def test_bash_completes_with_the_script(
    flow: Flow, graph: Path, workspace: Path, flow_program: dict[str, str], typed: str, reply: str
) -> None:
    (workspace / "notes.py").write_text(PYTHON)
    count = len(typed.split())
    asked = f"COMP_WORDS=({typed}); COMP_CWORD={count - 1}; _flow_complete; printf '%s|' \"${{COMPREPLY[@]}}\"\n"
    done = subprocess.run(
        ["bash"],
        input=flow("completion", "bash").out + asked,
        env=flow_program,
        cwd=workspace,
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stdout == reply


def test_fish_completes_with_the_script(
    flow: Flow, graph: Path, workspace: Path, tmp_path: Path, flow_program: dict[str, str]
) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    (workspace / "notes.py").write_text(PYTHON)
    (script := tmp_path / "flow.fish").write_text(flow("completion", "fish").out)
    asked = f"source {script}; complete -C 'flow run mend --ta'; complete -C 'flow run notes.py:graph --to'"
    asked += "; complete -C 'flow graphs draw mend --as a'; complete -C 'flow graphs validate ./no'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", asked], env=flow_program, cwd=workspace, text=True, capture_output=True
    )
    assert done.stdout.splitlines() == ["--task=", "--topic=\twhat about", "ascii", "./notes.py"], done.stderr


class Terminal:
    """An interactive zsh without settings of anybody's."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execvpe("zsh", ["zsh", "-f", "-i"], {**env, "TERM": "dumb", "PS1": "$ "})

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def shows(self, wanted: str) -> bool:
        """Return whether the text comes on the screen, bells left out."""
        seen, end = "", time.monotonic() + 60
        while wanted not in seen and time.monotonic() < end:
            if select.select([self._fd], [], [], 0.1)[0]:
                seen += os.read(self._fd, 65536).decode(errors="replace").replace("\a", "")
        return wanted in seen

    def close(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._fd)


def test_zsh_completes_with_the_script(
    flow: Flow, graph: Path, workspace: Path, tmp_path: Path, flow_program: dict[str, str]
) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    (workspace / "notes.py").write_text(PYTHON)
    (script := tmp_path / "flow.zsh").write_text(flow("completion", "zsh").out)
    zsh = Terminal(flow_program, workspace)
    try:
        zsh.type(f"autoload -U compinit; compinit -u -D; source {script}; echo REA''DY\n")
        assert zsh.shows("READY")
        zsh.type("flow run mend --ta\t")
        assert zsh.shows("--task=")
        zsh.type("x \x15flow run notes.py:graph --to\t")
        assert zsh.shows("--topic=")
        zsh.type("x \x15flow graphs draw mend --as a\t")
        assert zsh.shows("--as ascii")
    finally:
        zsh.close()


def test_unknown_shell_is_refused(flow: Flow) -> None:
    ended = flow("completion", "tcsh")
    assert ended.code == 2 and "got 'tcsh'" in ended.err and "bash, zsh or fish" in ended.err
