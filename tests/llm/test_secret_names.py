from __future__ import annotations

from flowloom.llm.secret_names import numbered, renaming

THEN = [{"role": "user", "content": "a <secret:AWS-KEY-0000aa> b <secret:TOKEN-0000bb> <secret:AWS-KEY-0000aa>"}]
NOW = [{"role": "user", "content": "a <secret:AWS-KEY-1111aa> b <secret:ENV-1111bb> <secret:AWS-KEY-1111aa>"}]


def test_placeholders_are_numbered_by_where_they_first_stand() -> None:
    assert numbered(THEN) == numbered(NOW) == [{"role": "user", "content": "a <secret:1> b <secret:2> <secret:1>"}]


def test_messages_without_placeholders_stay() -> None:
    messages = [{"role": "user", "content": '日本 "x" <secret>', "calls": [{"name": "a", "arguments": {"n": 1}}]}]
    assert numbered(messages) == messages


def test_a_recorded_placeholder_is_renamed_to_the_one_in_its_place() -> None:
    rename = renaming(THEN, NOW)
    assert (
        rename("x <secret:TOKEN-0000bb> <secret:AWS-KEY-0000aa>") == "x <secret:ENV-1111bb> <secret:AWS-KEY-1111aa>"
    )
    assert rename("<secret:TOKEN-cccccc>") == "<secret:TOKEN-cccccc>"
    assert renaming([], [])("<secret:TOKEN-cccccc>") == "<secret:TOKEN-cccccc>"
