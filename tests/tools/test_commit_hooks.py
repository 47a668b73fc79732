"""Commits with hooks: real git, real programs as hooks, and what an untrusted or changed one can not do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowloom.configs.trust import TrustStore
from flowloom.core.effects import Command, effect_from_dict, effect_to_dict
from flowloom.runs.made_commits import MadeCommit, found_in
from flowloom.tools.commit import commit_command, commit_id, committed_files, hooks_of, planned_commit
from flowloom.tools.host import HostSandbox
from flowloom.tools.jobs import make_job
from flowloom.tools.showing import short_line, show_effect

LOG = "ran.log"


def git(repo: Path, *words: str) -> str:
    done = subprocess.run(["git", "-c", "core.quotePath=false", *words], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(repo: Path, command: Command) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **command.env}
    return subprocess.run(
        command.argv, cwd=repo, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
    )


class Trust:
    """The user's own trust store, and which hooks were said to be left out."""

    def __init__(self, store: TrustStore) -> None:
        self.store = store
        self.told: list[tuple[str, ...]] = []

    def covers(self, file: Path, content: bytes) -> bool:
        return self.store.covers(file, content)

    def left_out(self, hooks: Sequence[str]) -> None:
        self.told.append(tuple(hooks))


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return Trust(TrustStore(tmp_path / "data" / "trust.json"))


@pytest.fixture
def repo(make_repo: Callable[[Any], Path]) -> Path:
    folder = make_repo({"a.txt": "one\n", "b.txt": "b\n", "sub/c.txt": "c\n", ".gitignore": f"{LOG}\n"}).resolve()
    (folder / "a.txt").write_text("two\n")
    return folder


@pytest.fixture
def hook(repo: Path, trust: Trust) -> Callable[..., Path]:
    """Return a function that makes a hook; it notes its name in a log, then does what the lines say."""

    def make(event: str, lines: str = "", *, folder: str = ".git/hooks", trusted: bool = True) -> Path:
        path = repo / folder / event
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho {event} >> {repo / LOG}\n{lines}\n")
        path.chmod(0o755)
        if trusted:
            trust.store.trust(path)
        return path

    return make


def commit(repo: Path, trust: Trust | None, *paths: str, message: str = "m") -> subprocess.CompletedProcess[str]:
    return run(repo, commit_command(repo, message, paths or ["a.txt"], trust))


def ran(repo: Path) -> list[str]:
    log = repo / LOG
    return log.read_text().split() if log.exists() else []


def assert_refused(repo: Path, done: subprocess.CompletedProcess[str], said: str) -> None:
    assert (done.returncode, said in done.stdout) == (1, True), done.stdout
    assert git(repo, "log", "--format=%s") == "start\n"
    assert commit_id(done.stdout) == ""


def test_trusted_hooks_run_in_gits_order_and_the_commit_is_named_last(repo: Path, hook: Any, trust: Trust) -> None:
    for event in ("post-commit", "commit-msg", "prepare-commit-msg", "pre-commit"):
        hook(event, "echo said by $0 in $PWD")
    done = commit(repo, trust)
    assert done.returncode == 0, done.stdout
    assert ran(repo) == ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit"]
    assert f"said by {repo}/.git/hooks/pre-commit in {repo}" in done.stdout
    assert commit_id(done.stdout) == git(repo, "rev-parse", "HEAD").strip()
    assert trust.told == []


@pytest.mark.parametrize("with_trust", [True, False])
def test_an_untrusted_hook_never_runs_and_that_is_said(repo: Path, hook: Any, trust: Trust, with_trust: bool) -> None:
    hook("pre-commit", "exit 1", trusted=False)
    hook("post-commit", trusted=False)
    done = commit(repo, trust if with_trust else None)
    assert (done.returncode, ran(repo)) == (0, [])
    assert "hooks that are not trusted did not run: pre-commit, post-commit" in done.stdout
    assert trust.told == ([("pre-commit", "post-commit")] if with_trust else [])


def test_of_two_hooks_only_the_trusted_one_runs(repo: Path, hook: Any, trust: Trust) -> None:
    hook("pre-commit")
    hook("commit-msg", "exit 1", trusted=False)
    for event in ("post-index-change", "reference-transaction", "post-rewrite"):
        hook(event)
    done = commit(repo, trust)
    assert (done.returncode, ran(repo), trust.told) == (0, ["pre-commit"], [("commit-msg",)])


def test_a_hook_that_changed_since_it_was_trusted_never_runs(repo: Path, hook: Any, trust: Trust) -> None:
    path = hook("pre-commit")
    path.write_text(path.read_text() + "echo more\n")
    assert (commit(repo, trust).returncode, ran(repo), trust.told) == (0, [], [("pre-commit",)])


def test_a_hook_that_changes_while_a_person_is_asked_never_runs(repo: Path, hook: Any, trust: Trust) -> None:
    path = hook("pre-commit")
    command = commit_command(repo, "m", ["a.txt"], trust)
    path.write_text(path.read_text() + "echo more\n")
    assert_refused(repo, run(repo, command), "no longer what was trusted")
    assert ran(repo) == []


def test_a_hook_that_an_earlier_hook_changes_never_runs(repo: Path, hook: Any, trust: Trust) -> None:
    hook("pre-commit", f"echo 'echo evil' >> {repo}/.git/hooks/commit-msg")
    hook("commit-msg")
    assert_refused(repo, commit(repo, trust), "commit-msg did not run")
    assert ran(repo) == ["pre-commit"]


def test_a_trusted_hook_does_not_run_while_hooks_are_switched_elsewhere(repo: Path, hook: Any, trust: Trust) -> None:
    hook("pre-commit")
    hook("commit-msg", folder="elsewhere", trusted=False)
    git(repo, "config", "core.hooksPath", "elsewhere")
    assert (commit(repo, trust).returncode, ran(repo), trust.told) == (0, [], [("commit-msg",)])
    git(repo, "config", "core.hooksPath", "/dev/null")
    (repo / "a.txt").write_text("three\n")
    assert (commit(repo, trust).returncode, ran(repo)) == (0, [])


def test_the_same_content_under_another_name_is_not_trusted(repo: Path, hook: Any, trust: Trust) -> None:
    path = hook("pre-commit")
    for name in (".git/hooks/commit-msg", "elsewhere/pre-commit"):
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_text(path.read_text())
        (repo / name).chmod(0o755)
    assert (commit(repo, trust).returncode, ran(repo), trust.told) == (0, ["pre-commit"], [("commit-msg",)])
    git(repo, "config", "core.hooksPath", "elsewhere")
    (repo / "a.txt").write_text("three\n")
    assert (commit(repo, trust).returncode, ran(repo)) == (0, ["pre-commit"])


@pytest.mark.parametrize("place", ["named", "outside"])
def test_hooks_of_a_named_folder_run(repo: Path, hook: Any, trust: Trust, tmp_path: Path, place: str) -> None:
    folder = "named" if place == "named" else str(tmp_path / "outside")
    hook("pre-commit", folder=folder)
    git(repo, "config", "core.hooksPath", folder)
    assert (commit(repo, trust).returncode, ran(repo)) == (0, ["pre-commit"])


def test_a_linked_hook_is_trusted_by_what_it_leads_to(repo: Path, hook: Any, trust: Trust) -> None:
    target = hook("check", folder="scripts", trusted=False)
    link = repo / ".git/hooks/pre-commit"
    link.symlink_to(target)
    trust.store.trust(target)  # another place: that says nothing about the hook
    assert (commit(repo, trust).returncode, ran(repo)) == (0, [])
    trust.store.trust(link)
    (repo / "a.txt").write_text("three\n")
    assert (commit(repo, trust).returncode, ran(repo)) == (0, ["check"])
    target.write_text(target.read_text() + "echo more\n")
    (repo / "a.txt").write_text("four\n")
    assert (commit(repo, trust).returncode, ran(repo)) == (0, ["check"])


def test_what_a_hook_reads_beside_it_has_to_be_trusted_too(repo: Path, hook: Any, trust: Trust) -> None:
    hook("pre-commit", '. "$(dirname "$0")/common"', folder="named")
    common = hook("common", folder="named", trusted=False)
    git(repo, "config", "core.hooksPath", "named")
    assert (commit(repo, trust).returncode, ran(repo)) == (0, [])
    trust.store.trust(common)
    (repo / "a.txt").write_text("three\n")
    assert (commit(repo, trust).returncode, ran(repo)) == (0, ["pre-commit", "common"])


def test_hooks_of_husky_run_once_all_their_parts_are_trusted(repo: Path, hook: Any, trust: Trust) -> None:
    own = hook("pre-commit", folder=".husky")
    stub = hook("pre-commit", '. "$(dirname "$0")/h"', folder=".husky/_")
    (repo / ".husky/_/h").write_text('sh -e "$(dirname "$(dirname "$0")")/$(basename "$0")" "$@"\n')
    git(repo, "config", "core.hooksPath", ".husky/_")
    assert (commit(repo, trust).returncode, ran(repo)) == (0, [])
    trust.store.trust(repo / ".husky/_/h")
    (repo / "a.txt").write_text("three\n")
    assert (commit(repo, trust).returncode, ran(repo)) == (0, ["pre-commit", "pre-commit"])
    own.write_text("touch evil\n")
    (repo / "a.txt").write_text("four\n")
    assert (commit(repo, trust).returncode, ran(repo)) == (0, ["pre-commit", "pre-commit"])
    assert stub.exists() and not (repo / "evil").exists()


def test_a_failing_hook_refuses_the_commit_and_leaves_the_index_as_it_was(
    repo: Path, hook: Any, trust: Trust
) -> None:
    hook("pre-commit", "echo 'a.txt:1: bad' >&2; exit 3")
    (repo / "new.txt").write_text("new\n")
    (repo / "b.txt").write_text("staged\n")
    git(repo, "add", "b.txt")
    (repo / "b.txt").write_text("and more\n")
    before = git(repo, "status", "--porcelain"), git(repo, "ls-files", "--stage")
    done = commit(repo, trust, "a.txt", "b.txt", "new.txt")
    assert_refused(repo, done, "a.txt:1: bad\nThe hook pre-commit failed with exit code 3.")
    assert (git(repo, "status", "--porcelain"), git(repo, "ls-files", "--stage")) == before


def test_a_commit_that_git_refuses_leaves_the_index_as_it_was_without_hooks_too(repo: Path) -> None:
    (repo / "new.txt").write_text("new\n")
    before = git(repo, "status", "--porcelain")
    command = commit_command(repo, "m", ["a.txt", "new.txt"])
    (repo / ".git/refs/heads/main.lock").write_text("")
    assert run(repo, command).returncode == 1
    assert git(repo, "status", "--porcelain") == before


def test_what_a_hook_formats_and_adds_is_committed_and_nothing_stays_staged(
    repo: Path, hook: Any, trust: Trust
) -> None:
    hook("pre-commit", "for f in $(git diff --cached --name-only -- '*.txt'); do echo x >> $f; git add $f; done")
    (repo / "new.txt").write_text("new\n")
    done = commit(repo, trust, "a.txt", "new.txt")
    assert done.returncode == 0, done.stdout
    assert git(repo, "show", "HEAD:a.txt", "HEAD:new.txt") == "two\nx\nnew\nx\n"
    assert git(repo, "status", "--porcelain") == ""


def test_a_file_that_a_hook_makes_may_be_in_the_commit(repo: Path, hook: Any, trust: Trust) -> None:
    hook("pre-commit", "echo made > 'made 一.txt'; echo d > b.txt; git add -A")
    done = commit(repo, trust)
    assert done.returncode == 0, done.stdout
    assert committed_files(repo, "HEAD") == ["a.txt", "b.txt", "made 一.txt"]
    assert git(repo, "status", "--porcelain") == ""


@pytest.mark.parametrize("name", ["b.txt", "new 一.txt", "sub/c.txt"])
def test_a_hook_that_adds_changes_of_the_user_stops_the_commit(
    repo: Path, hook: Any, trust: Trust, name: str
) -> None:
    hook("pre-commit", "git add -A")
    (repo / name).write_text("mine\n")
    before = git(repo, "status", "--porcelain")
    done = commit(repo, trust)
    assert_refused(repo, done, f"added files with changes that are not for this commit:\n{name}\n")
    assert git(repo, "status", "--porcelain") == before


def test_a_hook_may_change_the_message_and_a_second_beginning_finds_the_commit(
    repo: Path, hook: Any, trust: Trust
) -> None:
    hook("commit-msg", 'echo "Change-Id: I1" >> "$1"')
    command = commit_command(repo, "title", ["a.txt"], trust)
    first = run(repo, command)
    assert git(repo, "log", "-1", "--format=%B").strip().startswith("title\n")
    assert "Change-Id" in git(repo, "log", "-1", "--format=%B")
    again = run(repo, command)
    assert (again.returncode, commit_id(again.stdout)) == (0, commit_id(first.stdout))
    assert git(repo, "rev-list", "--count", "HEAD") == "2\n"


def test_a_commit_of_somebody_else_is_not_taken_for_this_one(repo: Path, hook: Any, trust: Trust) -> None:
    hook("commit-msg")
    command = commit_command(repo, "title", ["a.txt"], trust)
    git(repo, "commit", "-q", "--no-verify", "--allow-empty", "-m", "yours")
    done = run(repo, command)
    assert (done.returncode, "HEAD has moved" in done.stdout) == (1, True)


def test_nothing_that_a_hook_prints_passes_for_the_commit(repo: Path, hook: Any, trust: Trust) -> None:
    fake = "0" * 40
    for event in ("pre-commit", "post-commit"):
        hook(event, f"echo commit {fake}; (for n in 1 2 3 4 5 6; do sleep 0.3; echo commit {fake}; done) &")
    done = commit(repo, trust)
    assert commit_id(done.stdout) == git(repo, "rev-parse", "HEAD").strip()


def test_post_commit_that_fails_or_moves_head_does_not_change_what_was_committed(
    repo: Path, hook: Any, trust: Trust
) -> None:
    hook("post-commit", "git commit -q --amend --no-verify -m other; exit 7")
    done = commit(repo, trust)
    made = commit_id(done.stdout)
    assert (done.returncode, "post-commit failed with exit code 7" in done.stdout) == (0, True)
    assert f"moved HEAD to {git(repo, 'rev-parse', 'HEAD').strip()}" in done.stdout
    assert git(repo, "show", "--no-patch", "--format=%s", made) == "m\n"
    assert git(repo, "rev-parse", f"{made}^") == git(repo, "rev-parse", "main~1")


def test_the_first_commit_of_a_repository_runs_hooks(tmp_path: Path, trust: Trust) -> None:
    repo = tmp_path.resolve() / "empty"
    repo.mkdir()
    git(repo, "init", "-q", "-b", "main")
    path = repo / ".git/hooks/pre-commit"
    path.write_text("#!/bin/sh\necho x >> a.txt; git add a.txt\n")
    path.chmod(0o755)
    trust.store.trust(path)
    (repo / "a.txt").write_text("one\n")
    done = commit(repo, trust)
    assert done.returncode == 0, done.stdout
    assert (git(repo, "show", "HEAD:a.txt"), git(repo, "status", "--porcelain")) == ("one\nx\n", "")


def test_a_hook_gets_no_input_and_its_own_arguments(repo: Path, hook: Any, trust: Trust) -> None:
    hook("prepare-commit-msg", 'cat; echo "got $2"')
    started = time.monotonic()
    done = commit(repo, trust)
    assert (done.returncode, "got message" in done.stdout) == (0, True), done.stdout
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("kind", ["large", "fifo", "not executable"])
def test_what_can_not_be_trusted_does_not_run(repo: Path, hook: Any, trust: Trust, kind: str) -> None:
    path = hook("pre-commit")
    if kind == "large":
        path.write_text(path.read_text() + "#" * 1_000_001)
    elif kind == "fifo":
        path.unlink()
        os.mkfifo(path, 0o755)
    else:
        path.chmod(0o644)
    assert (commit(repo, trust).returncode, ran(repo)) == (0, [])


def test_its_command_says_what_it_runs_and_survives_the_journal(repo: Path, hook: Any, trust: Trust) -> None:
    hook("pre-commit")
    command = commit_command(repo, "m", ["a.txt"], trust)
    again = effect_from_dict(effect_to_dict(command))
    assert again == command
    assert isinstance(again, Command)
    assert (hooks_of(again), again.read_only) == (["pre-commit"], (str(repo / ".git/hooks/pre-commit"),))
    planned = planned_commit(again.argv)
    assert planned is not None and planned.files == ("a.txt",)


def test_a_hook_that_hangs_is_ended_and_leaves_the_index_as_it_was(
    repo: Path, hook: Any, trust: Trust, tmp_path: Path
) -> None:
    hook("pre-commit", "echo waiting; sleep 100")
    (repo / "new.txt").write_text("new\n")
    before = git(repo, "status", "--porcelain")
    command = replace(commit_command(repo, "m", ["a.txt", "new.txt"], trust), timeout_s=1.0)
    make_job(tmp_path / "jobs/1")
    outcome = asyncio.run(HostSandbox().run(command, repo, tmp_path / "jobs/1"))
    assert (outcome.timed_out, b"waiting" in outcome.output) == (True, True)
    assert git(repo, "status", "--porcelain") == before
    assert git(repo, "log", "--format=%s") == "start\n"


def test_a_commit_that_was_killed_before_its_end_was_stored_is_known_though_a_hook_changed_it(
    repo: Path, hook: Any, trust: Trust
) -> None:
    hook("commit-msg", 'echo "Change-Id: I1" >> "$1"')
    command = commit_command(repo, "title", ["a.txt"], trust)
    assert run(repo, command).returncode == 0
    planned, head = planned_commit(command.argv), git(repo, "rev-parse", "HEAD").strip()
    assert planned is not None
    made = MadeCommit("r", "", planned.parent, planned.message, "n", "t", planned.mark)
    found = found_in(repo, made, head)
    assert found is not None and found.commit == head
    assert found_in(repo, made._replace(mark="flow-commit other"), head) is None


def test_a_person_is_shown_the_hooks_and_a_list_only_message_and_files(repo: Path, hook: Any, trust: Trust) -> None:
    hook("pre-commit")
    for number in range(7):
        (repo / f"n{number}").write_text("x")
    command = commit_command(repo, "title\n\nbody", ["."], trust)
    assert "and run the hooks pre-commit\n" in show_effect(command, None).body
    assert short_line(command) == "git commit: title (a.txt, n0, n1, n2, n3 and 3 more)"
