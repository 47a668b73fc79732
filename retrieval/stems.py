"""Brings the forms of an English word to one stem, for words in code and in what is asked about it."""

from __future__ import annotations

import re
from functools import lru_cache

_SHORTEST = 4
_VOWEL = re.compile("[aeiouy]")
_PLAIN = re.compile("[a-z]+")
_KEPT_DOUBLES = ("ll", "ss", "zz", "ee", "oo", "ff")


@lru_cache(maxsize=1 << 17)
def stem(word: str) -> str:
    """Return the stem of a word in lower case; one that is short or no plain English word is its own.

    Plurals, -ed, -ing, -er, -ion and a last e go: "parse", "parsed", "parser" and "parsing" are "pars". Two words may
    share a stem by chance, which costs a search little. Source: the first steps of M. F. Porter, "An algorithm for
    suffix stripping", 1980, with -er and -ion taken off in one go.
    """
    if len(word) < _SHORTEST or not _PLAIN.fullmatch(word):
        return word
    word = _without_plural(word)
    for ending in ("ing", "ed", "er", "ion", "or"):
        rest = word[: -len(ending)]
        if word.endswith(ending) and len(rest) >= 3 and _VOWEL.search(rest) and _may_lose(rest, ending):
            word = rest[:-1] if rest[-1] == rest[-2] and rest[-2:] not in _KEPT_DOUBLES else rest
            break
    if word.endswith("e") and len(word) > _SHORTEST - 1:
        word = word[:-1]
    return f"{word[:-1]}i" if word.endswith("y") and len(word) > 3 else word


def _without_plural(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _may_lose(rest: str, ending: str) -> bool:
    if ending in ("ion", "or"):
        return rest[-1] in "st" and len(rest) >= 4
    return ending != "er" or len(rest) >= 4
