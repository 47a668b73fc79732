"""What commands can do in the sandbox, and what they come to: in every kind of workspace, as two users."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def owned(scene: Any, *folders: Path) -> None:
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, scene.driver.uid, scene.driver.uid, follow_symlinks=False)


def test_output_of_both_streams_and_the_exit_code_come_back(scene: Any) -> None:
    told = scene.run("echo out; echo 日本 >&2; exit 3")
    assert (told.output, told.code, told.timed_out) == ("out\n日本\n", 3, False)


def test_the_workspace_is_read_and_written_under_its_own_path(scene: Any) -> None:
    told = scene.run("pwd; cat a.txt; echo new > n.txt; mkdir -p build/x; mv n.txt build/x; rm a.txt; ls")
    assert told.output.startswith(f"{scene.workspace}\na\n")
    assert (scene.workspace / "build/x/n.txt").read_text() == "new\n"
    assert (scene.workspace / "build/x/n.txt").stat().st_uid == scene.driver.uid
    assert not (scene.workspace / "a.txt").exists()


def test_nothing_is_left_in_the_workspace_that_the_command_did_not_make(scene: Any) -> None:
    before = sorted(scene.workspace.rglob("*"))
    assert scene.run("true").code == 0
    assert sorted(scene.workspace.rglob("*")) == before


def test_home_and_tmp_are_private_writable_and_gone_afterwards(scene: Any) -> None:
    line = "ls -A ~ /tmp; echo x > ~/x && echo x > /tmp/x && echo x > $TMPDIR/y && cat ~/x"
    assert scene.run(line).output.splitlines()[-1] == "x"
    assert "x" not in scene.run("ls -A ~ /tmp /var/tmp").output.split()


def test_a_missing_program_and_a_missing_folder_are_refused_before_anything_begins(scene: Any) -> None:
    told = scene.run("", argv=["no-such-program"])
    assert told.error == "'no-such-program' can not be run: No such file or directory."
    assert "outside the workspace" in scene.run("", argv=["true"], cwd="../outside").error


def test_a_signal_is_told_in_the_exit_code(scene: Any) -> None:
    assert scene.run("kill -TERM $$").code == 128 + 15


def test_input_is_empty_and_there_is_no_terminal(scene: Any) -> None:
    assert scene.run("cat; test -t 0 || echo none").output == "none\n"


def test_a_request_to_end_reaches_the_command_before_the_kill(scene: Any) -> None:
    told = scene.run("trap 'echo asked; exit 5' TERM; while :; do sleep 0.05; done", timeout_s=0.4)
    assert (told.timed_out, told.code, told.output.splitlines()[-1]) == (True, 124, "asked")
    assert told.seconds < 3


def test_output_that_a_child_writes_at_the_end_is_kept(scene: Any) -> None:
    assert scene.run("echo late > >(sleep 0.1; cat)").output == "late\n"


def test_a_child_in_the_background_is_ended_soon(scene: Any) -> None:
    told = scene.run("setsid sleep 100 & echo done")
    assert (told.code, told.output) == (0, "done\n")
    assert told.seconds < 3
    assert scene.left_running() == []


def test_many_processes_and_threads_are_told_and_ended(scene: Any) -> None:
    line = "for n in $(seq 400); do sleep 3 & done; echo all; wait"
    told = scene.run(line, timeout_s=30)
    if scene.driver.uid == 0:  # root is not held to the limit of processes, so they are counted
        assert told.code == 137
        assert "it had more than 200 processes" in told.output
    else:
        assert "Resource temporarily unavailable" in told.output


def test_what_no_command_may_make_ends_it_and_is_kept_aside(scene: Any) -> None:
    told = scene.run("echo evil > AGENTS.md; sleep 20; touch too-late")
    assert told.code == 137
    assert told.seconds < 5
    assert "it made what no command may make: AGENTS.md, now kept in " in told.output
    (kept,) = (scene.data / "blobs/run/jobs/1.aside").iterdir()
    assert kept.read_text() == "evil\n"
    assert not (scene.workspace / "too-late").exists()


def test_what_is_made_at_the_very_end_makes_the_command_fail(scene: Any) -> None:
    told = scene.run("mkdir -p .circleci; echo evil > .circleci/config.yml")
    assert (told.code, (scene.workspace / ".circleci").exists()) == (1, False) or told.code == 137
    assert "this command" in told.output


def test_a_network_command_reaches_what_is_there(scene: Any) -> None:
    line = f"exec 3<> /dev/tcp/127.0.0.1/{scene.listeners.tcp} && echo connected"
    assert "connected" not in scene.run(line).output
    assert scene.run(line, network=True).output == "connected\n"


def test_servers_of_the_command_itself_can_be_reached_by_it(scene: Any) -> None:
    code = (
        "import socket, threading\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "threading.Thread(target=lambda: server.accept()[0].sendall(b'hello')).start()\n"
        "print(socket.create_connection(server.getsockname()).recv(9).decode())"
    )
    assert scene.run("", argv=["/usr/bin/python3", "-c", code]).output == "hello\n"


def test_folders_of_the_settings_are_shown_and_may_be_written(scene: Any) -> None:
    shown, written = scene.outside / "folder", scene.home / "cache"
    written.mkdir()
    owned(scene, written)
    line = f"cat {shown}/inner.txt; echo x > {shown}/x; echo y > {written}/y; ls {scene.outside}"
    told = scene.run(line, readable=[str(shown)], writable=[str(written)])
    assert told.output.startswith("inner\n")
    assert "Read-only file system" in told.output
    assert told.output.splitlines()[-1] == "folder"
    assert (written / "y").read_text() == "y\n"


def test_git_reads_the_repository_and_can_not_change_it(scene: Any) -> None:
    told = scene.run("git log --format=%s; git status --short a.txt; git add a.txt docs; git commit -m x")
    assert told.output.startswith("start\n")
    assert "Read-only file system" in told.output


def test_a_commit_of_our_own_changes_the_repository_but_not_its_settings(scene: Any) -> None:
    who = "-c user.name=a -c user.email=a@example.invalid -c core.hooksPath=/dev/null"
    line = (
        f"echo more >> a.txt; git add a.txt && git {who} commit -qm second; echo evil >> .git/config;"
        " echo evil > .git/hooks/post-commit; mv .git/hooks .git/gone; mv .git gone"
    )
    before = (scene.workspace / ".git/config").read_bytes()
    hooks = sorted((scene.workspace / ".git/hooks").iterdir())
    scene.run(line, category="edit")
    assert git(scene.workspace, "-c", "safe.directory=*", "log", "--format=%s") == "second\nstart"
    assert (scene.workspace / ".git/config").read_bytes() == before
    assert sorted((scene.workspace / ".git/hooks").iterdir()) == hooks


def test_a_linked_worktree_has_its_repository_read_only(scene: Any) -> None:
    linked = scene.data / "worktrees" / "run" / "my work 作業"
    config = ("-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null")
    git(scene.workspace, *config, "worktree", "add", "-q", "-b", "linked", str(linked))
    owned(scene, scene.root)
    before = scene.photo()
    line = f"git log --format=%s; git status --short; echo evil > {scene.workspace}/.git/x; echo evil > .git"
    told = scene.run(f"{line}; ls {scene.data}; touch made", workspace=str(linked))
    assert told.output.startswith("start\n")
    assert "runs.db" not in told.output
    assert (linked / "made").exists()
    (linked / "made").unlink()
    assert scene.photo() == before
    who = "-c user.name=a -c user.email=a@example.invalid -c core.hooksPath=/dev/null"
    line = f"echo b > b.txt; git add b.txt && git {who} commit -qm linked && echo committed"
    assert scene.run(line, workspace=str(linked), category="edit").output.endswith("committed\n")
    assert git(linked, *config, "log", "-1", "--format=%s") == "linked"


def test_a_git_file_that_only_claims_to_be_a_worktree_shows_nothing(scene: Any) -> None:
    other = scene.root / "other"
    other.mkdir()
    (other / ".git").write_text(f"gitdir: {scene.workspace}/.git\n")
    owned(scene, other)
    told = scene.run(f"ls {scene.workspace}/.git; git log", workspace=str(other))
    assert "HEAD" not in told.output.split()
    assert "start" not in told.output


def test_a_workspace_below_its_repository_sees_all_of_it_and_writes_its_own_part(scene: Any) -> None:
    below = scene.workspace / "docs"
    line = "git log --format=%s; git status --short ../a.txt; cat ../a.txt; echo evil > ../a.txt; touch made"
    told = scene.run(line, workspace=str(below))
    assert told.output.startswith("start\na\n")
    assert (scene.workspace / "a.txt").read_text() == "a\n"
    assert (below / "made").exists()


def test_a_workspace_below_home_hides_what_is_beside_it(scene: Any) -> None:
    below = scene.home / "my work" / "作業"
    below.mkdir(parents=True)
    owned(scene, scene.home / "my work")
    told = scene.run("touch made; ls -A ~; ls -A ~/my*", workspace=str(below))
    assert told.output.split() == ["my", "work", "作業"]
    assert (below / "made").exists()


def test_the_home_folder_itself_is_no_workspace(scene: Any) -> None:
    for workspace in (scene.home, scene.root):
        assert "holds the home folder" in scene.run("true", workspace=str(workspace)).error


def test_a_home_folder_behind_a_link_is_hidden_under_both_names(scene: Any) -> None:
    link = scene.root / "linked-home"
    link.symlink_to(scene.home)
    environ = {"PATH": os.defpath, "HOME": str(link)}
    told = scene.run(f"cat ~/.ssh/* {scene.home}/.ssh/*; cd ~ && pwd -P", environ=environ)
    assert "canary" not in told.output
    assert told.output.endswith(f"{scene.home}\n")


def test_a_python_environment_on_the_path_is_shown_whole(scene: Any) -> None:
    folder = scene.root / "env"
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(folder)], check=True)
    (folder / "lib" / "mark.txt").write_text("mark\n")
    owned(scene, folder)
    environ = {"PATH": f"{folder}/bin:{os.defpath}", "HOME": str(scene.home)}
    told = scene.run(f"python -c 'import sys; print(sys.prefix)'; cat {folder}/lib/mark.txt", environ=environ)
    assert told.output == f"{folder}\nmark\n"


def test_secrets_and_sockets_are_not_in_the_environment(scene: Any) -> None:
    environ = {"PATH": os.defpath, "HOME": str(scene.home), "API_TOKEN": "x", "DOCKER_HOST": "x", "KEPT": "1"}
    names = {line.partition("=")[0] for line in scene.run("env", environ=environ).output.splitlines()}
    assert {"KEPT", "TMPDIR", "PATH", "HOME"} <= names
    assert not names & {"API_TOKEN", "DOCKER_HOST"}


def test_a_folder_that_can_not_be_looked_into_is_shut_where_files_are_denied(scene: Any) -> None:
    if scene.driver.uid == 0:
        pytest.skip("root can look into every folder")
    assert scene.run("chmod 000 config").code == 0
    assert "canary" not in scene.run("chmod 755 config; cat config/api.key").output
    told = scene.run("chmod 000 .")
    assert told.code == 0
    assert scene.run("true").error.startswith("the workspace can not be read: Permission denied")


def test_output_is_bounded_and_the_command_goes_on(scene: Any) -> None:
    told = scene.run("echo first; yes x | head -c 20000000; echo last")
    assert told.output.startswith("first\n")
    assert told.output.endswith("last\n")
    assert len(told.output) < 300_000


def test_no_unprivileged_start_takes_longer_than_a_blink(scene: Any) -> None:
    began = time.monotonic()
    assert scene.run("true").code == 0
    assert time.monotonic() - began < 2
