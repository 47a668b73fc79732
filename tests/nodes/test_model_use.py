"""What agents tell of their model calls, what budgets refuse, and another model taking over."""

from __future__ import annotations

from typing import Any

import pytest

from flowloom.core.errors import LimitReached, ModelNotUsable, ModelUnavailable
from flowloom.core.prices import Price, Prices
from flowloom.graphs.spec import Limits
from flowloom.llm.answers import Fault, RawReply, Reply
from flowloom.llm.ollama import OllamaChat
from flowloom.nodes.deps import AgentLimits

READER = "type: agent, prompt: Look, tools: [read_file]"


def calls(run: Any) -> list[dict[str, Any]]:
    return [event.data for event in run.events if event.type == "model_call"]


def unreported(text: str) -> RawReply:
    """Return a reply whose server tells no counts."""
    message = {"role": "assistant", "content": text}
    end = {"model": "scripted", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
    return RawReply([{"model": "scripted", "message": message, "done": False}, end])


async def test_call_is_told_with_counts_times_and_cost(bench: Any) -> None:
    run = bench(Reply("done", prompt_tokens=1000, completion_tokens=50, cached_tokens=600))
    run.prices = Prices({"scripted": Price(2.0, 10.0, cached=1.0)})
    await run.node(READER)
    (call,) = calls(run)
    assert (call["prompt_tokens"], call["cached_tokens"], call["completion_tokens"]) == (1000, 600, 50)
    assert (call["prefill_s"], call["decode_s"], call["fault"]) == (0.0005, 0.0005, "")
    assert call["cost"] == pytest.approx((400 * 2.0 + 600 * 1.0 + 50 * 10.0) / 1e6)
    assert call["estimated_tokens"] == 0


async def test_ollama_tells_no_cached_tokens_so_they_are_unknown(bench: Any) -> None:
    run = bench(Reply("done"))
    await run.node(READER)
    assert (calls(run)[0]["cached_tokens"], calls(run)[0]["cost"]) == (None, None)


async def test_cut_reply_is_counted_before_it_is_asked_again(bench: Any) -> None:
    run = bench(Reply("half", done_reason="length", prompt_tokens=900, completion_tokens=4096), Reply("done"))
    await run.node(READER)
    cut, whole = calls(run)
    assert (cut["fault"], cut["prompt_tokens"], cut["completion_tokens"], cut["text"]) == ("cut", 900, 4096, "")
    assert whole["fault"] == ""
    kinds = [event.type for event in run.events]
    assert kinds.index("model_call") < kinds.index("model_retry")


async def test_call_that_cannot_be_read_is_counted(bench: Any) -> None:
    run = bench(Fault("bad-arguments"), Reply("done"))
    await run.node(READER)
    assert [call["fault"] for call in calls(run)] == ["invalid", ""]
    assert calls(run)[0]["completion_tokens"] > 0


async def test_call_that_the_server_could_not_read_is_counted_by_our_estimate(bench: Any) -> None:
    run = bench(Fault("http-500", text="error parsing tool call: raw='{'"), Reply("done"))
    await run.node(READER)
    unread = calls(run)[0]
    assert (unread["fault"], unread["prompt_tokens"], unread["completion_tokens"]) == ("invalid", None, None)
    assert unread["estimated_tokens"] > 50


async def test_attempts_that_broke_are_counted_with_the_reply_that_came_in_the_end(bench: Any) -> None:
    run = bench(Fault("no-done"), Fault("no-done"), Reply("done", prompt_tokens=100, completion_tokens=1))
    await run.node(READER)
    (call,) = calls(run)
    assert (call["prompt_tokens"], call["completion_tokens"]) == (100, 1)
    assert call["estimated_tokens"] > 2 * 50


async def test_reply_that_never_came_whole_is_counted_and_ends_the_call(bench: Any) -> None:
    run = bench(*[Fault("no-done")] * 3)
    with pytest.raises(ModelUnavailable, match="broke"):
        await run.node(READER)
    (call,) = calls(run)
    assert (call["fault"], call["prompt_tokens"]) == ("broken", None)
    assert call["estimated_tokens"] > 3 * 50


async def test_server_that_generated_nothing_costs_nothing(bench: Any) -> None:
    run = bench(Fault("http", status=400, text="no"))
    with pytest.raises(Exception, match="refused the request"):
        await run.node(READER)
    assert calls(run) == []


async def test_tokens_that_a_server_does_not_report_are_estimated_for_the_budget(bench: Any) -> None:
    run = bench(unreported('{"name": "read_file", "arguments": {"path": "a.py"}}'), Reply("never asked"))
    run.limits = AgentLimits(max_tokens=1024)
    run.run_limits = Limits(tokens=2500)
    with pytest.raises(LimitReached, match=r"has used [\d,]+ of at most 2,500 tokens"):
        await run.node("type: agent, prompt: " + "word " * 500 + ", tools: [read_file]")
    (call,) = calls(run)
    assert call["prompt_tokens"] is None and call["estimated_tokens"] > 500
    assert len(run.server.requests) == 1


async def test_output_cap_is_lowered_to_what_the_budget_leaves(bench: Any) -> None:
    run = bench(Reply("done"))
    run.run_limits = Limits(tokens=2500)
    await run.node(READER)
    sent = run.server.requests[0].body["options"]["num_predict"]
    assert 1024 <= sent < 2500


async def test_request_that_would_pass_the_budget_is_not_sent(bench: Any) -> None:
    run = bench(Reply("never asked"))
    run.run_limits = Limits(tokens=1000)
    with pytest.raises(LimitReached, match="used 0 of at most 1,000 tokens"):
        await run.node(READER)
    assert run.server.requests == []


async def test_tokens_of_one_visit_are_bounded_by_its_node(bench: Any, script: Any) -> None:
    reply = Reply(calls=[script.Call("read_file", {"path": "a.py"})], prompt_tokens=2000, completion_tokens=500)
    run = bench(reply, Reply("never asked"))
    with pytest.raises(LimitReached, match="'a#1' has used 2,500 of at most 4,000 tokens"):
        await run.node(f"{READER}, limits: {{tokens: 4k}}")
    assert len(run.server.requests) == 1


async def test_sub_agent_is_held_to_the_tokens_of_the_visit_that_started_it(bench: Any, script: Any) -> None:
    spawn = Reply(
        calls=[script.Call("spawn_agent", {"task": "look"})],
        prompt_tokens=2000,
        completion_tokens=500,
    )
    run = bench(spawn, Reply("never asked"))
    with pytest.raises(LimitReached, match="'a#1' has used 2,500"):
        await run.node("type: agent, prompt: Look, tools: [spawn_agent], limits: {tokens: 3500}")
    assert len(run.server.requests) == 1


async def test_another_model_takes_over_in_the_middle_of_a_visit_with_the_same_conversation(
    bench: Any, script: Any
) -> None:
    gone = Fault("http-404", text="model 'scripted' not found")
    run = bench(script.call("read_file", path="a.py"), gone, Reply("done by the other"))
    run.server.models = ("scripted:latest", "other:latest")
    asked: list[tuple[str, str, int]] = []

    async def fall_back(wanted: str, err: ModelNotUsable, window: int) -> None:
        asked.append((wanted, err.model, window))
        await run.chat.aclose()
        run.chat = OllamaChat(url=run.server.url, model="other", window=8192)

    run.fall_back = fall_back
    assert await run.node(READER) == "done by the other"
    ((wanted, failed, window),) = asked
    assert (wanted, failed) == ("agent", "scripted") and 2048 < window < 8192
    assert [request.body["model"] for request in run.server.requests] == ["scripted", "scripted", "other"]
    assert run.conversation(2) == run.conversation(1)
    assert [call["model"] for call in calls(run)] == ["scripted", "other"]


async def test_model_that_took_over_is_not_measured_by_the_count_of_the_one_before(bench: Any, script: Any) -> None:
    reply = Reply(calls=[script.Call("read_file", {"path": "a.py"})], prompt_tokens=5000, completion_tokens=5)
    run = bench(reply, Fault("http-404", text="model 'scripted' not found"), Reply("done"))
    run.server.models = ("scripted:latest", "other:latest")
    run.limits = AgentLimits(max_tokens=1024)
    windows = []

    async def fall_back(wanted: str, err: ModelNotUsable, window: int) -> None:
        windows.append(window)
        await run.chat.aclose()
        run.chat = OllamaChat(url=run.server.url, model="other", window=4096)

    run.fall_back = fall_back
    # By the first model's count the request would not fit the other one's window.
    assert await run.node(READER) == "done"
    assert windows[0] > 5000


async def test_model_that_nothing_takes_over_from_pauses_the_run(bench: Any) -> None:
    run = bench(Fault("http", text="model requires more system memory (40 GiB) than is available (8 GiB)"))
    with pytest.raises(ModelNotUsable, match="does not fit"):
        await run.node(READER)
    assert len(run.server.requests) == 1
