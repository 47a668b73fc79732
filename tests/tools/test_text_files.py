import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowloom.core.errors import ToolError
from flowloom.tools.text_files import decode, editable, uses_crlf

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


def test_a_binary_file_is_not_editable() -> None:
    with pytest.raises(ToolError, match="binary"):
        editable(b"\0\1\2\3", "x.bin")


@given(st.binary(max_size=200))
def test_what_is_editable_gives_the_same_bytes_again(data: bytes) -> None:
    try:
        file = editable(data, "x")
    except ToolError:
        return
    assert file.encode(file.text) == data


def test_line_ends_are_told_by_the_majority() -> None:
    assert uses_crlf("a\r\nb\r\nc\n")
    assert not uses_crlf("a\r\nb\nc\n")
    assert not uses_crlf("")
