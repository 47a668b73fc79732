from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Flow


@pytest.fixture
def files(workspace: Path) -> Path:
    (workspace / ".flow" / "graphs").mkdir(parents=True)
    (workspace / ".flow" / "config.toml").write_text('mode = "plan"')
    (workspace / ".flow" / "graphs" / "mine.yaml").write_text("flow: 1")
    (workspace / "AGENTS.md").write_text("手順 \x1b[2J", "utf-8")
    return workspace


def states(flow: Flow, *words: str) -> dict[str, str]:
    listed = json.loads(flow("trust", "--list", *words, "-o", "json").out)
    return {Path(file["path"]).name: file["state"] for file in listed}


def test_without_a_path_it_lists_and_trusts_nothing(flow: Flow, files: Path) -> None:
    ended = flow("trust")
    assert (ended.code, ended.out.count("new ")) == (0, 3)
    assert f"flow trust '{files}'" in ended.err
    assert set(states(flow).values()) == {"new"}


def test_a_repository_that_brings_nothing_says_so(flow: Flow) -> None:
    assert "nothing that would become active" in flow("trust").out


def test_a_file_is_trusted_and_said_what_it_is(flow: Flow, files: Path) -> None:
    ended = flow("trust", ".flow/config.toml")
    assert (ended.code, "settings (" in ended.err) == (0, True)
    assert states(flow) == {"config.toml": "trusted", "mine.yaml": "new", "AGENTS.md": "new"}
    assert flow("config", "get", "mode").out == "plan\n"


def test_a_folder_stands_for_what_would_become_active_in_it(flow: Flow, files: Path) -> None:
    flow("trust", ".flow")
    assert states(flow) == {"config.toml": "trusted", "mine.yaml": "trusted", "AGENTS.md": "new"}


def test_the_whole_repository_can_be_trusted_from_anywhere(flow: Flow, files: Path, tmp_path: Path) -> None:
    flow("-C", str(tmp_path), "trust", str(files))
    assert set(states(flow).values()) == {"trusted"}


def test_a_changed_file_is_shown_as_changed(flow: Flow, files: Path) -> None:
    flow("trust", "AGENTS.md")
    (files / "AGENTS.md").write_text("other")
    assert states(flow)["AGENTS.md"] == "changed"


def test_revoke_takes_one_or_all(flow: Flow, files: Path) -> None:
    flow("trust", ".")
    flow("trust", "AGENTS.md", "--revoke")
    assert states(flow) == {"config.toml": "trusted", "mine.yaml": "trusted", "AGENTS.md": "new"}
    flow("trust", "--revoke")
    assert set(states(flow).values()) == {"new"}


def test_a_file_that_is_gone_can_be_revoked(flow: Flow, files: Path) -> None:
    flow("trust", "AGENTS.md")
    (files / "AGENTS.md").unlink()
    assert "revoked" in flow("trust", "AGENTS.md", "--revoke").err


@pytest.mark.parametrize("path", ["none.yaml", "empty"])
def test_a_path_without_anything_to_trust_is_told(flow: Flow, workspace: Path, path: str) -> None:
    (workspace / "empty").mkdir()
    ended = flow("trust", path)
    assert (ended.code, path in ended.err) == (2, True)


def test_a_name_with_control_characters_has_no_power_over_the_terminal(flow: Flow, workspace: Path) -> None:
    (workspace / ".flow").mkdir()
    (workspace / ".flow" / "a\x1b[2J\n日本.py").write_text("")
    out = flow("trust").out
    assert ("\x1b" in out, "<U+001B>[2J" in out, "日本" in out) == (False, True, True)


def test_at_a_terminal_each_file_is_asked_for(flow: Flow, files: Path) -> None:
    main, other = pty.openpty()
    # AGENTS.md comes last: shown, then trusted; the two before it are refused, one by Enter.
    os.write(main, b"n\n\nshow\ny\n")
    ended = subprocess.run(
        [sys.executable, "-m", "flowloom", "trust"], stdin=other, capture_output=True, cwd=files, check=False
    )
    os.close(main)
    os.close(other)
    assert (ended.returncode, b"\x1b" in ended.stderr) == (0, False)
    assert states(flow) == {"config.toml": "new", "mine.yaml": "new", "AGENTS.md": "trusted"}


def test_show_prints_contents_with_what_would_hide_and_trusts_nothing(flow: Flow, files: Path) -> None:
    (files / "AGENTS.md").write_text("be nice\u202e\u200b", "utf-8")
    out = flow("trust", "AGENTS.md", "--show").out
    assert "be nice<U+202E><U+200B>" in out
    assert hashlib.sha256((files / "AGENTS.md").read_bytes()).hexdigest() in out
    assert set(states(flow).values()) == {"new"}


def test_show_prints_how_a_changed_file_differs_from_what_was_trusted(flow: Flow, files: Path) -> None:
    (files / "AGENTS.md").write_text("same\nold\n")
    flow("trust", "AGENTS.md")
    (files / "AGENTS.md").write_text("same\nnew\x1b[2J\n")
    assert "--- trusted\n+++ now\n@@ -1,2 +1,2 @@\n same\n-old\n+new<U+001B>[2J" in flow("trust", "--show").out
    (shown,) = json.loads(flow("trust", "AGENTS.md", "--show", "-o", "json").out)
    assert (shown["content"], "-old" in shown["diff"], shown["state"]) == ("same\nnew<U+001B>[2J\n", True, "changed")


def test_json_tells_hash_size_link_and_why_a_file_cannot_be_used(flow: Flow, workspace: Path) -> None:
    (workspace / "CLAUDE.md").write_text("x")
    (workspace / "AGENTS.md").symlink_to("CLAUDE.md")
    os.mkfifo(workspace / ".agent.md")
    listed = {Path(file["path"]).name: file for file in json.loads(flow("trust", "-o", "json").out)}
    digest = hashlib.sha256(b"x").hexdigest()
    assert [listed["AGENTS.md"][key] for key in ("kind", "state", "sha256", "size_bytes", "link", "problem")] == [
        *("instructions", "new", digest, 1, str(workspace.resolve() / "CLAUDE.md"), None)
    ]
    assert [listed[".agent.md"][key] for key in ("state", "sha256", "problem")] == [
        *("unusable", None, "not a regular file")
    ]


def test_a_link_out_of_the_repository_is_shown_with_where_it_leads(
    flow: Flow, workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("x")
    (workspace / "AGENTS.md").symlink_to(tmp_path / "secret")
    assert f"AGENTS.md -> {tmp_path.resolve() / 'secret'} - instructions" in flow("trust").out


def test_hooks_are_listed_where_git_would_look_for_them(flow: Flow, make_repo: Any) -> None:
    repo = make_repo({"a": "x", "named/pre-push": "x", "named/readme": "x", ".husky/pre-commit": "npm test"})
    (repo / "named" / "pre-push").chmod(0o755)
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    subprocess.run(["git", "config", "core.hooksPath", "named"], cwd=repo, check=True)
    listed = json.loads(flow("-C", str(repo), "trust", "-o", "json").out)
    assert [str(Path(file["path"]).relative_to(repo)) for file in listed if file["kind"] == "hook"] == [
        *(".git/hooks/post-checkout", ".husky/pre-commit", "named/pre-push")
    ]
    assert "flow trust" not in flow("-C", str(repo), "trust").err


def make_hook(path: Path, text: str = "#!/bin/sh\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def hooks(flow: Flow, repo: Path) -> dict[str, tuple[str, bool]]:
    """Return state of each hook, and whether its line says that it runs."""
    listed = json.loads(flow("-C", str(repo), "trust", "-o", "json").out)
    lines = flow("-C", str(repo), "trust", "--list").out.splitlines()
    return {
        os.path.relpath(file["path"], repo.resolve()): (
            file["state"],
            any(file["path"] in line and "runs on commits of flow" in line for line in lines),
        )
        for file in listed
        if file["kind"] == "hook"
    }


def test_hooks_of_commits_are_told_apart_from_those_that_never_run(flow: Flow, make_repo: Any) -> None:
    repo = make_repo({"a": "x", ".git/hooks/common": "x", ".git/hooks/unused": "x"})
    make_hook(repo / ".git/hooks/pre-commit", "#!/bin/sh\n. $(dirname $0)/common\n")
    make_hook(repo / ".git/hooks/pre-push")
    assert hooks(flow, repo) == {
        ".git/hooks/common": ("new", True),
        ".git/hooks/pre-commit": ("new", True),
        ".git/hooks/pre-push": ("new", False),
    }
    assert "then: flow trust" in flow("-C", str(repo), "trust").err
    assert flow("-C", str(repo), "trust", ".git/hooks/pre-commit").code == 0
    assert flow("-C", str(repo), "trust", ".git/hooks/common").code == 0
    assert hooks(flow, repo)[".git/hooks/pre-commit"] == ("trusted", True)
    assert "then: flow trust" not in flow("-C", str(repo), "trust").err


def test_hooks_that_a_setting_switches_off_are_listed_as_not_run(flow: Flow, make_repo: Any, tmp_path: Path) -> None:
    repo = make_repo({"a": "x"})
    make_hook(repo / ".git/hooks/pre-commit")
    make_hook(tmp_path / "mine/pre-commit")
    subprocess.run(["git", "config", "core.hooksPath", str(tmp_path / "mine")], cwd=repo, check=True)
    assert hooks(flow, repo) == {".git/hooks/pre-commit": ("new", False), "../mine/pre-commit": ("new", True)}
    line = next(line for line in flow("-C", str(repo), "trust").out.splitlines() if "mine" in line)
    assert "->" not in line


def test_instructions_of_a_subfolder_are_listed_when_working_there(flow: Flow, files: Path) -> None:
    (files / "pkg").mkdir()
    (files / "pkg" / "AGENTS.md").write_text("x")
    listed = json.loads(flow("-C", str(files / "pkg"), "trust", "-o", "json").out)
    assert [Path(file["path"]).relative_to(files).as_posix() for file in listed][-2:] == [
        *("AGENTS.md", "pkg/AGENTS.md")
    ]


def test_revoke_without_a_path_takes_files_that_are_gone_too(flow: Flow, files: Path) -> None:
    flow("trust", ".")
    (files / "AGENTS.md").unlink()
    assert "AGENTS.md" in flow("trust", "--revoke").err
    (files / "AGENTS.md").write_text("手順 \x1b[2J", "utf-8")
    assert states(flow)["AGENTS.md"] == "new"


def test_python_code_is_trusted_with_the_files_beside_it_that_it_imports(flow: Flow, files: Path) -> None:
    (files / "g.py").write_text("import helpers, json")
    (files / "helpers.py").write_text("from .more import x")
    (files / "more.py").write_text("x = 1")
    (files / "unused.py").write_text("")
    told = flow("trust", "g.py").err
    assert [name for name in ("g.py", "helpers.py", "more.py", "unused.py") if name in told] == [
        "g.py",
        "helpers.py",
        "more.py",
    ]
    (files / "more.py").write_text("x = 2")
    shown = json.loads(flow("trust", "--list", "-o", "json", "g.py").out)
    assert [(Path(each["path"]).name, each["state"]) for each in shown] == [
        ("g.py", "trusted"),
        ("helpers.py", "trusted"),
        ("more.py", "changed"),
    ]


def test_the_graph_that_is_named_is_asked_about_wherever_it_lies(flow: Flow, files: Path) -> None:
    (files / "flows").mkdir()
    (files / "flows/g.py").write_text("import helpers\n")
    (files / "flows/helpers.py").write_text("")
    main, other = pty.openpty()
    os.write(main, b"y\n")
    command = [sys.executable, "-m", "flowloom", "run", "flows/g.py:graph"]
    ended = subprocess.run(command, stdin=other, capture_output=True, cwd=files, check=False)
    os.close(main)
    os.close(other)
    assert (b"flows/g.py" in ended.stderr, b"flows/helpers.py" in ended.stderr) == (True, True)
    shown = json.loads(flow("trust", "--list", "-o", "json", "flows/g.py").out)
    assert [each["state"] for each in shown] == ["trusted", "trusted"]


def before_run(files: Path, typed: bytes, *words: str) -> bytes:
    """Return what `flow run` at a terminal prints; there is no such graph, so that nothing starts."""
    main, other = pty.openpty()
    os.write(main, typed)
    command = [sys.executable, "-m", "flowloom", "run", "no-such-graph", "x", *words]
    ended = subprocess.run(command, stdin=other, capture_output=True, cwd=files, check=False)
    os.close(main)
    os.close(other)
    assert ended.returncode == 2
    return ended.stderr


def test_a_run_at_a_terminal_asks_once_and_a_no_holds_until_the_file_changes(flow: Flow, files: Path) -> None:
    assert before_run(files, b"\n").count(b"Trust it?") == 1
    assert set(states(flow).values()) == {"new"}
    assert b"Trust it?" not in before_run(files, b"y\n")
    (files / "AGENTS.md").write_text("other")
    asked = before_run(files, b"s\ny\n")
    assert (asked.count(b"Trust it?"), b"mine.yaml" in asked, b"\nother\n" in asked) == (2, False, True)
    assert states(flow) == {"config.toml": "new", "mine.yaml": "new", "AGENTS.md": "trusted"}


def test_a_run_can_ask_for_each_file(flow: Flow, files: Path) -> None:
    before_run(files, b"e\nn\ny\nn\n")
    assert states(flow) == {"config.toml": "new", "mine.yaml": "trusted", "AGENTS.md": "new"}


def test_a_run_without_a_person_does_not_ask(flow: Flow, files: Path) -> None:
    assert b"Trust it?" not in before_run(files, b"y\n", "--no-input")
    assert "Trust it?" not in flow("run", "no-such-graph", "x").err
    assert set(states(flow).values()) == {"new"}


def test_hooks_and_what_cannot_be_used_are_not_asked_for_before_a_run(files: Path, make_repo: Any) -> None:
    repo = make_repo({"a": "x"})
    (repo / ".git" / "hooks" / "pre-commit").write_text("#!/bin/sh\n")
    (repo / ".git" / "hooks" / "pre-commit").chmod(0o755)
    os.mkfifo(repo / "AGENTS.md")
    assert b"Trust it?" not in before_run(repo, b"y\n")
