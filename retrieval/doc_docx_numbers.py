"""The numbers that Word puts in front of paragraphs: 1., (2), 第三条, イ. They stand in no text of the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from .doc_office import OfficeFile

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PLACE = re.compile(r"%([1-9])")
_DIGITS = "〇一二三四五六七八九"
_KATAKANA = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
_IROHA = "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセス"
_ROMAN = ((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"))
_SMALL_ROMAN = ((10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))


@dataclass(slots=True)
class _Level:
    """A level of a list. `text`: with %1 for the number of the first level, and so on."""

    start: int = 1
    format: str = "decimal"
    text: str = ""


@dataclass(slots=True)
class _List:
    """Levels of a list, and the numbers it has come to, by level from 0."""

    levels: dict[int, _Level] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)


class Numbering:
    """The lists of one file, counted on by each paragraph that is asked about in turn."""

    def __init__(self, file: OfficeFile) -> None:
        root = file.xml("word/numbering.xml")
        abstract = {} if root is None else {_attribute(each, "abstractNumId"): _list(each) for each in root}
        self._lists: dict[str, _List] = {}
        for each in () if root is None else root.findall(f"{_W}num"):
            found = abstract.get(_value(each.find(f"{_W}abstractNumId")))
            if found is not None:
                self._lists[_attribute(each, "numId")] = _restarted(found, each)
        self._styles = _styles(file) if self._lists else {}

    def label(self, paragraph: ET.Element) -> str:
        """Return what Word shows in front of a paragraph, a blank behind it; "" = nothing, or a mark like a dot."""
        properties = paragraph.find(f"{_W}pPr")
        if properties is None or not self._lists:
            return ""
        number, level = _place(properties)
        style = self._styles.get(_value(properties.find(f"{_W}pStyle")), ("", None))
        found = self._lists.get(number or style[0])
        if found is None:
            return ""
        text = _count_on(found, next(each for each in (level, style[1], 0) if each is not None))
        return f"{text} " if text else ""


def _count_on(found: _List, at: int) -> str:
    """Return the label of the next paragraph of a level."""
    level = found.levels.get(at, _Level())
    found.numbers[at] = found.numbers.get(at, level.start - 1) + 1
    for deeper in [each for each in found.numbers if each > at]:
        del found.numbers[deeper]

    def shown(match: re.Match[str]) -> str:
        place = int(match[1]) - 1
        of = found.levels.get(place, _Level())
        return _FORMATS.get(of.format, str)(found.numbers.get(place, of.start))

    return "" if level.format in ("bullet", "none") else _PLACE.sub(shown, level.text).strip()


def _list(element: ET.Element) -> _List:
    levels = {}
    for each in element.findall(f"{_W}lvl"):
        start, at = _value(each.find(f"{_W}start")), _attribute(each, "ilvl")
        levels[int(at) if at.isdecimal() else 0] = _Level(
            int(start) if start.isdecimal() else 1,
            _value(each.find(f"{_W}numFmt")) or "decimal",
            _value(each.find(f"{_W}lvlText")),
        )
    return _List(levels)


def _restarted(found: _List, number: ET.Element) -> _List:
    """Return the list that a w:num counts in: the shared one, unless it begins anew."""
    starts = {
        _attribute(each, "ilvl"): _value(each.find(f"{_W}startOverride"))
        for each in number.findall(f"{_W}lvlOverride")
    }
    fresh = {int(at): int(start) for at, start in starts.items() if at.isdecimal() and start.isdecimal()}
    if not fresh:
        return found
    levels = {at: _Level(fresh.get(at, each.start), each.format, each.text) for at, each in found.levels.items()}
    return _List(levels)


def _styles(file: OfficeFile) -> dict[str, tuple[str, int | None]]:
    """Return list and level of each style of paragraphs that has them, or takes them from the one it is based on."""
    root = file.xml("word/styles.xml")
    own: dict[str, tuple[str, int | None]] = {}
    based: dict[str, str] = {}
    for style in () if root is None else root.iter(f"{_W}style"):
        name, properties = _attribute(style, "styleId"), style.find(f"{_W}pPr")
        based[name] = _value(style.find(f"{_W}basedOn"))
        if properties is not None and properties.find(f"{_W}numPr") is not None:
            own[name] = _place(properties)
    return {name: found for name in based if (found := _inherited(name, own, based))[0]}


def _inherited(
    name: str, own: Mapping[str, tuple[str, int | None]], based: Mapping[str, str]
) -> tuple[str, int | None]:
    number, level, seen = "", None, set()
    while name and name not in seen and not number:
        seen.add(name)
        number, found = own.get(name, ("", None))
        level = found if level is None else level
        name = based.get(name, "")
    return number, level


def _place(properties: ET.Element) -> tuple[str, int | None]:
    """Return the list that a paragraph names and its level; "", None = it names none. List 0 is none on purpose."""
    number = _value(properties.find(f"{_W}numPr/{_W}numId"))
    level = _value(properties.find(f"{_W}numPr/{_W}ilvl"))
    return number, int(level) if level.isdecimal() else None


def _value(element: ET.Element | None) -> str:
    return "" if element is None else _attribute(element, "val")


def _attribute(element: ET.Element, name: str) -> str:
    return element.get(f"{_W}{name}", "")


def _kanji(number: int) -> str:
    """Return 1 to 9999 as 一, 十一, 二百三; another one in figures."""
    if not 0 < number < 10_000:
        return str(number)
    parts = []
    for size, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, size)
        if digit:
            parts.append(f"{_DIGITS[digit] if digit > 1 or not name else ''}{name}")
    return "".join(parts)


def _roman(number: int) -> str:
    if not 0 < number < 4000:
        return str(number)
    text = ""
    for size, letters in (*_ROMAN, *_SMALL_ROMAN):
        count, number = divmod(number, size)
        text += letters * count
    return text


def _from(letters: str) -> Callable[[int], str]:
    """Return what gives letter by number, doubled after the last one, as Word does: Z, AA, BB."""
    return lambda number: letters[(number - 1) % len(letters)] * min((number - 1) // len(letters) + 1, 9)


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FORMATS: Mapping[str, Callable[[int], str]] = {
    "decimalZero": lambda number: f"{number:02d}",
    "upperRoman": _roman,
    "lowerRoman": lambda number: _roman(number).lower(),
    "upperLetter": _from(_LETTERS),
    "lowerLetter": _from(_LETTERS.lower()),
    "aiueo": _from(_KATAKANA),
    "aiueoFullWidth": _from(_KATAKANA),
    "iroha": _from(_IROHA),
    "irohaFullWidth": _from(_IROHA),
    "decimalEnclosedCircle": lambda number: chr(0x2460 + number - 1) if 0 < number <= 20 else f"({number})",
    "ideographDigital": lambda number: "".join(_DIGITS[int(each)] for each in str(max(number, 0))),
    **dict.fromkeys(("japaneseCounting", "chineseCounting", "chineseCountingThousand"), _kanji),
}
"""How Word writes a number (ECMA-376 part 1, 17.18.59, ST_NumberFormat); every other one stands in figures."""
