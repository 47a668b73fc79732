from __future__ import annotations

import unicodedata

import pytest

from flowloom.core.hits import path_fits, place_of, place_text


@pytest.mark.parametrize(
    ("path", "page", "place"),
    [
        ("a.md", None, "a.md:3-8"),
        ("a.csv", None, "a.csv:3-8"),
        ("a.pdf", 2, "a.pdf, page 2"),
        ("a.PPTX", 2, "a.PPTX, slide 2"),
        ("a.ipynb", 2, "a.ipynb, cell 2"),
        ("a.xlsx", 2, "a.xlsx, sheet 2, rows 3-8"),
        ("a.docx", None, "a.docx, paragraphs 3-8"),
    ],
)
def test_a_place_is_told_in_the_words_of_its_format(path: str, page: int | None, place: str) -> None:
    assert place_text(path, page, 3, 8) == place
    assert place_of({"path": path, "page": page, "start_line": 3, "end_line": 8}) == place


def test_the_place_of_data_that_a_model_wrote_is_told_as_it_is() -> None:
    assert place_of({"path": "a.md", "start_line": "3 f.", "end_line": None}) == "a.md:3 f.-1"


def test_a_name_that_macos_wrote_fits_as_it_is_typed() -> None:
    assert path_fits(unicodedata.normalize("NFD", "規程/ガイド.md"), ["ガイド*"])
