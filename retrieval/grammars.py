"""Grammars of the language pack and the queries beside this module, each loaded once in a process. Called by parse.

`queries/LANG.scm` finds definitions (@definition.KIND spans the whole, @name is what it is called);
`queries/LANG.refs.scm` finds uses (@reference.KIND is the name) and imports (@import is the whole statement).
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from .languages import LANGUAGES

if TYPE_CHECKING:
    from tree_sitter import Language, Query

EXTRACTOR_VERSION = 2
_TYPESCRIPT = ("ecmascript", "typescript")
_QUERIES_OF = {
    "javascript": ("ecmascript", "jsx", "javascript"),
    "typescript": _TYPESCRIPT,
    "tsx": ("ecmascript", "jsx", "typescript"),
    "vue": _TYPESCRIPT,
    "svelte": _TYPESCRIPT,
}
"""Of the other languages each has one query of its own name."""
_GRAMMAR_OF = {"vue": "typescript", "svelte": "typescript"}


@cache
def extractor_id() -> str:
    """Return a digest of everything that decides what is extracted: version and queries."""
    digest = hashlib.sha256(str(EXTRACTOR_VERSION).encode())
    for language in LANGUAGES:
        digest.update(f"{language}\0{_query_text(language, '')}\0{_query_text(language, '.refs')}".encode())
    return digest.hexdigest()[:16]


@cache
def grammar(language: str) -> Language:
    """Return the grammar of a language that `language_of` named."""
    from tree_sitter_language_pack import get_language

    # Only languages with a query of ours get here: some other grammars of the package never return.
    loaded: Language = get_language(_GRAMMAR_OF.get(language, language))  # type: ignore[arg-type]
    return loaded


@cache
def definitions_query(language: str) -> Query:
    from tree_sitter import Query

    return Query(grammar(language), _query_text(language, ""))


@cache
def references_query(language: str) -> Query:
    from tree_sitter import Query

    return Query(grammar(language), _query_text(language, ".refs"))


def _query_text(language: str, kind: str) -> str:
    folder = files(__package__) / "queries"
    names = [f"{each}{kind}.scm" for each in _QUERIES_OF.get(language, (language,))]
    return "".join(file.read_text(encoding="utf-8") for name in names if (file := folder / name).is_file())
