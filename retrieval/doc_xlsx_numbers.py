"""How Excel shows numbers: 0.08 as 8%, 4000 as 4,000円, 46329 as a date. Called by the reader of Excel files."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

_SECONDS_A_DAY = 86_400
_YEAR_10000 = 2_957_004
"""Day from which on dates have five figures for their year, in the calendar from 1904; Excel has none."""
# Formats that no file spells out (ECMA-376 part 1, 18.8.30); those of currency have no sign: it is the country's.
_BUILT_IN: Mapping[int, str] = {
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    **dict.fromkeys((5, 6, 37, 38, 41, 42), "#,##0"),
    **dict.fromkeys((7, 8, 39, 40, 43, 44), "#,##0.00"),
    **dict.fromkeys(range(14, 18), "yyyy-mm-dd"),
    **dict.fromkeys((18, 19, 20, 21, 45, 47), "h:mm:ss"),
    22: "yyyy-mm-dd h:mm",
    46: "[h]:mm:ss",
    # 27 to 36 and 50 to 58 are Japanese and Chinese dates.
    **dict.fromkeys((*range(27, 37), *range(50, 59)), 'yyyy"年"m"月"d"日"'),
}
_TOKEN = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]|.', re.DOTALL)
_CURRENCY = re.compile(r"\[\$([^-\]]*)")
_PLACES = re.compile(r"[#0?,]*(?:\.[#0?]+)?")
_ERAS = (
    (2019, 5, 1, "令和"),
    (1989, 1, 8, "平成"),
    (1926, 12, 25, "昭和"),
    (1912, 7, 30, "大正"),
    (1868, 1, 25, "明治"),
)


def built_in(number: str) -> str:
    """Return the code of a format that has none in the file; "" = a number as it is."""
    return _BUILT_IN.get(int(number), "") if number.isascii() and number.isdecimal() else ""


def shown(value: str, code: str, day_0: datetime.datetime) -> str:
    """Return a cell's number as Excel shows it, as far as a reader would miss it; the number itself otherwise.

    Args:
        value: as it stands in the file.
        code: of the cell's format; "" = none.
        day_0: the date that number 0 stands for.
    """
    try:
        number = float(value)
    except ValueError:
        return value
    plain = f"{number:.15g}" if len(value) > 15 else value
    section = _section(code, number)
    codes = "".join(token for token in section if len(token) == 1).lower()
    if re.search("[ymdhsge]", codes.replace("general", "")) or any(_is_elapsed(token) for token in section):
        return _moment(number, section, codes, day_0) if 0 <= number < _YEAR_10000 else plain
    return _figure(value, section) or plain


def _section(code: str, number: float) -> list[str]:
    """Return the tokens of the part of a code that is for such a number: literal texts, marks, letters."""
    sections: list[list[str]] = [[]]
    for token in _TOKEN.findall(code):
        if token == ";":
            sections.append([])
        else:
            sections[-1].append(token)
    at = 1 if number < 0 and len(sections) > 1 else 2 if number == 0 and len(sections) > 2 else 0
    return sections[at]


def _figure(value: str, section: list[str]) -> str:
    """Return a number with its places, separators and literal text; "" = the code says nothing of that."""
    places = "".join(token for token in section if token in "#0?,.")
    before = "".join(map(_literal, section[: _first(section)]))
    behind = "".join(map(_literal, section[_first(section) :]))
    if not places or not _PLACES.fullmatch(places) or places.endswith(",") or set(before + behind) & set("/@E"):
        return ""
    whole, _, fraction = places.partition(".")
    try:
        number = abs(Decimal(value)) * (100 if "%" in before + behind else 1)
        number = number.quantize(Decimal(1).scaleb(-len(fraction)), ROUND_HALF_UP)
    except InvalidOperation:
        return ""
    text = f"{number:{',' if ',' in whole else ''}f}"
    if fraction.endswith("#") and "." in text:
        text = text.rstrip("0").rstrip(".")
    digits, dot, rest = text.partition(".")
    digits = digits if "," in whole else digits.zfill(whole.count("0"))
    sign = "-" if value.startswith("-") and "-" not in before and "(" not in before else ""
    return f"{sign}{before}{digits}{dot}{rest}{behind}".strip()


def _first(section: list[str]) -> int:
    return next((at for at, token in enumerate(section) if token in "#0?"), len(section))


def _literal(token: str) -> str:
    """Return what a token of a code shows itself; "" = it stands for places, or is a mark."""
    if token.startswith('"'):
        return token[1:-1]
    if token.startswith("\\"):
        return token[1:]
    if match := _CURRENCY.match(token):
        return match[1]
    return "" if len(token) > 1 or token in "#0?,." else token


def _moment(number: float, section: list[str], codes: str, day_0: datetime.datetime) -> str:
    seconds = round(number * _SECONDS_A_DAY)
    if any(_is_elapsed(token) for token in section):
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}"
    moment = day_0 + datetime.timedelta(seconds=seconds)
    if number < 1:
        return moment.strftime("%H:%M:%S")
    if "年" in "".join(section) and not re.search("[hs]", codes):
        era = f"（{_era(moment)}）" if re.search("[ge]", codes) else ""
        return f"{moment.year}年{moment.month}月" + (f"{moment.day}日" if "d" in codes else "") + era
    return moment.strftime("%Y-%m-%d %H:%M:%S").removesuffix(" 00:00:00")


def _is_elapsed(token: str) -> bool:
    """Tell whether a token counts hours beyond a day: [h]:mm, as on time sheets."""
    return re.fullmatch(r"\[[hms]+\]", token, re.IGNORECASE) is not None


def _era(moment: datetime.datetime) -> str:
    """Return the year of the Japanese era, "令和8年"; the year itself before the first of them."""
    day = (moment.year, moment.month, moment.day)
    found = next((each for each in _ERAS if day >= each[:3]), None)
    if found is None:
        return f"{moment.year}年"
    year = moment.year - found[0] + 1
    return f"{found[3]}{'元' if year == 1 else year}年"
