"""The terms under which code is found: identifiers split at their humps, in lower case, stemmed. Both sides use it.

Called by the workers for what is indexed and by the search for what is asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from .stems import stem
from .tokenise import index_text, is_lone_cjk, query_terms, split_identifier

_ASCII_WORD = re.compile(r"[A-Za-z0-9_]+")
_NOT_ASCII_RUN = re.compile(r"[^\x00-\x7f]+")


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """A term that is asked for.

    Attributes:
        prefix: every term that begins with it is meant.
        word: as the query has it, but for its case.
    """

    text: str
    prefix: bool = False
    word: str = field(default="", compare=False)

    def count_in(self, counts: Mapping[str, int]) -> int:
        """Return how often the term stands among counted terms."""
        if not self.prefix:
            return counts.get(self.text, 0)
        return sum(count for term, count in counts.items() if term.startswith(self.text))


def count_terms(text: str) -> dict[str, int]:
    """Return how often each term stands in a text."""
    counts: dict[str, int] = {}
    for word, count in Counter(_ASCII_WORD.findall(text)).items():
        for term in _terms_of(word):
            counts[term] = counts.get(term, 0) + count
    if not text.isascii():
        for term in index_text(" ".join(_NOT_ASCII_RUN.findall(text))).split():
            counts[term] = counts.get(term, 0) + 1
    return counts


def terms_of_names(names: Iterable[str]) -> dict[str, int]:
    """Return the terms of some names and how many of them hold each."""
    return count_terms(" ".join(names))


def read_query(query: str) -> list[QueryTerm]:
    """Return the distinct terms of a query in order of appearance; [] = it has no word to search for."""
    terms = [QueryTerm(stem(word), is_lone_cjk(word), word) for word in query_terms(query)]
    return list(dict.fromkeys(terms))


def whole_term(name: str) -> str:
    """Return the term that every text holds in which a name stands; "" = names of this kind are not indexed."""
    found = _terms_of(name) if name.isascii() and _ASCII_WORD.fullmatch(name) else ()
    return found[0] if found else ""


@lru_cache(maxsize=1 << 17)
def _terms_of(word: str) -> tuple[str, ...]:
    return tuple(stem(part) for part in split_identifier(word))
