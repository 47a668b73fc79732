"""Trusted hooks of a commit in bubblewrap: what they find there, and what they and whatever they start can not do."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.ports import CommandOutcome
from flowloom.tools.bwrap import BwrapSandbox, probe_bwrap
from flowloom.tools.commit import commit_command, commit_id
from flowloom.tools.jobs import make_job
from flowloom.tools.sandbox_view import SandboxOptions, SandboxView


class Everything:
    """Trusts every hook as it is now."""

    def covers(self, file: Path, content: bytes) -> bool:
        return True

    def left_out(self, hooks: Sequence[str]) -> None:
        raise AssertionError(hooks)


def git(repo: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=repo, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def commit(make_repo: Any, tmp_path: Path, isolated_home: Path) -> Callable[..., tuple[Path, CommandOutcome]]:
    """Return a function that commits in a repository with these hooks, in a sandbox."""
    found = probe_bwrap(os.environ["PATH"])
    if isinstance(found, str):
        pytest.skip(found)

    def run(hooks: dict[str, str], *settings: str, link: str = "") -> tuple[Path, CommandOutcome]:
        repo: Path = make_repo({"a.txt": "one\n", "code.py": "x = 1\n"}).resolve()
        for name, lines in hooks.items():
            path = Path(repo, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#!/bin/sh\n{lines}\n")
            path.chmod(0o755)
        if link:
            (repo / ".git/hooks/pre-commit").symlink_to(link)
        if settings:
            git(repo, "config", *settings)
        (repo / "a.txt").write_text("two\n")
        command = commit_command(repo, "m", ["a.txt"], Everything())
        job = tmp_path / "jobs" / "1"
        make_job(job)
        options = SandboxOptions(private=(isolated_home / "flow",))
        sandbox = BwrapSandbox(found, SandboxView(options, os.environ), os.environ)
        return repo, asyncio.run(sandbox.run(command, repo, job))

    return run


def test_a_hook_may_change_files_and_the_index_and_has_a_home_of_its_own(commit: Any, isolated_home: Path) -> None:
    lines = "echo three >> a.txt; git add a.txt; mkdir -p ~/.cache/x && touch ~/.cache/x/y && git stash list"
    repo, outcome = commit({".git/hooks/pre-commit": lines, ".git/hooks/post-commit": "touch after.txt"})
    assert outcome.exit_code == 0, outcome.output
    assert commit_id(outcome.output.decode()) == git(repo, "rev-parse", "HEAD").strip()
    assert git(repo, "show", "HEAD:a.txt") == "two\nthree\n"
    assert git(repo, "status", "--porcelain") == "?? after.txt\n"
    assert not (isolated_home / ".cache/x").exists()


@pytest.mark.parametrize(
    "attempt",
    [
        "echo evil >> .git/hooks/commit-msg",
        "git config alias.x '!evil'",
        "mv .git/hooks .git/hooks2",
        "echo evil >> ~/.bashrc && false",
        "exec 3<>/dev/tcp/127.0.0.1/9",
    ],
)
def test_what_a_hook_starts_reaches_no_settings_hooks_or_network(
    commit: Any, attempt: str, isolated_home: Path
) -> None:
    repo, outcome = commit({".git/hooks/pre-commit": attempt, ".git/hooks/commit-msg": "true"})
    assert outcome.exit_code != 0
    assert git(repo, "log", "--format=%s") == "start\n"
    assert "evil" not in (repo / ".git/hooks/commit-msg").read_text() + (repo / ".git/config").read_text()
    assert not (isolated_home / ".bashrc").exists()


def test_what_a_hook_makes_that_no_command_may_make_is_gone_and_the_commit_still_known(commit: Any) -> None:
    repo, outcome = commit({".git/hooks/post-commit": "mkdir .flow; sleep 20"})
    assert (outcome.exit_code != 0, (repo / ".flow").exists()) == (True, False)
    assert commit_id(outcome.output.decode()) == git(repo, "rev-parse", "HEAD").strip()
    assert git(repo, "log", "--format=%s") == "m\nstart\n"


def test_a_hook_of_a_folder_in_the_home_is_seen_and_nothing_beside_it(commit: Any, isolated_home: Path) -> None:
    folder = isolated_home / ".githooks"
    (isolated_home / "secret").write_text("x")
    lines = f"ls -A {isolated_home} {folder}; test ! -e {isolated_home}/secret"
    repo, outcome = commit({f"{folder}/pre-commit": lines}, "core.hooksPath", str(folder))
    assert outcome.exit_code == 0, outcome.output
    assert outcome.output.decode().split()[:4] == [f"{isolated_home}:", ".githooks", f"{folder}:", "pre-commit"]
    assert git(repo, "log", "-1", "--format=%s") == "m\n"


@pytest.mark.parametrize("place", ["scripts/check", "HOME/dotfiles/check"])
def test_a_link_leads_to_its_hook_which_it_can_not_change(commit: Any, isolated_home: Path, place: str) -> None:
    target = place.replace("HOME", str(isolated_home))
    link = target if target.startswith("/") else f"../../{target}"
    lines = 'echo ran; echo evil >> "$0" && echo written; true'
    repo, outcome = commit({target: lines}, link=link)
    assert (outcome.exit_code, b"ran\n" in outcome.output, b"written" in outcome.output) == (0, True, False)
    assert "evil >>" in Path(repo, target).read_text() and not Path(repo, target).read_text().endswith("evil\n")
