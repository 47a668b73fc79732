"""From one policy object to what each sandbox is told; pure functions, so nothing is run here."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from flowloom.tools.bwrap import Bwrap, bwrap_words, first_process
from flowloom.tools.landlock import landlock_words
from flowloom.tools.sandbox_policy import PROTECTED_NAMES, Guarded, Limits, SandboxPolicy
from flowloom.tools.seatbelt import seatbelt_profile
from flowloom.tools.seccomp import syscall_filter

BWRAP = Bwrap("/usr/bin/bwrap", ("--unshare-all",))
WS = Path("/home/u/作業 folder")
POLICY = SandboxPolicy(
    workspace=WS,
    readable=(Path("/usr"), Path("/home/u/.pyenv")),
    writable=(Path("/data/cache"),),
    scratch=(Path("/tmp"), Path("/home/u")),
    links=((Path("/bin"), "usr/bin"),),
    pinned=(WS / "config",),
    read_only=(WS / ".git",),
    hidden_files=(WS / "config/api.key",),
    hidden_folders=(WS / "private",),
    guarded=(Guarded(WS / ".mcp.json"), Guarded(WS / "CLAUDE.md", "AGENTS.md")),
    limits=Limits(processes=7, file_bytes=1024, memory_bytes=2048, scratch_bytes=99),
)


def mounts(policy: SandboxPolicy) -> list[str]:
    """Return the mounts in their order, as one line each."""
    words = bwrap_words(BWRAP, policy, WS)
    text = " ".join(word.replace(" ", "␠") for word in words)
    return [line.strip() for line in text.replace(" --", "\n--").split("\n")]


def test_deeper_paths_are_mounted_later_and_shut_ones_at_last() -> None:
    lines = mounts(POLICY)
    assert lines[lines.index("--proc /proc") + 1 :] == [
        "--symlink usr/bin /bin",
        "--perms 1777",
        "--size 99",
        "--tmpfs /tmp",
        "--ro-bind /usr /usr",
        "--bind /data/cache /data/cache",
        "--perms 0700",
        "--size 99",
        "--tmpfs /home/u",
        "--ro-bind /home/u/.pyenv /home/u/.pyenv",
        "--bind /home/u/作業␠folder /home/u/作業␠folder",
        "--ro-bind /home/u/作業␠folder/.git /home/u/作業␠folder/.git",
        "--bind /home/u/作業␠folder/config /home/u/作業␠folder/config",
        "--perms 0000",
        "--tmpfs /home/u/作業␠folder/private",
        "--ro-bind /dev/null /home/u/作業␠folder/config/api.key",
        "--remount-ro /home/u/作業␠folder/private",
        "--remount-ro /dev",
        "--remount-ro /proc",
        "--remount-ro /",
        "--chdir /home/u/作業␠folder",
    ]


def test_no_rights_no_terminal_and_an_end_with_the_parent() -> None:
    lines = mounts(POLICY)
    assert {"--unshare-all", "--cap-drop ALL", "--new-session", "--die-with-parent", "--as-pid-1"} <= set(lines)


@pytest.mark.parametrize("network", [True, False])
def test_the_network_is_shared_only_when_the_policy_says_so(network: bool) -> None:
    policy = SandboxPolicy(workspace=WS, network=network)
    assert ("--share-net" in bwrap_words(BWRAP, policy, WS)) == network


def test_what_is_shut_counts_over_what_is_shown_at_the_same_path() -> None:
    path = WS / "x"
    policy = SandboxPolicy(workspace=WS, readable=(path,), read_only=(path,), hidden_files=(path,))
    words = bwrap_words(BWRAP, policy, WS)
    assert words.count(str(path)) == 1
    assert words[words.index(str(path)) - 2 :][:2] == ["--ro-bind", "/dev/null"]


def test_limits_are_in_the_units_of_the_shell() -> None:
    words = first_process(POLICY.limits, ("make", "a b"))
    assert words[3:] == ("sh", "7", "2", "2", "make", "a b")


def test_every_kind_of_file_that_is_obeyed_later_is_protected() -> None:
    wanted = (".git", ".flow", ".github", ".gitlab-ci.yml", ".circleci", "Jenkinsfile", "azure-pipelines.yml")
    more = (
        ".husky",
        "AGENTS.md",
        "CLAUDE.md",
        ".agent.md",
        ".mcp.json",
        ".cursor",
        ".vscode",
        ".envrc",
        ".flowignore",
    )
    assert {*wanted, *more} <= set(PROTECTED_NAMES)
    assert len(set(PROTECTED_NAMES)) == len(PROTECTED_NAMES)
    assert not any("/" in name for name in PROTECTED_NAMES)


def test_the_command_line_of_landlock_names_every_path_once() -> None:
    words = landlock_words(POLICY, Path("/jobs/j/tmp"), ("make", "all"))
    reads, writes, network = map(int, words[4:7])
    paths = words[11:-2]
    assert (network, words[7:10], words[-2:]) == (0, ("7", "1024", "2048"), ("make", "all"))
    assert paths[:reads] == ("/usr", "/home/u/.pyenv", "/proc")
    assert paths[reads : reads + writes][:3] == (str(WS), "/data/cache", "/jobs/j/tmp")
    assert len(paths) == reads + writes


SEATBELT = """\
(version 1)
(deny default)
(allow process-exec process-fork)
(allow signal (target same-sandbox))
(allow sysctl-read file-read-metadata mach-lookup)
(allow file-write* (literal "/dev/null") (literal "/dev/zero") (literal "/dev/tty"))
(allow file-read*
    (subpath "/System")
    (subpath "/Library")
    (subpath "/private/etc")
    (subpath "/private/var/db")
    (subpath "/Applications")
    (subpath "/dev")
    (subpath "/usr")
    (subpath "/home/u/.pyenv")
    (subpath "/home/u/作業 folder")
    (subpath "/data/cache")
    (subpath "/jobs/\\"j\\""))
(allow file-write*
    (subpath "/home/u/作業 folder")
    (subpath "/data/cache")
    (subpath "/jobs/\\"j\\""))
(deny file-write*
    (literal "/home/u/作業 folder/config"))
(deny file-write*
    (subpath "/home/u/作業 folder/.git")
    (subpath "/home/u/作業 folder/.mcp.json")
    (subpath "/home/u/作業 folder/CLAUDE.md"))
(deny file-read* file-write*
    (subpath "/home/u/作業 folder/config/api.key")
    (subpath "/home/u/作業 folder/private"))
(deny network*)
"""


def test_the_profile_for_macos_says_the_same_and_quotes_its_paths() -> None:
    assert seatbelt_profile(POLICY, Path('/jobs/"j"')) == SEATBELT


def test_a_profile_without_anything_to_shut_has_no_rule_that_would_shut_all() -> None:
    profile = seatbelt_profile(SandboxPolicy(workspace=WS, network=True), Path("/jobs/j"))
    assert profile.count("(deny ") == 1
    assert "(allow network*)" in profile


def verdict(code: bytes, number: int, *arguments: int, arch: int = 0xC000003E) -> int:
    """Run a filter as the kernel does; return 0 for allowed, else the error."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *(*arguments, *[0] * (6 - len(arguments))))
    steps = list(struct.iter_unpack("=HBBI", code))
    at, word = 0, 0
    while True:
        kind, yes, no, value = steps[at]
        at += 1
        if kind == 0x20:
            (word,) = struct.unpack_from("=I", data, value)
        elif kind == 0x06:
            return 0 if value == 0x7FFF0000 else value & 0xFFFF
        else:
            passed = {0x15: word == value, 0x35: word >= value, 0x45: bool(word & value)}[kind]
            at += yes if passed else no


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ((0,), 0),  # read
        ((41, 2, 1), 0),  # socket: inet
        ((41, 1, 1), 0),  # unix
        ((41, 40, 1), 97),  # vsock
        ((41, 17, 3), 97),  # packet
        ((16, 0, 0x5413), 0),  # ioctl: window size
        ((16, 0, 0x5412), 1),  # typing into a terminal
        ((250, 0), 1),  # keyctl
        ((425, 8), 1),  # io_uring_setup
        ((437,), 38),  # openat2
        ((435,), 38),  # clone3
        ((56, 0x1200011), 0),  # clone: a process
        ((56, 0x10000011), 1),  # with a user namespace
        ((272, 0x20000), 0),  # unshare: mounts, which need rights
        ((272, 0x10020000), 1),
        ((90, 0, 0o755), 0),  # chmod
        ((90, 0, 0o4755), 1),
        ((268, 0, 0, 0o6755), 1),  # fchmodat
        ((257, 0, 0, 0o101, 0o644), 0),  # openat that creates
        ((257, 0, 0, 0o101, 0o4755), 1),
        ((257, 0, 0, 0, 0o4755), 0),  # and one that does not: its mode is whatever stood there
        ((0x40000000 + 41, 2), 38),  # the second way to call
    ],
)
def test_the_filter_of_calls_refuses_what_it_should(call: tuple[int, ...], error: int) -> None:
    assert verdict(syscall_filter("x86_64"), *call) == error


def test_without_a_network_of_its_own_no_internet_socket_is_made() -> None:
    code = syscall_filter("x86_64", sockets=False)
    assert [verdict(code, 41, family) for family in (1, 2, 10, 16)] == [0, 97, 97, 0]


def test_another_machine_s_calls_are_refused_and_an_unknown_machine_has_no_filter() -> None:
    assert verdict(syscall_filter("x86_64"), 0, arch=0x40000003) == 38
    assert verdict(syscall_filter("aarch64"), 198, 40, arch=0xC00000B7) == 97
    assert syscall_filter("riscv64") == b""
