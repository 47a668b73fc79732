import hashlib
from typing import Any

import pytest

from flowloom.core.effects import FileWrite, Nothing

TEXT = (
    "import os\n\n\ndef load(path):\n    return open(path).read()\n\n\n"
    "def save(path, text):\n    open(path, 'w').write(text)\n"
)


def shown(rig: Any, name: str, content: str | bytes) -> None:
    """Write a file and let the conversation show it."""
    rig.write(name, content)
    rig.seen = {**(rig.seen or {}), name: rig.blobs.put(rig.bytes(name))}


def edited(rig: Any, **args: Any) -> FileWrite:
    effect = rig.plan("edit_file", **args)
    assert isinstance(effect, FileWrite)
    return effect


def test_an_unread_file_is_shown_in_place_of_being_edited(rig: Any) -> None:
    rig.write("a.py", TEXT)
    rig.seen = {}
    effect = rig.plan("edit_file", path="a.py", old_text="import os", new_text="import sys")
    assert isinstance(effect, Nothing)
    result = effect.result
    assert result.failed
    assert "a.py was not changed. You have not read it yet" in result.text
    assert "-import os\n+import sys" in result.text
    assert result.seen == {"a.py": hashlib.sha256(TEXT.encode()).hexdigest()}


def test_the_same_call_again_edits_what_was_shown(rig: Any) -> None:
    rig.write("a.py", TEXT)
    rig.seen = {}
    call = {"path": "a.py", "old_text": "import os", "new_text": "import sys"}
    rig.seen = dict(rig.plan("edit_file", **call).result.seen)
    assert edited(rig, **call).post.startswith(b"import sys\n")


def test_a_quote_that_is_nowhere_in_an_unread_file_shows_nothing_of_it(rig: Any) -> None:
    rig.write("a.py", TEXT)
    rig.seen = {}
    result = rig.plan("edit_file", path="a.py", old_text="zzzz qqqq", new_text="x").result
    assert result.seen == {}
    assert "You have not read it yet, and old_text does not stand in the file" in result.text


def test_the_result_shows_the_region_as_it_is_now(rig: Any) -> None:
    shown(rig, "a.txt", "一\n二\n三\n四\n五\n六\n")
    effect = edited(rig, path="a.txt", old_text="四", new_text="肆\n四半")
    assert effect.summary == "Edited a.txt:\n@@ -2,5 +2,6 @@\n 二\n 三\n-四\n+肆\n+四半\n 五\n 六"


def test_the_result_says_how_a_lenient_place_was_found(rig: Any) -> None:
    shown(rig, "a.py", TEXT)
    effect = edited(rig, path="a.py", old_text="  return open(path).read()", new_text="  return read(path)")
    assert effect.summary.startswith("Edited a.py (found by: indentation):")
    assert effect.review == ""


def test_a_long_diff_is_cut(rig: Any) -> None:
    shown(rig, "a.txt", "x\n")
    summary = edited(rig, path="a.txt", old_text="x", new_text="\n".join(map(str, range(200)))).summary
    assert "more lines of this diff left out" in summary
    assert summary.count("\n") < 70


def test_a_misquoted_line_is_marked_for_a_person(rig: Any) -> None:
    shown(rig, "a.py", "def f():\n    # Read the whole file at once.\n    text = read()\n    return text.strip()\n")
    quote = "def f():\n    # Read the entire file at once.\n    text = read()\n    return text.strip()\n"
    effect = edited(rig, path="a.py", old_text=quote, new_text=quote.replace("strip", "lstrip"))
    assert effect.review == "inexact"
    assert "# Read the whole file at once." in effect.post.decode()


def test_a_refusal_names_write_file_for_a_short_file(rig: Any) -> None:
    shown(rig, "a.py", TEXT)
    assert "The file has 10 lines; after a second failure" in rig.refusal(
        "edit_file", path="a.py", old_text="def lood(way):\n    pass", new_text="x"
    )


class TestOnAFileThatChangedSinceItWasShown:
    def test_an_untouched_region_is_edited_in_the_newest_text(self, rig: Any) -> None:
        shown(rig, "a.py", TEXT)
        rig.write("a.py", TEXT.replace("import os", "import os\nimport sys"))
        effect = edited(rig, path="a.py", old_text="write(text)", new_text="write(text + '\\n')")
        assert effect.review == ""
        assert effect.post.decode().startswith("import os\nimport sys\n")
        assert "write(text + '\\n')" in effect.post.decode()
        assert effect.pre_sha == hashlib.sha256(rig.bytes("a.py")).hexdigest()

    def test_what_made_the_quote_ambiguous_later_does_not_move_the_edit(self, rig: Any) -> None:
        shown(rig, "a.txt", "one\nx = 1\ntwo\nthree\nfour\nfive\n")
        rig.write("a.txt", "one\nx = 1\ntwo\nthree\nfour\nfive\nx = 1\n")
        assert edited(rig, path="a.txt", old_text="x = 1", new_text="x = 2").post == (
            b"one\nx = 2\ntwo\nthree\nfour\nfive\nx = 1\n"
        )

    def test_an_overlap_becomes_a_conflict_with_all_versions(self, rig: Any) -> None:
        shown(rig, "a.py", TEXT)
        rig.write("a.py", TEXT.replace("return open(path).read()", "return open(path, 'rb').read()"))
        effect = edited(rig, path="a.py", old_text="    return open(path).read()", new_text="    return read(path)")
        assert effect.review == "conflict"
        for line in ("return open(path, 'rb').read()", "return open(path).read()", "return read(path)"):
            assert line in effect.note
        assert "return read(path)" in effect.post.decode()

    def test_a_quote_of_the_newest_text_is_edited(self, rig: Any) -> None:
        shown(rig, "a.txt", "a\nb\nc\n")
        rig.write("a.txt", "a\nB2\nc\n")
        assert edited(rig, path="a.txt", old_text="B2", new_text="B3").post == b"a\nB3\nc\n"

    def test_content_that_nobody_kept_is_shown_anew(self, rig: Any) -> None:
        rig.write("a.txt", "a\nb\n")
        rig.seen = {"a.txt": "0" * 64}
        result = rig.plan("edit_file", path="a.txt", old_text="b", new_text="c").result
        assert "It changed since you saw it" in result.text
        assert result.seen == {"a.txt": hashlib.sha256(b"a\nb\n").hexdigest()}

    def test_a_whole_file_is_merged_with_what_changed(self, rig: Any) -> None:
        shown(rig, "a.txt", "a\nb\nc\nd\ne\n")
        rig.write("a.txt", "a\nb\nc\nd\nE theirs\n")
        effect = rig.plan("write_file", path="a.txt", content="A mine\nb\nc\nd\ne\n")
        assert (effect.post, effect.review) == (b"A mine\nb\nc\nd\nE theirs\n", "")
        assert "It had been changed since you read it" in effect.summary

    def test_a_whole_file_over_the_same_lines_is_a_conflict(self, rig: Any) -> None:
        shown(rig, "a.txt", "a\n")
        rig.write("a.txt", "theirs\n")
        effect = rig.plan("write_file", path="a.txt", content="mine\n")
        assert (effect.post, effect.review) == (b"mine\n", "conflict")
        assert "theirs" in effect.note


def test_an_unread_file_is_not_replaced_as_a_whole(rig: Any) -> None:
    rig.write("a.txt", "precious\n")
    rig.seen = {}
    assert "exists and you have not read it" in rig.refusal("write_file", path="a.txt", content="x\n")


@pytest.mark.parametrize("content", [b"", None])
def test_an_empty_or_new_file_is_written_without_reading(rig: Any, content: bytes | None) -> None:
    if content is not None:
        rig.write("a.txt", content)
    rig.seen = {}
    assert rig.plan("write_file", path="a.txt", content="x\n").post == b"x\n"


def test_reading_counts_as_having_seen(rig: Any) -> None:
    rig.write("a.py", TEXT)
    rig.seen = {}
    seen = rig.plan("read_file", path="a.py", limit=1).result.seen
    assert seen == {"a.py": hashlib.sha256(TEXT.encode()).hexdigest()}
    assert rig.blobs.get(seen["a.py"]) == TEXT.encode()


def test_several_edits_of_one_call_all_land(rig: Any) -> None:
    shown(rig, "a.txt", "a\nb\nc\n")
    edits = [{"old_text": "a", "new_text": "A"}, {"old_text": "A\nb", "new_text": "A\nB"}]
    assert rig.plan("multi_edit", path="a.txt", edits=edits).post == b"A\nB\nc\n"


def test_one_bad_edit_of_several_leaves_the_file_as_it_is(rig: Any) -> None:
    shown(rig, "a.txt", "a\nb\n")
    edits = [{"old_text": "a", "new_text": "A"}, {"old_text": "zzz", "new_text": "Z"}]
    assert "edit 2 of 2: old_text does not stand" in rig.refusal("multi_edit", path="a.txt", edits=edits)


def test_a_patch_lands_where_its_context_stands_whatever_its_numbers_say(rig: Any) -> None:
    shown(rig, "a.py", TEXT)
    patch = (
        "--- a/a.py\n+++ b/a.py\n@@ -40,9 +40,9 @@\n def load(path):\n-    return open(path).read()\n+    return 1\n"
    )
    assert rig.plan("apply_patch", path="a.py", patch=patch).post.decode() == TEXT.replace(
        "return open(path).read()", "return 1"
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp932", "euc_jp", "iso2022_jp"])
@pytest.mark.parametrize("tool", ["edit_file", "multi_edit", "apply_patch"])
def test_encoding_mark_and_line_ends_stay(rig: Any, tool: str, encoding: str) -> None:
    before = "名前を設定します\r\n値は一です\r\n次の行\r\n"
    shown(rig, "設定.txt", before.encode(encoding))
    args: dict[str, dict[str, Any]] = {
        "edit_file": {"old_text": "値は一です\n", "new_text": "値は二です\n"},
        "multi_edit": {"edits": [{"old_text": "値は一です", "new_text": "値は二です"}]},
        "apply_patch": {"patch": "@@ -2 +2 @@\n-値は一です\n+値は二です\n"},
    }
    effect = rig.plan(tool, path="設定.txt", **args[tool])
    assert effect.post == before.replace("一", "二").encode(encoding)


def test_a_new_syntax_error_is_told_with_the_result(rig: Any) -> None:
    shown(rig, "a.py", TEXT)
    summary = edited(rig, path="a.py", old_text="def save(path, text):", new_text="def save(path, text:").summary
    assert "Check this: python can not parse it now, near\n8|def save(path, text:" in summary


def test_an_error_that_was_there_before_is_not_told_again(rig: Any) -> None:
    shown(rig, "a.py", "x = (\n\n\ny = 1\n")
    assert "Check this" not in edited(rig, path="a.py", old_text="y = 1", new_text="y = 2").summary


def test_a_new_file_that_does_not_parse_is_told(rig: Any) -> None:
    rig.seen = {}
    assert "Check this: python" in rig.plan("write_file", path="a.py", content="def f(:\n").summary


@pytest.mark.parametrize("name", ["notes.txt", "README.md", "data.json"])
def test_files_of_no_known_language_are_not_checked(rig: Any, name: str) -> None:
    rig.seen = {}
    assert "Check this" not in rig.plan("write_file", path=name, content="((((\n").summary


async def test_two_calls_one_after_the_other_both_land(rig: Any) -> None:
    rig.write("a.txt", "a\nb\n")
    rig.seen = {}
    rig.seen.update((await rig.call("read_file", call_id="c0", path="a.txt")).seen)
    first = await rig.call("edit_file", call_id="c1", path="a.txt", old_text="a", new_text="A")
    rig.seen.update(first.seen)
    await rig.call("edit_file", call_id="c2", path="a.txt", old_text="b", new_text="B")
    assert rig.bytes("a.txt") == b"A\nB\n"
