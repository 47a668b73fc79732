"""What of a stored conversation is sent."""

from __future__ import annotations

import hashlib
from typing import Any

from flowloom.context.view import View, group_starts, viewed, with_context, without_context

BLOCK = "<session_context>\nwhat it came to\n</session_context>"


def conversation(talk: Any) -> list[dict[str, Any]]:
    return [
        *talk.start(),
        *talk.turn(0, {"read_file": ({"path": "a.py"}, "1|x = 1\n" * 200)}),
        *talk.turn(1, {"grep": ({"pattern": "x"}, "a.py:1"), "glob": ({"pattern": "*"}, "a.py")}),
        *talk.turn(2, {"bash": ({"command": "make"}, "ok")}),
    ]


def test_without_a_compaction_all_of_it_is_sent(talk: Any) -> None:
    messages = conversation(talk)
    assert [message.to_dict() for message in viewed(messages)] == messages


def test_a_group_is_an_assistant_message_with_all_its_results(talk: Any) -> None:
    assert group_starts(conversation(talk)) == [2, 4, 7]


def test_the_front_stays_byte_for_byte_and_the_context_stands_at_its_end(talk: Any) -> None:
    messages = conversation(talk)
    sent = viewed(messages, View(dropped=4, context=BLOCK))
    assert sent[0].content == messages[0]["content"]
    assert sent[1].content == f"{messages[1]['content']}\n\n{BLOCK}"
    assert [message.role for message in sent[2:]] == ["assistant", "tool", "tool", "assistant", "tool"]


def test_an_old_result_is_short_and_counts_as_not_seen_any_more(talk: Any) -> None:
    messages = conversation(talk)
    short = viewed(messages, View(shrunk=4, limit=300))[3]
    assert len(short.content) < 400 and short.content.startswith("[shown short to save room")
    assert messages[3]["seen"] and not short.seen


def test_an_old_result_says_under_which_id_the_whole_of_it_is_kept(talk: Any) -> None:
    messages = conversation(talk)
    short = viewed(messages, View(shrunk=4, limit=300, pointer="read_file, path 'output:{}'"))[3]
    sha = hashlib.sha256(messages[3]["content"].encode()).hexdigest()
    assert short.output == sha and f"all of it: read_file, path 'output:{sha[:12]}'" in short.content


def test_an_old_result_that_is_short_anyway_still_counts_as_seen(talk: Any) -> None:
    sent = viewed(conversation(talk), View(shrunk=9, limit=300))
    assert sent[5].seen and sent[5].content == "a.py:1"


def test_a_later_context_takes_the_place_of_an_earlier_one() -> None:
    first = with_context("the task", BLOCK)
    assert with_context(first, BLOCK.replace("came to", "is now")) == first.replace("came to", "is now")
    assert without_context(first) == ("the task", "what it came to")
    assert without_context("<session_context> in a task") == ("<session_context> in a task", "")


def test_a_view_comes_back_from_its_stored_form() -> None:
    view = View(4, 2, 300, "", BLOCK, 1200, 9, 8192)
    assert View.from_dict(view.to_dict()) == view
    assert View.from_dict(None) == View() == View.from_dict(View().to_dict())


def test_a_stored_context_is_lines_which_checkpoints_store_once_and_not_a_text() -> None:
    assert View(context=BLOCK).to_dict()["context"] == BLOCK.split("\n")
