"""What a policy says of a workspace on the disk: real folders, links and repositories."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.effects import Command
from flowloom.core.errors import FlowError
from flowloom.tools.sandbox_policy import SandboxPolicy
from flowloom.tools.sandbox_view import SandboxOptions, SandboxView


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "ws"
    folder.mkdir()
    return folder


def put(folder: Path, name: str, text: str = "x\n") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def policy(
    workspace: Path, home_folder: Path, category: Any = "shell", path: str = "/usr/bin", **options: Any
) -> SandboxPolicy:
    view = SandboxView(SandboxOptions(**options), {"HOME": str(home_folder), "PATH": path})
    return view.policy(Command(("true",), 1.0, category=category), workspace, home_folder / "jobs" / "j")


def inside(found: SandboxPolicy, paths: Iterable[Path]) -> list[Path]:
    """Leave out what the system keeps from others, which root is shown to have as well."""
    return [path for path in paths if path.is_relative_to(found.workspace)]


def missing(found: SandboxPolicy) -> set[str]:
    return {each.path.relative_to(found.workspace).as_posix() for each in found.guarded if not each.target}


def test_what_is_there_is_read_only_and_what_is_not_is_watched(workspace: Path, home: Path) -> None:
    put(workspace, ".github/workflows/ci.yml")
    put(workspace, "AGENTS.md")
    found = policy(workspace, home)
    assert set(found.read_only) == {workspace / ".github", workspace / "AGENTS.md"}
    assert {".git", ".mcp.json", ".vscode", "CLAUDE.md"} <= missing(found)
    assert not {".github", "AGENTS.md"} & missing(found)


def test_a_link_is_watched_and_what_it_leads_to_protected(workspace: Path, home: Path) -> None:
    put(workspace, "docs/rules.md")
    (workspace / "AGENTS.md").symlink_to("docs/rules.md")
    (workspace / ".vscode").symlink_to(home)
    (workspace / ".envrc").symlink_to("not-there")
    found = policy(workspace, home)
    links = {each.path.name: each.target for each in found.guarded if each.target}
    assert links == {"AGENTS.md": "docs/rules.md", ".vscode": str(home), ".envrc": "not-there"}
    assert found.read_only == (workspace / "docs/rules.md",)
    assert found.pinned == (workspace / "docs",)
    assert "not-there" in missing(found)


def test_the_folder_of_hooks_and_submodules_are_protected(workspace: Path, home: Path) -> None:
    git(workspace, "init", "-q")
    git(workspace, "config", "core.hooksPath", "tools/hooks")
    put(workspace, "tools/hooks/pre-commit")
    put(workspace, "lib/.git", "gitdir: ../.git/modules/lib\n")
    put(
        workspace, ".gitmodules", "[submodule]\n\tpath = lib\n\tpath = other/sub\n\tpath = ../../etc\n\tpath = /etc\n"
    )
    (workspace / "other").mkdir()
    found = policy(workspace, home)
    assert {workspace / "tools/hooks", workspace / "lib/.git", workspace / ".git"} <= set(found.read_only)
    assert {workspace / "tools", workspace / "lib"} == set(found.pinned)
    assert not any("etc" in str(each.path.relative_to(workspace)) for each in found.guarded)


def test_the_setting_for_hooks_is_read_again_when_it_changed(workspace: Path, home: Path) -> None:
    git(workspace, "init", "-q")
    view = SandboxView(SandboxOptions(), {"HOME": str(home), "PATH": "/usr/bin"})
    put(workspace, "h/pre-commit")

    def is_protected() -> bool:
        return workspace / "h" in view.policy(Command(("true",), 1.0), workspace, home / "j" / "1").read_only

    assert not is_protected()
    git(workspace, "config", "core.hooksPath", "h")
    assert is_protected()


def test_denied_files_and_folders_are_hidden_and_what_is_above_them_is_pinned(workspace: Path, home: Path) -> None:
    put(workspace, ".flowignore", "*.key\n/private/\n")
    put(workspace, ".aiignore", "notes.txt\n")
    for name in ("a/b/c.key", "private/x", "notes.txt", "a/kept.txt"):
        put(workspace, name)
    (workspace / "linked.key").symlink_to("a/kept.txt")
    found = policy(workspace, home)
    assert set(inside(found, found.hidden_files)) == {
        workspace / name for name in ("a/b/c.key", "notes.txt", "a/kept.txt")
    }
    assert inside(found, found.hidden_folders) == [workspace / "private"]
    assert set(found.pinned) == {workspace / "a", workspace / "a/b"}


def test_a_commit_of_ours_may_write_the_repository_but_not_its_settings(workspace: Path, home: Path) -> None:
    git(workspace, "init", "-q")
    found = policy(workspace, home, "edit")
    assert workspace / ".git" not in found.read_only
    assert {workspace / ".git/config", workspace / ".git/hooks"} <= set(found.read_only)
    assert workspace / ".git" in found.pinned


@pytest.mark.parametrize("category", ["shell", "edit"])
def test_a_worktree_s_repository_is_shown_and_writable_for_commits_alone(
    workspace: Path, home: Path, category: str
) -> None:
    git(workspace, "init", "-q")
    git(workspace, "commit", "-q", "--allow-empty", "-m", "x")
    linked = home / "linked"
    git(workspace, "worktree", "add", "-q", str(linked))
    found = policy(linked, home, category)
    own, common = workspace / ".git/worktrees/linked", workspace / ".git"
    assert {own, common} <= set(found.readable)
    assert set(found.writable) == ({own, common} if category == "edit" else set())
    assert (common / "config" in found.read_only) == (category == "edit")
    assert linked / ".git" in found.read_only


@pytest.mark.parametrize(
    "text", ["gitdir: {repo}/.git\n", "gitdir: {home}\n", "gitdir:\n", "\n", "gitdir: /nowhere\n"]
)
def test_a_git_file_that_is_no_checkout_s_own_is_not_followed(
    workspace: Path, home: Path, tmp_path: Path, text: str
) -> None:
    repo = tmp_path.resolve() / "repo"
    repo.mkdir()
    git(repo, "init", "-q")
    put(workspace, ".git", text.format(repo=repo, home=home))
    found = policy(workspace, home)
    assert not any(path.is_relative_to(repo) or path.is_relative_to(home) for path in found.readable)


def test_a_submodule_that_is_a_workspace_has_its_data_shown(workspace: Path, home: Path, tmp_path: Path) -> None:
    other = tmp_path.resolve() / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "x")
    git(workspace, "init", "-q")
    git(workspace, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "sub")
    assert workspace / ".git/modules/sub" in policy(workspace / "sub", home).readable


def test_of_a_larger_repository_all_is_shown_but_not_when_it_is_the_home_folder(home: Path, workspace: Path) -> None:
    put(workspace, "part/x")
    git(workspace, "init", "-q")
    found = policy(workspace / "part", home)
    assert workspace in found.readable
    assert ("GIT_DISCOVERY_ACROSS_FILESYSTEM", "1") in found.env
    put(home, "part/x")
    git(home, "init", "-q")
    found = policy(home / "part", home)
    assert home not in found.readable
    assert home / ".git" in found.readable


@pytest.mark.parametrize("place", [".", ".."])
def test_the_home_folder_and_what_holds_it_are_refused(home: Path, place: str) -> None:
    with pytest.raises(FlowError, match="holds the home folder"):
        policy((home / place).resolve(), home)


def test_home_is_scratch_and_only_what_is_set_is_shown_of_it(workspace: Path, home: Path) -> None:
    put(home, ".pyenv/bin/python")
    put(home, ".ssh/id")
    found = policy(workspace, home, home=(".pyenv", ".rustup"))
    assert home in found.scratch
    assert [path for path in found.readable if path.is_relative_to(home)] == [home / ".pyenv"]


def test_folders_of_the_path_are_shown_but_none_that_holds_something_private(
    workspace: Path, home: Path, tmp_path: Path
) -> None:
    tools, env, own = tmp_path.resolve() / "tools/bin", tmp_path.resolve() / "env", home / "flow"
    put(tools, "tool")
    put(env, "pyvenv.cfg")
    put(env, "bin/python")
    put(own, "bin/x")
    shims = put(tmp_path.resolve(), "pyenv/shims/python").parent
    names = [tools, env / "bin", shims, home, tmp_path, own / "bin", "/", "relative/bin", "", workspace / "gone"]
    found = policy(workspace, home, path=os.pathsep.join(map(str, names)), private=(own,))
    below = [path for path in found.readable if path.is_relative_to(tmp_path.resolve())]
    assert below == [tools, env, shims.parent]


def test_flowloom_s_own_folders_are_hidden_where_they_would_be_seen(workspace: Path, home: Path) -> None:
    data = workspace / ".data"
    put(data, "runs.db")
    found = policy(workspace, home, private=(data,))
    assert inside(found, found.hidden_folders) == [data]
    # A worktree lies in there, so that it can not be shut.
    below = data / "worktrees/w"
    below.mkdir(parents=True)
    found = policy(below, home, private=(data,), readable=(workspace,))
    assert data in found.scratch
    assert data not in found.hidden_folders


def test_job_folders_in_the_workspace_are_hidden(workspace: Path, home: Path) -> None:
    jobs = workspace / "jobs"
    jobs.mkdir()
    view = SandboxView(SandboxOptions(), {"HOME": str(home), "PATH": ""})
    found = view.policy(Command(("true",), 1.0), workspace, jobs / "j")
    assert inside(found, found.hidden_folders) == [jobs]


def test_the_network_comes_from_the_command_or_the_settings(workspace: Path, home: Path) -> None:
    assert not policy(workspace, home).network
    assert policy(workspace, home, network=True).network
    view = SandboxView(SandboxOptions(network=True), {"HOME": str(home), "PATH": ""})
    for said, has in ((None, True), (True, True), (False, False)):
        command = Command(("true",), 1.0, network=said)
        assert view.policy(command, workspace, workspace.parent / "jobs" / "j").network is has


def test_what_a_command_asks_for_is_read_only_inside_and_shown_outside_but_never_ours(
    workspace: Path, home: Path, tmp_path: Path
) -> None:
    for folder, name in ((workspace, "scripts/check"), (tmp_path, "hooks/pre-commit"), (home, "flow/data/x")):
        put(folder, name)
    (workspace / "link").symlink_to("scripts/check")
    needed = [workspace / "scripts/check", workspace / "link", tmp_path / "hooks/pre-commit", home / "flow/data/x"]
    command = Command(("true",), 1.0, category="edit", read_only=tuple(map(str, needed)))
    view = SandboxView(SandboxOptions(private=(home / "flow",)), {"HOME": str(home), "PATH": "/usr/bin"})
    found = view.policy(command, workspace, home / "flow/jobs/1")
    assert workspace / "scripts/check" in found.read_only
    assert workspace / "link" not in found.read_only
    assert workspace / "scripts" in found.pinned
    assert tmp_path / "hooks/pre-commit" in found.readable
    assert home / "flow/data/x" not in found.readable
