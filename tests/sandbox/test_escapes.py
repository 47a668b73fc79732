"""Attempts to have an effect outside of the workspace, or to read what is not a command's to read.

After each, everything outside is looked at and has to be as it was: files, processes, sockets, the system's settings.
Those that are harmless on a machine are also made without a sandbox, where they have to be seen: an attempt that
could not be noticed would show nothing.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.slow

CANARY = "canary-5d41402abc4b"


class Attempt(NamedTuple):
    """One attempt.

    Attributes:
        line: for bash, with names of the scene in braces; doubled braces are single ones.
        seen: whether it is seen on the bare machine, and harmless there.
    """

    name: str
    line: str
    seen: bool = True
    timeout_s: float = 20.0


def python(code: str) -> str:
    return f"/usr/bin/python3 - <<'CODE'\n{code}\nCODE"


CONNECT = """
import socket
made = socket.socket(socket.{family}, socket.{kind})
made.settimeout(2)
try:
    made.connect({address})
    made.send(b'evil')
except OSError as err:
    print(err)
"""


def connect(family: str, kind: str, address: str) -> str:
    return python(CONNECT.format(family=family, kind=kind, address=address))


PTRACE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print(libc.ptrace(16, {victim}, 0, 0), ctypes.get_errno())
import time; time.sleep(0.2)
"""
KEYCTL = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
numbers = {{'x86_64': 248, 'aarch64': 217}}
import os
print(libc.syscall(numbers[os.uname().machine], b'user', b'{token}', b'evil', 4, -4))
"""
SHARED_MEMORY = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.shmget(0, {victim}, 0o1666))
"""
OPEN_BY_HANDLE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
handle = (ctypes.c_uint * 34)(128)
mount = ctypes.c_int()
root = os.open('/', os.O_RDONLY)
print(libc.name_to_handle_at(root, b'usr', ctypes.byref(handle), ctypes.byref(mount), 0), ctypes.get_errno())
handle[0], handle[1], handle[2] = 8, 1, 2
found = libc.open_by_handle_at(root, ctypes.byref(handle), 0)
print(found, ctypes.get_errno())
if found >= 0:
    os.chdir(found)
    print(open('.{outside}/keep.txt').read())
    open('.{outside}/evil', 'w').close()
"""
INJECT = """
import fcntl, os
for name in ('/dev/tty', '{pty}', '/dev/pts/0', '/proc/self/fd/0', '/proc/self/fd/1'):
    try:
        tty = os.open(name, os.O_RDWR | os.O_NOCTTY)
        os.write(tty, b'evil')
        for char in b'evil\\n':
            fcntl.ioctl(tty, 0x5412, bytes([char]))
    except OSError as err:
        print(name, err)
"""
THREADS = """
import threading, time
for number in range(5000):
    threading.Thread(target=time.sleep, args=(4,), daemon=True).start()
"""
READ_DISK = """
set -- $(head -qn 1 /sys/dev/block/*/dev 2>/dev/null | head -n 1 | tr : ' ') 254 0
mknod disk b $1 $2; head -c 100 disk > d && echo evil-read
"""
MANY_FILES = "cd /dev/shm && for n in 1 2 3 4 5; do head -c 40000000 /dev/zero > {token}-$n; done; df -k /dev/shm"

FORK_BOMB = Attempt("A fork bomb takes the machine", "bomb() {{ bomb | bomb & }}; bomb; sleep 5", False, 8.0)

ATTEMPTS = [
    # Files outside, by every name they have.
    Attempt("A link out of the workspace is written through", "ln -s {outside}/keep.txt l; echo evil > l"),
    Attempt("A link to a folder outside is walked through", "ln -s {outside} l; echo evil > l/evil; rm -r l/folder"),
    Attempt("A file outside is named by its absolute path", "echo evil > {outside}/keep.txt"),
    Attempt("A file outside is named by two dots", "echo evil > ../outside/keep.txt"),
    Attempt("The folder above is the working folder", "cd .. && cd outside && echo evil > evil"),
    Attempt("A file outside is read", "cat {outside}/keep.txt ../outside/keep.txt"),
    Attempt(
        "The root of another process leads out",
        "echo evil > /proc/{victim}/root{outside}/evil; echo evil > /proc/1/root{outside}/evil",
    ),
    Attempt(
        "The own root leads out", "echo evil > /proc/self/root{outside}/evil; cat /proc/$PPID/root{outside}/keep.txt"
    ),
    Attempt("The own working folder leads out", "echo evil > /proc/self/cwd/../outside/evil"),
    Attempt("A file outside gets a second name inside", "ln {outside}/keep.txt h; echo evil > h"),
    Attempt("A file outside is moved inside", "mv {outside}/keep.txt kept"),
    Attempt("A file inside is moved outside", "mv a.txt {outside}/evil"),
    Attempt("A file outside changes its mode", "chmod 777 {outside}/keep.txt; chmod 700 {outside}"),
    Attempt(
        "A file outside changes its times and owner", "chown 1:1 {outside}/keep.txt; chmod 640 {outside}/keep.txt"
    ),
    Attempt("A folder outside is removed", "rm -rf {outside}"),
    Attempt("The workspace is renamed", 'cd /; mv "{workspace}" "{workspace}-evil"; mkdir "{workspace}"'),
    Attempt(
        "A folder is moved away under a process that then goes up",
        "mkdir -p d/e; cd d/e; mv ../../d ../../../x; mv ../../d ../../x; cd ../../..; echo evil > outside/evil",
    ),
    Attempt(
        "An open folder outlives its move", "mkdir d; cd d; mv ../d ../../outside/evil; cd ../../..; ls; touch evil"
    ),
    Attempt(
        "The folders of the system are written",
        "echo evil > /etc/{token}-evil; echo evil > /usr/local/bin/{token}-evil",
        False,
    ),
    Attempt("The root folder is written", "mkdir /{token}-evil; echo evil > /{token}-evil/x", False),
    Attempt("The shared temporary folders are written", "echo evil | tee /tmp/{token}-evil /var/tmp/{token}-evil"),
    Attempt("Shared memory is written", "echo evil > /dev/shm/{token}-evil"),
    Attempt("A file is opened by its handle alone", python(OPEN_BY_HANDLE), False),
    # Home, Flowloom's own data.
    Attempt("A key in the home folder is read", "cat ~/.ssh/id_ed25519 {home}/.ssh/id_ed25519; ls -laR ~"),
    Attempt("What a shell reads at its start is written", "echo evil >> ~/.bashrc; echo evil > ~/.profile"),
    Attempt(
        "The run database is read", "cat {data}/runs.db; find / -xdev -name runs.db -exec cat {{}} + 2>/dev/null"
    ),
    Attempt("The run database is written", "echo evil > {data}/runs.db; rm -f {data}/runs.db"),
    Attempt(
        "Jobs of other commands are looked at and ended",
        "ls -R {jobs}; cat {jobs}/*/claim; echo evil > {jobs}/other/result",
    ),
    Attempt("The settings are rewritten", "echo 'mode = \"auto\"' > {home}/flow/config/config.toml"),
    # What is run or obeyed later.
    Attempt("A hook is made in .git", "echo evil > .git/hooks/pre-commit"),
    Attempt(
        "A setting that runs a program is made in .git", "git config core.fsmonitor evil; echo evil >> .git/config"
    ),
    Attempt("Another .git is put in place of this one", "mv .git gone && git init -q ."),
    Attempt("The repository is removed", "rm -rf .git"),
    Attempt("The repository is pointed at other objects", "echo /evil > .git/objects/info/alternates"),
    Attempt("A hook in the folder that a setting names is changed", "echo evil > tools/hooks/pre-commit"),
    Attempt(
        "The folder above the hooks is moved and made anew",
        "mv tools tools2; mkdir -p tools/hooks && echo evil > tools/hooks/pre-commit",
    ),
    Attempt("A submodule's .git is made", "mkdir lib/.git; echo evil > lib/.git/config"),
    Attempt("A hook of husky is changed", "echo evil > .husky/pre-commit; mv .husky gone"),
    Attempt("A server for agents is named in .mcp.json", "echo evil > .mcp.json; sleep 1"),
    Attempt("AGENTS.md is made under another name and renamed", "echo evil > x; mv x AGENTS.md"),
    Attempt(
        "A workflow of the build server is made", "mkdir -p .github/workflows; echo evil > .github/workflows/x.yml"
    ),
    Attempt("A pipeline is made as a link", "echo evil > x; ln -s x .gitlab-ci.yml"),
    Attempt("A link that agents obey is replaced", "rm CLAUDE.md; echo evil > CLAUDE.md"),
    Attempt("What a link that agents obey leads to is changed", "echo evil > docs/rules.md; mv docs gone"),
    Attempt(
        "Tasks of an editor are made and made again",
        "for n in 1 2 3; do mkdir .vscode; echo evil > .vscode/tasks.json; done",
    ),
    Attempt("A file that direnv runs is made by a child that stays", "(sleep 0.1; echo evil > .envrc) & true"),
    Attempt("The rules about denied files are emptied", ": > .flowignore; rm -f .flowignore"),
    Attempt("Flow's own project folder is made", "mkdir .flow && echo 'mode = \"auto\"' > .flow/config.toml"),
    # Denied files.
    Attempt("A denied file is read", "cat secrets.env private/token config/api.key"),
    Attempt("A denied file is read through a link", "ln -s secrets.env l; cat l; cat /proc/self/cwd/secrets.env"),
    Attempt("A denied file gets a second name", "ln secrets.env l; cat l"),
    Attempt("A denied file is moved to a name that is allowed", "mv secrets.env x; cat x; mv private p; cat p/token"),
    Attempt("The folder above a denied file is renamed", "mv config c; cat c/api.key config/api.key"),
    Attempt(
        "A denied file is copied, packed and opened for writing",
        "cp -r private p; tar c secrets.env; echo x > secrets.env",
    ),
    Attempt("A denied folder is opened up", "chmod 777 private secrets.env; cat private/token; rm -rf private", True),
    Attempt(
        "What hides a denied file is unmounted",
        "umount secrets.env; umount -l private; cat secrets.env private/token",
    ),
    # Processes. Without a sandbox the runner ends what a command leaves as well.
    Attempt("A child in a session of its own runs on", "setsid sleep 300 > /dev/null 2>&1 & sleep 0.2", False),
    Attempt("A child that ignores the hangup runs on", "nohup setsid sleep 300 > /dev/null 2>&1 & sleep 0.2", False),
    Attempt(
        "A child of a child that is gone runs on", "( ( setsid sleep 300 > /dev/null 2>&1 & ) & ); sleep 0.2", False
    ),
    Attempt(
        "A child in another session outlives a timeout", "setsid sleep 300 > /dev/null 2>&1 & sleep 100", False, 0.5
    ),
    Attempt(
        "A child that ignores every request outlives a timeout",
        "trap '' TERM HUP INT; setsid bash -c \"trap '' TERM; while :; do sleep 1; done\" & wait",
        False,
        0.5,
    ),
    Attempt("A process outside is killed", "kill -9 {victim}"),
    Attempt("A process outside is stopped", "kill -STOP {victim}"),
    Attempt("Every process is killed", "kill -9 -1", False),
    Attempt("A process outside gets another priority", "renice -n 5 -p {victim}"),
    Attempt("A process outside is traced", python(PTRACE), False),
    Attempt(
        "The memory of a process outside is opened",
        "dd if=/proc/{victim}/mem of=m bs=1 count=1; echo 1 > /proc/{victim}/oom_score_adj",
    ),
    Attempt("The environment of a process outside is read", "cat /proc/{victim}/environ"),
    Attempt("The environment of whoever is above is read", "cat /proc/$PPID/environ /proc/1/environ; env", False),
    Attempt(
        "Open files are inherited",
        "ls -l /proc/self/fd /proc/1/fd; cat /proc/self/fd/[3-9]* /proc/self/fd/1[0-9]*",
        False,
    ),
    FORK_BOMB,
    Attempt(
        "Threads take the machine",
        python(THREADS),
        False,
    ),
    # Space.
    Attempt("A file of 10 GB is reserved", "truncate -s 10G big; fallocate -l 10G big2; ls -l", False),
    Attempt("A file of 10 GB is written", "head -c 10G /dev/zero > big; head -c 10G /dev/zero > ~/big", False),
    Attempt("Shared memory is filled", MANY_FILES, False),
    Attempt(
        "A crash leaves its memory",
        "ulimit -c unlimited; bash -c 'kill -SEGV $$'; ls core*; ulimit -f unlimited",
        False,
    ),
    # Network.
    Attempt("The model server's port is reached", connect("AF_INET", "SOCK_STREAM", "('127.0.0.1', {tcp})")),
    Attempt("The same by IPv6", connect("AF_INET6", "SOCK_STREAM", "('::1', {tcp6})")),
    Attempt("The machine's own address is reached", connect("AF_INET", "SOCK_STREAM", "('{address}', {everywhere})")),
    Attempt("A datagram is sent", connect("AF_INET", "SOCK_DGRAM", "('127.0.0.1', {udp})")),
    Attempt(
        "A datagram is sent by bash", "echo evil > /dev/udp/127.0.0.1/{udp}; echo evil > /dev/tcp/127.0.0.1/{tcp}"
    ),
    Attempt("A socket that is a file is reached", connect("AF_UNIX", "SOCK_STREAM", "'{socket}'")),
    Attempt("The same by a link in the workspace", "ln -s {socket} s; " + connect("AF_UNIX", "SOCK_STREAM", "'s'")),
    Attempt("A socket without a file is reached", connect("AF_UNIX", "SOCK_STREAM", "'\\0{token}'")),
    Attempt("The host of the virtual machine is reached", connect("AF_VSOCK", "SOCK_STREAM", "(2, 22)"), False),
    Attempt("Raw packets are sent", connect("AF_PACKET", "SOCK_RAW", "('lo', 0)"), False),
    Attempt("The network is reconfigured", "ip link set lo down; ip route flush table all", False),
    Attempt(
        "The network namespace of the machine is entered",
        "nsenter -t 1 -n -m -p sh -c 'echo evil > {outside}/evil'",
        False,
    ),
    # The system.
    Attempt("Something is mounted", "mount -t tmpfs {token} .; mount --bind / .", False),
    Attempt(
        "What is read-only is mounted writable",
        "mount -o remount,rw,bind .git; echo evil > .git/hooks/post-merge",
        False,
    ),
    Attempt(
        "What is mounted over is unmounted",
        "umount .git; umount -l .git; umount ~ /tmp; echo evil > .git/hooks/x; cat ~/.ssh/*",
        False,
    ),
    Attempt(
        "A nested namespace gives the rights back",
        "unshare -Urm sh -c 'umount .git; umount ~; echo evil > .git/hooks/x; cat ~/.ssh/*'",
        False,
    ),
    Attempt(
        "A nested sandbox gives the rights back",
        "bwrap --bind / / --dev /dev sh -c 'echo evil > .git/hooks/x'",
        False,
    ),
    Attempt(
        "The root is changed",
        "/usr/sbin/chroot /proc/1/root sh -c 'echo evil > {outside}/evil; cat {outside}/keep.txt'",
        False,
    ),
    Attempt(
        "A device of the disk is made and read",
        READ_DISK,
        False,
    ),
    Attempt(
        "Devices of the machine are there",
        "ls /dev; head -c 10 /dev/mem /dev/kmem /dev/vda /dev/sda /dev/kmsg && echo evil",
        False,
    ),
    Attempt("Characters are typed into a terminal", python(INJECT), False),
    Attempt(
        "A program runs with its owner's rights",
        "cp /usr/bin/id s; chmod 4755 s; ls -l s; su -c id; sudo -n id; newgrp root",
        False,
    ),
    Attempt("The core pattern is set", "echo '|/evil' > /proc/sys/kernel/core_pattern", False),
    Attempt(
        "Settings of the system are set",
        "sysctl -w vm.overcommit_memory=2; echo evil > /proc/sys/kernel/domainname",
        False,
    ),
    Attempt("The machine is renamed", "hostname evil; echo evil > /proc/sys/kernel/hostname", False),
    Attempt("The kernel's panic button is pressed", "echo h > /proc/sysrq-trigger", False),
    Attempt("The clock is set", "date -s 2001-01-01", False),
    Attempt("Kernel memory and its log are read", "head -c 10 /proc/kcore && echo evil; dmesg -C", False),
    Attempt(
        "A control group's release agent is set",
        "mkdir -p /tmp/c; mount -t cgroup -o rdma cgroup /tmp/c && echo evil > /tmp/c/release_agent",
        False,
    ),
    Attempt("A key is put into the session's keyring", python(KEYCTL), False),
    Attempt("Shared memory is left by its number", python(SHARED_MEMORY)),
    Attempt(
        "A program of the sandbox itself is overwritten",
        "cp /bin/false /proc/1/exe; cp /bin/false /usr/bin/bwrap; cp /bin/false /bin/sh",
        False,
    ),
    Attempt(
        "A job is left to cron", "echo '* * * * * evil' | crontab -; echo evil > /var/spool/cron/{token}-evil", False
    ),
]

_BY_NAME = [pytest.param(each, id=each.name) for each in ATTEMPTS]


def look_inside(scene: Any, output: str) -> None:
    """Check what only the workspace and the output can tell."""
    assert CANARY not in output
    assert "evil-read" not in output
    for path in scene.workspace.rglob("*"):
        if path.is_symlink() or not path.is_file() or str(path).startswith(str(scene.workspace / "private")):
            continue
        info = path.stat()
        assert not info.st_mode & 0o4000, path
        assert info.st_size <= 50_000_000, path
        if path.name not in ("secrets.env", "api.key"):
            assert CANARY.encode() not in path.read_bytes()[:10_000], path
    assert not [path for path in scene.workspace.rglob("*") if path.is_block_device() or path.is_char_device()]


@pytest.mark.parametrize("attempt", _BY_NAME)
def test_nothing_happens_outside_when(attempt: Attempt, scene: Any) -> None:
    if attempt is FORK_BOMB and scene.driver.uid == 0:
        # The kernel holds root to no number of processes: until the runner looks, the tests beside this one get none.
        pytest.skip("is tried by `make chaos`, with nothing beside it")
    check_outside(attempt, scene)


@pytest.mark.chaos
def test_root_s_fork_bomb_does_not_take_the_machine(scene: Any) -> None:
    check_outside(FORK_BOMB, scene)


def check_outside(attempt: Attempt, scene: Any) -> None:
    """Try it, and check that all outside is as it was."""
    before = scene.photo()
    told = scene.run("echo begun; " + attempt.line.format(**scene.words()), timeout_s=attempt.timeout_s)
    assert not told.error
    assert told.output.startswith("begun\n"), told.output
    assert scene.photo() == before
    look_inside(scene, told.output)


@pytest.mark.parametrize("attempt", [pytest.param(each, id=each.name) for each in ATTEMPTS if each.seen])
def test_without_a_sandbox_it_is_noticed_that(attempt: Attempt, scene: Any) -> None:
    before = scene.photo()
    told = scene.run(attempt.line.format(**scene.words()), kind="none", timeout_s=attempt.timeout_s)
    assert scene.photo() != before or CANARY in told.output


def test_a_process_that_is_left_is_noticed(scene: Any) -> None:
    before = scene.photo()
    left = subprocess.Popen(["sleep", "60"], env={"PATH": os.defpath, "ESCAPED": scene.token})
    try:
        assert scene.photo() != before
    finally:
        left.kill()
        left.wait()


def test_there_are_many_attempts_with_names_of_their_own() -> None:
    assert len({each.name for each in ATTEMPTS}) == len(ATTEMPTS) >= 40
