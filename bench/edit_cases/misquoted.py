"""Damage to words and characters: a line remembered wrongly, other forms of the same character, a part of a line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from random import Random

from . import blanks
from .hunk import Hunk, count_runs, indent_of, is_comment, keys_of, line_key
from .task import (
    Draw,
    Task,
    changed,
    context_places,
    holds_without,
    on_both,
    place_in_new,
    task,
    telling,
    widened,
    with_file,
    with_line,
    without_places,
)

_LEAST_ALIKE = 0.65
"""A misremembered line is still this much like the file's (difflib), so that a person would know it again."""

JAPANESE = (
    "データが不正な場合は、ここで処理を打ち切る。",
    "ガベージコレクション後のバッファを再利用する",
    "設定ファイル（既定値あり）を読み込み、パスを確かめる：失敗しても続行",
    "１回だけ再試行する。２回目のエラーは呼び出し元へ返す！",
    "プロパティの順序が変わっても、ハッシュ値は同じでなければならない。",
    "キャッシュの有効期限（秒）。０なら無期限とみなす",
    "ブロックが空のときは何もしない（警告だけ出す）。",
    "レベル３以上のログだけをファイルに書き出す：デバッグ用",
    "ユーザーが中断したら、書きかけのデータを捨てて元に戻す。",
    "ポート番号は８０８０、プロトコルはＨＴＴＰのみ対応",
)


def typo_in_context(draw: Draw) -> Task | None:
    """One line of context with a slip of the keys, in both texts."""
    return _misquoted(draw, context_places, _typo, least=4)


def typo_in_removed(draw: Draw) -> Task | None:
    """The same in a line that goes."""
    return _misquoted(draw, _removed_places, _typo, least=4)


def typo_in_short(draw: Draw) -> Task | None:
    """The same in a quote of one or two lines, where it may well be another line that is meant."""
    hunk = draw.hunk
    places = [place for place in range(len(hunk.old)) if len(hunk.old[place]) > 12]
    if len(hunk.old) > 2 or not places:
        return None
    place = draw.rng.choice(places)
    line = _typo(hunk.old[place], hunk, draw.rng)
    return changed(with_line(hunk, place, line), hunk) if line and line not in hunk.text else None


def word_misremembered(draw: Draw) -> Task | None:
    """A word of one line of context is another word of the file, in both texts."""
    return _misquoted(draw, context_places, _other_word, least=4)


def two_words_misremembered(draw: Draw) -> Task | None:
    """A word in each of two lines of context is another, in both texts."""
    wide = widened(draw.hunk, lambda hunk: len(_good(hunk, context_places(hunk))) >= 2 and len(hunk.old) >= 6)
    if wide is None:
        return None
    places = draw.rng.sample(_good(wide, context_places(wide)), 2)
    if not holds_without(wide, places):
        return None
    old, new = wide.old, wide.new
    for place in places:
        line = _other_word(old[place], wide, draw.rng)
        if not line or line_key(line) in wide.keys:
            return None
        old[place] = new[place_in_new(wide, place)] = line
    return task(wide, old, new)


def comment_misquoted(draw: Draw) -> Task | None:
    """A comment among the context is worded a little differently in both texts."""

    def comments(hunk: Hunk) -> list[int]:
        return [place for place in context_places(hunk) if is_comment(hunk.old[place])]

    return _misquoted(draw, comments, _reworded, least=3)


def line_left_out(draw: Draw) -> Task | None:
    """One line of context between others is missing in both texts, without a mark."""
    return _left_out(draw, 1)


def lines_left_out(draw: Draw) -> Task | None:
    """Three to eight are."""
    return _left_out(draw, draw.rng.randint(3, 8))


def part_of_line(draw: Draw) -> Task | None:
    """The quote is the part of one line that changes."""
    return _part(draw.hunk, draw.rng)


def part_of_line_twice(draw: Draw) -> Task | None:
    """That part stands a second time, a few lines below."""
    made = _part(draw.hunk, draw.rng)
    hunk, copy_at = draw.hunk, draw.hunk.start + 1 + draw.rng.randint(1, 4)
    if made is None or copy_at > len(hunk.lines):
        return None
    twice = with_file(hunk, [*hunk.lines[:copy_at], *hunk.gone, *hunk.lines[copy_at:]])
    return replace(made, text=twice.text, expected=twice.text_after, alone=False)


def japanese(draw: Draw) -> Task:
    """A Japanese comment among the context, quoted exactly."""
    return task(_with_comment(draw)[0])


def japanese_dedented(draw: Draw) -> Task | None:
    """The same, both texts moved left."""
    return blanks.dedented(replace(draw, hunk=_with_comment(draw)[0]))


def japanese_decomposed(draw: Draw) -> Task | None:
    """The comment in the other Unicode form: composed in the file and decomposed in the quote, or the reverse."""
    hunk, comment = _with_comment(draw)
    nfd = unicodedata.normalize("NFD", comment)
    if draw.rng.random() < 0.3:
        lines = [nfd if line == comment else line for line in hunk.lines]
        return task(with_file(hunk, lines), hunk.old, hunk.new)
    return _quoted_as(hunk, comment, nfd)


def japanese_width(draw: Draw) -> Task | None:
    """Full-width signs and digits of the comment are half-width in the quote."""
    hunk, comment = _with_comment(draw)
    return _quoted_as(hunk, comment, unicodedata.normalize("NFKC", comment))


def no_break_spaces(draw: Draw) -> Task | None:
    """Both texts with no-break spaces for spaces."""
    if any("\u00a0" in line for line in (*draw.hunk.old, *draw.hunk.new)):
        return None
    return on_both(draw.hunk, lambda line: line.replace(" ", "\u00a0"))


def _misquoted(
    draw: Draw, places_of: Callable[[Hunk], list[int]], misquote: Callable[[str, Hunk, Random], str], least: int
) -> Task | None:
    """Return the task with one of those lines misquoted, where the other lines of the quote are unique without it."""

    def fits(hunk: Hunk) -> bool:
        return len([line for line in hunk.old if line.strip()]) >= least and bool(_good(hunk, places_of(hunk)))

    wide = widened(draw.hunk, fits)
    if wide is None:
        return None
    place = draw.rng.choice(_good(wide, places_of(wide)))
    line = misquote(wide.old[place], wide, draw.rng)
    if not line or line_key(line) in wide.keys or not holds_without(wide, [place]):
        return None
    return changed(with_line(wide, place, line), wide)


def _good(hunk: Hunk, places: Sequence[int]) -> list[int]:
    return [place for place in places if len(hunk.old[place].strip()) >= 12 and telling(hunk.old[place])]


def _removed_places(hunk: Hunk) -> list[int]:
    return [*range(hunk.before, hunk.before + hunk.removed)]


def _alike(line: str, other: str) -> bool:
    ratio = SequenceMatcher(None, line.strip(), other.strip(), autojunk=False).ratio()
    return line != other and ratio >= _LEAST_ALIKE


def _typo(line: str, hunk: Hunk, rng: Random) -> str:
    """Return the line with one letter dropped, doubled or swapped; "" when it has no word for that."""
    words = [found for found in re.finditer(r"[A-Za-z]{4,}", line)]
    if not words:
        return ""
    word = rng.choice(words)
    place = rng.randint(word.start() + 1, word.end() - 2)
    kind = rng.randrange(3)
    if kind == 0:
        made = line[:place] + line[place + 1 :]
    elif kind == 1:
        made = line[:place] + line[place] + line[place:]
    else:
        made = line[:place] + line[place + 1] + line[place] + line[place + 2 :]
    return made if _alike(line, made) else ""


def _other_word(line: str, hunk: Hunk, rng: Random) -> str:
    """Return the line with one of its words another word of the file; "" when none leaves it alike."""
    words = [found for found in re.finditer(r"[A-Za-z_]{3,}", line)]
    around = hunk.lines[max(0, hunk.first - 60) : hunk.end + 60]
    others: list[str] = sorted({word for near in around for word in re.findall(r"[A-Za-z_]{3,}", near)})
    for _ in range(6):
        if not words or not others:
            return ""
        word = rng.choice(words)
        made = line[: word.start()] + rng.choice(others) + line[word.end() :]
        if _alike(line, made):
            return made
    return ""


def _reworded(line: str, hunk: Hunk, rng: Random) -> str:
    """Return a comment with a word or two dropped or replaced; "" when that leaves it too different."""
    words = line.split(" ")
    places = [place for place, word in enumerate(words) if word.isalpha() and len(word) > 1]
    if len(places) < 3:
        return ""
    for place in rng.sample(places, rng.randint(1, min(2, len(places) - 2))):
        words[place] = rng.choice(["", "the", "given", "current", "value", "any", words[place].capitalize() + "s"])
    made = indent_of(line) + re.sub(r"(?<=\S) {2,}", " ", " ".join(words).strip())
    return made if _alike(line, made) else ""


def _left_out(draw: Draw, count: int) -> Task | None:
    """Return the task without lines of context that stand between other context and the change."""
    wide = draw.hunk.with_context(count + draw.rng.randint(3, 5), max(1, draw.hunk.after))
    if wide.before < count + 3:
        return None
    begin = draw.rng.randint(2, wide.before - count - 1)
    places = [*range(begin, begin + count)]
    said = [line for line in wide.lines[wide.first + begin : wide.first + begin + count] if telling(line)]
    edges = (wide.old[0], wide.old[-1], wide.new[-1], wide.old[begin - 1], wide.old[begin])
    if len(said) < (count + 1) // 2 or not all(edge.strip() for edge in edges):
        return None
    made = without_places(wide, places)
    return None if count_runs(wide.keys, keys_of(made.old.split("\n"))) else made


def _part(hunk: Hunk, rng: Random) -> Task | None:
    """Return the task with only the changed part of one line quoted, grown by whole words until it is unique."""
    if hunk.removed != 1 or len(hunk.added) != 1:
        return None
    old, new = hunk.gone[0], hunk.added[0]
    shorter = min(len(old), len(new))
    begin = next((place for place in range(shorter) if old[place] != new[place]), shorter)
    rest = shorter - begin
    same = next((n for n in range(rest) if old[-1 - n] != new[-1 - n]), rest)
    end = len(old) - same
    for _ in range(8):
        while begin > 0 and (old[begin - 1].isalnum() or old[begin - 1] == "_"):
            begin -= 1
        while end < len(old) and (old[end].isalnum() or old[end] == "_"):
            end += 1
        part = old[begin:end]
        whole = not old[:begin].strip() and not old[end:].strip()
        if part.strip() == part and telling(part) and hunk.text.count(part) == 1 and not whole:
            made = task(hunk)
            return replace(made, old=part, new=new[begin : len(new) - (len(old) - end)])
        begin, end = max(0, begin - rng.randint(0, 2)), min(len(old), end + rng.randint(1, 2))
    return None


def _with_comment(draw: Draw) -> tuple[Hunk, str]:
    """Return the hunk in a file with a Japanese comment right above the change, and that line."""
    hunk = draw.hunk
    near = next((line for line in (*hunk.gone, *hunk.tail, *hunk.head[::-1]) if line.strip()), "")
    comment = indent_of(near) + hunk.comment(draw.rng.choice(JAPANESE))
    lines = [*hunk.lines[: hunk.start], comment, *hunk.lines[hunk.start :]]
    return replace(hunk, lines=tuple(lines), start=hunk.start + 1, before=hunk.before + 1), comment


def _quoted_as(hunk: Hunk, line: str, quoted: str) -> Task | None:
    def swap(each: str) -> str:
        return quoted if each == line else each

    return on_both(hunk, swap)
