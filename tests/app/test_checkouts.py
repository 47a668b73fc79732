"""`workspace: worktree`: each visit works in a checkout of its own and leaves a branch."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.ollama_server import OllamaServer, scripted

OFF = ("-c", "sandbox.backend=none")
TOP = "flow: 1\nname: g\ninput: {xs: {type: list, default: []}}\nstate: {made: {type: list, reduce: append}}\n"
INNER = "---\nflow: 1\nname: inner\ninput: {x: {type: any}}\nstate: {seen: {type: any}}\noutput: {seen: state.seen}\n"


def graph(tmp_path: Path, node: str, inner: str = "") -> str:
    file = tmp_path / "g.yaml"
    file.write_text(
        f"{TOP}output: state.made\nnodes: {{fix: {{{node}, output: {{to: made}}}}}}\n"
        f"edges: [[START, fix, END]]\n{inner}"
    )
    return str(file)


def inner(script: str) -> str:
    shell = f"type: shell, run: [sh, -c, '{script}', '{{{{ input.x.id }}}}'], output: {{to: seen}}"
    return f"{INNER}nodes: {{s: {{{shell}}}}}\nedges: [[START, s, END]]\n"


FIX = "type: graph, graph: inner, each: input.xs, with: {x: '{{ item }}'}, workspace: worktree"
XS = 'xs=[{"id": "one", "title": "Mend one"}, {"id": "two"}]'


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def run(shop: Any, script: Any) -> Any:
    def run(file: str, *words: str, answers: Any = None) -> Any:
        with OllamaServer(answers or script.conversation()) as server:
            return shop.flow(
                "run", file, "--mode", "auto", *OFF, "-o", "jsonl", *words, cwd=shop.repo, url=server.url
            )

    return run


def test_each_item_leaves_a_branch_and_nothing_else(shop: Any, run: Any, tmp_path: Path) -> None:
    before = git(shop.repo, "status", "--porcelain")
    done = run(graph(tmp_path, FIX, inner("echo $0 > $0.txt; ls")), "-i", XS)
    assert done.code == 0, done.err
    value = done.lines[-1]["data"]["output"]
    branches = [each["branch"] for each in value]
    assert [branch.rpartition("-fix-")[2] for branch in branches] == ["one", "two"]
    assert [
        git(shop.repo, "show", f"{branch}:{name}.txt") for branch, name in zip(branches, ("one", "two"), strict=True)
    ] == [
        "one",
        "two",
    ]
    assert git(shop.repo, "log", "-1", "--format=%s", branches[0]) == "fix[one]: Mend one"
    # Neither saw the other, and the checkout of the run is as it was.
    assert "one.txt" not in value[1]["seen"]["text"]
    assert git(shop.repo, "status", "--porcelain") == before
    assert len(git(shop.repo, "worktree", "list").splitlines()) == 1
    notices = [line["data"]["text"] for line in done.lines if line["type"] == "notice"]
    assert any(f"Left in the branch {branches[0]}: 1 commit" in text for text in notices), notices


def test_an_item_that_changes_nothing_leaves_no_branch(shop: Any, run: Any, tmp_path: Path) -> None:
    done = run(graph(tmp_path, FIX, inner("true")), "-i", XS)
    assert [each["branch"] for each in done.lines[-1]["data"]["output"]] == ["", ""]
    assert "flow/" not in git(shop.repo, "branch", "--list")


def test_an_agent_works_in_the_checkout_with_its_tools(
    shop: Any, run: Any, script: Any, tmp_path: Path, isolated_home: Path
) -> None:
    agent = script.Agent(
        (script.CODER, "Mend it"),
        [
            script.call("write_file", path="made.txt", content="made\n"),
            script.call("bash", command="pwd; ls"),
            script.Reply("done"),
        ],
    )
    node = "type: coder, prompt: Mend it, workspace: worktree"
    done = run(graph(tmp_path, node), answers=script.conversation(agent))
    assert done.code == 0, done.err
    (change,) = done.lines[-1]["data"]["output"]
    assert change["files"] == ["made.txt"]
    assert not (shop.repo / "made.txt").exists()
    (branch,) = git(shop.repo, "branch", "--list", "flow/*", "--format=%(refname:short)").splitlines()
    assert git(shop.repo, "show", f"{branch}:made.txt") == "made"
    # The run's own checkout was not written to, so there is nothing to take back.
    undone = shop.flow("undo", "--yes", cwd=shop.repo)
    assert "made.txt" not in undone.out + undone.err
    # Neither the folder nor its index stays, only what is known of the branch.
    assert [path.suffix for path in isolated_home.rglob("worktrees/*")] == [".json"]


def test_work_of_an_item_that_failed_is_kept_in_its_branch(shop: Any, run: Any, tmp_path: Path) -> None:
    fails = (
        f"{INNER}nodes:\n  s: {{type: shell, run: [sh, -c, 'echo half > half.txt']}}\n"
        "  f: {type: fail, message: no}\n  t: {type: set, value: {}}\n"
        "edges: [[START, s], {from: s, when: output.exit_code == 0, to: f, else: t}, [t, END]]\n"
    )
    done = run(graph(tmp_path, FIX, fails), "-i", XS)
    assert done.code == 1
    (branch,) = git(shop.repo, "branch", "--list", "flow/*", "--format=%(refname:short)").splitlines()
    assert git(shop.repo, "show", f"{branch}:half.txt") == "half"


def test_removing_the_run_keeps_the_branches_with_commits(shop: Any, run: Any, tmp_path: Path) -> None:
    done = run(graph(tmp_path, FIX, inner("echo $0 > $0.txt")), "-i", XS)
    removed = shop.flow("runs", "rm", done.lines[0]["run_id"], cwd=shop.repo)
    assert removed.code == 0, removed.err
    assert "were kept: they have commits that are on no other one" in removed.out + removed.err
    assert len(git(shop.repo, "branch", "--list", "flow/*").splitlines()) == 2


def test_a_visit_that_waits_goes_on_in_the_checkout_it_left(shop: Any, run: Any, tmp_path: Path) -> None:
    waits = (
        f"{INNER}nodes:\n  a: {{type: shell, run: [sh, -c, 'echo first >> log.txt']}}\n"
        "  ask: {type: human, show: ok?, choices: [yes, no]}\n"
        "  b: {type: shell, run: [sh, -c, 'echo second >> log.txt; cat log.txt'], output: {to: seen}}\n"
        "edges: [[START, a, ask, b, END]]\n"
    )
    assert run(graph(tmp_path, FIX, waits), "-i", 'xs=[{"id": "one"}]').code == 4
    assert len(git(shop.repo, "worktree", "list").splitlines()) == 2
    with OllamaServer(scripted([])) as server:
        words = ("resume", "--answer", "yes", *OFF, "-o", "jsonl")
        done = shop.flow(*words, cwd=shop.repo, url=server.url)
    assert done.code == 0, done.err
    (value,) = done.lines[-1]["data"]["output"]
    assert value["seen"]["text"] == "first\nsecond"
    assert git(shop.repo, "show", f"{value['branch']}:log.txt") == "first\nsecond"
    assert len(git(shop.repo, "worktree", "list").splitlines()) == 1


def test_a_run_in_a_worktree_of_its_own_gives_its_visits_theirs(shop: Any, run: Any, tmp_path: Path) -> None:
    done = run(graph(tmp_path, FIX, inner("echo $0 > $0.txt")), "--worktree", "-i", XS)
    assert done.code == 0, done.err
    branches = [each["branch"] for each in done.lines[-1]["data"]["output"]]
    assert git(shop.repo, "show", f"{branches[1]}:two.txt") == "two"
    assert shop.flow("runs", "rm", done.lines[0]["run_id"], cwd=shop.repo).code == 0
    assert len(git(shop.repo, "worktree", "list").splitlines()) == 1
    assert sorted(git(shop.repo, "branch", "--list", "flow/*", "--format=%(refname:short)").splitlines()) == sorted(
        branches
    )
