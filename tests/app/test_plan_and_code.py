"""plan-and-code as a user runs it: `flow` in a process of its own, a server on loopback, a real repository."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flowloom.llm.answers import Answers, ChatRequest
from flowloom.llm.ollama_server import OllamaServer


def first_user_message(request: ChatRequest) -> str:
    return next(str(message["content"]) for message in request.messages if message["role"] == "user")


class Whole(NamedTuple):
    """A run in mode auto that ended well, looked at by several tests."""

    shop: Any
    server: OllamaServer
    done: Any


@pytest.fixture(scope="module")
def done_once() -> list[Whole]:
    return []


@pytest.fixture
def whole(shop: Any, answers: Answers, done_once: list[Whole]) -> Whole:
    if not done_once:
        with OllamaServer(answers) as server:
            done = shop.run(server, "-o", "json")
        assert done.code == 0, done.err
        done_once.append(Whole(shop, server, done))
    return done_once[0]


def test_a_red_repository_is_green_after_two_steps_a_review_round_trip_and_a_repair(whole: Whole) -> None:
    assert whole.shop.is_green()
    assert whole.server.refused == []
    output = json.loads(whole.done.out)["output"]
    assert [change["step"] for change in output["changes"]] == ["total", "label", ""]
    assert output["verdict"]["verdict"] == "approve"


def test_a_sub_agents_own_messages_never_stand_in_its_parents_requests(whole: Whole, script: Any) -> None:
    parents = [r for r in whole.server.requests if script.SUB_AGENT not in first_user_message(r)]
    sub_agents = [r for r in whole.server.requests if script.SUB_AGENT in first_user_message(r)]
    assert len(sub_agents) == 2
    report = [r for r in parents if "SECRET-REPORT" in json.dumps(r.body)]
    assert report
    assert all("test_shop.py" not in str(m) for r in report for m in r.messages if m["role"] == "tool")


def test_planner_and_coder_requests_carry_a_map_and_a_code_hit(whole: Whole, script: Any) -> None:
    for role in (script.PLANNER, script.CODER):
        first = next(first_user_message(r) for r in whole.server.requests if role in first_user_message(r))
        assert "<repo_map>" in first and "shop/cart.py" in first.split("<repo_map>")[1].split("</repo_map>")[0]
        assert "def total(prices)" in first.split("<code>")[1].split("</code>")[0]


def test_every_request_of_a_run_has_the_same_window_and_the_same_front(whole: Whole) -> None:
    assert {r.body["options"]["num_ctx"] for r in whole.server.requests} == {32768}
    assert len({json.dumps(r.messages[0]) for r in whole.server.requests}) == 1


def test_the_same_start_twice_sends_byte_identical_first_requests(
    flow: Any, shop: Any, repo: Path, answers: Answers, isolated_home: Path
) -> None:
    with OllamaServer(answers) as server:
        shop.run(server)
        first = server.requests[0].body
        subprocess.run(["git", "checkout", "-q", "."], cwd=repo, check=True)
        before = len(server.requests)
        shop.run(server)
    assert json.dumps(server.requests[before].body) == json.dumps(first)


def test_without_a_terminal_mode_ask_waits_at_the_first_edit_and_goes_on_with_an_answer(
    flow: Any, shop: Any, repo: Path, answers: Answers
) -> None:
    with OllamaServer(answers) as server:
        waiting = flow("run", "plan-and-code", shop.task, "-c", shop.verify, cwd=repo, url=server.url)
        assert waiting.code == 4, waiting.err
        assert (repo / "shop/cart.py").read_text() == shop.files["shop/cart.py"]
        asked = len(server.requests)
        again = flow("resume", "--answer", "always", cwd=repo, url=server.url)
        # Commands are asked for as well, but this script runs none.
        assert again.code == 0, again.err
        assert len({json.dumps(r.body) for r in server.requests[:asked]}) == asked
    assert shop.is_green()


def test_a_refused_edit_is_told_to_the_model_and_changes_nothing(
    flow: Any, shop: Any, repo: Path, script: Any
) -> None:
    plan = {**shop.plan, "steps": [shop.plan["steps"][1]]}
    answers = script.conversation(
        script.Agent((script.PLANNER,), [script.Reply(json.dumps(plan))]),
        script.Agent(
            (script.CODER,),
            [
                script.call("write_file", path="shop/cart.py", content="x"),
                script.Reply("not allowed, so nothing done"),
            ],
        ),
        script.Agent((script.REVIEWER,), [script.Reply('{"verdict": "approve", "findings": []}')]),
    )
    with OllamaServer(answers) as server:
        assert flow("run", "plan-and-code", shop.task, "-c", "verify=", cwd=repo, url=server.url).code == 4
        assert flow("resume", "--answer", "no: use sum()", cwd=repo, url=server.url).code == 0
        told = [m["content"] for m in server.requests[-2].messages if m["role"] == "tool"]
    assert any("use sum()" in text for text in told)
    assert (repo / "shop/cart.py").read_text() == shop.files["shop/cart.py"]


def test_the_run_ends_with_1_when_the_tests_stay_red(flow: Any, shop: Any, repo: Path, script: Any) -> None:
    answers = script.conversation(
        script.Agent((script.PLANNER,), [script.Reply(json.dumps(shop.plan))]),
        script.Agent((script.CODER,), [script.Reply("did nothing")]),
    )
    with OllamaServer(answers) as server:
        done = shop.run(server)
    assert done.code == 1
    assert "still fails" in done.err


def test_jsonl_on_stdout_is_the_table_of_events(flow: Any, shop: Any, repo: Path, answers: Answers) -> None:
    with OllamaServer(answers) as server:
        done = shop.run(server, "-o", "jsonl")
    assert [line["seq"] for line in done.lines] == list(range(1, len(done.lines) + 1))
    assert {"run_start", "node_start", "model_call", "tool_start", "tool_end", "node_end", "run_end"} <= {
        line["type"] for line in done.lines
    }


def test_a_recorded_run_replays_without_a_server_in_another_folder(
    flow: Any, shop: Any, repo: Path, answers: Answers, tmp_path: Path
) -> None:
    cassette = tmp_path / "run.jsonl"
    with OllamaServer(answers) as server:
        assert shop.run(server, "--record", str(cassette)).code == 0
    subprocess.run(["git", "stash", "-q"], cwd=repo, check=True)
    copy = tmp_path / "elsewhere"
    subprocess.run(["git", "clone", "-q", str(repo), str(copy)], check=True)
    done = flow(
        "run", "plan-and-code", shop.task, "--mode", "auto", "-c", shop.verify, "--replay", str(cassette), cwd=copy
    )
    assert done.code == 0, done.err
    assert shop.is_green(copy)


def test_a_replay_of_another_task_shows_the_difference_and_ends_with_1(
    flow: Any, shop: Any, repo: Path, answers: Answers, tmp_path: Path
) -> None:
    cassette = tmp_path / "run.jsonl"
    with OllamaServer(answers) as server:
        shop.run(server, "--record", str(cassette))
    subprocess.run(["git", "checkout", "-q", "."], cwd=repo, check=True)
    done = flow("run", "plan-and-code", "別の仕事", "--mode", "auto", "--replay", str(cassette), cwd=repo)
    assert done.code == 1
    assert "call 'plan#1.0' is not the recorded one: message 1 (user)" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("check", "tries"), [("grep -q sum shop/cart.py", 1), ("exit 1", 1), ("! grep -q sum shop/cart.py", 3)]
)
def test_a_step_is_held_to_the_check_where_it_passed_before(
    flow: Any, shop: Any, script: Any, check: str, tries: int
) -> None:
    plan = {**shop.plan, "steps": [{"id": "total", "title": "Add up", "brief": "total(prices) adds up."}]}
    edited = script.call("edit_file", path="shop/cart.py", old_text="max", new_text="sum")
    answers = script.conversation(
        script.Agent((script.PLANNER,), [script.Reply(json.dumps(plan))]),
        script.Agent((script.CODER,), [edited, *[script.Reply("total adds up")] * 3]),
        script.Agent((script.REVIEWER,), [script.Reply('{"verdict": "approve", "findings": []}')]),
    )
    with OllamaServer(answers) as server:
        done = shop.run(server, "-c", f"check={check}", "-c", "verify=", "-o", "jsonl")
    checks = [line["node"] for line in done.lines if line["type"] == "tool_end" and "/check" in line["node"]]
    coders = [line["node"] for line in done.lines if line["type"] == "node_end" and "/code" in line["node"]]
    assert done.code == 0, done.err
    assert (len(coders), len(checks)) == (tries, tries if tries == 3 else 0)
