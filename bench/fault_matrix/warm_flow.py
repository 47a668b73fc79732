"""Runs `flow` in a process of its own that was forked from one with the heavy imports done: a tenth of the time."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_PRELOADED = [
    "flowloom.cli.app",
    "flowloom.cli.run",
    "flowloom.cli.resume",
    "flowloom.app.run",
    "flowloom.app.resume",
    "flowloom.graphs.build",
    "flowloom.nodes.agent_loop",
    "flowloom.runs.checkpoints",
    "flowloom.runs.runner",
    "flowloom.llm.ollama",
    "flowloom.llm.openai_compatible",
    "flowloom.llm.preflight",
    "flowloom.app.compose",
]


class Ended(NamedTuple):
    """A `flow` process. `code` None = it was still running at the time limit, and was killed."""

    code: int | None
    out: bytes
    err: bytes


def run_flow(words: Sequence[str], *, cwd: Path, env: Mapping[str, str], limit_s: float) -> Ended:
    """Return how `flow WORDS` ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    with tempfile.TemporaryDirectory() as name:
        out, err = Path(name) / "out", Path(name) / "err"
        process = context.Process(target=_flow, args=(list(words), str(cwd), dict(env), str(out), str(err)))
        process.start()
        process.join(limit_s)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
        return Ended(code, out.read_bytes() if out.exists() else b"", err.read_bytes() if err.exists() else b"")


def _flow(words: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    from flowloom.cli.app import main

    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
    sys.stdin = open(os.devnull)  # noqa: SIM115 - as long as the process lives
    sys.argv = ["flow", *words]
    main()
