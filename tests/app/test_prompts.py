"""What `flow prompts show` prints, held against what a run sends over the wire."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowloom.llm.answers import Answers, ChatRequest
from flowloom.llm.ollama_server import OllamaServer

MODEL = ("-m", "devstral-small-2:24b", "-c", "models.num_ctx=32768")
STEP = {"id": "total", "title": "Add up", "brief": "total(prices) adds up.", "files": ["shop/cart.py"]}
TASK = "合計 total() が間違っています: @shop/cart.py"


def shown(shop: Any, *words: str) -> dict[str, Any]:
    done = shop.flow("prompts", "show", *words, "-o", "json", *MODEL, cwd=shop.repo)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def sent(requests: Sequence[ChatRequest], *holds: str) -> str:
    """Return the first request whose first user message holds these texts, as it came."""
    return next(
        json.dumps(request.body, ensure_ascii=False)
        for request in requests
        if all(text in str(request.messages[1]["content"]) for text in holds)
    )


def test_shown_requests_are_byte_for_byte_those_that_a_run_sends(shop: Any, script: Any) -> None:
    agent, reply, call = script.Agent, script.Reply, script.call
    edit = call("edit_file", path="shop/cart.py", old_text="max", new_text="sum")
    answers: Answers = script.conversation(
        agent((script.PLANNER,), [reply(json.dumps({"title": "Mend", "steps": [STEP]}))]),
        agent((script.CODER,), [edit, reply("done")]),
        agent((script.REVIEWER,), [reply(json.dumps({"verdict": "approve", "findings": []}))]),
    )
    (shop.repo / ".agent.md").write_text("Use tabs.\n", "utf-8")
    shop.flow("trust", "--yes", cwd=shop.repo)
    plan = shown(shop, "plan", TASK)
    coder = shown(shop, "code", "-g", "implement-step", "-i", f"step={json.dumps(STEP)}", "-i", f"task={TASK}")
    with OllamaServer(answers, models=(MODEL[1],)) as server:
        words = ("run", "plan-and-code", TASK, "--mode", "auto", "-c", "verify='true'", *MODEL)
        done = shop.flow(*words, cwd=shop.repo, url=server.url)
    assert done.code == 0, done.err
    assert "<mentioned" in sent(server.requests, script.PLANNER)
    for request, role in ((plan, script.PLANNER), (coder, script.CODER)):
        assert json.dumps(request["request"], ensure_ascii=False) == sent(server.requests, role)


def test_nothing_is_kept_of_it_but_the_index_and_no_server_is_needed(shop: Any, isolated_home: Path) -> None:
    done = shop.flow("prompts", "show", "plan", TASK, cwd=shop.repo, url="http://127.0.0.1:9")
    assert done.code == 0, done.err
    assert [each.name for each in (isolated_home / "flow").iterdir()] == ["cache"]
    assert "no runs" in shop.flow("runs", "list", cwd=shop.repo).out.lower()


def test_parts_add_up_to_the_request_and_stand_beside_their_budgets(shop: Any) -> None:
    plan = shown(shop, "plan", TASK)
    parts = {part["name"]: part for part in plan["parts"]}
    assert [*parts] == [
        "system",
        "tools",
        "role",
        "repo_map",
        "code",
        "mentions",
        "task",
        "reminder",
        "chat template",
    ]
    assert parts["repo_map"]["budget"] == 2000 and parts["task"]["budget"] is None
    assert plan["tokens"] == sum(part["tokens"] for part in parts.values())
    assert (plan["window"], plan["window_from"], plan["max_tokens"]) == (32_768, "models.num_ctx", 4096)


def test_a_model_that_a_map_confuses_gets_none(shop: Any) -> None:
    for patterns, is_shown in ((["devstral*:24b"], False), (["other"], True)):
        plan = shown(shop, "plan", TASK, "-c", f"context.no_map_for={json.dumps(patterns)}")
        assert ("repo_map" in [part["name"] for part in plan["parts"]]) == is_shown


def test_what_only_a_run_can_fill_stands_as_the_graph_has_it(shop: Any) -> None:
    coder, repair = shown(shop, "implement/code", TASK), shown(shop, "repair", TASK)
    assert coder["open"] == ["input.step"]
    assert "<task>\n{{ input.step | step_brief }}\n</task>" in coder["request"]["messages"][1]["content"]
    task = repair["request"]["messages"][1]["content"].partition("<task>\n")[2]
    assert task.startswith(TASK) and "{{ state.verdict | findings }}" in task


def test_commands_and_pages_of_the_task_are_not_run_or_fetched(shop: Any) -> None:
    done = shop.flow("prompts", "show", "plan", "Mend it:\n!touch made", cwd=shop.repo)
    assert done.code == 0 and not (shop.repo / "made").exists()
    assert "!touch made is not attached: it is run or fetched when a run begins." in done.err


def test_node_that_asks_no_model_or_is_not_there_is_named_with_those_that_do(shop: Any) -> None:
    for node, told in (("verify", "is of type shell, which asks no model"), ("implement/cod", "(did you mean")):
        done = shop.flow("prompts", "show", node, TASK, cwd=shop.repo)
        assert done.code == 2 and told in done.err and "implement/code, plan, repair, review" in done.err


def test_request_that_leaves_no_room_for_the_reply_is_said(shop: Any) -> None:
    done = shop.flow("prompts", "show", "plan", TASK, "-c", "models.num_ctx=1024", cwd=shop.repo)
    assert done.code == 0 and "it does not fit" in done.err and "models.num_ctx=N" in done.err


def test_a_node_is_shown_with_its_schema_and_the_tools_that_it_may_have(shop: Any, tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    inner = "---\nflow: 1\nname: inner\nnodes: {look: {type: coder, prompt: look}}\nedges: [[START, look, END]]\n"
    file.write_text(
        "flow: 1\nname: g\nnodes:\n"
        "  ask: {type: llm, prompt: ask, output: {schema: {type: array, items: {type: integer}}}}\n"
        "  below: {type: graph, graph: inner, workspace: readonly}\nedges: [[START, ask, below, END]]\n" + inner
    )
    ask = shown(shop, "ask", "-g", str(file))["request"]
    assert ask["format"] == {"type": "array", "items": {"type": "integer"}}
    look = shown(shop, "below/look", "-g", str(file))["request"]
    names = {tool["function"]["name"] for tool in look["tools"]}
    assert "bash" in names and not [name for name in names if "edit" in name or "write" in name]
