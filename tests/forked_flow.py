"""Runs `flow` in processes of its own that need not import it again: a server that did so forks one for each call.

    python forked_flow.py DESCRIPTOR    is the server; it ends when the other end of that socket is closed

Importing what `flow run` needs takes longer than most runs of a test do. The server has one thread and has opened
nothing, so that a fork of it is what a new interpreter is after its imports; it goes on as `python -m flowloom` does.
"""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

LAYERS = ("core", "configs", "llm", "tools", "context", "nodes", "graphs", "runs", "app", "cli")
"""All modules of these are imported, none of retrieval for itself: libraries of it start threads."""
LIBRARIES = ("anyio._backends._asyncio", "h11", "httpcore", "jinja2", "langgraph.graph", "rapidfuzz", "ruamel.yaml")
"""What is imported inside functions."""
UNREAD = ("FLOW_", "OLLAMA_", "GIT_", "XDG_", "HOME", "PATH", "PYTEST_CURRENT_TEST")
"""Beginnings of the names of variables that nothing reads at its import."""
_PIPE_BYTES = 60_000
"""A pipe takes this much before anybody reads it."""


class ForkServer:
    """A server with the variables of `env` that imports may read; it is started by the first call."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = _read_early(env)
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._starting = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The id of its process, None = no call has started it yet."""
        return None if self._server is None else self._server.pid

    def fits(self, env: Mapping[str, str]) -> bool:
        """Return whether a fork has found what a new interpreter would find in these variables while it imports."""
        return _read_early(env) == self._env

    def run(
        self, words: Sequence[str], cwd: Path, env: Mapping[str, str], stdin: str | None, timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """Run `flow WORDS` and return how it ended. Raises: subprocess.TimeoutExpired: it did not and was killed."""
        with self._starting:
            control = self._started()
        pipes = [os.pipe() for _ in range(3)]
        given, *theirs = [_filled(stdin), *(write for _, write in pipes)]
        with tempfile.TemporaryFile("w+") as request:
            json.dump({"words": list(words), "cwd": str(cwd), "env": dict(env)}, request)
            request.seek(0)
            socket.send_fds(control, [b"1"], [request.fileno(), given, *theirs])
        for descriptor in (given, *theirs):
            os.close(descriptor)
        reads = [read for read, _ in pipes]
        begun = os.read(reads[-1], 100)
        (out, err, told), ended = _read(*reads, deadline=time.monotonic() + timeout_s)
        pid, *code = (begun + told).split()
        if not ended:
            os.kill(int(pid), signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(words), timeout_s)
        return subprocess.CompletedProcess(list(words), int(code[0]), _text(out), _text(err))

    def close(self) -> None:
        if self._server is not None and self._control is not None:
            self._control.close()
            with self._server:
                self._server.wait()

    def _started(self) -> socket.socket:
        if self._control is None:
            self._control, theirs = socket.socketpair()
            # Pipes as those of the calls are: Python looks once, at its start, at what its streams can do.
            self._server = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                env=self._env,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            theirs.close()
            if not self._control.recv(1):
                raise RuntimeError(self._server.communicate()[1].decode())
        return self._control


def _read_early(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not name.startswith(UNREAD)}


def _filled(text: str | None) -> int:
    """Return the end to read from of a pipe with this text; None = what this process reads from."""
    if text is None:
        return os.dup(0)
    read, write = os.pipe()
    if len(data := text.encode()) > _PIPE_BYTES:
        raise ValueError(f"{len(data):,} bytes of stdin are more than a pipe takes")
    with open(write, "wb") as pipe:
        pipe.write(data)
    return read


def _read(*descriptors: int, deadline: float) -> tuple[list[bytes], bool]:
    """Read to the end of all, or to the deadline; return what came, and whether that was all."""
    came = [b""] * len(descriptors)
    with selectors.DefaultSelector() as waiting:
        for place, descriptor in enumerate(descriptors):
            waiting.register(descriptor, selectors.EVENT_READ, place)
        while waiting.get_map() and (ready := waiting.select(max(0.0, deadline - time.monotonic()))):
            for key, _ in ready:
                came[key.data] += (data := os.read(key.fd, 65_536))
                if not data:
                    waiting.unregister(key.fd)
        ended = not waiting.get_map()
    for descriptor in descriptors:
        os.close(descriptor)
    return came, ended


def _text(data: bytes) -> str:
    return data.decode().replace("\r\n", "\n")


def serve(control: socket.socket) -> bool:
    """Fork for each request; return True in the process that has become a `flow`, False at the end of the server."""
    # Nobody waits for the processes that wait for the forks.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control.send(b"1")
    while descriptors := socket.recv_fds(control, 1, 5)[1]:
        if os.fork() == 0:
            return _become(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
    return False


def _become(request: int, *streams: int) -> bool:
    """Go on as the process that was asked for; its parent tells its id and, at its end, its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    told = streams[-1]
    if pid := os.fork():
        for descriptor in (0, 1, 2, *streams[:-1]):
            os.close(descriptor)
        os.write(told, f"{pid}\n".encode())
        os.write(told, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        os._exit(0)
    with open(request, encoding="utf-8") as file:
        asked = json.load(file)
    for place, descriptor in enumerate(streams[:-1]):
        os.dup2(descriptor, place)
    os.closerange(3, max(*streams, request) + 64)
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    os.chdir(asked["cwd"])
    sys.argv[1:] = asked["words"]
    sys.path[0] = os.getcwd()
    return True


def _import_all() -> None:
    sys.path[0] = os.devnull  # not the tests
    # As `cli.app.main` does before its imports.
    modules: dict[str, Any] = sys.modules
    modules["httpx._main"] = None
    for layer in LAYERS:
        package = import_module(f"flowloom.{layer}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    for name in LIBRARIES:
        import_module(name)
    gc.freeze()


if __name__ == "__main__":
    _import_all()
    if serve(socket.socket(fileno=int(sys.argv[1]))):
        runpy.run_module("flowloom", run_name="__main__", alter_sys=True)
