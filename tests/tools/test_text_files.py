import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowloom.core.errors import ToolError
from flowloom.tools.text_files import editable, uses_crlf


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
