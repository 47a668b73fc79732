"""git in shell lines under the shield: a repository full of traps runs nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from flowloom.tools.shell_git import git_shield
from flowloom.tools.shell_policy import check_command

LINES = (
    *("git status", "git status --short --ignored", "git diff", "git diff HEAD", "git diff --cached --stat | head"),
    *(
        "git log -p -2",
        "git log --oneline --graph --decorate --all",
        "git show HEAD",
        "git blame a.txt",
        "git branch -a",
    ),
    *("git ls-files -m -o", "git grep one", "git stash list", "git describe --always --dirty", "git diff-files"),
    *("git diff-index HEAD", "git shortlog -s HEAD", "git worktree list", "git for-each-ref", "git log -S one"),
)


class Trapped(NamedTuple):
    workspace: Path
    script: Path
    mark: Path
    env: dict[str, str]

    def git(self, *words: str, cwd: Path | None = None) -> None:
        command = ["git", "-c", "protocol.file.allow=always", *words]
        subprocess.run(command, cwd=cwd or self.workspace, check=True, capture_output=True, env=self.env)

    def run(self, line: str, env: dict[str, str]) -> int:
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.workspace,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        return done.returncode


@pytest.fixture
def trapped(tmp_path: Path) -> Trapped:
    root = tmp_path.resolve()
    workspace, outside, module = root / "ws", root / "hooks", root / "module"
    for folder in (workspace, outside, module):
        folder.mkdir()
    script, mark = outside / "post-index-change", root / "ran"
    script.write_text(f"#!/bin/sh\necho ran >> {mark}\ncat\n")
    script.chmod(0o755)
    env = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1"}
    env |= {f"GIT_{role}_{what}": "a" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    made = Trapped(workspace, script, mark, env)
    for folder in (module, workspace):
        made.git("init", "-q", "-b", "main", cwd=folder)
        (folder / "a.txt").write_text("one\n")
        (folder / ".gitattributes").write_text("*.txt diff=evil filter=evil\n")
        made.git("add", ".", cwd=folder)
        made.git("commit", "-qm", "first", cwd=folder)
    made.git("submodule", "add", "-q", str(module), "sub")
    made.git("commit", "-qm", "second")
    for name in ("core.fsmonitor", "core.pager", "pager.log", "filter.evil.clean", "filter.evil.smudge"):
        made.git("config", name, str(script))
        made.git("config", name, str(script), cwd=workspace / "sub")
    for name in ("core.sshCommand", "core.editor", "core.alternateRefsCommand", "credential.helper"):
        made.git("config", name, str(script))
    made.git("config", "core.hooksPath", str(outside))
    made.git("config", "log.showSignature", "true")
    (workspace / "a.txt").write_text("two\n")
    (workspace / "sub" / "a.txt").write_text("two\n")
    mark.unlink(missing_ok=True)
    return made


def test_a_trap_works_where_there_is_no_shield(trapped: Trapped) -> None:
    trapped.run("git status", {})
    assert trapped.mark.exists()


def test_no_git_command_that_runs_unasked_springs_a_trap(trapped: Trapped) -> None:
    shield = git_shield(trapped.workspace)
    assert shield.unsafe == ()
    for line in LINES:
        assert check_command(line, workspace=trapped.workspace).decision == "allow", line
        trapped.run(line, dict(shield.env))
        assert not trapped.mark.exists(), line


@pytest.mark.parametrize(
    "setting", ["diff.external", "diff.evil.command", "diff.evil.textconv", "gpg.program", "gpg.ssh.program"]
)
def test_programs_that_no_environment_switches_off_are_reported(trapped: Trapped, setting: str) -> None:
    trapped.git("config", setting, str(trapped.script))
    shield = git_shield(trapped.workspace)
    assert shield.unsafe == (setting,)
    verdict = check_command("git diff", workspace=trapped.workspace, git_is_safe=not shield.unsafe)
    assert verdict.decision == "ask"
    assert "repository sets up" in verdict.reason


def test_a_submodule_that_asks_to_be_looked_into_is_reported(trapped: Trapped) -> None:
    trapped.git("config", "-f", ".gitmodules", "submodule.sub.ignore", "none")
    assert git_shield(trapped.workspace).unsafe == (".gitmodules",)
    trapped.git("add", ".gitmodules")
    (trapped.workspace / ".gitmodules").unlink()
    assert git_shield(trapped.workspace).unsafe == (".gitmodules",)


def test_the_users_own_programs_are_no_reason_to_ask(trapped: Trapped) -> None:
    trapped.git("config", "--global", "diff.external", "difft")
    assert git_shield(trapped.workspace).unsafe == ()


def test_a_folder_without_a_repository_has_nothing_to_report(tmp_path: Path) -> None:
    assert git_shield(tmp_path).unsafe == ()


def test_path_patterns_keep_their_meaning(trapped: Trapped) -> None:
    (trapped.workspace / "a.txt").write_text("one\n")
    assert trapped.run("git diff --quiet -- '*.txt'", dict(git_shield(trapped.workspace).env)) == 0
    (trapped.workspace / "a.txt").write_text("three\n")
    assert trapped.run("git diff --quiet -- '*.txt'", dict(git_shield(trapped.workspace).env)) == 1
