"""What the code index keeps of one text: definitions, uses, imports, passages and terms. Made by the workers."""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from .chunks import cut_chunks
from .code_terms import count_terms, terms_of_names
from .files import split_lines
from .parse import Import, Parsed, parse_code

_MOST = 65_535

SymbolRow = tuple[str, str, int, int, int, str, str]
"""name, kind, line, start_line, end_line, signature, parent"""
ChunkRow = tuple[int, int, str, str, str]
"""start_line, end_line, heading, context, text_sha"""


@dataclass(frozen=True, slots=True)
class CodeFile:
    """One text as the index stores it; all of it can be pickled.

    Attributes:
        problem: why it is searched as plain text although it is code; "" = it parsed, or is no code.
        terms: the terms, one a line.
        counts: for each of them how often it stands in names of definitions and in the body, as `pack_counts` says.
        definition_length, body_length: sums of those counts.
        body, references, imports: packed texts, for `unpack_*`.
    """

    lines: int
    problem: str
    symbols: list[SymbolRow]
    chunks: list[ChunkRow]
    terms: str
    counts: bytes
    definition_length: int
    body_length: int
    body: bytes
    references: bytes
    imports: bytes


def analyse(language: str, text: str, problem: str = "") -> CodeFile:
    """Return what is kept of a text.

    Args:
        language: a name that `language_of` returned; "" = searched as text only.
        problem: why it is not parsed although it is code.
    """
    lines = split_lines(text)
    parsed = parse_code(language, text)
    body = count_terms(text)
    definitions = terms_of_names(symbol.name for symbol in parsed.symbols)
    terms = sorted(body | definitions)
    counts = array("I", [pack_counts(definitions.get(term, 0), body.get(term, 0)) for term in terms])
    return CodeFile(
        lines=len(lines),
        problem=problem or parsed.problem,
        symbols=[
            (each.name, each.kind, each.line, each.start_line, each.end_line, each.signature, each.parent)
            for each in parsed.symbols
        ],
        chunks=_chunk_rows(lines, parsed),
        terms="\n".join(terms),
        counts=counts.tobytes(),
        definition_length=sum(definitions.values()),
        body_length=sum(body.values()),
        body=zlib.compress(text.encode(), 1),
        references=_pack_uses(parsed.uses),
        imports=zlib.compress(json.dumps(parsed.imports, ensure_ascii=False).encode(), 1) if parsed.imports else b"",
    )


def _chunk_rows(lines: Sequence[str], parsed: Parsed) -> list[ChunkRow]:
    rows = []
    for chunk in cut_chunks(lines, parsed.symbols):
        piece = lines[chunk.start_line - 1 : chunk.end_line]
        sha = sha256(passage_text(chunk.heading, chunk.context, piece).encode()).hexdigest()
        rows.append((chunk.start_line, chunk.end_line, chunk.heading, chunk.context, sha))
    return rows


def passage_text(heading: str, context: str, lines: Sequence[str]) -> str:
    """Return the text that is embedded for a passage; its hash is the vector's key, so it names no path.

    Args:
        context: signatures of the definitions around it, one a line; "" = none.
    """
    above = context or heading
    return "\n".join([above, *lines] if above else lines)


def pack_counts(in_definitions: int, in_body: int) -> int:
    """Return two counts as one number of 32 bits."""
    return min(in_definitions, _MOST) << 16 | min(in_body, _MOST)


def _pack_uses(uses: Mapping[str, Sequence[int]]) -> bytes:
    return zlib.compress(json.dumps(uses, ensure_ascii=False, separators=(",", ":")).encode(), 1) if uses else b""


def unpack_uses(data: bytes) -> dict[str, list[int]]:
    """Return for each name that a text uses the numbers of its uses, as in `Parsed.uses`."""
    found: dict[str, list[int]] = json.loads(zlib.decompress(data)) if data else {}
    return found


def unpack_imports(data: bytes) -> list[Import]:
    return [Import(*each) for each in json.loads(zlib.decompress(data))] if data else []


def unpack_body(data: bytes) -> str:
    return zlib.decompress(data).decode()
