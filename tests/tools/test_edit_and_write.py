import hashlib
from typing import Any

import pytest

from flowloom.core.effects import FileWrite, Nothing


def test_an_edit_is_planned_against_the_bytes_that_were_read(rig: Any) -> None:
    rig.write("a.py", "x = 1\ny = 2\n")
    effect = rig.plan("edit_file", path="./a.py", old_text="y = 2", new_text="y = 3")
    assert effect == FileWrite(
        path="a.py",
        pre_sha=hashlib.sha256(b"x = 1\ny = 2\n").hexdigest(),
        post=b"x = 1\ny = 3\n",
        summary="Edited a.py:\n@@ -1,2 +1,2 @@\n x = 1\n-y = 2\n+y = 3",
    )
    assert rig.bytes("a.py") == b"x = 1\ny = 2\n"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp932", "euc_jp"])
def test_an_edit_keeps_encoding_mark_and_line_ends(rig: Any, encoding: str) -> None:
    before = "名前を設定します\r\n値は一です\r\n"
    rig.write("設定.txt", before.encode(encoding))
    effect = rig.plan("edit_file", path="設定.txt", old_text="値は一です\n", new_text="値は二です\n追加\n")
    assert effect.post == before.replace("一です\r\n", "二です\r\n追加\r\n").encode(encoding)


def test_an_edit_that_the_encoding_can_not_hold_is_refused(rig: Any) -> None:
    rig.write("a.txt", "名前を設定します\n".encode("cp932"))
    assert "'😀'" in rig.refusal("edit_file", path="a.txt", old_text="名前", new_text="😀")


def test_edit_refuses_two_matches(rig: Any) -> None:
    rig.write("a.py", "x\ny\nx\n")
    assert "a.py was not changed: old_text stands at several places, lines 1, 3" in rig.refusal(
        "edit_file", path="a.py", old_text="x", new_text="z"
    )


def test_edit_of_a_missing_file_names_near_ones(rig: Any) -> None:
    rig.write("src/app.py", "")
    message = rig.refusal("edit_file", path="app.py", old_text="x", new_text="y")
    assert "'src/app.py'" in message
    assert "write_file" in message


@pytest.mark.parametrize("tool", ["edit_file", "write_file"])
@pytest.mark.parametrize("path", ["../x", ".git/config", ".flow/x", "src", ".flowignore", "hidden.txt"])
def test_paths_that_may_not_be_written_are_refused(rig: Any, tool: str, path: str) -> None:
    rig.write("src/a.py", "")
    rig.write(".aiignore", "hidden.txt\n")
    rest = {"content": "x"} if tool == "write_file" else {"old_text": "x", "new_text": "y"}
    assert rig.refusal(tool, path=path, **rest)


def test_edit_of_a_binary_file_is_refused(rig: Any) -> None:
    rig.write("a.bin", b"\0\1\2")
    assert "binary" in rig.refusal("edit_file", path="a.bin", old_text="x", new_text="y")


def test_a_new_file_is_planned_as_absent_before(rig: Any) -> None:
    effect = rig.plan("write_file", path="新しい/場所.md", content="こんにちは\n")
    summary = "Created 新しい/場所.md: 1 lines, 16 bytes."
    assert effect == FileWrite("新しい/場所.md", None, "こんにちは\n".encode(), summary)


def test_a_replaced_file_keeps_crlf_and_encoding(rig: Any) -> None:
    rig.write("a.txt", "古い内容です\r\n".encode("cp932"))
    effect = rig.plan("write_file", path="a.txt", content="新しい\n内容です\n")
    assert effect.post == "新しい\r\n内容です\r\n".encode("cp932")
    assert "CRLF" in effect.summary
    assert "cp932" in effect.summary


def test_content_that_the_old_encoding_lacks_becomes_utf8(rig: Any) -> None:
    rig.write("a.txt", "古い内容です\n".encode("cp932"))
    effect = rig.plan("write_file", path="a.txt", content="😀\n")
    assert effect.post == "😀\n".encode()
    assert "now UTF-8" in effect.summary


def test_writing_the_same_content_is_no_effect(rig: Any) -> None:
    rig.write("a.txt", "same\n")
    effect = rig.plan("write_file", path="a.txt", content="same\n")
    assert isinstance(effect, Nothing)


def test_an_empty_file_can_be_written(rig: Any) -> None:
    effect = rig.plan("write_file", path="pkg/__init__.py", content="")
    assert effect.post == b""
    assert "0 lines" in effect.summary


def test_content_with_half_a_character_is_refused(rig: Any) -> None:
    assert "can not be written" in rig.refusal("write_file", path="a.txt", content="\ud83d")


def test_a_binary_file_can_be_replaced_by_text(rig: Any) -> None:
    rig.write("a.bin", b"\0\1\2\xff")
    assert rig.plan("write_file", path="a.bin", content="text\n").post == b"text\n"
