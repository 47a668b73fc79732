"""Headings that only their numbers mark, as in Japanese rules: 第1章, 第2節, 第三条（休暇）, 附則, 別表第一.

Called by the readers of text, Word and PDF: such documents are rarely written with styles of headings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from .doc_blocks import Block, Line, heading, paragraphs

# Below every level that a style or an outline gives.
TITLE_LEVEL = 9
_LEVELS = {"編": 10, "章": 11, "節": 12, "款": 13, "条": 14}
_FIGURE = "[0-9０-９一二三四五六七八九十百千〇]"
_NUMBERED = re.compile(rf"[ \t\u3000]*(第[ \u3000]?{_FIGURE}+[ \u3000]?([編章節款条])(?:の{_FIGURE}+)*)(.*)$")
_SUPPLEMENT = re.compile(rf"[ \t\u3000]*([附付][ \u3000]*則|別表(?:第?{_FIGURE}+)?|様式(?:第?{_FIGURE}+号?)?)(.*)$")
_PARENS = re.compile(r"[ \u3000]*([（(][^（）()]{1,40}[）)])(?=[ \t\u3000]|$)")
_CAPTION = re.compile(r"[ \t\u3000]*([（(][^（）()]{1,40}[）)])[ \t\u3000]*$")
_LEADERS = ".…・‥．"
_BLANKS = " \t\u3000"
_FIGURES = "0123456789０１２３４５６７８９"
_SENTENCE = re.compile("[。、，．,]")
# What goes on after the number of an article that a text only refers to.
_REFERS = re.compile("[のにはをがでとへ]|から|及び|又は|若しくは|ただし")
_HIRAGANA = re.compile("[\u3041-\u309f]")
_LONGEST_TITLE = 40


class Article(NamedTuple):
    """A line that begins a section. `has_text`: the line goes on with the section's text."""

    title: str
    level: int
    has_text: bool


def article_of(text: str) -> Article | None:
    """Return what section a line begins; None = it is a line of text, or of a table of contents."""
    if _is_of_contents(text):
        return None
    if match := _NUMBERED.match(text):
        return _article(match[1], _LEVELS[match[2]], match[3])
    match = _SUPPLEMENT.match(text)
    found = _article(match[1], _LEVELS["章"], match[2]) if match is not None else None
    return None if found is None or found.has_text else found


def _is_of_contents(text: str) -> bool:
    """Tell whether a line ends in a page number behind dots, a tab or a wide gap."""
    entry = text.rstrip(_BLANKS)
    before = entry.rstrip(_FIGURES)
    words = before.rstrip(_BLANKS)
    gap = before[len(words) :]
    led = len(words) > 1 and words[-1] in _LEADERS and words[-2] in _LEADERS
    return before != entry and (led or len(gap) > 2 or "\t" in gap)


def title_of(text: str) -> Article | None:
    """Return the title that a line before the first section may be; None = it is too long for one."""
    words = " ".join(text.split())
    return (
        Article(words, TITLE_LEVEL, False) if len(words) <= _LONGEST_TITLE and not _SENTENCE.search(words) else None
    )


def caption_of(text: str) -> str:
    """Return the caption of an article that stands on the line before its number: "（目的）"; "" = it is none."""
    match = _CAPTION.match(text)
    return "" if match is None else match[1]


def article_blocks(
    lines: Sequence[Line], page: int | None = None, known: frozenset[str] = frozenset()
) -> Iterator[Block]:
    """Yield the paragraphs of lines under the sections that begin in them, the first line as a title of all of these.

    Args:
        known: texts of lines, without blanks, that are headings already.
    """
    filled = [line for line in lines if line.text.strip()]
    found = _articles([line for line in filled if "".join(line.text.split()) not in known])
    after = {line.number: following.number for line, following in pairwise(filled)}
    held: list[Line] = []
    captions: list[Line] = []
    for line in lines:
        article = found.get(line.number)
        if article is not None:
            yield from paragraphs(held, page)
            title = "".join([article.title, *(caption_of(each.text) for each in captions)])
            yield heading(title, article.level, [*captions, *([] if article.has_text else [line])], page)
            held, captions = [line] if article.has_text else [], []
        elif caption_of(line.text) and _takes_caption(found.get(after.get(line.number, 0))):
            captions = [line]
        elif not captions or line.text.strip():
            held.append(line)
    yield from paragraphs(held, page)


def _takes_caption(article: Article | None) -> bool:
    return article is not None and article.level == _LEVELS["条"] and not article.title.endswith(("）", ")"))


def _articles(filled: Sequence[Line]) -> Mapping[int, Article]:
    """Return the lines that begin a section, by number; those of a list of contents have no text between them."""
    found = [(line.number, article_of(line.text)) for line in filled if not caption_of(line.text)]
    if len(found) > 1 and found[0][1] is None and found[1][1] is not None:
        found[0] = (found[0][0], title_of(filled[0].text) if filled[0].number == found[0][0] else None)
    following = [*(article for _, article in found[1:]), None][: len(found)]
    return {
        number: article
        for (number, article), after in zip(found, following, strict=True)
        if article is not None and (article.has_text or after is None or after.level > article.level)
    }


def _article(number: str, level: int, rest: str) -> Article | None:
    number, words = "".join(number.split()), rest.strip(_BLANKS)
    if match := _PARENS.match(rest):
        return Article(f"{number}{match[1]}", level, bool(rest[match.end() :].strip(_BLANKS)))
    if not words:
        return Article(number, level, False)
    is_title = len(words) <= _LONGEST_TITLE and not _SENTENCE.search(words)
    is_article = level == _LEVELS["条"]
    if rest[0] not in _BLANKS:
        fits = is_title and not is_article and rest[0] not in "（(" and not _HIRAGANA.match(words)
        return Article(f"{number}{words}", level, False) if fits else None
    if is_article and _REFERS.match(words):
        return None
    if is_title:
        return Article(f"{number} {words}", level, False)
    return Article(number, level, True) if is_article else None
