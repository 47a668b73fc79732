"""When and how a conversation is made smaller."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowloom.context.compaction import Compaction, Room, is_due
from flowloom.context.session import Facts
from flowloom.context.view import View, viewed
from flowloom.core.messages import CallKey, ModelRequest
from flowloom.llm.openai_wire import plain_messages
from flowloom.llm.roles import RoleGrammar, check_roles, fit_roles, role_fault
from flowloom.llm.tokens import EstimatingCounter, count_request
from flowloom.llm.tools_in_text import with_tools_in_text

COUNTER = EstimatingCounter()
GRAMMARS: tuple[RoleGrammar, ...] = ("", "mistral", "llama", "gemma")
Stored = list[dict[str, Any]]


def tokens_of(messages: Stored, view: View) -> int:
    return count_request(viewed(messages, view), (), COUNTER)


def compaction(messages: Stored, view: View, room: Room) -> Compaction:
    facts = Facts("/repo", "the task", 1)
    return Compaction(messages, view, room, facts, lambda view: tokens_of(messages, view), COUNTER)


def compacted(messages: Stored, view: View, room: Room, summary: str = "It is half done.") -> View:
    step = compaction(messages, view, room)
    return step.shrunk() or step.rebuilt(summary, 0)


def room(window: int = 8192) -> Room:
    return Room(window, window // 4, 0.7)


def grown(talk: Any, turns: int, result: str, task: str = "Mend it.") -> Stored:
    messages: Stored = talk.start(task)
    for number in range(turns):
        messages += talk.turn(number, {"read_file": ({"path": f"src/m{number}.py"}, result)}, f"Look at {number}.")
    return messages


def test_below_its_share_of_the_window_nothing_is_due(talk: Any) -> None:
    messages = grown(talk, 3, "x")
    assert not is_due(messages, View(), 5000, room())
    assert is_due(messages, View(), 5800, room())


def test_a_request_that_leaves_no_room_for_its_answer_is_due_below_the_share_too(talk: Any) -> None:
    assert is_due(grown(talk, 3, "x"), View(), 4200, Room(8192, 4096, 0.7))


def test_it_is_due_again_when_as_much_is_new_as_triggers_it_or_the_window_has_no_more_room(talk: Any) -> None:
    messages = grown(talk, 3, "x")
    size = Room(65536, 4096, 0.7)
    view = View(tokens=8000, until=len(messages) - 2, window=65536)
    assert size.trigger == 45875 and size.late == 65536 - 5461 - 2730
    assert not is_due(messages, view, 8000 + 45874, size)
    assert is_due(messages, view, 8000 + 45875, size)
    large = View(tokens=30_000, until=len(messages) - 2, window=65536)
    assert not is_due(messages, large, size.late - 1, size)
    assert is_due(messages, large, size.late, size)


def test_it_is_not_due_again_before_an_eighth_of_the_window_is_new(talk: Any) -> None:
    messages = grown(talk, 3, "x")
    size = Room(65536, 4096, 0.7)
    view = View(tokens=52_000, until=len(messages) - 2, window=65536)
    assert not is_due(messages, view, 60_000, size)
    assert is_due(messages, view, 60_192, size)


def test_a_small_window_is_used_up_to_the_room_of_its_longest_answer_before_it_is_due_again(talk: Any) -> None:
    messages = grown(talk, 3, "x")
    view = View(tokens=2500, until=len(messages) - 2, window=8192)
    assert not is_due(messages, view, 6143, room())
    assert is_due(messages, view, 6144, room())


def test_it_is_never_due_twice_for_the_same_messages(talk: Any) -> None:
    messages = grown(talk, 3, "x")
    assert not is_due(messages, View(tokens=7000, until=len(messages), window=8192), 9000, room())


def test_one_turn_behind_the_front_is_due_only_when_it_does_not_fit(talk: Any) -> None:
    messages = grown(talk, 1, "x")
    assert not is_due(messages, View(), 6000, room())
    assert is_due(messages, View(), 6200, room())


def test_a_first_message_that_fills_the_window_alone_is_left_to_the_limit(talk: Any) -> None:
    assert not is_due(talk.start("word " * 9000), View(), 9000, room())


def test_old_results_shrink_first_and_nothing_is_left_out(talk: Any) -> None:
    messages = grown(talk, 22, "a line of a file\n" * 300)
    view = compaction(messages, View(), Room(65536, 4096, 0.7)).shrunk()
    assert view is not None and view.dropped == 0 and view.context == ""
    sent = viewed(messages, view)
    assert len(sent) == len(messages)
    assert sent[3].content.startswith("[shown short") and not sent[-1].content.startswith("[shown short")


def test_a_summary_leaves_all_but_the_last_turns_out(talk: Any) -> None:
    messages = grown(talk, 30, "short", "Mend it.")
    view = compaction(messages, View(), room()).rebuilt("Thirty files were read.", 0)
    sent = viewed(messages, view)
    assert len(sent) == 2 + 2 * 5
    assert "Thirty files were read." in sent[1].content and "src/m3.py" in sent[1].content


def test_without_a_summary_the_window_slides_by_half(talk: Any) -> None:
    messages = grown(talk, 40, "a line of a file\n" * 8)
    view = compaction(messages, View(), room()).rebuilt("", 0)
    left_out = view.dropped - 2
    assert 0.4 < left_out / (len(messages) - 2) < 0.6


def test_a_last_result_that_fills_the_window_alone_is_made_short(talk: Any) -> None:
    messages = grown(talk, 2, "a line of a file\n" * 3000)
    view = compacted(messages, View(), room())
    assert view.tokens <= room().most
    assert len(viewed(messages, view)[-1].content) > 500


def test_where_nothing_can_be_left_out_nothing_is_said_to_be(talk: Any) -> None:
    messages = grown(talk, 1, "a line of a file\n" * 3000)
    assert "session_context" not in viewed(messages, compacted(messages, View(), room(), ""))[1].content


def test_the_task_of_a_visit_that_goes_on_is_told_when_its_message_is_left_out(talk: Any) -> None:
    messages = grown(talk, 20, "a line\n" * 30)
    again = [
        *messages,
        {"role": "assistant", "content": "done"},
        {"role": "user", "content": "Now the second thing."},
    ]
    for number in range(20, 40):
        again += talk.turn(number, {"glob": ({"pattern": "*"}, "a line\n" * 30)})
    facts = Facts("/repo", "Now the second thing.", len(messages) + 1)
    step = Compaction(again, View(), room(), facts, lambda view: tokens_of(again, view), COUNTER)
    assert "> Now the second thing." in viewed(again, step.rebuilt("Words.", len(messages)))[1].content


Size = st.sampled_from([1, 30, 400, 3000])
Turn = st.tuples(st.sampled_from(["one call", "three calls", "correction"]), Size)


def take_turn(talk: Any, number: int, kind: str, size: int) -> Stored:
    result = f"line {number} of src/m{number}.py\n" * size
    if kind == "correction":
        return [{"role": "assistant", "content": result}, {"role": "user", "content": "Reply again."}]
    names = ["read_file"] if kind == "one call" else ["read_file", "grep", "glob"]
    return list(talk.turn(number, {name: ({"path": f"m{number}.py"}, result) for name in names}))


def require_whole(messages: Stored, view: View) -> None:
    sent = viewed(messages, view)
    check_roles(sent)
    request = ModelRequest(tuple(sent), CallKey("code", 1, 0))
    for grammar in GRAMMARS:
        # Gemma has neither tools nor results, so there calls are told in words.
        told = with_tools_in_text(request).messages if grammar == "gemma" else request.messages
        assert role_fault(plain_messages(fit_roles(told, grammar)), grammar) == ""
    assert sent[0].content == messages[0]["content"] and sent[1].content.startswith(messages[1]["content"])


@settings(max_examples=60, deadline=None)
@given(
    turns=st.lists(Turn, min_size=1, max_size=25),
    window=st.sampled_from([4096, 8192, 16384]),
    summary=st.sampled_from(["", "It is half done.\n## Decisions\n- none"]),
)
def test_any_conversation_keeps_its_pairs_its_roles_and_its_budget(
    talk: Any, turns: list[tuple[str, int]], window: int, summary: str
) -> None:
    messages: Stored = talk.start()
    view, size = View(), room(window)
    before = [message.to_dict() for message in viewed(messages, view)]
    for number, (kind, lines) in enumerate(turns):
        messages += take_turn(talk, number, kind, lines)
        now = [message.to_dict() for message in viewed(messages, view)]
        assert now[: len(before)] == before
        tokens = tokens_of(messages, view)
        if is_due(messages, view, tokens, size):
            smaller = compacted(messages, view, size, summary)
            assert smaller.dropped >= view.dropped
            assert smaller.tokens == tokens_of(messages, smaller)
            assert not is_due(messages, smaller, smaller.tokens, size)
            view = smaller
        if messages[-1]["role"] == "tool":
            assert tokens_of(messages, view) <= size.most
        require_whole(messages, view)
        before = [message.to_dict() for message in viewed(messages, view)]


PLANTED = (
    "The decision is to keep the retry limit at {n} because the server is slow.",
    "planted/deep/path_{n}.toml",
    "PlantedError: the value {n} does not fit the column",
)


def planted_turn(talk: Any, number: int, where: int) -> Stored:
    decision, path, error = (text.format(n=number) for text in PLANTED)
    match where:
        case 0:
            calls = {"bash": ({"command": "make"}, f"exit code 2\nbuilding {path} failed\n{error}")}
        case 1:
            calls = {"grep": ({"pattern": "x"}, f"other/y.py:2: x\n{path}:3: {error}\n{error}")}
        case _:
            calls = {"read_file": ({"path": path}, f"1|x = 1\n2|{error}")}
    return list(talk.turn(number, calls, f"I look at it. {decision}"))


@pytest.mark.parametrize("seed", range(24))
def test_planted_paths_decisions_and_errors_stand_in_the_context_after_two_compactions(talk: Any, seed: int) -> None:
    rng = random.Random(seed)
    sources = sorted(path for folder in ("tools", "runs", "llm") for path in (talk.root / folder).glob("*.py"))
    size = room((8192, 16384, 32768, 65536)[seed % 4])
    messages, view, done, number = talk.start("Mend the shop."), View(), 0, 0
    planted: list[int] = []
    while done < 2:
        if done == 0 and number % 3 == 1 and len(planted) < 3:
            messages += planted_turn(talk, number, rng.randrange(3))
            planted.append(number)
        messages += talk.long_turn(rng, number + 1000, sources)
        number += 1
        if is_due(messages, view, tokens_of(messages, view), size):
            # Never by old results alone, so that all that was planted leaves the conversation.
            view = compaction(messages, view, size).rebuilt("Some was done." if seed % 2 else "", 0)
            done += 1
    shown = viewed(messages, view)[1].content
    assert planted and shown.startswith("Mend the shop.")
    # Before this place all was left out.
    gone = [at for at in planted if view.dropped > 2 + 4 * (at + 1) + 2]
    lost = [text.format(n=at) for at in gone for text in PLANTED if text.format(n=at) not in shown]
    assert gone and lost == []
