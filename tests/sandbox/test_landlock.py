"""What Landlock keeps a command from, what it does not, and that nothing is left running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowloom.tools.landlock import probe_landlock

pytestmark = pytest.mark.skipif(probe_landlock() != "", reason=probe_landlock())

CANARY = "canary-5d41402abc4b"
CONNECT = """/usr/bin/python3 - <<'CODE'
import socket
made = socket.socket(socket.{}, socket.{})
made.settimeout(2)
made.connect({})
made.send(b'evil')
CODE"""


def test_commands_run_and_write_in_the_workspace(scene: Any) -> None:
    line = "cat a.txt; echo 日本 > n.txt; echo x > $TMPDIR/x && cat $TMPDIR/x; echo late > >(sleep 0.1; cat); exit 3"
    told = scene.run(line, kind="landlock")
    assert (told.output, told.code) == ("a\nx\nlate\n", 3)
    assert (scene.workspace / "n.txt").read_text() == "日本\n"


@pytest.mark.parametrize(
    "line",
    [
        "echo evil > {outside}/keep.txt",
        "echo evil > ../outside/evil; rm -r {outside}",
        "ln -s {outside}/keep.txt l; echo evil > l; cat l",
        "ln {outside}/keep.txt h; mv a.txt {outside}/evil",
        "cat ~/.ssh/id_ed25519 {outside}/keep.txt {data}/runs.db; echo evil >> ~/.bashrc",
        "echo evil > /tmp/{token}-evil; echo evil > /dev/shm/{token}-evil",
        "cat /proc/{victim}/environ; kill -9 {victim}",
        "setsid sleep 300 > /dev/null 2>&1 & ( ( setsid sleep 300 & ) & ) > /dev/null 2>&1; sleep 0.2",
        "head -c 10G /dev/zero > big",
        CONNECT.format("AF_INET", "SOCK_STREAM", "('127.0.0.1', {tcp})"),
        CONNECT.format("AF_INET", "SOCK_DGRAM", "('127.0.0.1', {udp})"),
        CONNECT.format("AF_UNIX", "SOCK_STREAM", "'\\0{token}'"),
    ],
)
def test_nothing_happens_outside(scene: Any, line: str) -> None:
    before = scene.photo()
    told = scene.run("echo begun; " + line.format(**scene.words()), kind="landlock")
    assert told.output.startswith("begun\n")
    assert CANARY not in told.output
    assert scene.photo() == before
    assert all(path.stat().st_size <= 50_000_000 for path in scene.workspace.glob("big"))


@pytest.mark.parametrize("stubborn", ["", "trap '' TERM; "])
def test_a_timeout_ends_what_is_in_sessions_of_its_own(scene: Any, stubborn: str) -> None:
    told = scene.run(f"{stubborn}setsid sleep 300 & while :; do sleep 1; done", kind="landlock", timeout_s=0.5)
    assert (told.timed_out, told.seconds < 5) == (True, True)
    assert scene.left_running() == []


def test_with_the_network_allowed_it_is_reached(scene: Any) -> None:
    line = f"exec 3<> /dev/tcp/127.0.0.1/{scene.listeners.tcp} && echo connected"
    assert scene.run(line, kind="landlock", network=True).output == "connected\n"


def test_what_it_does_not_cover_is_as_its_description_says(scene: Any) -> None:
    reach = CONNECT.format("AF_UNIX", "SOCK_STREAM", repr(scene.listeners.file))
    told = scene.run(f"{reach}\ncat secrets.env", kind="landlock")
    assert (scene.listeners.heard, CANARY in told.output) == (["file"], True)
    assert scene.run("echo evil > .git/hooks/x", kind="landlock").code == 0
    assert Path(scene.workspace, ".git/hooks/x").exists()
