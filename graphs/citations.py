"""Filters for answers that cite: passages under numbers, and what of an answer is borne out by them.

A model is given the passages as 1, 2, 3 ..., writes those numbers into its answer as [2], and quotes each passage that
it rests on. Nothing of an answer is passed on that no quote bears out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.fences import fenced, without_hidden

_MARK = re.compile(r"[\[［【](\d{1,3}(?:\s*[,、，]\s*\d{1,3})*)[\]］】]")
_ADDRESS = re.compile(r"(?:https?|ftp|file|mailto|javascript|data):[^\s)\]>」）]+", re.IGNORECASE)
_GAP = re.compile(r"\.{3,}|…+|\[\s*(?:\.{3,}|…+)\s*\]")
_JAPANESE = re.compile("[\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff]")
_LEAD_IN = re.compile(r"^\s*#|[:：]\s*$")
_LEAST_QUOTE = 4
"""Characters without blanks; fewer are found in nearly every passage."""


def numbered_passages(hits: Any) -> str:
    """Return retrieved passages each in a frame under its number from 1, as data for a model; "" = none."""
    shown = []
    for number, hit in enumerate(_hits(hits), start=1):
        text = fenced("passage", str(hit.get("text") or ""), f"{number}: {place(hit)}")
        shown.append(text)
    return "\n".join(shown)


def place(hit: Mapping[str, Any]) -> str:
    """Return where a hit stands, for a person: path, page or lines, and heading."""
    lines = f":{hit.get('start_line', 1)}-{hit.get('end_line', 1)}"
    page = f", page {hit['page']}" if hit.get("page") else lines
    heading = " ".join(str(hit.get("heading") or "").split())
    return without_hidden(f"{hit.get('path', '')}{page}{f' ({heading})' if heading else ''}")


def language(text: Any) -> str:
    """Return "ja" for a text with Japanese characters, else "en"."""
    return "ja" if _JAPANESE.search(str(text or "")) else "en"


def nearest(hits: Any, count: int = 3) -> list[dict[str, Any]]:
    """Return the first hits as sources without quotes, for an answer that was not found."""
    return [_source(number, hit, "") for number, hit in enumerate(_hits(hits)[:count], start=1)]


def checked(answer: Any, hits: Any) -> dict[str, Any]:
    """Return what of a CitedAnswer the passages bear out.

    A cite counts when its number is one of the passages and its quote stands in that passage, blanks and width of
    characters aside. A paragraph counts when it is marked with such a number, and all of its numbers are such.

    Returns:
        {state, text, sources, faults}. state: "good", "faulty" (faults say why, for the model; text and sources are
        what is left without them) or "missing" (the answer says that the passages do not hold it; nothing bears out
        its text, so that it is left out).
        sources: {number, path, start_line, end_line, page, heading, quote, stale} in the order of their numbers.
    """
    if not isinstance(answer, Mapping):
        raise ValueError("checked takes an answer with text, cites and enough")
    passages = _hits(hits)
    quotes, faults = _borne_out(answer.get("cites") or [], passages)
    if not answer.get("enough"):
        return {"state": "missing", "text": "", "sources": [], "faults": []}
    kept, text_faults = _kept_paragraphs(str(answer.get("text") or ""), quotes, passages)
    text = "\n\n".join(kept)
    used = [number for number in sorted(quotes) if number in _numbers(text)]
    sources = [_source(number, passages[number - 1], quotes[number]) for number in used]
    faults += text_faults
    return {
        "state": "faulty" if faults or not sources else "good",
        "text": text if sources else "",
        "sources": sources,
        "faults": faults or ([] if sources else ["no passage is cited"]),
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
    held = _folded(text)
    parts = [part for part in (_folded(each) for each in _GAP.split(quote)) if part]
    if sum(map(len, parts)) < min(_LEAST_QUOTE, len(held)) or not parts:
        return False
    at = 0
    for part in parts:
        at = held.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def _kept_paragraphs(
    text: str, quotes: Mapping[int, str], passages: Sequence[Mapping[str, Any]]
) -> tuple[list[str], list[str]]:
    """Return the paragraphs that the quotes bear out, and what is wrong with the others."""
    kept: list[str] = []
    faults: list[str] = []
    for paragraph in re.split(r"\n\s*\n", without_hidden(text).strip()):
        numbers = _numbers(paragraph)
        unknown = sorted(numbers - set(quotes))
        foreign = [
            each for each in _ADDRESS.findall(paragraph) if not _is_held(each, numbers & set(quotes), passages)
        ]
        if unknown:
            faults.append(f"[{unknown[0]}] stands in the text, but no quote in cites bears it out")
        elif foreign:
            faults.append(f"the address {foreign[0][:80]!r} stands in no passage that is cited beside it")
        elif not numbers and not _LEAD_IN.search(paragraph):
            faults.append(f"no passage is cited for {paragraph[:80]!r}; mark it with its number, like [1]")
        else:
            kept.append(paragraph)
    return kept, faults


def _is_held(address: str, numbers: set[int], passages: Sequence[Mapping[str, Any]]) -> bool:
    wanted = _folded(address.rstrip(".,;。、"))
    return any(wanted in _folded(str(passages[number - 1].get("text") or "")) for number in numbers)


def _numbers(text: str) -> set[int]:
    return {int(number) for group in _MARK.findall(text) for number in re.findall(r"\d+", group)}


def _source(number: int, hit: Mapping[str, Any], quote: str) -> dict[str, Any]:
    names = ("path", "start_line", "end_line", "page", "heading")
    return {
        "number": number,
        **{name: hit.get(name) for name in names},
        "quote": quote,
        "stale": bool(hit.get("stale")),
    }


def _folded(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", without_hidden(text)).casefold().split())


def _hits(hits: Any) -> list[Mapping[str, Any]]:
    if hits is None:
        return []
    if not isinstance(hits, list) or not all(isinstance(hit, Mapping) for hit in hits):
        raise ValueError("this takes a list of hits")
    return hits
