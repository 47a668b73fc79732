"""The commit node: which files, which message, and what a kill leaves."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.errors import RunFailed
from flowloom.core.tool import MemoryRules
from flowloom.llm.answers import Call, Reply
from flowloom.runs.journal import RunJournal

GRAPH = """
flow: 1
name: g
state: {change: {schema: Change}, made: {type: any}}
output: state.made
nodes:
  code: {type: coder, prompt: Count up., output: {to: change}}
  save: {type: commit, message: "Count   up", changes: "{{ state.change }}", yours: leave-out, output: {to: made}}
edges: [[START, code, save, END]]
"""


def git(repo: Path, *words: str) -> str:
    done = subprocess.run(["git", "-c", "core.quotePath=false", *words], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Killed(Exception):
    """Stands for the end of the process."""


def write(path: str, text: str) -> Reply:
    return Reply(calls=[Call("write_file", {"path": path, "content": text})])


def notices(bench: Any) -> list[str]:
    return [event.data["text"] for event in bench.events if event.type == "notice"]


def subjects(bench: Any) -> list[str]:
    return git(bench.repo, "log", "--format=%s").splitlines()


async def test_a_commit_holds_the_changed_files_and_says_what_the_coder_said(bench: Any) -> None:
    b = bench(write("new.py", "x\n"), write("数.txt", "二\n"), Reply("Counted.\n\nSigned-off-by: me"))
    made = await b.run(GRAPH)
    assert made["files"] == ["new.py", "数.txt"]
    assert made["commit"] == git(b.repo, "rev-parse", "HEAD").strip()
    assert git(b.repo, "log", "-1", "--format=%B") == (
        "Count up\n\nCounted.\n\nSigned-off-by: me\n\n- new.py\n- 数.txt\n\n"
    )
    assert b.kinds("tool_end")[-1] == "tool_end save#1"


async def test_files_that_the_user_had_changed_are_left_out_and_named(bench: Any) -> None:
    b = bench(write("a.py", "x = 2\n"), write("new.py", "x\n"), Reply("done"))
    b.write("a.py", "x = 1\nmine\n")
    b.write("b.py", "y = 2\nmine\n")
    b.rebase()
    made = await b.run(GRAPH)
    assert made["files"] == ["new.py"]
    assert notices(b) == ["Left out of the commit (held changes of yours before the run): a.py"]
    assert git(b.repo, "status", "--porcelain") == " M a.py\n M b.py\n"


async def test_with_include_they_are_taken_in(bench: Any) -> None:
    b = bench(write("a.py", "x = 2\nmine\n"), Reply("done"))
    b.write("a.py", "x = 1\nmine\n")
    b.write("b.py", "y = 2\nmine\n")
    b.rebase()
    made = await b.run(GRAPH.replace("leave-out", "include"))
    assert made["files"] == ["a.py"]
    assert notices(b) == []


async def test_what_somebody_else_changed_meanwhile_is_left_out(bench: Any) -> None:
    b = bench(write("a.py", "x = 2\n"), Reply("done"))

    real = b.journal.finish

    def finish(*arguments: Any) -> None:
        real(*arguments)
        b.write("b.py", "by hand\n")

    b.journal.finish = finish
    made = await b.run(GRAPH)
    assert made["files"] == ["a.py"]
    assert notices(b) == ["Left out of the commit (changed by somebody else meanwhile): b.py"]


async def test_a_file_that_somebody_changed_between_two_writes_is_left_out(bench: Any) -> None:
    edit = Reply(calls=[Call("edit_file", {"path": "new.py", "old_text": "first", "new_text": "one"})])
    b = bench(write("new.py", "first\n\n\n\nlast\n"), edit, write("a.py", "x = 2\n"), Reply("done"))
    real = b.journal.finish

    def finish(*arguments: Any) -> None:
        real(*arguments)
        if b.read("new.py") == "first\n\n\n\nlast\n":
            b.write("new.py", "first\n\n\n\nlast\nby hand\n")

    b.journal.finish = finish
    assert (await b.run(GRAPH))["files"] == ["a.py"]
    assert b.read("new.py") == "one\n\n\n\nlast\nby hand\n"
    assert notices(b) == ["Left out of the commit (changed by somebody else meanwhile): new.py"]


async def test_a_file_that_somebody_changed_before_the_first_write_is_left_out(bench: Any) -> None:
    b = bench(write("a.py", "x = 2\nby hand\n"), Reply("done"))
    b.write("a.py", "x = 1\nby hand\n")
    assert (await b.run(GRAPH))["commit"] == ""
    assert notices(b) == ["Left out of the commit (changed by somebody else meanwhile): a.py"]


async def test_without_changes_there_is_no_commit(bench: Any) -> None:
    b = bench(Reply("nothing to do"))
    assert await b.run(GRAPH) == {"commit": "", "files": [], "text": "There is nothing to commit."}
    assert subjects(b) == ["start"]


async def test_declined_in_mode_ask_the_run_goes_on_without_it(bench: Any) -> None:
    b = bench(write("a.py", "x = 2\n"), Reply("done"), mode="ask")
    assert await b.run(GRAPH) is None
    assert await b.answer("yes") is None
    assert "Count up" in b.question.text and "a.py" in b.question.text
    made = await b.answer("no")
    assert (made["commit"], "declined" in made["text"]) == ("", True)
    assert subjects(b) == ["start"]


async def test_git_that_cannot_commit_is_an_error_of_the_node(bench: Any) -> None:
    b = bench(write("a.py", "x = 2\n"), Reply("done"))
    (b.repo / ".git/index.lock").write_text("")
    with pytest.raises(RunFailed, match=r"save: nothing was committed: exit code 1 fatal: .*index\.lock"):
        await b.run(GRAPH)
    (b.repo / ".git/index.lock").unlink()
    b.process()
    assert (await b.go_on())["files"] == ["a.py"]


@pytest.mark.parametrize("ends", [False, True])
async def test_a_kill_at_the_commit_gives_one_commit(bench: Any, monkeypatch: pytest.MonkeyPatch, ends: bool) -> None:
    b = bench(write("a.py", "x = 2\n"), Reply("done"))
    real = RunJournal.finish

    def killed(journal: RunJournal, ref: Any, result: Any) -> None:
        if ref.agent.startswith("save"):
            if ends:
                real(journal, ref, result)
            raise Killed
        real(journal, ref, result)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(RunJournal, "finish", killed)
        await b.run(GRAPH)
    b.process()
    assert (await b.go_on())["files"] == ["a.py"]
    assert subjects(b) == ["Count up", "start"]


async def test_named_files_and_all_that_the_run_changed(bench: Any) -> None:
    b = bench(write("new.py", "x\n"), write("a.py", "x = 2\n"), Reply("done"))
    text = GRAPH.replace('changes: "{{ state.change }}"', "files: [a.py, b.py]")
    assert (await b.run(text))["files"] == ["a.py"]


async def test_without_changes_or_files_it_takes_all_that_the_run_changed(bench: Any) -> None:
    b = bench(write("new.py", "x\n"), write("a.py", "x = 2\n"), Reply("done"))
    assert (await b.run(GRAPH.replace('changes: "{{ state.change }}", ', "")))["files"] == ["a.py", "new.py"]


@pytest.mark.parametrize(
    "field", ["", "changes: '{{ state.change }}', ", "files: [new.py, .agent/memory/auto.md, logs], "]
)
async def test_what_git_ignores_is_never_committed_whoever_wrote_it(bench: Any, field: str) -> None:
    remembered = Reply(calls=[Call("remember", {"fact": "Tests need the network."})])
    b = bench(write("new.py", "x\n"), write("logs/a.log", "a\n"), remembered, Reply("done"))
    b.write(".gitignore", ".agent/\nlogs/\n")
    b.rebase()
    b.memory = MemoryRules(4_000, "2026-01-02")
    text = GRAPH.replace('changes: "{{ state.change }}", ', field).replace(
        "prompt: Count up.", "prompt: Count up., tools: [write_file, remember]"
    )
    assert await b.run(text) is None
    assert (await b.answer("yes"))["files"] == ["new.py"]
    assert (b.repo / ".agent/memory/auto.md").read_text().endswith("Tests need the network.\n")
    assert git(b.repo, "ls-files", "--cached", "--ignored", "--exclude-standard") == ""


@pytest.mark.parametrize("field", ["changes: [1]", "files: [{}]"])
async def test_other_values_are_refused(bench: Any, field: str) -> None:
    b = bench(Reply("done"))
    with pytest.raises(RunFailed, match=f"{field.partition(':')[0]}' must be a"):
        await b.run(GRAPH.replace('changes: "{{ state.change }}"', field))
