import pytest

from flowloom.core.errors import ToolError
from flowloom.core.texts import decode, visible

JAPANESE = "設定を読み込みます。\r\nファイルの名前は「テスト」です。\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "cp932", "euc_jp", "iso2022_jp"]
)
def test_japanese_text_is_read_in_every_common_encoding(encoding: str) -> None:
    data = ("key = value\n" + JAPANESE).encode(encoding)
    file = decode(data)
    assert file is not None
    assert file.text == "key = value\n" + JAPANESE
    assert file.encode(file.text) == data


@pytest.mark.parametrize("text", ["名前", "エラー", "テスト", "東京都", "データ"])
@pytest.mark.parametrize("encoding", ["cp932", "euc_jp"])
def test_short_japanese_text_is_told_apart(text: str, encoding: str) -> None:
    file = decode(f"# {text}\nx = 1\n".encode(encoding))
    assert file is not None
    assert text in file.text


def test_western_text_is_read_as_latin1_when_nothing_else_fits() -> None:
    file = decode("naïve café\n".encode("latin-1"))
    assert file is not None
    assert file.encode(file.text) == "naïve café\n".encode("latin-1")


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", bytes(range(256)), b"\xff\xfe\x00\xd8"])
def test_binary_is_told_from_text(data: bytes) -> None:
    assert decode(data) is None


def test_an_empty_file_is_text() -> None:
    file = decode(b"")
    assert file is not None
    assert file.text == ""


def test_a_character_the_encoding_lacks_is_refused_by_name() -> None:
    file = decode("日本語の長い文章です\n".encode("cp932"))
    assert file is not None
    with pytest.raises(ToolError, match="cp932"):
        file.encode("😀")


TEXT = "# 経費の精算は、領収書を添えて申請してください。\nx = 1\n"


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16-le"),
        ("cp932", "cp932"),
        ("euc_jp", "euc_jp"),
        ("iso2022_jp", "iso2022_jp"),
    ],
)
def test_the_encoding_is_named(encoding: str, told: str) -> None:
    file = decode(TEXT.encode(encoding))
    assert file is not None
    assert (file.text, file.encoding) == (TEXT, told)


def test_short_euc_is_not_taken_for_half_width_kana() -> None:
    file = decode("設計".encode("euc_jp"))
    assert file is not None
    assert (file.text, file.encoding) == ("設計", "euc_jp")


def test_western_text_without_utf8_is_read() -> None:
    text = "int caf\xe9 = 1; /* " + "x" * 100 + " */"
    file = decode(text.encode("latin-1"))
    assert file is not None
    assert (file.text, file.encoding) == (text, "latin-1")


def test_random_bytes_are_no_text() -> None:
    assert decode(bytes(range(128, 256)) * 3) is None


def test_a_nul_far_into_a_file_makes_it_binary() -> None:
    assert decode(b"text\n" * 10_000 + b"\0") is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a<U+202E>b"),
        ("a\u200bb", "a<U+200B>b"),
        ("a\x1b[2Kb", "a<U+001B>[2Kb"),
        ("a\rb", "a<U+000D>b"),
        ("a\U000e0041b", "a<U+E0041>b"),
        ("a\u3164b", "a<U+3164>b"),
        ("a\u2028b", "a<U+2028>b"),
        ("葛\U000e0100飾区　東京", "葛\U000e0100飾区　東京"),
        ("x\ufe0f\ufe01\ufe02", "x\ufe0f<U+FE01><U+FE02>"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\ue000b\ufff0c\udc80", "a<U+E000>b<U+FFF0>c<U+DC80>"),
        ("10\u202f000\u00a0円", "10<U+202F>000\u00a0円"),
    ],
)
def test_what_hides_or_turns_text_round_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown
