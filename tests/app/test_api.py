"""Runs that a program starts: results, events as they happen, and its event loop."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flowloom
from flowloom import arun, resume, run, stream
from flowloom.core.errors import RunFailed, UsageError
from flowloom.llm.ollama_server import OllamaServer, scripted

ECHO = """\
flow: 1
name: echo
input: {word: {type: string, required: true}}
state: {said: {type: object}}
output: state.said.text
nodes:
  say: {type: shell, run: [sh, -c, 'echo $0; exit 0', "{{ input.word }}"], output: {to: said}}
  ask: {type: human, if: "input.word == 'ask'", show: "Sure?", choices: [yes, no], headless: yes, skipped: yes}
  wrong: {type: fail, message: "It is wrong.", exit: 9}
edges:
  - [START, say, ask]
  - {from: ask, when: "output.choice == 'yes' and input.word != 'fail'", to: END, else: wrong}
"""


@pytest.fixture
def given(make_repo: Any) -> Iterator[dict[str, Any]]:
    """Give what every run of these tests has."""
    repo = make_repo({"a.txt": "a\n"})
    (repo.parent / "echo.yaml").write_text(ECHO)
    with OllamaServer(scripted([])) as server:
        settings = {"server.url": server.url, "sandbox.backend": "none", "mode": "auto"}
        yield {"graph": repo.parent / "echo.yaml", "workspace": repo, "settings": settings}


def test_a_run_gives_its_output(given: dict[str, Any]) -> None:
    result = run(inputs={"word": "hi"}, **given)
    assert (result.status, result.output, result.diff, result.questions) == ("done", "hi", "", ())


def test_a_run_that_fails_raises_with_its_exit_code(given: dict[str, Any]) -> None:
    with pytest.raises(RunFailed, match="It is wrong") as failed:
        run(inputs={"word": "fail"}, **given)
    assert failed.value.exit_code == 9


def test_a_question_is_answered_by_the_program_or_takes_its_headless_answer(given: dict[str, Any]) -> None:
    assert run(inputs={"word": "ask"}, **given).status == "done"
    with pytest.raises(RunFailed, match="It is wrong"):
        run(inputs={"word": "ask"}, answer=lambda question: "no", **given)


def test_what_is_missing_is_a_wrong_argument(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="echo needs the input 'word'"):
        run(**given)
    with pytest.raises(UsageError, match="There is no graph 'ecko'"):
        run("ecko", workspace=given["workspace"])
    with pytest.raises(UsageError):
        resume("zzzz", workspace=given["workspace"])


async def test_inside_an_event_loop_there_is_arun(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="An event loop is running already"):
        run(inputs={"word": "hi"}, **given)
    assert (await arun(inputs={"word": "hi"}, **given)).output == "hi"


async def test_events_come_as_they_happen_and_the_last_tells_the_end(given: dict[str, Any]) -> None:
    events = [event async for event in stream(inputs={"word": "hi"}, **given)]
    assert (events[0].type, events[-1].type, events[-1].data["output"]) == ("run_start", "run_end", "hi")
    assert [event.node for event in events if event.type == "node_end"] == ["say#1", "ask#1"]


async def test_an_error_comes_after_its_events(given: dict[str, Any]) -> None:
    seen = []
    with pytest.raises(RunFailed, match="It is wrong"):
        async for event in stream(inputs={"word": "fail"}, **given):
            seen.append(event.type)
    assert seen[-1] == "run_end"


async def test_leaving_the_loop_stops_the_run_which_can_be_resumed(given: dict[str, Any]) -> None:
    events = stream(inputs={"word": "hi"}, **given)
    async for event in events:
        if event.type == "node_start":
            break
    await events.aclose()  # type: ignore[attr-defined]
    done = await flowloom.aresume(workspace=given["workspace"], settings=given["settings"])
    assert (done.run_id, done.output) == (event.run_id, "hi")
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import sys, flowloom; print([m for m in sys.modules if m.startswith('flowloom')], 'typer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['flowloom'] False"


def test_every_name_of_the_package_is_there_and_said_once() -> None:
    for name in flowloom.__all__:
        assert getattr(flowloom, name).__doc__, name
    assert set(flowloom.__all__) == set(flowloom._PLACES)


PAGE = Path(flowloom.__file__).parent / "docs" / "python.md"


@pytest.mark.parametrize("name", [name for name in flowloom.__all__ if inspect.isfunction(getattr(flowloom, name))])
def test_the_page_has_the_real_signature(name: str) -> None:
    function = getattr(flowloom, name)
    parameters = [
        str(each).partition(":")[0].partition(" =")[0] for each in inspect.signature(function).parameters.values()
    ]
    line = next(line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"#### `{name}("))
    said = line.removeprefix(f"#### `{name}(").rpartition(")`")[0]
    named = [part.partition("=")[0].strip() for part in said.split(",")]
    assert [part for part in named if part not in ("*", "/")] == parameters


def test_the_page_names_everything() -> None:
    text = PAGE.read_text("utf-8")
    assert [name for name in flowloom.__all__ if f"`{name}" not in text] == []
