from __future__ import annotations

import datetime

import pytest

from flowloom.retrieval.doc_xlsx_numbers import built_in, shown

DAY_0 = datetime.datetime(1899, 12, 30)


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        ("4000", '#,##0"円"', "4,000円"),
        ("15000", "¥#,##0", "¥15,000"),
        ("-1234.5", "[$¥-411]#,##0.00;[Red]-[$¥-411]#,##0.00", "-¥1,234.50"),
        ("-5", "#,##0;(#,##0)", "(5)"),
        ("0.08", "0%", "8%"),
        ("0.0825", "0.0%", "8.3%"),
        ("12", "0000", "0012"),
        ("3", "_ * #,##0_ ;_ * -#,##0_ ", "3"),
        ("1.5", "0.##", "1.5"),
        ("1234567", "#,##0,", "1234567"),
        ("0.5", "# ?/?", "0.5"),
        ("7", "General", "7"),
        ("7", "", "7"),
        ("0.1000000000000000055", "", "0.1"),
        ("abc", "0.00", "abc"),
    ],
)
def test_numbers_are_read_as_a_sheet_shows_them(value: str, code: str, text: str) -> None:
    assert shown(value, code, DAY_0) == text


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        ("46329", 'yyyy"年"m"月"d"日"', "2026年11月3日"),
        ("46329", '[$-411]ggge"年"m"月"d"日"', "2026年11月3日（令和8年）"),
        ("43586", '[$-411]ge"年"m"月"', "2019年5月（令和元年）"),
        ("46329.75", "yyyy/mm/dd hh:mm", "2026-11-03 18:00:00"),
        ("0.75", "h:mm", "18:00:00"),
        ("1.25", "[h]:mm", "30:00"),
        ("46329", "mmm-yy", "2026-11-03"),
        ("-1", "yyyy/mm/dd", "-1"),
    ],
)
def test_dates_and_hours_are_written_out(value: str, code: str, text: str) -> None:
    assert shown(value, code, DAY_0) == text


def test_formats_that_no_file_spells_out_are_known() -> None:
    assert [built_in(number) for number in ("9", "38", "31", "49", "x")] == [
        "0%",
        "#,##0",
        'yyyy"年"m"月"d"日"',
        "",
        "",
    ]
