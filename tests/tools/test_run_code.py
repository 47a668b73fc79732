import shutil
from typing import Any

import pytest

from flowloom.core.effects import Command


async def test_a_python_snippet_prints_its_result(rig: Any) -> None:
    result = await rig.call("run_code", language="python", code="total = sum(range(5))\nprint('合計', total)")
    assert (result.text, result.exit_code) == ("合計 10", 0)


async def test_a_python_snippet_may_import_the_project(rig: Any) -> None:
    rig.write("shop.py", "PRICE = 7\n")
    assert (await rig.call("run_code", language="python", code="import shop; print(shop.PRICE)")).text == "7"


async def test_an_error_comes_back_with_its_traceback(rig: Any) -> None:
    result = await rig.call("run_code", language="python", code="1/0")
    assert result.failed
    assert "ZeroDivisionError" in result.text


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
async def test_a_node_snippet_prints_its_result(rig: Any) -> None:
    assert (
        await rig.call("run_code", language="node", code="console.log([1, 2].map(x => x * 2).join())")
    ).text == "2,4"


def test_a_shell_snippet_is_judged_as_a_shell_line(rig: Any) -> None:
    assert rig.plan("run_code", language="bash", code="ls").category == "shell-safe"
    assert "with your tools" in rig.refusal("run_code", language="bash", code="vim a.py")


def test_the_project_s_own_environment_runs_python(rig: Any) -> None:
    rig.write(".venv/bin/python", "#!/bin/sh\n")
    command = rig.plan("run_code", language="python", code="x")
    assert command == Command((str(rig.workspace / ".venv/bin/python"), "-c", "x"), 120.0)


async def test_a_snippet_is_asked_for_as_any_other_command(rig: Any) -> None:
    result = await rig.call("run_code", mode="plan", language="python", code="open('x', 'w')")
    assert result.failed
    assert not (rig.workspace / "x").exists()


@pytest.mark.parametrize("code", ["\0", "   ", "x" * 100_001])
def test_a_snippet_that_can_not_run_is_refused(rig: Any, code: str) -> None:
    assert rig.refusal("run_code", language="python", code=code)
