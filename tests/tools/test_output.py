import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowloom.core.effects import ToolResult
from flowloom.tools.output import OutputLimit, cut_middle, fitted, leading_lines, printed_text


def test_colours_titles_and_bells_are_gone() -> None:
    assert printed_text(b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07ok\x07\x1b(B!\n") == "red ok!\n"


def test_a_progress_bar_shows_its_last_state() -> None:
    assert printed_text(b"10%\r50%\r100%\ndone\r\n") == "100%\ndone\n"


def test_japanese_output_is_read_in_its_encoding() -> None:
    assert printed_text("テスト失敗\n".encode()) == "テスト失敗\n"
    assert printed_text("テスト失敗しました\n".encode("cp932")) == "テスト失敗しました\n"


def test_a_broken_character_does_not_change_the_encoding_of_the_rest() -> None:
    assert printed_text("日本語の出力です。\n".encode() * 20 + b"\xe6\x97") == "日本語の出力です。\n" * 20 + "\ufffd"


def test_binary_output_becomes_text_without_controls() -> None:
    assert "\0" not in printed_text(bytes(range(256)))


def test_one_huge_line_is_fast() -> None:
    started = time.monotonic()
    printed_text(b"x" * 2_000_000)
    printed_text(b"x\r" * 1_000_000)
    assert time.monotonic() - started < 2


def test_a_text_that_fits_is_unchanged() -> None:
    assert cut_middle("a\nb\n", 4) == "a\nb\n"


def test_a_long_text_keeps_head_and_tail_in_whole_lines() -> None:
    text = "".join(f"line {number}\n" for number in range(1000))
    cut = cut_middle(text, 200)
    assert cut.startswith("line 0\nline 1\n")
    assert cut.endswith("line 998\nline 999\n")
    assert "bytes left out here" in cut


@pytest.mark.parametrize("text", ["x" * 10_000, "日" * 5_000, "日本\n" * 3_000])
def test_the_note_counts_what_is_left_out(text: str) -> None:
    head, _, rest = cut_middle(text, 1000).partition("[... ")
    count, _, tail = rest.partition(" bytes left out here; filter with grep, head or tail to see them ...]\n")
    left = len(text.encode()) - int(count.replace(",", ""))
    assert left - 1 <= len(head.encode()) + len(tail.encode()) <= left + 1


@given(st.text(max_size=400), st.integers(min_value=20, max_value=100))
def test_a_cut_is_never_much_larger_than_asked(text: str, limit: int) -> None:
    assert len(cut_middle(text, limit).encode(errors="replace")) <= limit + 100


class Kept:
    """Blobs under names that are easy to read."""

    def __init__(self) -> None:
        self.data: list[bytes] = []

    def put(self, data: bytes) -> str:
        self.data.append(data)
        return "a1b2c3d4e5f6" + "0" * 52

    def get(self, sha: str) -> bytes:
        raise NotImplementedError

    def path(self, sha: str) -> Path:
        raise NotImplementedError


LONG = "".join(f"line {number}\n" for number in range(1000))


def test_a_result_that_is_cut_names_where_the_whole_is_read() -> None:
    blobs = Kept()
    whole = ToolResult(LONG, seen={"a.py": "sha"}, spans={"a.py": ((1, 9),)})
    cut = fitted(whole, OutputLimit(1_024, "read_file, path"), blobs)
    assert "bytes left out here; all of it: read_file, path 'output:a1b2c3d4e5f6' ...]" in cut.text
    assert cut.text.startswith("line 0\n") and cut.text.endswith("line 999\n")
    assert len(cut.text.encode()) < 1_200
    assert (blobs.data, cut.full_output[:12], cut.spans) == ([LONG.encode()], "a1b2c3d4e5f6", {})


def test_a_result_about_as_long_as_allowed_stays_whole() -> None:
    result = ToolResult("x" * 1_300)
    assert fitted(result, OutputLimit(1_024), Kept()) is result


def test_nothing_is_named_to_who_cannot_read_it() -> None:
    assert " bytes left out here ...]\n" in OutputLimit(1_024).cut(LONG, "a1b2")


@given(st.lists(st.text(max_size=30)), st.integers(min_value=1, max_value=200))
def test_leading_lines_fit_and_are_never_none(lines: list[str], most: int) -> None:
    kept = leading_lines(lines, most)
    assert kept == lines[: len(kept)] and bool(kept) == bool(lines)
    assert len(kept) <= 1 or len("\n".join(kept).encode(errors="replace")) <= most
