"""SIGKILL at every point where something becomes durable; every third run is killed again during its resume."""

from __future__ import annotations

import os
import signal
from statistics import median
from typing import Any

import pytest

from flowloom.llm.answers import Answers
from flowloom.llm.ollama_server import OllamaServer

pytestmark = pytest.mark.chaos

POINTS = int(os.environ.get("CHAOS_POINTS", "72"))
"""How many points are tried, spread evenly over all that a run has."""
SECOND_KILL = 40
"""The point at which a resume is killed: soon after it took the run over."""


def test_a_run_killed_at_any_point_ends_like_the_undisturbed_one(new_chaos: Any, answers: Answers) -> None:
    with OllamaServer(answers) as server:
        calm = new_chaos("calm", server)
        assert calm.run(0) == 0, calm.last_error
        total, tree, executed, asked = calm.points(), calm.tree(), calm.executed(), calm.asked()
    assert executed == ["one", "two", "three", "four"]
    faults, seconds = [], []
    # The number of points differs by a few from run to run, so the very last ones may not be met.
    last = total * 97 // 100
    points = sorted({1 + (last - 1) * at // max(POINTS - 1, 1) for at in range(POINTS)})
    for number, point in enumerate(points):
        with OllamaServer(answers) as server:
            chaos = new_chaos(f"p{point}", server)
            again = number % 3 == 2
            fault = disturbed(chaos, point, again=again)
            fault = fault or compared(chaos, tree, executed, asked, kills=1 + again)
        if chaos.resume_s is not None:
            seconds.append(chaos.resume_s)
        if fault:
            faults.append(f"point {point} of {total}: {fault}")
    print(f"\n{len(points)} kill points of {total}, {len(points) // 3} killed twice, {len(faults)} faults")
    print(f"process start to first new step: median {median(seconds):.2f} s, slowest {max(seconds):.2f} s")
    assert faults == []


def disturbed(chaos: Any, point: int, *, again: bool) -> str:
    """Kill the run at the point and resume it until it ends; return what went wrong, "" = nothing."""
    code = chaos.run(point)
    if code != -signal.SIGKILL:
        return f"was to be killed and ended with {code}: {chaos.last_error[-300:]}"
    if again and chaos.resume(SECOND_KILL) not in (-signal.SIGKILL, 0, 2):
        return f"resume to be killed: {chaos.last_error[-300:]}"
    code = chaos.resume()
    if code == 2 and "There is no run" in chaos.last_error:
        # Killed before the run's row was written: nothing began, so it is simply started again.
        code = chaos.run(0)
    if code == 2 and "is done" in chaos.last_error:
        return ""
    return "" if code == 0 else f"resume ended with {code}: {chaos.last_error[-300:]}"


def compared(chaos: Any, tree: dict[str, bytes], executed: list[str], asked: Any, kills: int) -> str:
    if chaos.tree() != tree:
        return f"another tree: {sorted(set(chaos.tree().items()) ^ set(tree.items()))}"
    if chaos.executed() != executed:
        return f"commands executed: {chaos.executed()}"
    # A call that was under way when a process died is asked again; one that was answered never is.
    if (repeated := sum((chaos.asked() - asked).values())) > kills:
        return f"{repeated} model calls asked again after {kills} kills"
    return "" if chaos.is_sound() else "the database is damaged"
