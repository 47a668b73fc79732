"""Rules and the network of a graph, a node, a subgraph and a sub-agent, on the way to the command."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flowloom.configs.rules import parse_rules
from flowloom.core.errors import RunFailed
from flowloom.core.ports import CallRef
from flowloom.llm.answers import Reply
from flowloom.tools.registry import TOOLS

TOUCH = '"bash(touch:*)": allow'


def bash(script: Any, line: str) -> Any:
    return script.call("bash", command=line)


async def test_a_rule_of_a_node_lets_its_own_commands_run_and_no_other_s(bench: Any, script: Any) -> None:
    run = bench(bash(script, "touch one"), Reply("done"), bash(script, "touch two"), Reply("done"), mode="ask")
    text = (
        "flow: 1\nname: g\nnodes:\n"
        f"  a: {{type: coder, prompt: p, permissions: {{{TOUCH}}}}}\n"
        "  b: {type: coder, prompt: p}\nedges: [[START, a, b, END]]\n"
    )
    assert await run.run(text) is None
    assert (run.repo / "one").exists()
    assert not (run.repo / "two").exists()
    assert (run.question.node, run.question.payload["command"]) == ("b#1", "touch two")


@pytest.mark.parametrize("line", ["touch one $(id)", "touch one; make", "touch $X", "for x in a; do touch $x; done"])
async def test_no_rule_lets_run_what_is_out_of_sight(bench: Any, script: Any, line: str) -> None:
    run = bench(bash(script, line), Reply("done"), mode="ask")
    rules = f"{TOUCH}, 'bash(*)': allow" if "make" not in line else TOUCH
    assert await run.node(f"type: coder, prompt: p, permissions: {{{rules}}}") is None
    assert run.question.payload["command"] == line


@pytest.mark.parametrize("mode", ["ask", "auto"])
async def test_no_graph_lifts_what_the_settings_deny(bench: Any, script: Any, mode: str) -> None:
    run = bench(bash(script, "touch one"), Reply("done"), mode=mode)
    run.rules = parse_rules({"bash(touch one)": "deny"})
    await run.node(f"type: coder, prompt: p, permissions: {{{TOUCH}, 'bash(touch one)': allow}}")
    assert run.results() == ["It was not run: the rule 'bash(touch one)' denies it."]
    assert not (run.repo / "one").exists()


async def test_no_graph_lifts_what_the_settings_ask_for(bench: Any, script: Any) -> None:
    run = bench(bash(script, "touch one"), Reply("done"))
    run.rules = parse_rules({"bash(touch:*)": "ask"})
    await run.node(f"type: coder, prompt: p, permissions: {{{TOUCH}}}")
    assert run.question.choices == ("yes", "no")
    assert (await run.answer("yes"))["summary"] == "done"
    assert (run.repo / "one").exists()


SUBGRAPH = (
    "flow: 1\nname: g\npermissions: {'bash(rm:*)': deny}\nnodes:\n"
    f"  a: {{type: graph, graph: inner, permissions: {{{TOUCH}}}}}\nedges: [[START, a, END]]\n"
    "---\nflow: 1\nname: inner\nnodes:\n"
    "  code: {type: coder, prompt: p, permissions: {'bash(rm:*)': allow}}\nedges: [[START, code, END]]\n"
)


async def test_a_graph_that_a_node_runs_is_held_to_the_rules_around_it(bench: Any, script: Any) -> None:
    run = bench(bash(script, "touch one"), bash(script, "rm a.py"), Reply("done"), mode="ask")
    await run.run(SUBGRAPH)
    assert run.results() == ["(no output)", "It was not run: the rule 'bash(rm:*)' denies it."]


async def test_a_sub_agent_is_held_to_the_rules_of_its_parent(bench: Any, script: Any) -> None:
    # None of the tools that a sub-agent is offered runs a command, so it is given one that does.
    touch = replace(TOOLS["bash"], name="grep", category="read")
    run = bench(
        script.call("spawn_agent", task="look"), script.call("grep", command="touch one"), Reply("no"), Reply("done")
    )
    deps = run.deps

    def with_touch() -> Any:
        made = deps()
        made = replace(made, toolbox=replace(made.toolbox, specs={**TOOLS, "grep": touch}))
        made.toolbox.effects._spawner.attach(made)
        return made

    run.deps = with_touch
    await run.node("type: coder, prompt: p, permissions: {'bash(touch:*)': deny}")
    assert run.results(2) == ["It was not run: the rule 'bash(touch:*)' denies it."]
    assert not (run.repo / "one").exists()


async def test_a_shell_node_does_not_run_what_the_settings_deny(bench: Any) -> None:
    run = bench()
    run.rules = parse_rules({"bash(touch:*)": "deny"})
    for command in ("[touch, one]", "{command: input.line}"):
        with pytest.raises(RunFailed, match="a: It was not run: the rule 'bash\\(touch:\\*\\)' denies it"):
            await run.node(f"type: shell, run: {command}", line="true; touch one")
    assert not (run.repo / "one").exists()


async def test_a_shell_node_that_a_rule_asks_for_waits_for_a_person(bench: Any) -> None:
    run = bench()
    run.rules = parse_rules({"bash(touch:*)": "ask"})
    assert await run.node("type: shell, run: [touch, one], permissions: {'bash(touch:*)': allow}") is None
    assert not (run.repo / "one").exists()
    assert (await run.answer("yes"))["exit_code"] == 0
    assert (run.repo / "one").exists()


async def test_a_tool_node_is_held_to_its_rules(bench: Any) -> None:
    run = bench(mode="ask")
    node = "type: tool, call: bash, with: {command: touch one}, permissions: {'bash(touch one)': allow}"
    assert (await run.node(node))["text"] == "(no output)"


@pytest.mark.parametrize(
    ("node", "network"),
    [
        ("type: shell, run: [touch, one], network: true", True),
        ("type: shell, run: {command: input.line}, network: true", True),
        ("type: shell, run: [touch, one], network: false", False),
        ("type: shell, run: [touch, one], permissions: {'network(touch:*)': allow}", True),
        ("type: shell, run: [touch, one], network: true, permissions: {'network(touch:*)': deny}", False),
        ("type: shell, run: [touch, one]", None),
        ("type: tool, call: run_code, with: {language: python, code: 'print(1)'}, network: true", True),
        ("type: tool, call: bash, with: {command: touch one}, network: true", True),
        ("type: tool, call: bash, with: {command: ls}, network: true", None),
        ("type: tool, call: git, with: {action: status}, network: true", None),
    ],
)
async def test_the_network_of_a_node_is_that_of_its_commands(bench: Any, node: str, network: bool | None) -> None:
    run = bench()
    await run.node(node, line="touch one")
    entry = run.journal.find(CallRef("a#1", "run")) or run.journal.find(CallRef("a#1", "call"))
    assert entry.effect.network is network


async def test_a_model_s_command_with_the_network_is_asked_for_and_shown_with_it(bench: Any, script: Any) -> None:
    run = bench(bash(script, "touch one"), Reply("done"), mode="auto-edit")
    assert await run.node(f"type: coder, prompt: p, network: true, permissions: {{{TOUCH}}}") is None
    title, asked, _ = run.question.text.split("\n")
    assert title.startswith("Run this command with the network ")
    assert asked.startswith("Asked since it would have the network (the graph says network: true).")
