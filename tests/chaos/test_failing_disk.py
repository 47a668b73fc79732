"""A full disk and an I/O error at writes all over a run: it stops with one clear line and resumes afterwards."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answers
from flowloom.llm.ollama_server import OllamaServer

pytestmark = pytest.mark.chaos

ROUNDS = int(os.environ.get("CHAOS_DISK", "10"))
"""How many writes are tried for each of the two errors, spread evenly over all that a run makes."""


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the failing file layer."""
    if shutil.which("cc") is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler for the failing file layer")
    library = tmp_path_factory.mktemp("layer") / "failing_writes.so"
    source = Path(__file__).with_name("failing_writes.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


def run(chaos: Any, layer: Path, failing_from: int, error: int) -> Any:
    env = {
        **chaos.env(),
        "LD_PRELOAD": str(layer),
        "FLOW_SANDBOX__READ_ONLY": json.dumps([str(layer.parent)]),  # commands load it as well
        "FAIL_UNDER": str(chaos.home),
        "FAIL_FROM": str(failing_from),
        "FAIL_ERRNO": str(error),
    }
    words = ["run", "plan-and-code", "Write the log", "--mode", "auto", "-c", chaos.verify, "-q", "--no-approve-plan"]
    command = [sys.executable, "-m", "flowloom", *words]
    return subprocess.run(command, cwd=chaos.repo, env=env, capture_output=True, text=True, timeout=120)


def writes_of_a_run(new_chaos: Any, layer: Path, answers: Answers) -> int:
    """Return the last power of two at which a run still fails: about how many writes it makes."""
    count = 64
    while count < 1 << 16:
        with OllamaServer(answers) as server:
            if run(new_chaos(f"count-{count}", server), layer, count, errno.ENOSPC).returncode == 0:
                return count
        count *= 2
    raise AssertionError("a run makes more writes than expected")


def test_a_run_stopped_by_a_failing_disk_says_so_and_resumes(new_chaos: Any, layer: Path, answers: Answers) -> None:
    with OllamaServer(answers) as server:
        calm = new_chaos("calm", server)
        assert calm.run(0) == 0
        tree, executed = calm.tree(), calm.executed()
    most = writes_of_a_run(new_chaos, layer, answers)
    faults, stopped = [], 0
    for error in (errno.ENOSPC, errno.EIO):
        for at in {1 + most * number // (2 * ROUNDS) for number in range(ROUNDS)}:
            with OllamaServer(answers) as server:
                chaos = new_chaos(f"w{error}-{at}", server)
                done = run(chaos, layer, at, error)
                stopped += done.returncode != 0
                fault = unclear(done) or unresumed(chaos, done) or compared(chaos, tree, executed)
            if fault:
                faults.append(f"{errno.errorcode[error]} from write {at}: {fault}")
    print(f"\n{2 * ROUNDS} failing disks, {stopped} runs stopped, {len(faults)} faults")
    assert faults == []


def unclear(done: Any) -> str:
    if done.returncode == 0:
        return ""
    if "Traceback" in done.stderr or "bug:" in done.stderr:
        return f"no clear line: {done.stderr[-400:]}"
    return "" if done.stderr.strip() else "not a word"


def unresumed(chaos: Any, done: Any) -> str:
    if done.returncode == 0:
        return ""
    code = chaos.resume()
    if code == 2 and "There is no run" in chaos.last_error:
        code = chaos.run(0)
    return (
        "" if code == 0 or "is done" in chaos.last_error else f"resume ended with {code}: {chaos.last_error[-300:]}"
    )


def compared(chaos: Any, tree: dict[str, bytes], executed: list[str]) -> str:
    if chaos.tree() != tree:
        return f"another tree: {sorted(set(chaos.tree().items()) ^ set(tree.items()))}"
    return "" if chaos.executed() == executed else f"commands executed: {chaos.executed()}"
