"""What a query names: identifiers, quoted names and files. Called by the retriever and the map."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Kana and kanji end an ASCII identifier: Japanese puts no space between a name and the words around it.
_IDENTIFIER = re.compile(r"[A-Za-z_$À-ɏ][\w$À-ɏ]*", re.ASCII)
_QUOTED = re.compile(r"`([^`\n]{1,120})`|\"([^\"\s]{1,80})\"|(?<!\w)'([^'\s]{1,80})'|「([^」\n]{1,80})」")
# A piece of text without spaces, quotes or Japanese marks that may be a path; longer than this it is data.
_PIECE = re.compile(r"[^\s\"'`<>|*?(){},;「」『』、。，]+")
_LONGEST_PATH = 300
_FILE = re.compile(r"(?P<path>.+?\.[A-Za-z][A-Za-z0-9]{0,9})(?![A-Za-z0-9_./\\])(?::(?P<line>\d{1,7}))?")
_TRACEBACK_LINE = re.compile(r"\"?, line (\d{1,7})")
_NOT_ASCII_START = re.compile(r"^[^\x00-\x7f]+")
_HUMP = re.compile(r"[a-z0-9][A-Z]|[A-Z]{2}[a-z]")
_SHORTEST_PLAIN_NAME = 4
_MOST_MATCHES = 3
_MOST_NAMES = 200


@dataclass(frozen=True, slots=True)
class FileMention:
    """A file as the query writes it, and the 1-indexed line it gives; 0 = none."""

    text: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class QueryNames:
    """Names in order of appearance, each once.

    Attributes:
        marked: written as code: quoted, called, dotted, snake_case or camelCase.
        plain: other words of four letters or more, which may be names by chance.
    """

    marked: tuple[str, ...]
    plain: tuple[str, ...]
    files: tuple[FileMention, ...]


def read_names(query: str) -> QueryNames:
    """Return what the query names. Whether such names exist is for the index to say."""
    quoted: set[str] = set()
    for match in _QUOTED.finditer(query):
        quoted.update(_IDENTIFIER.findall(match.group(match.lastindex or 0)))
    marked: dict[str, None] = {}
    plain: dict[str, None] = {}
    for match in _IDENTIFIER.finditer(query):
        name = match.group()
        if name in quoted or _is_marked(query, match):
            marked[name] = None
        elif len(name) >= _SHORTEST_PLAIN_NAME:
            plain[name] = None
    others = [name for name in plain if name not in marked]
    return QueryNames(tuple(marked)[:_MOST_NAMES], tuple(others)[:_MOST_NAMES], _read_files(query))


def _read_files(query: str) -> tuple[FileMention, ...]:
    files: dict[FileMention, None] = {}
    for piece in _PIECE.finditer(query):
        if len(piece.group()) > _LONGEST_PATH or not (match := _FILE.match(piece.group().rstrip(".:!?"))):
            continue
        line = match["line"]
        if line is None and (traced := _TRACEBACK_LINE.match(query, piece.end())):
            line = traced.group(1)
        files[FileMention(match["path"].replace("\\", "/"), int(line or 0))] = None
    return tuple(files)[:_MOST_NAMES]


def resolve_file(mention: str, paths: Sequence[str]) -> list[str]:
    """Return the indexed paths that a file's mention means, three at most; [] = none, or too many to mean one.

    Args:
        paths: all indexed paths, sorted.
    """
    for text in dict.fromkeys((mention, _NOT_ASCII_START.sub("", mention))):
        parts = [part for part in text.split("/") if part not in ("", ".", "..")]
        for first in range(len(parts)):
            wanted = "/".join(parts[first:])
            exact = [path for path in paths if path == wanted]
            found = exact or [path for path in paths if path.endswith(f"/{wanted}")]
            if found:
                return found if len(found) <= _MOST_MATCHES else []
    return []


def _is_marked(query: str, match: re.Match[str]) -> bool:
    name, start, end = match.group(), match.start(), match.end()
    if "_" in name.strip("_") or name.startswith("__") or _HUMP.search(name):
        return True
    if query[end : end + 1] == "(":
        return True
    dotted_before = query[start - 1 : start] == "." and query[start - 2 : start - 1].isidentifier()
    dotted_after = query[end : end + 1] == "." and query[end + 1 : end + 2].isidentifier()
    return dotted_before or dotted_after
