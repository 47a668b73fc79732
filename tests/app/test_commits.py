"""Commits of plan-and-code and `flow undo` as a user has them: processes, a server on loopback, a real repository."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answers
from flowloom.llm.ollama_server import OllamaServer

FILES = {"a.txt": "one\n", "日本 語.txt": "一\n", "old.txt": "old\n", "mine.txt": "mine\n", "README": "read\n"}
STEPS = [
    {"id": "a", "title": "Count a", "brief": "Make a.txt two."},
    {"id": "ja", "title": "日本語の文書を直す", "brief": "漢数字を二にする。", "depends_on": ["a"]},
    {"id": "clean", "title": "Remove the old file", "brief": "Replace old.txt by new.txt.", "depends_on": ["ja"]},
]
PLAN = {"title": "Three steps", "steps": STEPS}
RUN = ("run", "plan-and-code", "do it", "--mode", "auto", "--no-approve-plan", "-c", "verify=", "--commit-steps")


def git(repo: Path, *words: str) -> str:
    done = subprocess.run(["git", "-c", "core.quotePath=false", *words], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def subjects(repo: Path) -> list[str]:
    return git(repo, "log", "--format=%s").splitlines()


def committed(repo: Path, commit: str = "HEAD") -> list[str]:
    return git(repo, "show", "--name-only", "--format=", commit).splitlines()


def status(repo: Path) -> list[str]:
    return git(repo, "status", "--porcelain").splitlines()


def content(repo: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in sorted(repo.iterdir()) if path.is_file()}


@pytest.fixture
def repo(make_repo: Any) -> Path:
    folder: Path = make_repo(FILES)
    return folder


@pytest.fixture
def answers(script: Any) -> Answers:
    agent, reply, call = script.Agent, script.Reply, script.call
    found: Answers = script.conversation(
        agent((script.PLANNER,), [reply(json.dumps(PLAN))]),
        agent(
            (script.CODER, "Make a.txt two."),
            [call("edit_file", path="a.txt", old_text="one", new_text="two"), reply("Counted a up to two.")],
        ),
        agent(
            (script.CODER, "漢数字を二にする。"),
            [call("edit_file", path="日本 語.txt", old_text="一", new_text="二"), reply("一を二に直しました。")],
        ),
        agent(
            (script.CODER, "Replace old.txt"),
            [
                call("write_file", path="new.txt", content="new\n"),
                call("bash", command="rm old.txt && chmod +x README"),
                reply("Replaced it."),
            ],
        ),
        agent((script.REVIEWER,), [reply('{"verdict": "approve", "findings": []}')]),
    )
    return found


def test_three_steps_give_three_commits_and_undo_walks_them_back(flow: Any, repo: Path, answers: Answers) -> None:
    before = content(repo)
    with OllamaServer(answers) as server:
        done = flow(*RUN, cwd=repo, url=server.url)
    assert done.code == 0, done.err
    assert subjects(repo) == ["Remove the old file", "日本語の文書を直す", "Count a", "start"]
    assert [committed(repo, f"HEAD~{back}") for back in range(3)] == [
        ["README", "new.txt", "old.txt"],
        ["日本 語.txt"],
        ["a.txt"],
    ]
    assert status(repo) == []
    body = git(repo, "log", "-1", "--format=%b", "HEAD~1")
    assert "一を二に直しました。\n\n- 日本 語.txt\n\nMade-with: Flowloom, run " in body

    dry = flow("undo", "--dry-run", cwd=repo)
    assert dry.code == 0 and "remove new.txt" in dry.out and "bring back old.txt" in dry.out
    assert flow("undo", cwd=repo).code == 4
    assert len(subjects(repo)) == 4
    (repo / "mine.txt").write_text("changed by me\n")
    git(repo, "add", "mine.txt")
    for left in (3, 2, 1):
        undone = flow("undo", "--yes", cwd=repo)
        assert undone.code == 0, undone.err
        assert len(subjects(repo)) == left
        assert status(repo) == ["M  mine.txt"]
    assert content(repo) == {**before, "mine.txt": "changed by me\n"}
    assert not (repo / "README").stat().st_mode & 0o111
    nothing = flow("undo", "--yes", cwd=repo)
    assert (nothing.code, "nothing to take back" in nothing.err) == (2, True)
    listed = flow("undo", "--list", cwd=repo)
    assert listed.out.count("not below HEAD") == 3


def test_without_the_option_nothing_is_committed_and_undo_puts_the_written_files_back(
    flow: Any, repo: Path, answers: Answers
) -> None:
    before = content(repo)
    with OllamaServer(answers) as server:
        assert flow(*RUN[:-1], cwd=repo, url=server.url).code == 0
    assert subjects(repo) == ["start"]
    undone = flow("undo", "--yes", cwd=repo)
    assert undone.code == 0, undone.err
    assert "left as they are: README, old.txt" in undone.err
    assert content(repo) == {name: text for name, text in before.items() if name != "old.txt"}


def test_with_changes_of_the_user_and_nobody_to_ask_nothing_is_committed(
    flow: Any, repo: Path, answers: Answers
) -> None:
    (repo / "a.txt").write_text("one\nand mine\n")
    with OllamaServer(answers) as server:
        done = flow(*RUN, cwd=repo, url=server.url)
    assert done.code == 0, done.err
    assert subjects(repo) == ["start"]


def at_terminal(repo: Path, typed: str, *words: str, url: str = "") -> tuple[int, str]:
    """Run `flow` with a terminal as stdin on which this is typed; return its exit code and all that it printed."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "flowloom", *words],
        cwd=repo,
        env={**os.environ, **({"OLLAMA_HOST": url} if url else {})},
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.close(follower)
    os.write(leader, f"{typed}\n".encode())
    out, _ = process.communicate(timeout=120)
    os.close(leader)
    return process.returncode, out


def test_leave_out_keeps_the_users_files_out_of_every_commit(flow: Any, repo: Path, answers: Answers) -> None:
    (repo / "a.txt").write_text("one\nand mine\n")
    with OllamaServer(answers) as server:
        code, out = at_terminal(repo, "leave-out", *RUN, url=server.url)
    assert code == 0, out
    assert "you have changes that are in no commit:\na.txt" in out
    assert subjects(repo) == ["Remove the old file", "日本語の文書を直す", "start"]
    assert status(repo) == [" M a.txt"]
    assert (repo / "a.txt").read_text() == "two\nand mine\n"


def test_commit_first_makes_a_commit_of_the_users_changes_alone_and_undo_leaves_them(
    flow: Any, repo: Path, answers: Answers
) -> None:
    (repo / "a.txt").write_text("one\nand mine\n")
    (repo / "mine.txt").write_text("staged\n")
    git(repo, "add", "mine.txt")
    with OllamaServer(answers) as server:
        code, out = at_terminal(repo, "commit-first", *RUN, url=server.url)
    assert code == 0, out
    assert subjects(repo)[2:] == ["Count a", "Changes from before: Three steps", "start"]
    assert committed(repo, "HEAD~3") == ["a.txt", "mine.txt"]
    assert git(repo, "show", "HEAD~3:a.txt") == "one\nand mine\n"
    for _ in range(4):
        undone = flow("undo", "--yes", cwd=repo)
        assert undone.code == 0, undone.err
    assert subjects(repo) == ["start"]
    assert (repo / "a.txt").read_text() == "one\nand mine\n"
    assert sorted(status(repo)) == [" M a.txt", " M mine.txt"]


def test_include_takes_them_in_and_undo_gives_them_back_uncommitted(flow: Any, repo: Path, answers: Answers) -> None:
    (repo / "a.txt").write_text("one\nand mine\n")
    with OllamaServer(answers) as server:
        code, out = at_terminal(repo, "include", *RUN, url=server.url)
    assert code == 0, out
    assert git(repo, "show", "HEAD~2:a.txt") == "two\nand mine\n"
    for _ in range(3):
        assert flow("undo", "--yes", cwd=repo).code == 0
    assert status(repo) == [" M a.txt"]
    assert (repo / "a.txt").read_text() == "one\nand mine\n"


def test_a_step_that_fails_its_check_is_committed_with_its_repair(flow: Any, repo: Path, script: Any) -> None:
    agent, reply, call = script.Agent, script.Reply, script.call
    findings = [{"file": "a.txt", "line": 1, "text": "say two"}]
    answers = script.conversation(
        agent((script.PLANNER,), [reply(json.dumps({**PLAN, "steps": STEPS[:2]}))]),
        agent(
            (script.CODER, "Make a.txt two."),
            [call("edit_file", path="a.txt", old_text="one", new_text="uno"), *[reply("cannot")] * 3],
        ),
        agent(
            (script.CODER, "漢数字を二にする。"),
            [call("edit_file", path="日本 語.txt", old_text="一", new_text="two"), reply("直しました。")],
        ),
        agent(
            (script.CODER, "Mend what is named"),
            [call("edit_file", path="a.txt", old_text="uno", new_text="two"), reply("It is two now.")],
        ),
        agent((script.REVIEWER, "+uno"), [reply(json.dumps({"verdict": "revise", "findings": findings}))]),
        agent((script.REVIEWER, "+two"), [reply('{"verdict": "approve", "findings": []}')]),
    )
    with OllamaServer(answers) as server:
        done = flow(*RUN, "-c", "check='! grep -q uno a.txt || grep -q two 日本*'", cwd=repo, url=server.url)
    assert done.code == 0, done.err
    assert subjects(repo) == ["Repair: Three steps", "日本語の文書を直す", "start"]
    assert [committed(repo), committed(repo, "HEAD~1")] == [["a.txt"], ["日本 語.txt"]]
    assert status(repo) == []


def test_commit_alone_makes_one_commit_with_what_every_step_said(flow: Any, repo: Path, answers: Answers) -> None:
    with OllamaServer(answers) as server:
        done = flow(*RUN[:-1], "--commit", "-c", "commits.trailer=false", cwd=repo, url=server.url)
    assert done.code == 0, done.err
    assert subjects(repo) == ["Three steps", "start"]
    assert git(repo, "log", "-1", "--format=%b") == (
        "Counted a up to two.\n\n一を二に直しました。\n\nReplaced it.\n\n"
        "- README\n- a.txt\n- new.txt\n- old.txt\n- 日本 語.txt\n\n"
    )


def test_in_a_worktree_the_commits_are_on_its_branch_and_undo_names_the_run(
    flow: Any, repo: Path, answers: Answers
) -> None:
    (repo / "a.txt").write_text("one\nand mine\n")
    with OllamaServer(answers) as server:
        done = flow(*RUN, "--worktree", "-o", "json", cwd=repo, url=server.url)
    assert done.code == 0, done.err
    run_id = json.loads(done.out)["run_id"]
    assert len(git(repo, "log", "--format=%s", f"flow/{run_id}").splitlines()) == 4
    assert subjects(repo) == ["start"]
    undone = flow("undo", run_id, "--yes", "-o", "json", cwd=repo)
    facts = json.loads(undone.out)
    assert (facts["done"], facts["run"], len(facts["files"])) == (True, run_id, 3)
    assert len(git(repo, "log", "--format=%s", f"flow/{run_id}").splitlines()) == 3
    assert status(repo) == [" M a.txt"]


def test_undo_asks_at_a_terminal_and_does_nothing_without_a_yes(flow: Any, repo: Path, answers: Answers) -> None:
    with OllamaServer(answers) as server:
        assert flow(*RUN, cwd=repo, url=server.url).code == 0
    code, out = at_terminal(repo, "", "undo")
    assert (code, "Nothing was taken back." in out) == (7, True)
    assert len(subjects(repo)) == 4
    code, out = at_terminal(repo, "y", "undo")
    assert (code, "Took back" in out) == (0, True)
    assert len(subjects(repo)) == 3
    assert "Taken back: " in flow("runs", "tail", cwd=repo).out


def test_undo_before_any_run_says_so(flow: Any, repo: Path) -> None:
    done = flow("undo", cwd=repo)
    assert (done.code, done.err.partition(":")[0]) == (2, "flow")
    assert "nothing was run yet" in done.err
