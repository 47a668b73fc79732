from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowloom.core.events import ModelCalled, NodeEnded, NodeFailed, NodeStarted, RunStarted, ToolEnded
from flowloom.core.questions import Question
from flowloom.runs.lease import take_lease
from flowloom.runs.store import RunRow, RunStore

Flow = Callable[..., tuple[int, str, str]]
ASK = Question(
    "human",
    "approve#1",
    "この計画でよいですか\n 1. 直す",
    ("approve", "edit", "reject"),
    {"edit": {}},
    id="ab12cd34ef",
)


@pytest.fixture
def store(isolated_home: Path) -> Iterator[RunStore]:
    with RunStore(isolated_home / "flow" / "data" / "runs.db") as store:
        yield store


@pytest.fixture
def new_run(store: RunStore, workspace: Path) -> Callable[..., RunRow]:
    def new(title: str = "合計を直す", folder: Path = workspace) -> RunRow:
        row = store.create_run(
            graph="plan-and-code",
            graph_source="builtin:plan-and-code",
            graph_text="",
            fingerprint="",
            input={"task": "直して"},
            options={"models": {"main": "small:24b", "coder": "small:24b", "light": "tiny:1b"}, "mode": "ask"},
            workspace=folder.resolve(),
            title=title,
        )
        return store.update_run(row.id, status="done", exit_code=0)

    return new


def test_list_before_any_run_says_so_and_creates_nothing(flow: Flow, isolated_home: Path) -> None:
    code, out, _ = flow("runs", "list")
    assert (code, out) == (0, "No runs in this workspace yet; --all lists those of every workspace.\n")
    assert not (isolated_home / "flow").exists()


def test_list_before_any_run_is_an_empty_array_in_json(flow: Flow) -> None:
    assert json.loads(flow("-o", "json", "runs", "list")[1]) == []


def test_list_shows_the_runs_of_this_workspace_newest_first(
    flow: Flow, new_run: Callable[..., RunRow], tmp_path: Path
) -> None:
    first, second = new_run("一つ目"), new_run("二つ目")
    new_run("elsewhere", tmp_path)
    _, out, _ = flow("runs", "list")
    header, *lines = out.splitlines()
    assert header.split() == ["ID", "STATUS", "GRAPH", "STARTED", "TITLE"]
    assert [line.split()[0] for line in lines] == [second.id, first.id]
    assert lines[0].endswith("二つ目")


def test_list_of_every_workspace_names_them(flow: Flow, new_run: Callable[..., RunRow], tmp_path: Path) -> None:
    new_run("here")
    new_run("elsewhere", tmp_path)
    _, out, _ = flow("runs", "list", "--all")
    assert str(tmp_path) in out
    assert len(out.splitlines()) == 3


@pytest.mark.parametrize("words", [("-n", "2"), ("-n2",)])
def test_list_takes_a_count(flow: Flow, new_run: Callable[..., RunRow], words: tuple[str, ...]) -> None:
    for _ in range(3):
        new_run()
    assert len(json.loads(flow("runs", "list", *words, "-o", "json")[1])) == 2


def test_list_in_json_lines_gives_one_object_a_line(flow: Flow, new_run: Callable[..., RunRow]) -> None:
    ids = {new_run().id, new_run().id}
    _, out, _ = flow("runs", "list", "-o", "jsonl")
    assert {json.loads(line)["id"] for line in out.splitlines()} == ids


@pytest.mark.parametrize("words", [("--al",), ("-n",), ("-n", "many"), ("extra",)])
def test_list_refuses_what_it_does_not_know(flow: Flow, words: tuple[str, ...]) -> None:
    code, _, err = flow("runs", "list", *words)
    assert code == 2
    assert err.startswith("flow: ")


def test_run_whose_process_is_gone_is_listed_as_interrupted(
    flow: Flow, store: RunStore, new_run: Callable[..., RunRow]
) -> None:
    row = store.update_run(new_run().id, status="running", pid=2**22 + 1)
    assert json.loads(flow("runs", "list", "-o", "json")[1])[0]["status"] == "interrupted"
    assert f"Go on with: flow resume {row.id}" in flow("runs", "show", row.id)[1]


def test_show_tells_nodes_tokens_tools_and_files(flow: Flow, store: RunStore, new_run: Callable[..., RunRow]) -> None:
    row = new_run()
    node = "implement[合計]/code#1"
    store.append_event(row.id, "", RunStarted("plan-and-code", {}, "small:24b"))
    store.append_event(row.id, node, NodeStarted("coder", 1))
    store.append_event(row.id, node, ModelCalled("k", "small:24b", 1.5, 1200, 34, ("edit_file",)))
    store.append_event(row.id, node, ToolEnded("c1", "edit_file", True, 0.1, ("src/合計.py",)))
    store.append_event(row.id, node, ToolEnded("c2", "bash", False, 0.1, (), "exit 1"))
    store.append_event(row.id, node, NodeEnded(1, 12.34, "二行を直した"))
    store.append_event(row.id, "implement[合計]/code#2", NodeStarted("coder", 2))
    store.append_event(row.id, "implement[合計]/code#2", NodeFailed(2, "reply cut"))
    shown = json.loads(flow("runs", "show", row.id, "-o", "json")[1])
    assert [(step["node"], step["state"], step["prompt_tokens"]) for step in shown["steps"]] == [
        (node, "done", 1200),
        ("implement[合計]/code#2", "failed", 0),
    ]
    assert shown["files"] == ["src/合計.py"]
    assert (shown["usage"]["node_runs"], shown["usage"]["prompt_tokens"]) == (2, 1200)
    _, out, _ = flow("runs", "show", row.id)
    line = next(line.split() for line in out.splitlines() if line.startswith("1 "))
    assert line == [
        *("1", "implement[合計]/code", "coder", "done", "small:24b", "1", "1,234", "12.3"),
        *("1", "edit_file,", "1", "bash", "(1", "failed)", "1", "-"),
    ]
    assert "Model:       small:24b, light tiny:1b" in out
    assert "  src/合計.py" in out


def test_show_gives_the_exact_command_for_every_answer(
    flow: Flow, store: RunStore, new_run: Callable[..., RunRow]
) -> None:
    row = store.update_run(new_run().id, status="waiting", exit_code=4)
    store.open_question(row.id, ASK)
    _, out, _ = flow("runs", "show", row.id[:6])
    assert out.splitlines()[-6:] == [
        "  ab12cd34  approve#1",
        "    この計画でよいですか",
        "     1. 直す",
        f"    flow resume {row.id} --answer ab12cd34=approve",
        f"    flow resume {row.id}",
        f"    flow resume {row.id} --answer ab12cd34=reject",
    ]


def test_show_without_a_run_takes_the_last(flow: Flow, new_run: Callable[..., RunRow]) -> None:
    new_run()
    last = new_run()
    assert json.loads(flow("runs", "show", "-o", "json")[1])["id"] == last.id


def test_show_prints_the_result(flow: Flow, store: RunStore, new_run: Callable[..., RunRow]) -> None:
    row = store.update_run(new_run().id, output={"verdict": {"verdict": "approve", "findings": []}})
    assert flow("runs", "show", row.id)[1].endswith("\nReview: approve\n")


def test_text_of_a_model_cannot_steer_the_terminal(
    flow: Flow, store: RunStore, new_run: Callable[..., RunRow]
) -> None:
    row = store.update_run(new_run("t\x1b]0;owned\x07").id, message="\x1b[2J gone")
    _, out, _ = flow("runs", "show", row.id)
    assert "\x1b" not in out
    assert "<U+001B>[2J gone" in out
    assert "\x1b" not in flow("runs", "list")[1]


@pytest.mark.parametrize("command", ["show", "rm"])
def test_unknown_run_is_one_clear_line(flow: Flow, new_run: Callable[..., RunRow], command: str) -> None:
    new_run()
    code, out, err = flow("runs", command, "zzzz9999")
    assert (code, out) == (2, "")
    assert err == "flow: There is no run 'zzzz9999'.\nSee `flow runs list --all`.\n"


def test_show_before_any_run_is_one_clear_line(flow: Flow) -> None:
    code, _, err = flow("runs", "show", "last")
    assert code == 2
    assert err.startswith("flow: There is no run 'last': nothing was run yet.")


def test_rm_removes_several(flow: Flow, store: RunStore, new_run: Callable[..., RunRow]) -> None:
    first, second, kept = new_run(), new_run(), new_run()
    code, out, _ = flow("runs", "rm", first.id, second.id, first.id)
    assert (code, out) == (0, f"Removed run {first.id}.\nRemoved run {second.id}.\n")
    assert [row.id for row in store.list_runs(None)] == [kept.id]


def test_rm_with_one_mistyped_run_removes_none(flow: Flow, store: RunStore, new_run: Callable[..., RunRow]) -> None:
    row = new_run()
    assert flow("runs", "rm", row.id, "zzzz9999")[0] == 2
    assert store.get_run(row.id) == row


def test_rm_refuses_a_run_at_work(flow: Flow, store: RunStore, new_run: Callable[..., RunRow]) -> None:
    row = store.update_run(new_run().id, status="running")
    take_lease(store, row)
    code, _, err = flow("runs", "rm", row.id)
    assert code == 2
    assert "is being worked on by process" in err


def test_rm_needs_a_run(flow: Flow) -> None:
    assert flow("runs", "rm")[2] == "flow: `flow runs rm` needs a RUN.\n`flow runs list` shows them.\n"


@pytest.mark.parametrize("words", [("list",), ("list", "--all", "-n", "5"), ("show", "last"), ("show", "-o", "json")])
def test_runs_commands_load_nothing_heavy(
    words: tuple[str, ...], workspace: Path, new_run: Callable[..., RunRow]
) -> None:
    new_run()
    heavy = "{'pydantic', 'rich', 'langgraph', 'langchain_core', 'asyncio', 'ruamel', 'networkx', 'httpx'}"
    code = (
        "import os, sys; from flowloom.cli.app import run_command_line\n"
        f"code = run_command_line(['-C', sys.argv[1], 'runs', *sys.argv[2:]], os.environ)\n"
        f"print(code, sorted({heavy} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(workspace), *words], capture_output=True, text=True)
    assert done.stderr == "0 []\n"


def test_tail_of_an_ended_run_prints_all_of_it(flow: Flow, store: RunStore, new_run: Callable[..., RunRow]) -> None:
    row = new_run()
    store.append_event(row.id, "plan#1", NodeStarted("planner", 1))
    store.append_event(row.id, "plan#1", NodeEnded(1, 2.0, "二つの手順"))
    code, out, _ = flow("runs", "tail", row.id[:5])
    assert code == 0
    assert "二つの手順" in out
    _, lines, _ = flow("runs", "tail", row.id, "-o", "jsonl")
    assert [json.loads(line)["type"] for line in lines.splitlines()] == ["node_start", "node_end"]


def test_tail_takes_one_run(flow: Flow, new_run: Callable[..., RunRow]) -> None:
    new_run()
    assert flow("runs", "tail", "a", "b")[0] == 2
    assert flow("runs", "tail")[0] == 0
