"""Hooks that came with a repository, on commits that flow makes in mode auto: none runs that nobody trusted."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def poisoned(scene: Any) -> Any:
    """The hostile repository without the filters and named hooks, with which flow refuses every commit."""
    for name in ("filter.evil.clean", "filter.evil.smudge", "filter.evil.required", "hook.evil.command"):
        scene.git("config", "--unset-all", name)
    scene.git("config", "commit.gpgSign", "false")
    return scene


def commit(scene: Any, number: int) -> Any:
    scene.write("data.txt", f"{number}\n")
    call = {"action": "commit", "message": f"number {number}", "paths": ["data.txt"]}
    seen = scene.flow("-c", "mode=auto", "tools", "call", "git", json.dumps(call))
    assert seen.code == 0, seen.err
    return seen


def left(scene: Any) -> list[str]:
    inside = [name for name in os.listdir(scene.repo) if name.startswith("RAN-")]
    return [*os.listdir(scene.marks), *inside]


def subject(scene: Any) -> str:
    done = subprocess.run(["git", "log", "-1", "--format=%s"], cwd=scene.repo, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize("folder", ["", ".husky", ".git/hooks", "hooks-that-are-not-there"])
def test_no_hook_runs_that_nobody_trusted(poisoned: Any, folder: str) -> None:
    poisoned.git("config", *(("core.hooksPath", folder) if folder else ("--unset", "core.hooksPath")))
    seen = commit(poisoned, 1)
    assert (left(poisoned), subject(poisoned)) == ([], "number 1")
    assert ("did not run: pre-commit" in seen.out) == ("there" not in folder)
    assert poisoned.canary.visits == 0


def test_a_trusted_hook_runs_inside_and_never_again_once_it_changed(poisoned: Any) -> None:
    poisoned.git("config", "--unset", "core.hooksPath")
    assert poisoned.flow("trust", ".git/hooks/pre-commit").code == 0
    commit(poisoned, 1)
    assert left(poisoned) in (["RAN-hook-pre-commit"], ["hook-pre-commit", "RAN-hook-pre-commit"])
    for name in left(poisoned):
        for folder in (poisoned.repo, poisoned.marks):
            (folder / name).unlink(missing_ok=True)
    hook = poisoned.repo / ".git/hooks/pre-commit"
    hook.write_text(hook.read_text() + "\n")
    commit(poisoned, 2)
    assert (left(poisoned), subject(poisoned)) == ([], "number 2")


def test_a_trusted_hook_does_not_run_once_the_repository_names_another_folder(poisoned: Any) -> None:
    poisoned.git("config", "--unset", "core.hooksPath")
    assert poisoned.flow("trust", ".git/hooks/pre-commit").code == 0
    poisoned.git("config", "core.hooksPath", ".husky")
    commit(poisoned, 1)
    assert (left(poisoned), subject(poisoned)) == ([], "number 1")
