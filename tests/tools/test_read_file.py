import hashlib
import time
from typing import Any

import pytest


def test_lines_are_numbered_from_one(rig: Any) -> None:
    rig.write("a.py", "def f():\n    return 1\n")
    assert rig.read("read_file", path="a.py") == "1|def f():\n2|    return 1"


def test_offset_and_limit_choose_lines_and_say_how_to_go_on(rig: Any) -> None:
    rig.write("a.txt", "".join(f"line {n}\n" for n in range(1, 11)))
    text = rig.read("read_file", path="a.txt", offset=3, limit=2)
    assert text == "3|line 3\n4|line 4\n(6 more from offset=5)"


def test_the_last_piece_has_no_remark(rig: Any) -> None:
    rig.write("a.txt", "a\nb\nc")
    assert rig.read("read_file", path="a.txt", offset=2) == "2|b\n3|c"


def test_a_long_file_is_cut_by_lines_and_by_bytes(rig: Any) -> None:
    rig.write("many.txt", "x\n" * 1000)
    rig.write("wide.txt", ("x" * 900 + "\n") * 100)
    assert rig.read("read_file", path="many.txt").endswith("(700 more from offset=301)")
    wide = rig.read("read_file", path="wide.txt")
    assert len(wide.encode()) < 17_000
    assert "from offset=19)" in wide


def test_a_very_long_line_is_cut(rig: Any) -> None:
    rig.write("min.js", "a" * 50_000 + "\nsecond\n")
    first, second = rig.read("read_file", path="min.js").split("\n")
    assert first.endswith("… [49001 more characters]")
    assert second == "2|second"


def test_an_empty_file_says_so(rig: Any) -> None:
    rig.write("empty", "")
    assert rig.read("read_file", path="empty") == "(the file is empty)"


def test_an_offset_behind_the_end_names_the_number_of_lines(rig: Any) -> None:
    rig.write("a.txt", "a\nb\n")
    assert "has 2 lines" in rig.refusal("read_file", path="a.txt", offset=3)


def test_crlf_is_not_shown(rig: Any) -> None:
    rig.write("a.txt", "a\r\nb\r\n")
    assert rig.read("read_file", path="a.txt") == "1|a\n2|b"


@pytest.mark.parametrize("encoding", ["cp932", "euc_jp", "utf-16-le"])
def test_other_encodings_are_read_and_named(rig: Any, encoding: str) -> None:
    rig.write("名前.txt", "設定を読み込みます\n".encode(encoding))
    text = rig.read("read_file", path="名前.txt")
    assert text == f"1|設定を読み込みます\n(encoding: {encoding})"


def test_a_byte_order_mark_is_not_shown(rig: Any) -> None:
    rig.write("a.txt", "設定\n".encode("utf-8-sig"))
    assert rig.read("read_file", path="a.txt") == "1|設定"


def test_a_binary_file_is_refused(rig: Any) -> None:
    rig.write("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    assert "binary" in rig.refusal("read_file", path="a.png")


def test_a_folder_is_refused_with_the_way_to_list_it(rig: Any) -> None:
    rig.write("src/a.py", "")
    assert "glob, pattern 'src/*'" in rig.refusal("read_file", path="src")


def test_a_missing_file_names_the_same_name_elsewhere(rig: Any) -> None:
    rig.write("src/pkg/loader.py", "")
    rig.write("tests/loader.py", "")
    message = rig.refusal("read_file", path="pkg/loader.py")
    assert "Did you mean 'src/pkg/loader.py' or 'tests/loader.py'?" in message


def test_a_misspelt_file_names_a_near_one(rig: Any) -> None:
    rig.write("src/config.py", "")
    assert "'src/config.py'" in rig.refusal("read_file", path="src/confg.py")


def test_a_file_that_an_ignore_file_denies_is_refused(rig: Any) -> None:
    rig.write(".flowignore", "secrets/\n*.pem\n!public.pem\n")
    rig.write("secrets/key.txt", "k")
    rig.write("public.pem", "p")
    assert "denies" in rig.refusal("read_file", path="secrets/key.txt")
    assert "denies" in rig.refusal("read_file", path="x/my.pem")
    assert rig.read("read_file", path="public.pem") == "1|p"


def test_a_huge_file_is_read_in_pieces(rig: Any) -> None:
    with open(rig.workspace / "huge.log", "wb") as file:
        for start in range(0, 600_000, 10_000):
            file.write("".join(f"{n} 記録\n" for n in range(start, start + 10_000)).encode())
    started = time.monotonic()
    text = rig.read("read_file", path="huge.log", offset=500_001, limit=2)
    assert text == "500001|500000 記録\n500002|500001 記録\n(more from offset=500003)"
    assert time.monotonic() - started < 3


def test_a_huge_file_without_line_breaks_gives_one_cut_line(rig: Any) -> None:
    with open(rig.workspace / "one.txt", "wb") as file:
        file.truncate(0)
        for _ in range(60):
            file.write(b"x" * 100_000)
    text = rig.read("read_file", path="one.txt")
    assert text == f"1|{'x' * 1000}… [5999000 more characters]"


TOKEN = "ghp_" + "a1B2c3D4e5" * 4
MANY = "".join(f"line {number} of a file\n" for number in range(1, 101))


def reread(rig: Any, path: str, *spans: tuple[int, int], sha: str = "", **args: int) -> str:
    """Read lines of a file of which the conversation shows these."""
    rig.seen = {path: sha or hashlib.sha256(rig.bytes(path)).hexdigest()}
    rig.shown = {path: spans}
    text: str = rig.read("read_file", path=path, **args)
    return text


def test_lines_that_are_shown_unchanged_are_one_line(rig: Any) -> None:
    rig.write("a.txt", MANY)
    assert reread(rig, "a.txt", (1, 100)) == "(unchanged: lines 1-100 are shown above as they are now)"


def test_a_part_of_what_is_shown_is_one_line_with_the_way_on(rig: Any) -> None:
    rig.write("a.txt", MANY)
    assert reread(rig, "a.txt", (40, 100), (1, 39), offset=30, limit=40) == (
        "(unchanged: lines 30-69 are shown above as they are now)\n(31 more from offset=70)"
    )


@pytest.mark.parametrize("spans", [(), ((1, 99),), ((1, 40), (42, 100)), ((2, 100),)])
def test_lines_of_which_some_are_not_shown_are_read(rig: Any, spans: Any) -> None:
    rig.write("a.txt", MANY)
    assert reread(rig, "a.txt", *spans).startswith("1|line 1 of a file\n2|")


def test_lines_of_a_file_that_changed_are_read(rig: Any) -> None:
    rig.write("a.txt", MANY)
    assert reread(rig, "a.txt", (1, 100), sha="0" * 64).startswith("1|line 1 of")


def test_a_line_or_two_are_read_again_rather_than_spoken_of(rig: Any) -> None:
    rig.write("a.txt", "x = 1\n")
    assert reread(rig, "a.txt", (1, 1)) == "1|x = 1"


def test_what_is_not_shown_again_does_not_count_as_shown(rig: Any) -> None:
    rig.write("a.txt", MANY)
    first = rig.plan("read_file", path="a.txt").result
    assert first.spans == {}  # nothing keeps track
    rig.seen = {}
    first = rig.plan("read_file", path="a.txt").result
    assert first.spans == {"a.txt": ((1, 100),)}
    rig.seen, rig.shown = dict(first.seen), dict(first.spans)
    again = rig.plan("read_file", path="a.txt").result
    assert (again.seen, again.spans) == ({}, {})


def test_a_small_window_shows_fewer_lines_and_says_how_to_go_on(rig: Any) -> None:
    rig.write("a.txt", MANY)
    rig.output_bytes = 1_024
    text = rig.read("read_file", path="a.txt")
    assert len(text.encode()) < 1_200 and "more from offset=" in text


def test_a_kept_output_is_read_by_its_name_and_masked(rig: Any) -> None:
    sha = rig.blobs.put(f"\x1b[31mred\x1b[0m\ntoken {TOKEN}\n".encode() + b"more\n" * 500)
    rig.outputs = {sha[:12]: sha}
    text = rig.read("read_file", path=f"output:{sha[:12]}", limit=2)
    assert text.startswith("1|red\n2|token ") and TOKEN not in text
    assert text.endswith("(500 more from offset=3)")


def test_an_output_that_is_not_known_or_gone_is_refused(rig: Any) -> None:
    assert "there is no file 'output:abc'" in rig.refusal("read_file", path="output:abc")
    rig.outputs = {"abc": "0" * 64}
    assert "not kept any more" in rig.refusal("read_file", path="output:abc")
