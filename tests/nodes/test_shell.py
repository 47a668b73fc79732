from __future__ import annotations

import time
from typing import Any

import pytest

from flowloom.core.errors import RunFailed, UsageError

JSON = "type: shell, run: [sh, -c, '{{ input.line }}'], parse: json"


async def test_values_are_whole_arguments_and_never_spliced(bench: Any) -> None:
    run = bench()
    hostile = "x; rm a.py $(touch made) `touch made` | cat\n' \""
    value = await run.node("type: shell, run: [printf, '%s', '{{ input.text }}']", text=hostile)
    assert value["text"] == hostile
    assert (run.repo / "a.py").exists() and not (run.repo / "made").exists()


async def test_value_that_is_no_text_becomes_one_argument(bench: Any) -> None:
    run = bench()
    value = await run.node(
        "type: shell, run: [printf, '%s|', '{{ input.n }}', '{{ input.data }}']", n=3, data={"k": 1}
    )
    assert value["text"] == '3|{"k": 1}|'


async def test_values_reach_a_command_by_its_environment(bench: Any) -> None:
    run = bench()
    value = await run.node("type: shell, run: [printenv, WHAT], env: {WHAT: '{{ input.n }}; rm a.py'}", n=7)
    assert value == {"exit_code": 0, "text": "7; rm a.py"}


async def test_configured_command_may_be_a_line_or_a_list(bench: Any) -> None:
    run = bench()
    assert (await run.node("type: shell, run: {command: input.c}", c="echo a | tr a b"))["text"] == "b"


@pytest.mark.parametrize("command", ["", "  ", [], ["echo", 1], 5, {"x": 1}])
async def test_command_that_is_no_text_is_refused(bench: Any, command: Any) -> None:
    run = bench()
    with pytest.raises(UsageError, match="a: the command must be a text or a list of texts"):
        await run.node("type: shell, run: {command: input.c}", c=command)


async def test_failing_command_gives_its_exit_code_and_output(bench: Any) -> None:
    run = bench()
    value = await run.node("type: shell, run: [sh, -c, 'echo しっぱい; exit 3']")
    assert value == {"exit_code": 3, "text": "exit code 3\nしっぱい"}


async def test_command_over_its_time_ends_with_124(bench: Any) -> None:
    run = bench()
    started = time.monotonic()
    value = await run.node("type: shell, run: [sleep, '30'], timeout: 200ms")
    assert value["exit_code"] == 124
    assert "timed out after 0.2 s" in value["text"]
    assert time.monotonic() - started < 10


LINES = "type: shell, run: {command: input.line}, parse: lines"


@pytest.mark.parametrize(
    ("line", "code", "lines"),
    [
        ("printf 'a\\n\\n b\\n'", 0, ["a", "", " b"]),
        ("echo no; exit 3", 3, ["no"]),
        ("true", 0, []),
        ("exit 2", 2, []),
    ],
)
async def test_lines_of_the_output_are_told_beside_the_exit_code(
    bench: Any, line: str, code: int, lines: list[str]
) -> None:
    value = await bench().node(LINES, line=line)
    assert (value["exit_code"], value["lines"]) == (code, lines)


async def test_lines_beyond_what_is_shown_are_all_told(bench: Any) -> None:
    value = await bench().node(LINES, line="seq 20000; exit 1")
    assert value["lines"] == [str(number) for number in range(1, 20_001)]
    assert len(value["text"]) < 20_000


async def test_json_output_is_the_value(bench: Any) -> None:
    run = bench()
    assert await run.node(JSON, line="""echo '{"items": [1, "二"]}'""") == {"items": [1, "二"]}


async def test_json_output_beyond_what_is_shown_is_read_whole(bench: Any) -> None:
    run = bench()
    value = await run.node(JSON, line="""python3 -c 'import json; print(json.dumps(list(range(20000))))'""")
    assert value == list(range(20000))


@pytest.mark.parametrize("line", ["echo not json", "echo NaN", "true", "echo '{'", "printf '\\377'"])
async def test_output_that_is_no_json_is_an_error(bench: Any, line: str) -> None:
    run = bench()
    with pytest.raises(RunFailed, match="a: the command's output is not JSON"):
        await run.node(JSON, line=line)


async def test_failing_command_is_an_error_where_json_is_wanted(bench: Any) -> None:
    run = bench()
    with pytest.raises(RunFailed, match=r"a: the command failed: .*boom"):
        await run.node(JSON, line="echo boom; exit 2")


async def test_program_that_does_not_exist_is_an_error_of_the_node(bench: Any) -> None:
    run = bench()
    with pytest.raises(RunFailed, match="a: 'no-such-program' can not be run"):
        await run.node("type: shell, run: [no-such-program]")


async def test_failed_command_is_tried_again_when_the_run_goes_on(bench: Any) -> None:
    run = bench()
    with pytest.raises(RunFailed):
        await run.node(JSON, line="cat data.json")
    run.write("data.json", "[1]")
    run.process()
    assert await run.go_on() == [1]


async def test_finished_command_is_not_run_again_when_only_its_step_was_lost(bench: Any) -> None:
    run = bench()
    text = (
        "flow: 1\nname: g\nstate: {out: {type: any}}\noutput: state.out\n"
        "nodes: {a: {type: shell, run: [sh, -c, 'echo x >> log; cat log'], output: {to: out}}}\n"
        "edges: [{from: a, when: state.out.nothing, to: END, else: END}, [START, a]]\n"
    )
    for _ in range(2):
        with pytest.raises(RunFailed, match=r"a: .*'nothing'"):
            await (run.go_on() if run.events else run.run(text))
        run.process()
    assert run.read("log") == "x\n"


async def test_command_is_told_with_its_real_time_and_result(bench: Any) -> None:
    run = bench()
    await run.node("type: shell, run: [sh, -c, 'sleep 0.2; exit 1']")
    (ended,) = [event.data for event in run.events if event.type == "tool_end"]
    assert ended["ok"] is False
    assert 0.2 <= ended["seconds"] < 10
    assert run.kinds("tool_start", "tool_end") == ["tool_start a#1", "tool_end a#1"]


async def test_secrets_in_a_commands_json_are_masked_in_the_nodes_value(bench: Any) -> None:
    token = "ghp_" + "a1B2c3D4e5" * 4
    run = bench()
    run.write("data.json", f'{{"login": {{"password": "hunter22x"}}, "note": "{token}", "pad": "{"x" * 20_000}"}}')
    value = await run.node(JSON, line="cat data.json")
    assert value["login"]["password"].startswith("<secret:PASSWORD-")
    assert value["note"].startswith("<secret:GITHUB-")


async def test_a_command_that_was_given_a_masked_input_is_refused(bench: Any) -> None:
    run = bench()
    with pytest.raises(RunFailed, match="no command is given one"):
        await run.node(JSON, line="echo <secret:GITHUB-0a1b2c>")
