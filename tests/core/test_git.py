from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from flowloom.core.errors import UsageError
from flowloom.core.git import config_env, events_off, filters_off, named_hooks_off, own_filters, run_git


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    config(folder, "init", "-q")
    return folder


def config(repo: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=repo, check=True, capture_output=True)


def test_only_the_filters_of_the_repository_itself_are_named(
    repo: Path, isolated_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = isolated_home / "gitconfig"
    settings.write_text('[filter "lfs"]\n clean = git-lfs clean -- %f\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    config(repo, "config", "extensions.worktreeConfig", "true")
    config(repo, "config", "filter.a.clean", "x")
    config(repo, "config", "filter.a.required", "true")
    config(repo, "config", "--worktree", "filter.b.process", "x")
    (repo / "more").write_text('[filter "c"]\n smudge = x\n')
    config(repo, "config", "include.path", "../more")
    assert own_filters(repo) == ["filter.a.clean", "filter.b.process", "filter.c.smudge"]


def test_a_filter_with_an_equals_sign_in_its_name_does_not_run(repo: Path, tmp_path: Path) -> None:
    config(repo, "config", "filter.a=b.clean", f"touch {tmp_path}/ran; cat")
    (repo / ".gitattributes").write_text("*.txt filter=a=b\n")
    (repo / "x.txt").write_text("x\n")
    off = config_env(filters_off(own_filters(repo)))
    assert run_git(repo, "hash-object", "--path=x.txt", "x.txt", env=off).returncode == 0
    assert not (tmp_path / "ran").exists()


def test_hooks_that_settings_name_are_switched_off_one_by_one_and_events_but_those_that_run(
    repo: Path, isolated_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = isolated_home / "gitconfig"
    settings.write_text('[hook "mine"]\n command = x\n event = pre-commit\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    config(repo, "config", "hook.a.b.command", "y")
    assert named_hooks_off(repo) == [("hook.a.b.enabled", "false"), ("hook.mine.enabled", "false")]
    assert "'hook.pre-commit.enabled=false'" in events_off()
    off = events_off(but=["pre-commit"])
    assert ("'hook.pre-commit." in off, "'hook.post-index-change." in off) == (False, True)


def test_a_repository_named_by_the_environment_does_not_count(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
    done = run_git(repo, "rev-parse", "--show-toplevel")
    assert Path(done.stdout.decode().strip()).samefile(repo)


def test_a_missing_folder_and_a_missing_git_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        run_git(tmp_path / "gone", "status")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be started"):
        run_git(tmp_path / "file", "status")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match="git is not installed"):
        run_git(tmp_path, "status")


def test_a_command_that_takes_too_long_is_told(repo: Path) -> None:
    with pytest.raises(UsageError, match="did not answer within"):
        run_git(repo, "status", timeout_s=0.00001)


def test_hooks_that_stand_in_settings_are_switched_off_by_name_and_by_event(repo: Path) -> None:
    config(repo, "config", "hook.lint.command", "touch ran")
    config(repo, "config", "hook.lint.event", "post-index-change")
    assert own_filters(repo) == ["hook.lint.command"]
    off = config_env(filters_off(own_filters(repo)))
    names = ("hook.lint.enabled", "hook.post-index-change.enabled", "hook.reference-transaction.enabled")
    asked = [run_git(repo, "config", "--get", name, env=off).stdout for name in names]
    assert asked == [b"false\n"] * 3
