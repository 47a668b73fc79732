from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flowloom.core.messages import Message, ToolCall
from flowloom.llm.answers import Reply
from flowloom.nodes.shown import calls_at_once, kept_outputs, result_bytes, seen_files, shown_spans

READER = "type: agent, prompt: Look, tools: [read_file, edit_file, bash]"
MODULE = "".join(f"def function_{number}() -> int:\n    return {number}\n" for number in range(30))
UNCHANGED = "(unchanged: lines 1-60 are shown above as they are now)"


def shows(sha: str, *spans: tuple[int, int]) -> Message:
    return Message("tool", "", seen={"a.py": sha}, spans={"a.py": spans})


def test_only_lines_of_the_latest_content_are_shown() -> None:
    messages = [shows("one", (1, 10)), shows("two", (1, 5)), shows("two", (8, 9))]
    assert shown_spans(messages, seen_files(messages)) == {"a.py": ((1, 5), (8, 9))}


def test_lines_of_a_message_that_is_not_seen_any_more_do_not_count() -> None:
    shortened = Message("tool", "", spans={"a.py": ((1, 10),)})
    assert shown_spans([shortened], {"a.py": "one"}) == {}


def test_messages_keep_lines_and_outputs_in_their_stored_form() -> None:
    message = Message("tool", "x", seen={"a.py": "s"}, spans={"a.py": ((1, 2),)}, output="f" * 64)
    assert Message.from_dict(message.to_dict()) == message
    assert kept_outputs([message.to_dict(), {}]) == {"f" * 12: "f" * 64}


def test_a_result_takes_its_share_of_the_window_and_several_share_it() -> None:
    assert [result_bytes(16_384, 1.0, 131_072, calls) for calls in (1, 8, 16)] == [16_384, 16_384, 8_192]
    assert [result_bytes(16_384, 1.0, 32_768, calls) for calls in (1, 2, 4)] == [16_384, 16_384, 8_192]
    assert [result_bytes(16_384, 0.25, 8_192, calls) for calls in (1, 2, 4, 40)] == [4_096, 4_096, 2_048, 1_024]


def test_calls_of_the_last_reply_that_made_any_are_counted() -> None:
    two = Message("assistant", "", (ToolCall("a", "grep", {}), ToolCall("b", "grep", {})))
    assert calls_at_once([two, Message("tool", ""), Message("tool", "")]) == 2
    assert calls_at_once([Message("user", "")]) == 1


async def test_an_unchanged_file_is_read_once(bench: Any, script: Any) -> None:
    read = script.call("read_file", path="m.py")
    run = bench(read, script.call("bash", command="true"), read, Reply("done"))
    run.write("m.py", MODULE)
    assert await run.node(READER) == "done"
    first, _, again = run.results()
    assert first.startswith("1|def function_0") and again == UNCHANGED


async def test_a_file_that_was_changed_is_read_again(bench: Any, script: Any) -> None:
    read = script.call("read_file", path="m.py")
    edit = script.call("edit_file", path="m.py", old_text="return 29", new_text="return 99")
    run = bench(read, edit, read, script.call("bash", command="echo >> m.py"), read, Reply("done"))
    run.write("m.py", MODULE)
    assert await run.node(READER) == "done"
    results = run.results()
    assert "60|    return 99" in results[2] and "60|    return 99" in results[4]


async def test_a_file_that_is_not_sent_any_more_is_read_in_full(bench: Any, script: Any) -> None:
    read = script.call("read_file", path="m.py")
    others = [script.call("bash", command=f"seq {number}000 {number}900") for number in range(1, 9)]
    turns = iter([read, *others, read, Reply("done")])

    def answer(request: Any) -> Reply:
        too_long = "The conversation is getting too long" in request.messages[-1]["content"]
        return Reply("nothing found yet") if too_long else next(turns)

    run = bench(serve=answer)
    run.write("m.py", MODULE)
    assert await run.node(READER) == "done"
    assert run.kinds("compacted")
    assert run.results()[-1].startswith("1|def function_0")


async def test_a_command_in_a_small_window_shows_head_and_tail_and_the_whole_can_be_read(
    bench: Any, script: Any
) -> None:
    def answer(request: Any) -> Reply:
        name = re.search(r"output:[0-9a-f]{12}", request.messages[-1]["content"])
        assert name is not None
        reply: Reply = script.call("read_file", path=name[0], offset=1500, limit=2)
        return reply

    steps: list[Callable[[Any], Reply]] = [
        lambda request: script.call("bash", command="seq 1 3000"),
        answer,
        lambda request: Reply("done"),
    ]
    turns = iter(steps)
    run = bench(serve=lambda request: next(turns)(request))
    assert await run.node(READER) == "done"
    first, piece = run.results()
    assert first.startswith("1\n2\n") and first.endswith("\n3000") and len(first) < 4_500
    assert "filter with grep, head or tail to see them, or all of it: read_file, path 'output:" in first
    assert piece == "1500|1500\n1501|1501\n(1499 more from offset=1502)"
