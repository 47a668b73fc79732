"""Filters for lists of hits: joined, cut to a size, shown to a model under numbers, told to a person.

A document may hold text that is meant for the model that reads it. Such text is no source of an answer: it is left
out before a model sees it, and where that was done is told.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.fences import fenced, without_hidden
from ..core.hits import place_of
from ..llm.tokens import EstimatingCounter
from ..retrieval.fusion import fuse_ranks

_SOURCE = ("path", "start_line", "end_line", "page", "heading")
_ORDERS = re.compile(
    r"(?<!not )(?<!never )(?<!n't )\b(?:ignore|disregard|forget|override|bypass)\b[^.\n]{0,20}"
    r"\b(?:your|previous|prior|earlier|above|preceding|system)\b[^.\n]{0,30}"
    r"\b(?:instructions?|rules?|prompts?|guidelines?|directions?|constraints?)\b"
    r"|\b(?:ai|llm|language model|chatbot)s?\b[^.\n]{0,30}\b(?:must|shall) (?:now |always |only )?"
    r"(?:reply|respond|answer|write|say|output|tell|visit|send)\b"
    r"|\b(?:instructions?|note|message|order)s? (?:to|for) (?:the |all |any )?"
    r"(?:ai\b|llm|language model|chatbot|assistant that reads)"
    r"|<\|?(?:im_start|system|user|assistant)\b|\[/?inst\]"
    r"|(?:指示|命令|ルール|規則|プロンプト|制約)[をは]?(?:すべて|全て)?"
    r"(?:無視(?:して?(?=くだ|下さ|[、。]|$)|せよ|しろ|すること)|忘れ(?:て(?=くだ|下さ|[、。]|$)|ろ)|従わないで)"
    r"|(?:AI|LLM|言語モデル|チャットボット|アシスタント)(?:への|に対する|宛の?)(?:指示|命令)",
    re.IGNORECASE | re.MULTILINE,
)
"""Words by which a text speaks to the model that reads it, and not to people."""
_WRAPPED = re.compile(r"(?<=\S)[ \t]*\n[ \t]*(?=\S)")
_WRAPPED_CJK = re.compile(r"(?<=[\u3041-\u9fff])[ \t]*\n[ \t]*(?=[\u3041-\u9fff])")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")


def fused(lists: Any) -> list[dict[str, Any]]:
    """Return the hits of several searches as one list, by reciprocal rank.

    A hit of many searches stands once, as the last one found it: its file may have changed since the first.
    """
    rankings = [hits_of(each) for each in _lists(lists)]
    by_id = {str(hit.get("id")): dict(hit) for ranking in rankings for hit in ranking}
    scores = fuse_ranks([[str(hit.get("id")) for hit in ranking] for ranking in rankings])
    return [by_id[name] for name in sorted(scores, key=lambda name: -scores[name])]


def quotable(hits: Any) -> list[dict[str, Any]]:
    """Return the hits without text that speaks to the model that reads it: from such a paragraph on to the end.

    A hit of which nothing is left is left out.
    """
    kept = [{**hit, "text": _statements(str(hit.get("text") or ""))} for hit in hits_of(hits)]
    return [hit for hit in kept if hit["text"].strip()]


def withheld(hits: Any) -> list[str]:
    """Return the places of the hits that `quotable` shortens or leaves out."""
    return [place(hit) for hit in hits_of(hits) if _ORDERS.search(_plain(str(hit.get("text") or "")))]


def fitting(hits: Any, tokens: int, after: Any = None) -> list[dict[str, Any]]:
    """Return the first hits that fit into so many tokens together; one that does not fit is left out.

    Args:
        after: hits of an earlier list, which come behind those that are new; None = none.
    """
    earlier = {hit.get("id") for hit in hits_of(after)}
    counter, kept = EstimatingCounter(), []
    for hit in sorted(hits_of(hits), key=lambda hit: hit.get("id") in earlier):
        cost = counter.count(_framed(1, hit))
        if cost <= tokens:
            kept.append(dict(hit))
            tokens -= cost
    return kept


def numbered_passages(hits: Any) -> str:
    """Return retrieved passages each in a frame under its number from 1, as data for a model; "" = none."""
    return "\n".join(_framed(number, hit) for number, hit in enumerate(hits_of(hits), start=1))


def nearest(hits: Any, count: int = 3) -> list[dict[str, Any]]:
    """Return the first hits as sources without quotes, for an answer that was not found."""
    return [source(number, hit, "") for number, hit in enumerate(hits_of(hits)[:count], start=1)]


def source(number: int, hit: Mapping[str, Any], quote: str) -> dict[str, Any]:
    """Return {number, path, start_line, end_line, page, heading, quote, stale}: where an answer comes from."""
    place = {name: hit.get(name) for name in _SOURCE}
    return {"number": number, **place, "quote": quote, "stale": bool(hit.get("stale"))}


def place(hit: Mapping[str, Any]) -> str:
    """Return where a hit stands, for a person: path, page or lines, and heading."""
    heading = " ".join(str(hit.get("heading") or "").split())
    return without_hidden(f"{place_of(hit)}{f' ({heading})' if heading else ''}")


def hits_of(hits: Any) -> list[Mapping[str, Any]]:
    """Return a value as a list of hits; [] for None.

    Raises:
        ValueError: it is none.
    """
    if hits is None:
        return []
    if not isinstance(hits, list) or not all(isinstance(hit, Mapping) for hit in hits):
        raise ValueError("this takes a list of hits")
    return hits


def _lists(lists: Any) -> Iterable[Any]:
    if not isinstance(lists, list):
        raise ValueError("fused takes a list of lists of hits")
    return lists


def _framed(number: int, hit: Mapping[str, Any]) -> str:
    return fenced("passage", str(hit.get("text") or ""), f"{number}: {place(hit)}")


def _statements(text: str) -> str:
    kept = []
    for paragraph in _PARAGRAPH.split(without_hidden(text)):
        if _ORDERS.search(_plain(paragraph)):
            break
        kept.append(paragraph)
    return "\n\n".join(kept)


def _plain(text: str) -> str:
    """Return a text as the words of orders are looked for: usual characters, a wrapped line as one line."""
    usual = unicodedata.normalize("NFKC", without_hidden(text))
    return _WRAPPED.sub(" ", _WRAPPED_CJK.sub("", usual))
