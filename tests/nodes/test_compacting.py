"""An agent whose conversation fills its window goes on in a smaller one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from flowloom.bench.tokens import canonical, common_front, count_tokens
from flowloom.core.errors import LimitReached
from flowloom.core.schemas import Plan
from flowloom.llm.answers import Answer, Answers, Call, ChatRequest, Fault, Reply
from flowloom.llm.ollama import OllamaChat
from flowloom.nodes.deps import AgentLimits, CompactNow

WINDOW = 8192
ASKED = "Write down in at most"
Turn = Callable[[int], Answer]


def prompt_tokens(request: ChatRequest) -> int:
    return count_tokens(canonical(request.body).decode())


def asks_for_summary(request: ChatRequest) -> bool:
    return ASKED in request.messages[-1]["content"]


def agent(turn: Turn, summary: Answer | None = None) -> Answers:
    """Return a model that takes its turns in order, and a server that refuses what does not fit its window."""
    taken = 0

    def answer(request: ChatRequest) -> Answer:
        nonlocal taken
        options = request.body["options"]
        if prompt_tokens(request) + options["num_predict"] > options["num_ctx"]:
            return Fault("http", status=400, text="the request exceeds the available context size")
        if asks_for_summary(request):
            return summary or Reply("Some files were read.")
        taken += 1
        return turn(taken - 1)

    return answer


def counting(answers: Answers) -> Answers:
    """Return answers that tell how many tokens of the prompt a real tokenizer counts."""

    def answer(request: ChatRequest) -> Answer:
        given = answers(request)
        return replace(given, prompt_tokens=prompt_tokens(request)) if isinstance(given, Reply) else given

    return answer


def reads(count: int, end: str = "done") -> Turn:
    return lambda number: (
        Reply(calls=[Call("read_file", {"path": f"m{number}.py"})]) if number < count else Reply(end)
    )


def write_modules(run: Any, count: int, lines: int = 40) -> None:
    for number in range(count):
        body = "".join(f"    value_{line} = compute_{number}({line})\n" for line in range(lines))
        run.write(f"m{number}.py", f"def module_{number}():\n{body}")


READER = "type: agent, prompt: Read all of it, tools: [read_file]"


def front_losses(run: Any) -> int:
    """Return how many requests do not stand unchanged at the front of the next one, those for summaries apart.

    The wish for a summary is itself only appended.
    """
    kept = [request.messages for request in run.server.requests if not asks_for_summary(request)]
    return sum(new[: len(old)] != old for old, new in pairwise(kept))


def computed(run: Any) -> int:
    """Return the tokens that a server with one slot computes."""
    prompts = [canonical(request.body) for request in run.server.requests]
    fronts = [0, *(common_front(old, new) for old, new in pairwise(prompts))]
    pairs = zip(prompts, fronts, strict=True)
    return sum(count_tokens(prompt[front:].decode("utf-8", "ignore")) for prompt, front in pairs)


def computed_between_losses(run: Any) -> list[int]:
    """Return what such a server computes from each loss of the front to the next one, the front itself apart."""
    new, before, last = [], b"", None
    for request in run.server.requests:
        prompt = canonical(request.body)
        is_lost = last is not None and request.messages[: len(last.messages)] != last.messages
        if (is_lost and not asks_for_summary(request)) or last is None:
            new.append(0)
        new[-1] += count_tokens(prompt[common_front(before, prompt) :].decode("utf-8", "ignore"))
        before = prompt
        last = last if asks_for_summary(request) else request
    return new[:-1]


def told(run: Any) -> list[dict[str, Any]]:
    return [event.data for event in run.events if event.type == "compacted"]


async def test_forty_files_are_read_in_a_small_window_and_each_loss_of_the_front_is_a_compaction(bench: Any) -> None:
    run = bench(serve=agent(reads(40)), limits=AgentLimits(model_calls=100))
    write_modules(run, 40)
    assert await run.node(READER) == "done"
    assert 3 < len(told(run)) == front_losses(run)
    assert all(data["after_tokens"] < data["before_tokens"] for data in told(run))
    left_out = [data["left_out"] for data in told(run)]
    assert left_out == sorted(left_out)


@pytest.mark.parametrize("lines", [15, 40, 90])
async def test_one_coder_in_an_8k_window_is_compacted_at_most_once_for_4k_new_tokens(bench: Any, lines: int) -> None:
    run = bench(serve=counting(agent(reads(40))), limits=AgentLimits(model_calls=100))
    write_modules(run, 40, lines)
    brief = " ".join(f"Module {number} gets its rate from the table of rates." for number in range(95))
    done = await run.node(f"type: coder, prompt: {brief}")
    assert done["summary"] == "done"
    assert prompt_tokens(run.server.requests[0]) > 0.27 * WINDOW
    between = computed_between_losses(run)
    assert len(between) == len(told(run)) > 1
    assert min(between) >= 4000, between


async def test_eighty_two_turns_lose_the_front_once_for_each_window_that_they_fill(bench: Any) -> None:
    run = bench(serve=agent(reads(81)), limits=AgentLimits(model_calls=100))
    run.chat = OllamaChat(url=run.server.url, model="scripted", window=65536)
    write_modules(run, 81, lines=90)
    assert await run.node(READER) == "done"
    made = told(run)
    assert all(data["before_tokens"] >= 0.7 * 65536 for data in made)
    assert front_losses(run) == len(made) == 2
    # Each time as much was new as fills a window to where it is made smaller.
    left = [0, *(data["after_tokens"] for data in made)]
    assert all(data["before_tokens"] - before >= 0.7 * 65536 for before, data in zip(left, made, strict=False))
    sizes = [prompt_tokens(request) + request.body["options"]["num_predict"] for request in run.server.requests]
    assert max(sizes) <= 65536
    # Each time the window was filled, and what was kept of it, is computed once.
    filled = sum(data["before_tokens"] for data in told(run)) + prompt_tokens(run.server.requests[-1])
    assert computed(run) <= 1.3 * filled


async def test_a_summary_is_asked_for_in_the_same_conversation_and_stands_in_the_next(bench: Any) -> None:
    run = bench(serve=agent(reads(12)))
    write_modules(run, 12)
    assert await run.node(READER) == "done"
    place = next(at for at, request in enumerate(run.server.requests) if asks_for_summary(request))
    before, asked, after = run.server.requests[place - 1 : place + 2]
    assert asked.messages[: len(before.messages)] == before.messages
    assert asked.body["tools"] == before.body["tools"] == after.body["tools"]
    assert [message["role"] for message in asked.messages[-2:]] == ["assistant", "tool"]
    assert after.messages[0] == before.messages[0]
    first, now = before.messages[1]["content"], after.messages[1]["content"]
    assert now.startswith(first) and "Some files were read." in now and "m0.py" in now


@pytest.mark.parametrize("summary", [Reply(""), Reply("cut", done_reason="length"), Reply(calls=[Call("read_file")])])
async def test_without_a_usable_summary_in_two_tries_the_window_slides(bench: Any, summary: Reply) -> None:
    run = bench(serve=agent(reads(14), summary), limits=AgentLimits(model_calls=100))
    write_modules(run, 14)
    assert await run.node(READER) == "done"
    assert {data["how"] for data in told(run)} <= {"window", "results"}
    asked = [request for request in run.server.requests if asks_for_summary(request)]
    assert len(asked) == 2 * sum(data["how"] == "window" for data in told(run)) > 0
    assert "m0.py" in run.conversation()[1]["content"]


async def test_results_of_one_turn_that_fill_the_window_alone_are_shown_short(bench: Any) -> None:
    many = Reply(calls=[Call("read_file", {"path": f"m{number}.py"}) for number in range(12)])
    run = bench(serve=agent(lambda number: (many, Reply("done"))[number]))
    write_modules(run, 12)
    assert await run.node(READER) == "done"
    (data,) = told(run)
    assert data["left_out"] == 0 and len(run.results()) == 12
    assert all(result.startswith("[shown short to save room") for result in run.results())


async def test_the_whole_of_an_old_result_is_read_by_the_name_that_its_short_form_gives(bench: Any) -> None:
    def turn(number: int) -> Answer:
        if number == 0:
            return Reply(calls=[Call("read_file", {"path": f"m{each}.py"}) for each in range(12)])
        if number == 1:
            short.append(run.results()[0])
        name = re.search(r"all of it: read_file, path '(output:\w+)'", short[0])
        read = Call("read_file", {"path": name.group(1) if name else "none"})
        return Reply(calls=[read]) if number == 1 else Reply("done")

    short: list[str] = []
    run = bench(serve=agent(turn))
    write_modules(run, 12)
    run.write("m0.py", "x = 0\n" * 150)
    assert await run.node(READER) == "done"
    assert short[0].count("x = 0") < run.results()[-1].count("x = 0")


async def test_a_file_that_is_not_shown_any_more_must_be_read_again_before_it_is_edited(bench: Any) -> None:
    edit = Reply(calls=[Call("edit_file", {"path": "m0.py", "old_text": "compute_0(1)", "new_text": "1"})])
    turns = [*(reads(9)(number) for number in range(9)), edit, reads(1)(0), edit, Reply("done")]
    run = bench(serve=agent(lambda number: turns[number]), limits=AgentLimits(model_calls=100))
    write_modules(run, 9)
    assert await run.node("type: agent, prompt: Mend it, tools: [read_file, edit_file]") == "done"
    edits = [
        event.data["ok"] for event in run.events if event.type == "tool_end" and event.data["name"] == "edit_file"
    ]
    assert told(run) and edits == [False, True]


async def test_a_plan_is_made_after_a_compaction(bench: Any, plan: Any, plan_text: str) -> None:
    run = bench(serve=agent(reads(12, plan_text)))
    write_modules(run, 12)
    value = await run.node("type: planner, prompt: Plan it")
    assert told(run) and Plan.model_validate(value) == Plan.model_validate(plan)


async def test_a_visit_that_goes_on_carries_the_view_and_not_the_whole(bench: Any) -> None:
    def turn(number: int) -> Answer:
        return Reply("visit done") if number in (12, 16) else reads(99)(number if number < 12 else number - 1)

    run = bench(serve=agent(turn), limits=AgentLimits(model_calls=100))
    write_modules(run, 16)
    await run.run(
        "flow: 1\nname: g\nstate: {n: {type: list, reduce: append}}\noutput: state.n\nnodes:\n"
        "  a: {type: agent, prompt: 'Look {{ state.n | length }}', tools: [read_file], history: continue,"
        " output: {to: n}, max_visits: 2, on_limit: stop}\n  stop: {type: set, value: {}}\n"
        "edges: [[START, a], {from: a, when: 'state.n | length < 2', to: a, else: stop}, [stop, END]]\n"
    )
    second = next(request for request in run.server.requests if request.messages[-1]["content"] == "Look 1")
    whole = sum(2 for request in run.server.requests[: second.index] if not asks_for_summary(request))
    assert len(second.messages) < whole
    assert "<session_context>" in second.messages[1]["content"]


async def test_what_a_person_wishes_is_done_before_the_next_request(bench: Any, script: Any) -> None:
    run = bench(serve=agent(reads(4)), limits=AgentLimits(model_calls=3))
    write_modules(run, 4, lines=3)
    with pytest.raises(LimitReached, match="used all of its 3 model calls"):
        await run.node(READER)
    run.limits = AgentLimits()
    wished, deps = CompactNow(True), run.deps

    def with_wish() -> Any:
        return replace(deps(), compact_now=wished)

    run.deps = with_wish
    run.process()
    assert await run.go_on() == "done"
    (data,) = told(run)
    assert data["how"] == "summary" and not wished.take()


async def test_the_calls_for_summaries_count_among_the_calls_of_the_visit(bench: Any) -> None:
    run = bench(serve=agent(reads(40)), limits=AgentLimits(model_calls=15))
    write_modules(run, 40)
    with pytest.raises(LimitReached, match="used all of its 15 model calls"):
        await run.node(READER)
    assert len(run.server.requests) == 15 and any(map(asks_for_summary, run.server.requests))


async def test_every_request_but_the_first_and_those_after_a_compaction_tells_that_it_keeps_all(bench: Any) -> None:
    run = bench(serve=agent(reads(12)))
    write_modules(run, 12)
    assert await run.node(READER) == "done"
    kept = [event.data["kept"] for event in run.events if event.type == "model_call"]
    assert set(kept) == {None, 1.0} and kept.count(None) == 1 + len(told(run)) > 1


def works(number: int) -> Answer:
    """Return a coder's turn: it reads, edits, runs and looks for things in turn, thirty times in all."""
    path, at = f"m{number // 4}.py", number // 4
    edit = {"path": path, "old_text": f"value_1 = compute_{at}(1)", "new_text": f"value_1 = {number}"}
    calls = [
        Call("read_file", {"path": path}),
        Call("edit_file", edit),
        Call("bash", {"command": f"echo {number}"}),
        Call("grep", {"pattern": f"value_{number}"}),
    ]
    return Reply(f"I go on with {number}.", [calls[number % 4]]) if number < 30 else Reply("done")


@pytest.mark.parametrize("window", [8192, 32768])
async def test_thirty_turns_of_a_coder_keep_every_byte_of_the_request_before(bench: Any, window: int) -> None:
    run = bench(serve=agent(works), limits=AgentLimits(model_calls=100))
    run.chat = OllamaChat(url=run.server.url, model="scripted", window=window)
    write_modules(run, 8)
    assert (await run.node("type: coder, prompt: Mend all of it"))["files"] == [f"m{at}.py" for at in range(8)]
    requests = [canonical(request.body) for request in run.server.requests if not asks_for_summary(request)]
    lost = sum(not new.startswith(old) for old, new in pairwise(requests))
    assert len(requests) == 31 and lost == len(told(run)) == {8192: 2, 32768: 0}[window]
    kept = [event.data["kept"] for event in run.events if event.type == "model_call"]
    assert set(kept) == {None, 1.0} and kept.count(None) == 1 + len(told(run))
