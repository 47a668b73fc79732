import pytest

from flowloom.core.texts import width
from flowloom.nodes.commit_message import commit_message

LONG_JA = "ログイン画面の表示が遅い問題を直すために、認証サーバーへの問い合わせを一回にまとめて結果を保存する"


def test_a_message_has_subject_summary_files_and_trailer() -> None:
    change = {"step": "a", "files": ["x.py"], "summary": "Counts up.\nTests pass."}
    assert commit_message(" Count \n up ", [change], ["x.py", "日本 語.txt"], "Made-with: Flowloom, run r") == (
        "Count up\n\nCounts up.\nTests pass.\n\n- x.py\n- 日本 語.txt\n\nMade-with: Flowloom, run r"
    )


def test_without_summary_and_trailer_only_the_files_follow() -> None:
    assert commit_message("Title", [{"summary": ""}], ["a"]) == "Title\n\n- a"
    assert commit_message("", [], ["a", "b"]) == "Change a, b\n\n- a\n- b"


@pytest.mark.parametrize("title", ["word " * 40, LONG_JA, "x" * 200])
def test_a_long_title_is_cut_by_columns_and_stands_in_full_below(title: str) -> None:
    subject, _, body = commit_message(title, [], ["a"]).partition("\n\n")
    assert subject.endswith("…")
    assert 36 < width(subject) <= 72
    assert "".join(body.partition("\n\n- a")[0].split()) == "".join(title.split())


def test_a_long_line_is_broken_at_blanks_and_between_japanese_characters() -> None:
    summary = f"{'word ' * 30}\n  {LONG_JA}。{LONG_JA}"
    body = commit_message("t", [{"summary": summary}], ["a"]).split("\n\n")[1]
    assert all(width(line) <= 72 for line in body.splitlines())
    assert not any(line.startswith(("。", "、", "ー")) for line in body.splitlines())
    assert "".join(body.split()) == "".join(summary.split())


def test_a_line_without_a_place_to_break_stays_whole() -> None:
    url = "https://example.invalid/" + "x" * 100
    assert url in commit_message("t", [{"summary": url}], ["a"]).splitlines()


def test_words_of_a_model_are_never_read_as_trailers_and_hide_nothing() -> None:
    summary = "Done.\n\nSigned-off-by: Somebody <a@b>\u202e\x07"
    message = commit_message("t", [{"summary": summary}], ["a"])
    assert message.endswith("\n\n- a")
    assert "<U+202E><U+0007>" in message


def test_many_files_and_long_summaries_are_cut() -> None:
    message = commit_message("t", [{"summary": "line\n" * 500}], [f"f{n}" for n in range(30)])
    assert "- f19\n- and 10 more" in message
    assert message.count("line") == 40
