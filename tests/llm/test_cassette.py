from __future__ import annotations

import asyncio
import json
import re
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.errors import CassetteMismatch, ReplyCut, ReplyInvalid, UsageError
from flowloom.core.masking import SecretMask
from flowloom.core.messages import CallKey, Message, ModelReply, ModelRequest, ToolCall
from flowloom.llm.answers import last_part
from flowloom.llm.cassette import Cassette, Recorder
from flowloom.llm.normalise import Normaliser
from flowloom.llm.ollama_server import Call, Fault, Reply

from .conftest import Connect, Serve, ask, ignore

PLAIN = Normaliser()


def turn_one(path: str = "a.py") -> ModelRequest:
    call = ToolCall("t0.0", "read_file", {"path": path})
    return ask(
        Message("user", "Do it."),
        Message("assistant", "", calls=(call,)),
        Message("tool", "1 passed in 0.03s", call_id="t0.0", tool_name="read_file"),
        turn=1,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "録音.jsonl"


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def write(file: Path, *records: dict[str, Any]) -> None:
    file.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")


async def record(
    serve: Serve, connect: Connect, file: Path, answers: Any, *requests: ModelRequest
) -> list[ModelReply]:
    chat = connect(serve(answers), recorder=Recorder(file, normalise=PLAIN))
    return [await chat.complete(request, ignore) for request in requests]


def replayed(serve: Serve, connect: Connect, file: Path, normalise: Normaliser = PLAIN) -> Any:
    return connect(serve(Cassette.load(file).answers(normalise)), tag_calls=True, retry_patience_s=0)


async def test_replay_gives_the_recorded_replies(serve: Serve, connect: Connect, file: Path) -> None:
    answers = [Reply("読む", calls=[Call("read_file", {"path": "a.py"})], thinking="hm"), Reply("done " * 20)]
    asked = ask(), turn_one()
    first = await record(serve, connect, file, answers, *asked)
    chat = replayed(serve, connect, file)
    assert [await chat.complete(request, ignore) for request in asked] == first


async def test_each_call_is_one_line_with_only_what_is_new(serve: Serve, connect: Connect, file: Path) -> None:
    await record(serve, connect, file, [Reply("a"), Reply("b")], ask(), turn_one())
    one, two = lines(file)
    assert one["key"] == {"node": "code", "visit": 1, "turn": 0}
    assert (one["v"], one["model"], one["kept"], two["kept"]) == (1, "scripted", 0, 1)
    assert [message["role"] for message in two["messages"]] == ["assistant", "tool"]
    assert two["messages"][1]["content"] == "1 passed in <duration>"
    assert "You code." not in file.read_text("utf-8")
    assert one["reply"][-1]["done_reason"] == "stop"


async def test_file_grows_with_the_conversation_and_not_its_square(
    serve: Serve, connect: Connect, file: Path
) -> None:
    chat = connect(serve(lambda request: Reply("ok")), recorder=Recorder(file, normalise=PLAIN))
    messages = [Message("user", "start")]
    for turn in range(40):
        await chat.complete(ask(*messages, turn=turn), ignore)
        messages += [Message("assistant", "said " * 100), Message("user", "more " * 100)]
    sizes = [len(line) for line in file.read_text("utf-8").splitlines()]
    assert sizes[-1] < 1.2 * sizes[1]


async def test_file_is_private(serve: Serve, connect: Connect, file: Path) -> None:
    await record(serve, connect, file, [Reply("a")], ask())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_changed_system_text_and_tools_still_replay(serve: Serve, connect: Connect, file: Path) -> None:
    await record(serve, connect, file, [Reply("a")], ask())
    changed = ModelRequest((Message("system", "Another prompt."), Message("user", "Do it.")), CallKey("code", 1, 0))
    assert (await replayed(serve, connect, file).complete(changed, ignore)).text == "a"


@pytest.mark.parametrize(
    ("asked", "difference"),
    [
        (ask(Message("user", "Do\nthat.")), "message 1 (user), line 1: recorded 'Do it.', now 'Do'"),
        (ask(Message("user", "Do it."), Message("user", "Now.")), "message 2 (user) is new: 'Now.'"),
    ],
)
async def test_changed_request_shows_its_first_difference(
    serve: Serve, connect: Connect, file: Path, asked: ModelRequest, difference: str
) -> None:
    await record(serve, connect, file, [Reply("a")], ask())
    with pytest.raises(CassetteMismatch) as caught:
        await replayed(serve, connect, file).complete(asked, ignore)
    assert caught.value.exit_code == 1
    assert str(caught.value) == f"call 'code#1.0' is not the recorded one: {difference}"


async def test_changed_call_shows_its_first_difference(serve: Serve, connect: Connect, file: Path) -> None:
    await record(serve, connect, file, [Reply("a"), Reply("b")], ask(), turn_one("x" * 200 + "old.py"))
    with pytest.raises(
        CassetteMismatch, match=r"message 2 \(assistant\), line 2: recorded '\.\.\.x+old.py.*now '\.\.\.x+new"
    ):
        await replayed(serve, connect, file).complete(turn_one("x" * 200 + "new.py"), ignore)


async def test_shorter_request_names_the_missing_message(serve: Serve, connect: Connect, file: Path) -> None:
    await record(serve, connect, file, [Reply("a")], ask(Message("user", "Do it."), Message("user", "Now.")))
    with pytest.raises(CassetteMismatch, match=r"message 2 \(user\) is missing: 'Now.'"):
        await replayed(serve, connect, file).complete(ask(), ignore)


async def test_call_that_was_not_recorded_names_the_nearest(serve: Serve, connect: Connect, file: Path) -> None:
    await record(serve, connect, file, [Reply("a")], ask(node="実装[追加]/code"))
    with pytest.raises(
        CassetteMismatch, match=r"call '実装\[追加\]/code#1\.7' was not recorded; the nearest.*code#1\.0'"
    ):
        await replayed(serve, connect, file).complete(ask(node="実装[追加]/code", turn=7), ignore)


async def test_request_without_a_key_cannot_be_replayed(serve: Serve, connect: Connect, file: Path) -> None:
    await record(serve, connect, file, [Reply("a")], ask())
    chat = connect(serve(Cassette.load(file).answers(PLAIN)))
    with pytest.raises(Exception, match="does not say which call"):
        await chat.complete(ask(), ignore)


async def test_order_does_not_matter_and_a_call_may_be_asked_twice(
    serve: Serve, connect: Connect, file: Path
) -> None:
    asked = [ask(Message("user", f"do {n}"), node=f"steps[s{n}]/code") for n in range(12)]
    chat = connect(
        serve(lambda request: Reply(request.messages[-1]["content"] + "!")), recorder=Recorder(file, normalise=PLAIN)
    )
    first = await asyncio.gather(*(chat.complete(request, ignore) for request in asked))
    again = replayed(serve, connect, file)
    twice = [*reversed(asked), *asked]
    assert await asyncio.gather(*(again.complete(request, ignore) for request in twice)) == [*reversed(first), *first]


async def test_later_record_of_a_key_counts(serve: Serve, connect: Connect, file: Path) -> None:
    await record(serve, connect, file, [Reply("a"), Reply("old")], ask(), turn_one())
    await record(serve, connect, file, [Reply("new")], turn_one())  # another process, after a resume
    assert [line["kept"] for line in lines(file)] == [0, 1, 3]
    assert (await replayed(serve, connect, file).complete(turn_one(), ignore)).text == "new"


async def test_torn_last_line_is_cut_off_when_recording_goes_on(serve: Serve, connect: Connect, file: Path) -> None:
    await record(serve, connect, file, [Reply("a")], ask())
    with file.open("a") as torn:
        torn.write('{"v": 1, "key": {"no')
    await record(serve, connect, file, [Reply("b")], turn_one())
    assert Cassette.load(file).keys == ("code#1.0", "code#1.1")


@pytest.mark.parametrize("text", ["notes of mine", '{"a": 1}\n', "line\nline"])
def test_file_that_is_no_cassette_is_left_alone(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError, match="not a"):
        Recorder(file, normalise=PLAIN)
    assert file.read_text() == text


def test_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot record to '.*none/c.jsonl': No such file"):
        Recorder(tmp_path / "none" / "c.jsonl", normalise=PLAIN)


async def test_secrets_and_paths_are_not_stored_even_across_parts(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    file, work = tmp_path / "c.jsonl", tmp_path / "work"
    secret = "ghp_" + "a1B2" * 9
    normalise = Normaliser(work)
    answer = Reply(f"in {work}/a.py: {secret}", calls=[Call("read_file", {"path": f"{work}/a.py"})], piece_chars=5)
    chat = connect(serve([answer]), recorder=Recorder(file, normalise=normalise))
    await chat.complete(ask(Message("user", f"Work in {work}, token {secret}")), ignore)
    stored = file.read_text("utf-8")
    assert secret not in stored and str(work) not in stored
    moved = tmp_path / "moved"
    chat = replayed(serve, connect, file, Normaliser(moved))
    reply = await chat.complete(ask(Message("user", f"Work in {moved}, token {secret}")), ignore)
    assert re.fullmatch(rf"in {moved}/a\.py: <secret:GITHUB-\w{{6}}>", reply.text)
    assert reply.calls[0].args == {"path": f"{moved}/a.py"}


async def test_a_replay_with_another_key_gets_its_own_placeholders(
    serve: Serve, connect: Connect, file: Path
) -> None:
    then, now = SecretMask(b"then"), SecretMask(b"now")
    shown = "A=ghp_" + "a1B2" * 9 + "\nB=glpat-" + "z9Y8" * 5
    before, after = then.mask(shown), now.mask(shown)
    old, new = before.partition("\n")[2], after.partition("\n")[2]
    answer = Reply(f"it is {old}", calls=[Call("edit_file", {"old_text": old})], piece_chars=5)
    chat = connect(serve([answer]), recorder=Recorder(file, normalise=Normaliser(secrets=then)))
    await chat.complete(ask(Message("user", before)), ignore)
    chat = replayed(serve, connect, file, Normaliser(secrets=now))
    reply = await chat.complete(ask(Message("user", after)), ignore)
    assert old != new
    assert (reply.text, reply.calls[0].args) == (f"it is {new}", {"old_text": new})


async def test_cut_and_unusable_replies_are_recorded_too(serve: Serve, connect: Connect, file: Path) -> None:
    answers = [Fault("length"), Fault("bad-arguments"), Fault("http", text="error parsing tool call: raw='{'")]
    errors = [ReplyCut, ReplyInvalid, ReplyInvalid]
    chat = connect(serve(answers), recorder=Recorder(file, normalise=PLAIN))
    for turn, error in enumerate(errors):
        with pytest.raises(error):
            await chat.complete(ask(turn=turn), ignore)
    again = replayed(serve, connect, file)
    for turn, error in enumerate(errors):
        with pytest.raises(error):
            await again.complete(ask(turn=turn), ignore)


async def test_broken_streams_are_not_recorded(serve: Serve, connect: Connect, file: Path) -> None:
    await record(serve, connect, file, [Fault("no-done"), Fault("drop"), Reply("a")], ask())
    assert len(lines(file)) == 1


async def test_script_by_hand_is_answered_without_comparing(serve: Serve, connect: Connect, file: Path) -> None:
    reply = {"text": "読みます", "calls": [{"name": "read_file", "arguments": {"path": "a.py"}}]}
    write(file, {"v": 1, "key": {"node": "code"}, "digest": None, "reply": reply})
    answer = await replayed(serve, connect, file).complete(ask(Message("user", "anything")), ignore)
    assert (answer.text, answer.calls) == ("読みます", (ToolCall("t0.0", "read_file", {"path": "a.py"}),))
    assert Cassette.load(file).models == ()


GOOD = {"v": 1, "key": {"node": "n"}, "digest": None, "reply": {"text": "a"}}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "not a recorded call: Invalid JSON"),
        ('"text"', "not a recorded call"),
        (json.dumps({**GOOD, "v": 2}), "v: Input should be 1"),
        (json.dumps({**GOOD, "extra": 1}), "extra: Extra inputs are not permitted"),
        (json.dumps({**GOOD, "key": {"visit": 1}}), "key.node: Field required"),
        (json.dumps({**GOOD, "reply": {"txt": "a"}}), "reply"),
        (json.dumps({**GOOD, "kept": 3}), "keeps 3 messages of 0; a line before is missing"),
    ],
)
def test_bad_line_is_named_with_its_number(file: Path, line: str, fault: str) -> None:
    file.write_text(json.dumps(GOOD) + "\n\n" + line + "\n", "utf-8")
    with pytest.raises(UsageError) as caught:
        Cassette.load(file)
    assert f"{file}:3: " in str(caught.value)
    assert fault in str(caught.value)


def test_missing_file_is_a_usage_error(file: Path) -> None:
    with pytest.raises(UsageError, match="there is no cassette"):
        Cassette.load(file)


def test_empty_file_has_no_calls(file: Path) -> None:
    file.write_text("")
    assert Cassette.load(file).keys == ()


def test_threads_write_whole_lines(file: Path) -> None:
    recorder = Recorder(file, normalise=PLAIN)
    parts = [last_part("m", "stop")]

    def work(number: int) -> None:
        for turn in range(10):
            body = {"model": "m", "messages": [{"role": "user", "content": "x" * 5000}]}
            recorder.record(CallKey(f"n{number}", 1, turn), body, parts)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Cassette.load(file).keys) == 40
