"""A scene around a workspace, looked at before and after a command, and drivers that run commands as some user."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NOBODY = 65534
CANARY = "canary-5d41402abc4b"
FILE_BYTES = 50_000_000
PROCESSES = 200

# Runs commands in a sandbox, one JSON line each, as the user that it is started as.
DRIVER = """
import asyncio, json, os, sys
from pathlib import Path
from flowloom.core.effects import Command
from flowloom.core.errors import FlowError, ToolError
from flowloom.tools.host import HostSandbox
from flowloom.tools.jobs import make_job
from flowloom.tools.sandbox_policy import Limits
from flowloom.tools.sandbox_view import SandboxOptions, SandboxView

def sandbox(kind, options, environ):
    view = SandboxView(options, environ)
    if kind == "bubblewrap":
        from flowloom.tools.bwrap import BwrapSandbox, probe_bwrap
        found = probe_bwrap(environ["PATH"])
        if isinstance(found, str):
            raise ToolError(found)
        return BwrapSandbox(found, view, environ)
    if kind == "landlock":
        from flowloom.tools.landlock import LandlockSandbox, probe_landlock
        if missing := probe_landlock():
            raise ToolError(missing)
        return LandlockSandbox(view, environ)
    return HostSandbox(environ)

for line in sys.stdin:
    asked = json.loads(line)
    os.environ.clear()
    os.environ.update(asked["environ"])
    limits = Limits(asked["processes"], asked["file_bytes"], 0, 80_000_000)
    places = {name: tuple(map(Path, asked[name])) for name in ("private", "readable", "writable")}
    options = SandboxOptions(limits=limits, **places)
    job = Path(asked["job"])
    make_job(job)
    more = {name: asked[name] for name in ("cwd", "network", "category")}
    command = Command(tuple(asked["argv"]), asked["timeout_s"], **more)
    try:
        done = sandbox(asked["kind"], options, asked["environ"])
        outcome = asyncio.run(done.run(command, Path(asked["workspace"]), job))
        told = {"code": outcome.exit_code, "timed_out": outcome.timed_out, "seconds": outcome.seconds,
                "ended": outcome.ended, "output": outcome.output.decode("utf-8", "replace")}
    except (ToolError, FlowError) as err:
        told = {"error": str(err)}
    print(json.dumps(told), flush=True)
"""


@dataclass(frozen=True)
class Told:
    """What a driver told of a command. `error`: what it raised, "" = nothing."""

    code: int = 0
    output: str = ""
    timed_out: bool = False
    seconds: float = 0.0
    ended: bool = True
    error: str = ""


class Driver:
    """A process that runs commands as one user."""

    def __init__(self, uid: int, words: list[str], env: dict[str, str]) -> None:
        self.uid = uid
        self._process = subprocess.Popen(
            words,
            user=uid,
            group=uid,
            extra_groups=[],
            env=env,
            cwd="/",
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, asked: dict[str, Any]) -> Told:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return Told(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


def _copied(folder: Path) -> None:
    """Put what the driver imports where everybody can read it."""
    import flowloom

    root = Path(flowloom.__file__).parent
    for name in ("core", "configs", "retrieval", "tools"):
        shutil.copytree(root / name, folder / "flowloom" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "__init__.py", folder / "flowloom")
    spec = importlib.util.find_spec("pathspec")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    shutil.copytree(spec.submodule_search_locations[0], folder / "pathspec")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _system_python() -> str:
    """Return an interpreter that everybody can run; "" = there is none that is new enough."""
    for name in ("python3.13", "python3.12", "python3.11", "python3"):
        found = shutil.which(name, path="/usr/local/bin:/usr/bin")
        if found is None:
            continue
        done = subprocess.run([found, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True)
        if done.stdout.strip() == b"True" and os.path.realpath(found).startswith("/usr/"):
            return found
    return ""


@pytest.fixture(scope="session", params=["root", "nobody"])
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """Run commands as the user of the tests and, where that is root, as an ordinary one too."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap (bwrap) is not installed")
    if request.param == "root":
        made = Driver(os.getuid(), [sys.executable, "-c", DRIVER], dict(os.environ))
        yield made
        made.close()
        return
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    python = _system_python()
    if not python:
        pytest.skip("there is no interpreter that another user can run")
    folder = Path(tempfile.mkdtemp(prefix="driver-", dir="/tmp"))
    _copied(folder)
    made = Driver(NOBODY, [python, "-c", DRIVER], {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)})
    yield made
    made.close()
    shutil.rmtree(folder)


class Listeners:
    """Sockets that an ordinary machine would have, and everything that came to them."""

    def __init__(self, folder: Path, token: str) -> None:
        self.heard: list[str] = []
        self._sockets: list[socket.socket] = []
        self.tcp = self._listen("tcp", socket.AF_INET, ("127.0.0.1", 0))
        self.tcp6 = self._listen("tcp6", socket.AF_INET6, ("::1", 0))
        self.everywhere = self._listen("everywhere", socket.AF_INET, ("", 0))
        self.address = _own_address()
        self.file = str(folder / "docker.sock")
        self._listen("file", socket.AF_UNIX, self.file)
        os.chmod(self.file, 0o777)
        self._listen("abstract", socket.AF_UNIX, f"\0{token}")
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        self.udp = udp.getsockname()[1]
        self._watch("udp", udp, lambda: udp.recv(100))

    def _listen(self, name: str, family: int, address: Any) -> int:
        made = socket.socket(family, socket.SOCK_STREAM)
        made.bind(address)
        made.listen()
        self._watch(name, made, lambda: made.accept()[0].close())
        place = made.getsockname()
        return place[1] if isinstance(place, tuple) else 0

    def _watch(self, name: str, made: socket.socket, take: Callable[[], Any]) -> None:
        self._sockets.append(made)

        def watch() -> None:
            with suppress(OSError):
                while True:
                    take()
                    self.heard.append(name)

        threading.Thread(target=watch, daemon=True).start()

    def close(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _own_address() -> str:
    """Return an address of this machine that others can reach; loopback's when there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            return str(probe.getsockname()[0])
        except (OSError, RuntimeError):
            return "127.0.0.1"


@dataclass
class Scene:
    """A workspace, and everything around it that no command may touch or see."""

    root: Path
    driver: Driver
    token: str
    victim: subprocess.Popen[bytes]
    listeners: Listeners
    pty: tuple[int, int]
    count: int = field(default=0)

    @property
    def workspace(self) -> Path:
        return self.root / "around" / "my work 作業"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def outside(self) -> Path:
        return self.root / "around" / "outside"

    @property
    def data(self) -> Path:
        return self.home / "flow" / "data"

    def words(self) -> dict[str, str]:
        """Return what an attempt may name, for str.format."""
        job = self.data / "blobs" / "run" / "jobs"
        return {
            "outside": str(self.outside),
            "workspace": str(self.workspace),
            "home": str(self.home),
            "data": str(self.data),
            "jobs": str(job),
            "victim": str(self.victim.pid),
            "token": self.token,
            "tcp": str(self.listeners.tcp),
            "tcp6": str(self.listeners.tcp6),
            "everywhere": str(self.listeners.everywhere),
            "address": self.listeners.address,
            "udp": str(self.listeners.udp),
            "socket": self.listeners.file,
            "pty": os.ttyname(self.pty[1]),
        }

    def run(self, line: str, kind: str = "bubblewrap", timeout_s: float = 20.0, **more: Any) -> Told:
        """Run a bash line in the workspace. `more` overrides what the driver is told."""
        self.count += 1
        environ = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "API_TOKEN": CANARY,
            "ESCAPED": self.token,
            "LANG": "C.UTF-8",
        }
        asked = {
            "argv": ["bash", "-c", line],
            "kind": kind,
            "workspace": str(self.workspace),
            "job": str(self.data / "blobs" / "run" / "jobs" / f"{self.count}"),
            "private": [str(self.home / "flow" / name) for name in ("config", "data", "state", "cache")],
            "readable": [],
            "writable": [],
            "timeout_s": timeout_s,
            "cwd": ".",
            "network": False,
            "category": "shell",
            "environ": environ,
            "processes": PROCESSES,
            "file_bytes": FILE_BYTES,
        }
        return self.driver.run({**asked, **more})

    def photo(self) -> dict[str, Any]:
        """Return what is outside now; two photos are equal when nothing has happened there."""
        found: dict[str, Any] = {f"file {path}": _looked_at(path) for path in _tree(self.root)}
        found = {name: what for name, what in found.items() if not self._is_the_command_s_own(name)}
        for path in self._kept():
            found[f"kept {path}"] = _looked_at(path)
        for place in PLACES:
            found[f"new in {place}"] = self.littered(place)
        for name in ("kernel/core_pattern", "kernel/hostname", "kernel/domainname", "vm/overcommit_memory"):
            found[name] = Path("/proc/sys", name).read_text()
        found["segments"] = self.segments()
        found["mounts"] = [line for line in Path("/proc/self/mounts").read_text().splitlines() if self.token in line]
        found["keys"] = self.token in _keys()
        found["victim"] = _state(self.victim.pid)
        found["heard"] = list(self.listeners.heard)
        found["typed"] = _typed(self.pty)
        found["clock"] = abs(time.time() - time.monotonic() - _CLOCK) < 3600
        found["left running"] = self.left_running()
        return found

    def _is_the_command_s_own(self, name: str) -> bool:
        own = (f"file {self.workspace}/", f"file {self.data}/blobs/run/jobs/")
        return name.startswith(own) or name in (f"file {self.workspace}", f"file {self.data}/blobs/run/jobs")

    def _kept(self) -> list[Path]:
        """Return what is in the workspace, and not the command's to change or to make."""
        names = (".git", ".github", ".husky", ".vscode", ".mcp.json", "AGENTS.md", "CLAUDE.md", ".envrc", ".flow")
        more = (".flowignore", ".gitmodules", "lib/.git", ".gitlab-ci.yml", "tools/hooks", "docs/rules.md", ".cursor")
        inside = [path for name in (*names, *more) for path in _tree(self.workspace / name)]
        return [*inside, self.workspace / "secrets.env", *_tree(self.workspace / "private")]

    def littered(self, place: str) -> list[Path]:
        """Return what attempts made in a folder of the system."""
        names = os.listdir(place) if os.path.isdir(place) else []
        return [Path(place, name) for name in sorted(names) if self.token in name]

    def segments(self) -> list[str]:
        """Return the ids of shared memory that attempts made, which is known by its odd size."""
        lines = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()]
        return [words[1] for words in lines if words[3] == str(self.victim.pid)]

    def tidy(self) -> None:
        """Remove what attempts without a sandbox have left."""
        for pid in self.left_running():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for number in self.segments():
            subprocess.run(["ipcrm", "-m", number], check=False)
        for path in [path for place in PLACES for path in self.littered(place) if path != self.root]:
            path.unlink()

    def left_running(self) -> list[int]:
        """Return the processes that have the commands' environment."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                if f"ESCAPED={self.token}".encode() in Path(f"/proc/{name}/environ").read_bytes():
                    found.append(int(name))
        return found


PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/etc", "/", "/dev", "/var/spool/cron", "/usr/local/bin")
_CLOCK = time.time() - time.monotonic()


def _tree(path: Path) -> list[Path]:
    inner = sorted(path.rglob("*")) if path.is_dir() and not path.is_symlink() else []
    return [path, *inner]


def _looked_at(path: Path) -> tuple[Any, ...] | None:
    try:
        info = path.lstat()
    except OSError:
        return None
    content: Any = ""
    if stat.S_ISREG(info.st_mode):
        content = path.read_bytes() if info.st_size < 1_000_000 else info.st_size
    elif stat.S_ISLNK(info.st_mode):
        content = os.readlink(path)
    # A link that was put back is another file with the same words.
    number = 0 if stat.S_ISLNK(info.st_mode) else info.st_ino
    return info.st_mode, info.st_uid, info.st_gid, number, info.st_nlink, content


def _keys() -> str:
    with suppress(OSError):
        return Path("/proc/keys").read_text()
    return ""


def _state(pid: int) -> tuple[str, ...]:
    """Return a process's state, who traces it, its parent, priority and limits."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    # Whether it sleeps or is about to changes by itself.
    lines = [line.replace("S (sleeping)", "R (running)") for line in lines]
    kept = tuple(line for line in lines if line.startswith(("State", "TracerPid", "PPid", "Uid")))
    return (*kept, str(os.getpriority(os.PRIO_PROCESS, pid)), Path(f"/proc/{pid}/oom_score_adj").read_text())


def _typed(pty: tuple[int, int]) -> bytes:
    os.set_blocking(pty[1], False)
    with suppress(OSError):
        return os.read(pty[1], 100)
    return b""


FILES = {
    "around/outside/keep.txt": f"{CANARY}\n",
    "around/outside/folder/inner.txt": "inner\n",
    "home/.ssh/id_ed25519": f"{CANARY}\n",
    "home/.bashrc": "# bashrc\n",
    "home/.config/token": f"{CANARY}\n",
    "home/flow/data/runs.db": f"{CANARY}\n",
    "home/flow/data/blobs/run/jobs/other/claim": f"1 {CANARY}\n",
    "home/flow/config/config.toml": f"# {CANARY}\n",
    "work/a.txt": "a\n",
    "work/docs/rules.md": "rules\n",
    "work/.husky/pre-commit": "true\n",
    "work/.flowignore": "secrets.env\n/private/\n/config/*.key\n",
    "work/secrets.env": f"{CANARY}\n",
    "work/private/token": f"{CANARY}\n",
    "work/config/api.key": f"{CANARY}\n",
    "work/tools/hooks/pre-commit": "true\n",
    "work/lib/readme.txt": "lib\n",
    "work/.gitmodules": '[submodule "lib"]\n\tpath = lib\n\turl = ./lib\n',
}


@pytest.fixture
def scene(driver: Driver) -> Iterator[Scene]:
    # Not tmp_path: nobody else can enter the folders above it.
    root = Path(tempfile.mkdtemp(prefix="scene-", dir="/tmp"))
    token = root.name
    for name, text in FILES.items():
        path = root / name.replace("work/", "around/my work 作業/", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    workspace = root / "around" / "my work 作業"
    (workspace / "CLAUDE.md").symlink_to("docs/rules.md")
    setup = (
        ["init", "-q"],
        ["config", "core.hooksPath", "tools/hooks"],
        ["add", "a.txt"],
        ["commit", "-qm", "start"],
    )
    for words in setup:
        subprocess.run(["git", "-c", "core.hooksPath=/dev/null", *words], cwd=workspace, check=True)
    for path in (root, *root.rglob("*")):
        os.chown(path, driver.uid, driver.uid, follow_symlinks=False)
    victim = subprocess.Popen(
        ["sleep", "600"], user=driver.uid, group=driver.uid, extra_groups=[], env={"VICTIM": CANARY}
    )
    pty = os.openpty()
    os.fchmod(pty[1], 0o666)
    made = Scene(root, driver, token, victim, Listeners(root / "around", token), pty)
    yield made
    made.tidy()
    victim.kill()
    victim.wait()
    made.listeners.close()
    for descriptor in pty:
        os.close(descriptor)
    subprocess.run(["chmod", "-R", "u+rwx", str(root)], check=False)
    shutil.rmtree(root)
