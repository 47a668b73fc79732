"""Filters for answers that cite: what of an answer is borne out by the passages that it was given.

A model is given the passages as 1, 2, 3 ..., writes those numbers into its answer as [2], and quotes each passage
that it rests on. Nothing of an answer is passed on that no quote bears out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.fences import without_hidden
from .hit_lists import hits_of, source

_NUMBERS = r"[\[［【]\d{1,3}(?:\s*[,、，]\s*\d{1,3})*[\]］】]"
_MARK = re.compile(_NUMBERS)
_STATEMENT = re.compile(
    rf"(?:[^。！？!?.\n]|\.(?![\s\[［【]|$))*(?:[。！？!?.\n]|$)(?:[ \t]*{_NUMBERS})*[。.]?", re.MULTILINE
)
_ADDRESS = re.compile(
    r"(?:https?|ftp|file|mailto|javascript|data):[^\s)\]>」）]+"
    r"|(?<![\w.+-])[\w.+-]+@(?:[\w-]+\.)+[a-z]{2,}"
    r"|www\.[^\s)\]>」）]+"
    r"|(?<![\w./@-])(?:[a-z0-9-]+\.)+[a-z]{2,}/[^\s)\]>」）]*",
    re.IGNORECASE | re.ASCII,
)
_GAP = re.compile(r"\.{3,}|…+|\[\s*(?:\.{3,}|…+)\s*\]")
_JAPANESE = re.compile("[\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff]")
_LEAD_IN = re.compile(r"^\s*#[^\n]*$|^[^\n]*[:：]\s*$")
_CONTENT = re.compile(r"[a-z]{4,}|\d+|[\u4e00-\u9fff]|[\u30a1-\u30fa\u30fc]{2,}")
_COMMON_WORDS = (
    "about also been from have here into just more must only please shall should than that their them then there"
    " these they this those were what when where which will with would your"
)
_COMMON = frozenset(_COMMON_WORDS.split())
_LEAST_QUOTE = 4
"""Characters without blanks; fewer are found in nearly every passage."""
_MOST_FAULTS = 5


def language(text: Any) -> str:
    """Return "ja" for a text with Japanese characters, else "en"."""
    return "ja" if _JAPANESE.search(str(text or "")) else "en"


def checked(answer: Any, hits: Any) -> dict[str, Any]:
    """Return what of a CitedAnswer the passages bear out.

    A cite counts when its number is one of the passages and its quote stands in that passage, blanks and width of
    characters aside. A paragraph counts when each statement in it is marked behind it with such a number, or stands
    before one that is and has a word of the passages that are cited there; an address has to stand in one of them.

    Returns:
        {state, text, sources, faults}. state: "good", "faulty" (faults say why, for the model; text and sources are
        what is left without them) or "missing" (the answer says that the passages do not hold it; nothing bears out
        its text, so that it is left out).
        sources: {number, path, start_line, end_line, page, heading, quote, stale} in the order of their numbers.
    """
    if not isinstance(answer, Mapping):
        raise ValueError("checked takes an answer with text, cites and enough")
    passages = hits_of(hits)
    if not answer.get("enough"):
        return {"state": "missing", "text": "", "sources": [], "faults": []}
    quotes, faults = _borne_out(answer.get("cites") or [], passages)
    kept, text_faults = _kept_paragraphs(str(answer.get("text") or ""), quotes, passages)
    text = "\n\n".join(kept)
    used = [number for number in sorted(quotes) if number in _numbers(text)]
    faults = (faults + text_faults or ([] if used else ["no passage is cited"]))[:_MOST_FAULTS]
    return {
        "state": "faulty" if faults else "good",
        "text": text if used else "",
        "sources": [source(number, passages[number - 1], quotes[number]) for number in used],
        "faults": faults,
    }


def _borne_out(cites: Sequence[Any], passages: Sequence[Mapping[str, Any]]) -> tuple[dict[int, str], list[str]]:
    """Return the quotes that are found, by the number of their passage, and what is wrong with the others."""
    found: dict[int, str] = {}
    faults: list[str] = []
    for cite in cites:
        number, quote = cite.get("passage"), str(cite.get("quote") or "").strip()
        if not isinstance(number, int) or not 1 <= number <= len(passages):
            faults.append(f"there is no passage {number}; they are numbered 1 to {len(passages)}")
        elif not stands_in(quote, str(passages[number - 1].get("text") or "")):
            faults.append(f"the quote {quote[:80]!r} does not stand in passage {number}; copy it exactly")
        else:
            found[number] = without_hidden(quote)
    return found, faults


def stands_in(quote: str, text: str) -> bool:
    """Return whether a quote stands in a text, blanks, case and width aside; "..." in it leaves something out."""
    held, parts = folded(text), quote_parts(quote)
    if sum(map(len, parts)) < min(_LEAST_QUOTE, len(held)) or not parts:
        return False
    at = 0
    for part in parts:
        at = held.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def quote_parts(quote: str) -> list[str]:
    """Return the parts of a quote between which it leaves something out, folded."""
    return [part for part in map(folded, _GAP.split(quote)) if part]


def folded(text: str) -> str:
    """Return a text as quotes are compared: without blanks and what nobody sees, in one case and width."""
    return "".join(unicodedata.normalize("NFKC", without_hidden(text)).casefold().split())


def _kept_paragraphs(
    text: str, quotes: Mapping[int, str], passages: Sequence[Mapping[str, Any]]
) -> tuple[list[str], list[str]]:
    """Return the paragraphs that the quotes bear out, and what is wrong with the others.

    What only leads over to a list, or is a title, goes without a fault: nothing bears it out.
    """
    kept: list[str] = []
    faults: list[str] = []
    for paragraph in re.split(r"\n\s*\n", without_hidden(text).strip()):
        if _LEAD_IN.match(paragraph) and not _numbers(paragraph):
            continue
        held = [str(passages[number - 1].get("text") or "") for number in _numbers(paragraph) & set(quotes)]
        if fault := _fault(paragraph, set(quotes), held):
            faults.append(fault)
        else:
            kept.append(paragraph)
    return kept, faults


def _fault(paragraph: str, quoted: set[int], held: Sequence[str]) -> str:
    """Return why a paragraph is not borne out; "" = it is.

    Args:
        quoted: numbers of the passages that a quote was found in.
        held: texts of those of them that the paragraph cites.
    """
    if unknown := sorted(_numbers(paragraph) - quoted):
        return f"[{unknown[0]}] stands in the text, but no quote in cites bears it out"
    if foreign := [each for each in _ADDRESS.findall(paragraph) if not _is_held(each, held)]:
        return f"the address {foreign[0][:80]!r} stands in no passage that is cited beside it"
    statements = list(_statements(paragraph))
    marked = max((at for at, each in enumerate(statements) if _numbers(each)), default=-1)
    for at, statement in enumerate(statements):
        if not _numbers(statement) and (at > marked or not _shares_a_word(statement, held)):
            return f"no passage is cited for {statement[:80]!r}; mark it with its number, like [1]"
    return ""


def _statements(paragraph: str) -> Iterator[str]:
    for found in _STATEMENT.finditer(paragraph):
        if re.search(r"\w", statement := found[0].strip()):
            yield statement


def _shares_a_word(statement: str, held: Sequence[str]) -> bool:
    """Return whether a statement has a word of the texts, or none that says anything, such as "Yes."."""
    words = _words(statement)
    return not words or any(words & _words(text) for text in held)


def _words(text: str) -> set[str]:
    usual = unicodedata.normalize("NFKC", without_hidden(text)).casefold()
    # Five letters: "travels" and "travelling" are the same word here.
    return {word[:5] for word in _CONTENT.findall(usual) if word not in _COMMON}


def _is_held(address: str, held: Sequence[str]) -> bool:
    wanted = folded(address.rstrip(".,;。、"))
    return any(wanted in folded(text) for text in held)


def _numbers(text: str) -> set[int]:
    return {int(number) for group in _MARK.findall(text) for number in re.findall(r"\d+", group)}
