"""Words for the full-text index: identifiers split, CJK text cut into pairs of characters.

Stored text and queries both pass through here, so that code and Japanese match by the same words.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

FTS5_TOKENIZER = "porter unicode61 remove_diacritics 0 tokenchars '_'"

# Kana, kanji with their extensions, and hangul: scripts written without spaces that mark the words.
_CJK = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_RUN = re.compile(rf"([{_CJK}]+)|((?:[^\W{_CJK}])+)")
# Begins where a word does and ends soon: it is looked for once a word, whatever the text.
_HYPHENATED = re.compile(r"(?<![^\W\d_])([^\W\d_]{2,80})-\n[ \t]*([^\W\d_]{2,80})")
_KANJI = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_HIRAGANA = re.compile("[\u3041-\u3096\u309d-\u309fー]+")
_PARTS = re.compile(r"[^\W\d_]+|\d+")
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# A longer word is a hash or encoded data: nobody searches for it and it swells the index.
_LONGEST_WORD = 80
_MOST_TERMS = 96
_GROUPED = re.compile(r"(?<![\d.,，])\d{1,3}(?:[,，]\d{3})+(?!\d)")
# Old and other forms of kanji, in names above all, and the form that a person types: 髙橋 is found as 高橋.
_OLD = (
    "髙﨑嵜濵濱邊邉齋齊栁德惠眞槇瀨瀧澤廣櫻國學會應龍條萬與圓壽實榮豐關鐵寫舊體對號變"
    "讀總證經濟縣樣數發廢淺藏黑嶋嶌冨峯舘曾薗渕𠮷"
)
_USUAL = (
    "高崎崎浜浜辺辺斎斉柳徳恵真槙瀬滝沢広桜国学会応竜条万与円寿実栄豊関鉄写旧体対号変"
    "読総証経済県様数発廃浅蔵黒島島富峰館曽園淵吉"
)
_DIGITS = "〇一二三四五六七八九"
_UNITS = {"十": 10, "百": 100, "千": 1000}
_USUAL_OF = dict(zip(_OLD, _USUAL, strict=True))
_COMMON = (
    "a an and are as at be by do does for from has have how if in into is it its of on or so such than that the "
    "their then there these this to was we what when where which who why will with you your"
)
_STOP_WORDS = frozenset(_COMMON.split())


def index_text(text: str) -> str:
    """Return the words of a text, separated by spaces, as they are stored in the index. Not for reading."""
    return " ".join(_words(text))


def prose_index_text(text: str) -> str:
    """Return the words of a text of prose as `index_text` does.

    Words that a line break cuts are whole as well, and so are numbers that commas divide.
    """
    # A line that ends within Japanese text ends within a word as often as not; one that ends in a hyphen does.
    text = _pattern(rf"(?<=[{_CJK}、。])[ \t\u3000]*\n[ \t\u3000]*(?=[{_CJK}])").sub("", text)
    whole = " ".join("".join(match.groups()) for match in _HYPHENATED.finditer(text))
    return index_text(f"{text} {whole} {_ungrouped(text)}")


def _ungrouped(text: str) -> str:
    """Return the numbers of a text that commas divide, without them: "12000" for "12,000"."""
    return " ".join(re.sub("[,，]", "", number) for number in _GROUPED.findall(text))


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    """Return a compiled pattern; those with these long classes take milliseconds, which a search needs not spend."""
    return re.compile(pattern)


def text_weight(text: str) -> int:
    """Return about how much a text says: 1 for a character of Chinese, Japanese or Korean, 2 for an English word."""
    if text.isascii():
        return -(-len(text) // 3)
    dense = sum(map(len, _pattern(f"[{_CJK}]+").findall(text)))
    return dense - (dense - len(text)) // 3


def match_expression(query: str) -> str:
    """Return an FTS5 MATCH expression that finds any word of the query; "" = it has no word to search for.

    Words are quoted and hold letters, digits and "_" only, so no query text can become FTS5 syntax.
    """
    return " OR ".join(match_terms(query))


def match_terms(query: str) -> list[str]:
    """Return the MATCH expression of each word of the query."""
    return [f'"{term}"*' if is_lone_cjk(term) else f'"{term}"' for term in query_terms(query)]


def query_terms(query: str) -> list[str]:
    """Return the distinct words to search for, in order of appearance, 96 at most.

    Pairs of hiragana and the commonest English words say nothing of the subject; they are kept only when the query
    has nothing else. A kanji is a word only where it stands alone: as the end of a longer one it is in a pair.
    """
    terms = list(dict.fromkeys(_words(f"{query} {_ungrouped(query)}", is_query=True)))
    telling = [term for term in terms if term not in _STOP_WORDS and not _HIRAGANA.fullmatch(term)]
    return (telling or terms)[:_MOST_TERMS]


def _words(text: str, *, is_query: bool = False) -> list[str]:
    words: list[str] = []
    for cjk, word in _RUN.findall(text if text.isascii() else _usual(text)):
        words.extend(_split_cjk(cjk, is_query) if cjk else split_identifier(word))
    return words


def _usual(text: str) -> str:
    """Return a text in the usual width and form of its characters; 第十二条 has its number in figures."""
    text = _pattern(f"[{_OLD}]").sub(lambda match: _USUAL_OF[match[0]], unicodedata.normalize("NFKC", text))
    return _pattern(r"第([〇一二三四五六七八九十百千]{1,9})(?=[条章節項号款編])").sub(_in_figures, text)


def _in_figures(match: re.Match[str]) -> str:
    number = digit = 0
    for char in match[1]:
        if (unit := _UNITS.get(char)) is not None:
            number, digit = number + (digit or 1) * unit, 0
        else:
            digit = digit * 10 + _DIGITS.index(char)
    return f"第{number + digit}"


def _split_cjk(run: str, is_query: bool) -> list[str]:
    if len(run) == 1:
        return [run]
    pairs = [run[at : at + 2] for at in range(len(run) - 1)]
    # A one-character query is searched as the beginning of a pair; the last character of a run begins none.
    return [*pairs, run[-1]] if not is_query and _KANJI.match(run[-1]) else pairs


@lru_cache(maxsize=65536)
def split_identifier(word: str) -> tuple[str, ...]:
    """Return a word in lower case, and its parts when it has several: "readURL2" gives readurl2, read, url, 2."""
    if len(word) > _LONGEST_WORD:
        return ()
    parts = [hump for part in _PARTS.findall(word) for hump in _HUMPS.split(part)]
    if not parts:
        return ()
    whole = word.strip("_").lower()
    return (whole,) if len(parts) == 1 else (whole, *(part.lower() for part in parts))


def is_lone_cjk(term: str) -> bool:
    """Tell whether a term is one kanji, which stands in the index only as the beginning of a pair."""
    return len(term) == 1 and bool(_KANJI.match(term))
