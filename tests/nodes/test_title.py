import pytest

from flowloom.nodes.title import MAX_CHARS, text_title


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Mend the cart", "Mend the cart"),
        ("\n\n# Mend   the cart\n\nIt adds up wrongly.", "Mend the cart"),
        ("- one\n- two", "one"),
        ("  \n\n", ""),
        ("", ""),
    ],
)
def test_title_is_the_first_line_with_words(text: str, title: str) -> None:
    assert text_title(text) == title


def test_long_line_is_cut_at_a_word() -> None:
    title = text_title("mend the cart " * 20)
    assert len(title) <= MAX_CHARS and title.endswith(("mend…", "the…", "cart…"))


def test_text_without_blanks_is_cut_anywhere() -> None:
    assert text_title("合計が間違っています" * 20) == ("合計が間違っています" * 20)[: MAX_CHARS - 1] + "…"
    assert text_title("a " + "合計が間違っています" * 20).startswith("a 合計")
