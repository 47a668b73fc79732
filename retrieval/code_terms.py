"""The terms under which code is found: identifiers, whole and split at their humps, in lower case. Both sides use it.

Called by the workers for what is indexed and by the search for what is asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .tokenise import index_text, is_lone_cjk, query_terms, split_identifier

_ASCII_WORD = re.compile(r"[A-Za-z0-9_]+")
_BLANKS = {code: " " for code in range(128) if not _ASCII_WORD.fullmatch(chr(code))}
_NOT_ASCII_RUN = re.compile(r"[^\x00-\x7f]+")


FORM_WEIGHT = 0.3
"""What another form of a word counts. Stems in place of words found less on the tuning repositories."""


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """A term that is asked for.

    Attributes:
        prefix: every term that begins with it is meant.
        forms: other forms of the word that stand somewhere in the index ("cookie" for "cookies").
    """

    text: str
    prefix: bool = False
    forms: tuple[str, ...] = ()

    def count_in(self, counts: Mapping[str, int]) -> float:
        """Return how often the term stands among counted terms; another form of it counts less."""
        if self.prefix:
            return sum(count for term, count in counts.items() if term.startswith(self.text))
        found: float = counts.get(self.text, 0)
        for form in self.forms:
            found += FORM_WEIGHT * counts.get(form, 0)
        return found


def count_terms(text: str) -> dict[str, int]:
    """Return how often each term stands in a text."""
    counts: dict[str, int] = {}
    # For most texts, which are ASCII alone, blanks in place of all else take less than half the time of a search.
    words = text.translate(_BLANKS).split() if text.isascii() else _ASCII_WORD.findall(text)
    for word, count in Counter(words).items():
        for term in split_identifier(word):
            counts[term] = counts.get(term, 0) + count
    if not text.isascii():
        for term in index_text(" ".join(_NOT_ASCII_RUN.findall(text))).split():
            counts[term] = counts.get(term, 0) + 1
    return counts


def terms_of_names(names: Iterable[str]) -> dict[str, int]:
    """Return the terms of some names and how many of them hold each."""
    return count_terms(" ".join(names))


def read_query(query: str) -> list[QueryTerm]:
    """Return the distinct terms of a query in order of appearance, without other forms; [] = it has no word."""
    return [QueryTerm(word, is_lone_cjk(word)) for word in query_terms(query)]


def whole_term(name: str) -> str:
    """Return the term that every text holds in which a name stands; "" = names of this kind are not indexed."""
    found = split_identifier(name) if name.isascii() and _ASCII_WORD.fullmatch(name) else ()
    return found[0] if found else ""
