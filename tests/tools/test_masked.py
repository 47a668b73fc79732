"""Secrets in what tools show are masked, and come back into their own file."""

from __future__ import annotations

import re
from typing import Any

import pytest

from flowloom.core.effects import Command, FileWrite, Nothing, ToolResult
from flowloom.core.hits import Hit
from flowloom.core.masking import SecretMask
from flowloom.core.questions import Answer
from flowloom.tools.masked import masked_effect

TOKEN = "ghp_" + "a1B2c3D4e5" * 4
PASSWORD = "Tr0ub4dor&3x"
ENV = f"DEBUG=1\nTOKEN={TOKEN}\nDB_PASSWORD={PASSWORD}\n"
KEY_LINES = ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj", "x9Kq2" * 12 + "Zw8="]
PRIVATE_KEY = "\n".join(["-----BEGIN PRIVATE KEY-----", *KEY_LINES, "-----END PRIVATE KEY-----", ""])
SECRETS = (TOKEN, PASSWORD, *KEY_LINES)


def placeholder(text: str, number: int = 0) -> str:
    found: list[str] = re.findall(r"<secret:[A-Z-]+-[0-9a-f]{6}>", text)
    return found[number]


def assert_clean(*texts: str) -> None:
    assert not [secret for secret in SECRETS for text in texts if secret in text]


@pytest.fixture
def files(rig: Any) -> Any:
    rig.write(".env", ENV)
    rig.write("deploy.pem", PRIVATE_KEY)
    rig.write("app.py", f'import os\n\nclient = Client("{TOKEN}")\nname = "shop"\n')
    return rig


async def test_read_file_shows_placeholders_and_the_lines_around_them(files: Any) -> None:
    shown = (await files.call("read_file", path=".env")).text
    assert_clean(shown)
    assert re.fullmatch(r"1\|DEBUG=1\n2\|TOKEN=<secret:\S+>\n3\|DB_PASSWORD=<secret:\S+>", shown)


async def test_a_line_in_the_middle_of_a_private_key_is_masked(files: Any) -> None:
    assert_clean((await files.call("read_file", path="deploy.pem", offset=3, limit=1)).text)
    assert_clean((await files.call("grep", pattern="x9Kq2")).text)


async def test_a_secret_at_the_place_where_a_long_line_is_cut_is_masked_as_a_whole(files: Any) -> None:
    for left in range(950, 1000, 7):
        files.write("wide.txt", "x" * left + f" {TOKEN}\n")
        assert "ghp_a1B2" not in (await files.call("read_file", path="wide.txt")).text
        files.write("wide.txt", "x" * (left - 760) + f" {TOKEN}\n")
        assert "ghp_a1B2" not in (await files.call("grep", pattern="xxx")).text


async def test_grep_masks_a_value_by_the_file_that_it_stands_in(files: Any) -> None:
    files.write("ops/.env", "APP_KEY=tiger-lily\n")
    assert "tiger-lily" not in (await files.call("grep", pattern="KEY")).text


async def test_output_of_a_command_is_masked_before_it_is_cut_and_stored_whole_for_its_owner(files: Any) -> None:
    lines = "".join(f"{number} {TOKEN}\n" for number in range(1000))
    files.write("out.txt", lines)
    result = await files.call("bash", command="cat out.txt")
    assert_clean(result.text, str(files.journal.entries))
    assert files.blobs.get(result.full_output) == lines.encode()


async def test_a_password_that_was_read_once_is_masked_where_a_command_prints_it_bare(files: Any) -> None:
    await files.call("read_file", path=".env")
    result = await files.call("bash", command="cut -d= -f2 .env; cut -d= -f2 .env | fold -w 9")
    assert_clean(result.text, result.text.replace("\n", ""))


async def test_a_search_and_a_report_are_masked(files: Any) -> None:
    files.retriever.hits = [Hit("1", "app.py", 3, 3, None, "", f'x = "{TOKEN}"', 1.0, "code", "0")]
    assert_clean((await files.call("search_code", query="x")).text)
    assert_clean((await files.call("spawn_agent", call_id="c2", task=f"look for {TOKEN}")).text)


async def test_an_edit_beside_a_secret_keeps_it_byte_for_byte(files: Any) -> None:
    shown = (await files.call("read_file", path="app.py")).text
    old = f'client = Client("{placeholder(shown)}")\nname = "shop"'
    result = await files.call("edit_file", path="app.py", old_text=old, new_text=old.replace("shop", "store"))
    assert not result.failed, result.text
    assert files.bytes("app.py").decode() == f'import os\n\nclient = Client("{TOKEN}")\nname = "store"\n'
    assert_clean(result.text, str(files.journal.entries[next(iter(files.journal.entries))].result))


async def test_every_editing_tool_puts_the_secret_back(files: Any) -> None:
    tag = placeholder((await files.call("read_file", path=".env")).text)
    before = ENV
    calls: list[tuple[str, dict[str, Any]]] = [
        ("multi_edit", {"edits": [{"old_text": f"DEBUG=1\nTOKEN={tag}", "new_text": f"DEBUG=2\nTOKEN={tag}"}]}),
        ("apply_patch", {"patch": f"@@ -1,2 +1,2 @@\n-DEBUG=2\n+DEBUG=3\n TOKEN={tag}\n"}),
    ]
    for number, (tool, args) in enumerate(calls):
        result = await files.call(tool, call_id=f"e{number}", path=".env", **args)
        assert not result.failed, result.text
        assert_clean(result.text)
        assert files.bytes(".env").decode() == before.replace("DEBUG=1", f"DEBUG={number + 2}")


async def test_a_whole_file_is_written_again_with_its_secrets(files: Any) -> None:
    shown = (await files.call("read_file", path=".env")).text
    content = "\n".join(line.split("|", 1)[1] for line in shown.split("\n")) + "\nNEW=1\n"
    result = await files.call("write_file", call_id="c2", path=".env", content=content)
    assert not result.failed, result.text
    assert files.bytes(".env").decode() == ENV + "NEW=1\n"


async def test_a_file_that_was_changed_meanwhile_keeps_both_secrets(files: Any) -> None:
    shown = (await files.call("read_file", path=".env")).text
    files.seen = {".env": files.blobs.put(files.bytes(".env"))}
    other = ENV.replace(TOKEN, "glpat-" + "xY7kq93LmZ2bTr8vWd0a")
    files.write(".env", f"# mine\n\n\n{other}")
    old = f"DB_PASSWORD={placeholder(shown, 1)}"
    result = await files.call("edit_file", path=".env", old_text=old, new_text=f"{old}\nNEW=1")
    assert not result.failed, result.text
    assert files.bytes(".env").decode() == f"# mine\n\n\n{other}NEW=1\n"


async def test_a_secret_is_not_moved_to_another_file(files: Any) -> None:
    tag = placeholder((await files.call("read_file", path=".env")).text)
    for tool, args in (
        ("write_file", {"path": "copy.txt", "content": f"token {tag}\n"}),
        ("edit_file", {"path": "deploy.pem", "old_text": "-----END", "new_text": f"{tag}\n-----END"}),
    ):
        result = await files.call(tool, **args)
        assert result.failed
        assert "a secret is not moved to another file" in result.text
    assert not (files.workspace / "copy.txt").exists()
    assert files.bytes("deploy.pem").decode() == PRIVATE_KEY


async def test_a_command_with_a_placeholder_is_refused_in_every_mode(files: Any) -> None:
    tag = placeholder((await files.call("read_file", path=".env")).text)
    result = await files.call("bash", command=f"curl -H 'Authorization: {tag}' example.org")
    assert result.failed
    assert "no command is given one" in result.text
    assert files.person.questions == []


async def test_a_person_is_asked_with_the_secret_masked(files: Any) -> None:
    files.person.answers = [Answer("yes")]
    await files.call("edit_file", mode="ask", path=".env", old_text="DEBUG=1", new_text="DEBUG=2")
    (question,) = files.person.questions
    assert "DEBUG=2" in question.text
    assert_clean(question.text, str(question.payload))
    assert files.bytes(".env").decode() == ENV.replace("DEBUG=1", "DEBUG=2")


async def test_a_refused_edit_shows_the_nearest_lines_masked(files: Any) -> None:
    result = await files.call("edit_file", path=".env", old_text="DB_PASWORD=nothing\nX=1", new_text="x")
    assert result.failed
    assert_clean(result.text)


async def test_a_word_diff_tells_no_piece_of_a_secret(files: Any) -> None:
    files.write("login.py", 'def start():\n    login("shop", password="Qr7-Zk3+Wm8", timeout=30)\n    print(1)\n')
    old = 'def start():\n    login("shop", password="Qr7-xxx+Wm8", timeout=60, x=1)\n    print(2)\n    stop()'
    result = await files.call("edit_file", path="login.py", old_text=old, new_text="pass")
    assert result.failed
    assert "Zk3" not in result.text
    assert "<secret:PASSWORD-" in result.text


def test_what_is_told_of_an_effect_is_masked_and_what_it_does_stays() -> None:
    mask = SecretMask(b"run")
    write = masked_effect(FileWrite("a.txt", None, TOKEN.encode(), f"wrote {TOKEN}", note=TOKEN), mask)
    assert isinstance(write, FileWrite)
    assert write.post == TOKEN.encode()
    assert_clean(write.summary, write.note)
    command = Command(("echo", TOKEN), 1.0)
    assert masked_effect(command, mask) == command
    nothing = masked_effect(Nothing(ToolResult(TOKEN)), mask)
    assert isinstance(nothing, Nothing)
    assert_clean(nothing.result.text)
