import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.ports import Owned
from flowloom.core.questions import Answer

IDENTITY = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")


def git(repo: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=repo, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def repo(rig: Any) -> Any:
    git(rig.workspace, "init", "--quiet", "--initial-branch=main")
    rig.write("a.txt", "one\n")
    rig.write("日本.txt", "一\n")
    git(rig.workspace, "add", ".")
    git(rig.workspace, "commit", "--quiet", "-m", "first")
    return rig


class Changed:
    """Changes of a run: files of its own, and files that held changes of the user before it."""

    def __init__(self, *files: str, yours: tuple[str, ...] = ()) -> None:
        self._files = files
        self._yours = yours

    def owned(self, files: Sequence[str] | None = None, agents: str | None = None) -> Owned:
        wanted = self._files if files is None else files
        yours = tuple(path for path in wanted if path in self._yours)
        return Owned(tuple(path for path in wanted if path not in yours), yours)


async def test_status_names_changed_and_new_files(repo: Any) -> None:
    repo.write("a.txt", "two\n")
    repo.write("新しい/x.txt", "")
    result = await repo.call("git", mode="plan", action="status")
    assert result.text == "## main\n M a.txt\n?? 新しい/x.txt"


async def test_diff_shows_staged_and_unstaged_changes_against_the_last_commit(repo: Any) -> None:
    repo.write("a.txt", "two\n")
    repo.write("日本.txt", "二\n")
    git(repo.workspace, "add", "a.txt")
    text = (await repo.call("git", mode="plan", action="diff")).text
    assert "-one\n+two" in text
    assert "+++ b/日本.txt" in text
    only = (await repo.call("git", mode="plan", call_id="2", action="diff", paths=["a.txt"])).text
    assert "日本" not in only


async def test_log_lists_commits(repo: Any) -> None:
    text = (await repo.call("git", mode="plan", action="log")).text
    assert text.endswith("Test: first")


async def test_a_repository_without_a_commit_can_be_looked_at(rig: Any) -> None:
    git(rig.workspace, "init", "--quiet")
    rig.write("a.txt", "x\n")
    git(rig.workspace, "add", "a.txt")
    assert "+x" in (await rig.call("git", mode="plan", action="diff")).text
    assert (await rig.call("git", mode="plan", call_id="2", action="log")).failed


async def test_commit_takes_what_this_run_changed_and_nothing_else(repo: Any) -> None:
    repo.write("a.txt", "two\n")
    repo.write("new.txt", "new\n")
    repo.write("日本.txt", "other\n")
    repo.write("staged.txt", "not ours\n")
    git(repo.workspace, "add", "staged.txt")
    repo.changes = Changed("a.txt", "new.txt")
    result = await repo.call("git", action="commit", message="直した $(touch pwned) `id` 'x'\n\nbody")
    assert not result.failed, result.text
    assert git(repo.workspace, "show", "--name-only", "--format=%B", "HEAD").split("\n")[0] == (
        "直した $(touch pwned) `id` 'x'"
    )
    assert git(repo.workspace, "show", "--name-only", "--format=").split() == ["a.txt", "new.txt"]
    assert git(repo.workspace, "diff", "--cached", "--name-only").split() == ["staged.txt"]
    assert not (repo.workspace / "pwned").exists()


async def test_commit_takes_deleted_files_and_skips_passing_ones(repo: Any) -> None:
    (repo.workspace / "a.txt").unlink()
    repo.changes = Changed("a.txt", "made-and-removed.txt")
    result = await repo.call("git", action="commit", message="remove")
    assert not result.failed, result.text
    assert git(repo.workspace, "ls-files", "a.txt") == ""


async def test_commit_takes_given_paths(repo: Any) -> None:
    repo.write("a.txt", "two\n")
    repo.write("*.txt", "a name, not a pattern\n")
    result = await repo.call("git", action="commit", message="-m looks like an option", paths=["*.txt"])
    assert not result.failed, result.text
    assert git(repo.workspace, "show", "--name-only", "--format=%s").split("\n") == [
        "-m looks like an option",
        "",
        "*.txt",
        "",
    ]


def test_files_that_held_changes_of_the_user_are_not_committed(repo: Any) -> None:
    repo.write("a.txt", "two\n")
    repo.write("new.txt", "new\n")
    repo.changes = Changed("a.txt", "new.txt", yours=("a.txt",))
    assert repo.plan("git", action="commit", message="m").argv[-1] == "new.txt"
    for paths in (["a.txt"], ["."]):
        assert "changed by the user before this run" in repo.refusal("git", action="commit", message="m", paths=paths)


@pytest.mark.parametrize("marker", ["MERGE_HEAD", "rebase-merge", "CHERRY_PICK_HEAD"])
def test_in_the_middle_of_a_merge_or_rebase_it_is_refused(repo: Any, marker: str) -> None:
    repo.write("a.txt", "two\n")
    (repo.workspace / ".git" / marker).write_text(git(repo.workspace, "rev-parse", "HEAD"))
    assert "is under way" in repo.refusal("git", action="commit", message="m", paths=["a.txt"])


def test_nothing_to_commit_is_a_failure(repo: Any) -> None:
    assert "changed no file" in repo.refusal("git", action="commit", message="m")
    assert "nothing to commit" in repo.refusal("git", action="commit", message="m", paths=["a.txt"])


@pytest.mark.parametrize("message", ["", " \n"])
def test_a_commit_needs_a_message(repo: Any, message: str) -> None:
    assert "message" in repo.refusal("git", action="commit", message=message, paths=["a.txt"])


def test_paths_outside_are_refused(repo: Any) -> None:
    assert "outside" in repo.refusal("git", action="diff", paths=["../x"])


def test_outside_a_repository_it_is_refused(rig: Any) -> None:
    assert "not in a git repository" in rig.refusal("git", action="status")


async def test_a_missing_identity_falls_back_and_says_so(repo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in IDENTITY:
        monkeypatch.delenv(name)
    repo.write("a.txt", "two\n")
    result = await repo.call("git", action="commit", message="m", paths=["a.txt"])
    assert not result.failed, result.text
    assert "author Flowloom <flowloom@localhost>" in result.text
    assert git(repo.workspace, "log", "-1", "--format=%an %ae %cn") == "Flowloom flowloom@localhost Flowloom\n"


async def test_the_identity_of_the_repository_is_used(repo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in IDENTITY:
        monkeypatch.delenv(name)
    git(repo.workspace, "config", "user.name", "花子")
    git(repo.workspace, "config", "user.email", "hanako@example.invalid")
    repo.write("a.txt", "two\n")
    result = await repo.call("git", action="commit", message="m", paths=["a.txt"])
    assert "Flowloom" not in result.text
    assert git(repo.workspace, "log", "-1", "--format=%an") == "花子\n"


def test_a_commit_is_an_edit_and_the_rest_reads(repo: Any) -> None:
    repo.write("a.txt", "two\n")
    assert repo.plan("git", action="commit", message="m", paths=["a.txt"]).category == "edit"
    assert repo.plan("git", action="status").category == "read"


async def test_a_commit_is_asked_for_in_mode_ask(repo: Any) -> None:
    repo.write("a.txt", "two\n")
    repo.person.answers = [Answer("no")]
    result = await repo.call("git", mode="ask", action="commit", message="秘密", paths=["a.txt"])
    assert result.failed
    assert "秘密" in repo.person.questions[0].text
    assert git(repo.workspace, "log", "--format=%s") == "first\n"


async def test_a_workspace_below_the_top_shows_only_itself(repo: Any) -> None:
    repo.write("sub/x.txt", "x\n")
    git(repo.workspace, "add", "sub")
    repo.write("a.txt", "two\n")
    top = repo.workspace
    repo.workspace = top / "sub"
    text = (await repo.call("git", mode="plan", action="diff")).text
    assert "x.txt" in text
    assert "a.txt" not in text
    assert "a.txt" not in (await repo.call("git", mode="plan", call_id="2", action="status")).text


def poison(repo: Any) -> Path:
    """Make everything in the repository's configuration that can run a program leave a mark."""
    mark: Path = repo.workspace.parent / "ran"
    script = repo.workspace.parent / "evil.sh"
    script.write_text(f"#!/bin/sh\necho \"$0 $@\" >> '{mark}'\ncat\nexit 0\n")
    script.chmod(0o755)
    hooks = repo.workspace / ".git/hooks"
    names = [
        "pre-commit",
        "commit-msg",
        "post-commit",
        "prepare-commit-msg",
        "post-index-change",
        "reference-transaction",
    ]
    for name in names:
        (hooks / name).write_text(script.read_text())
        (hooks / name).chmod(0o755)
    programs = ["core.fsmonitor", "core.pager", "core.editor", "core.askPass", "core.sshCommand", "diff.external"]
    programs += ["diff.bad.command", "diff.bad.textconv", "gpg.program", "core.alternateRefsCommand", "pager.log"]
    programs += ["core.hooksPath", "credential.helper", "sequence.editor"]
    for name in programs:
        git(repo.workspace, "config", name, str(hooks if name == "core.hooksPath" else script))
    for name in ["commit.gpgSign", "log.showSignature"]:
        git(repo.workspace, "config", name, "true")
    (repo.workspace / ".gitattributes").write_text("* diff=bad filter=bad\n")
    return mark


async def test_a_poisoned_repository_runs_nothing(repo: Any) -> None:
    mark = poison(repo)
    for key in ["clean", "smudge", "process"]:
        git(repo.workspace, "config", f"filter.bad.{key}", str(repo.workspace.parent / "evil.sh"))
    git(repo.workspace, "config", "filter.bad.required", "true")
    mark.unlink(missing_ok=True)
    repo.write("a.txt", "two\n")
    for number, action in enumerate(["status", "diff", "log"]):
        result = await repo.call("git", mode="plan", call_id=str(number), action=action)
        assert not result.failed, result.text
    assert "filter.bad.clean" in repo.refusal("git", action="commit", message="m", paths=["a.txt"])
    assert not mark.exists(), mark.read_text()


async def test_a_commit_in_a_poisoned_repository_runs_nothing(repo: Any) -> None:
    mark = poison(repo)
    mark.unlink(missing_ok=True)
    repo.write("a.txt", "two\n")
    result = await repo.call("git", action="commit", message="m", paths=["a.txt"])
    assert not result.failed, result.text
    assert not mark.exists(), mark.read_text()


async def test_status_leaves_the_index_alone(repo: Any) -> None:
    index = repo.workspace / ".git/index"
    os.utime(repo.workspace / "a.txt", (1, 1))
    before = index.read_bytes()
    await repo.call("git", mode="plan", action="status")
    assert index.read_bytes() == before
