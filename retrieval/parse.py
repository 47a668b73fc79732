"""Definitions of a source file by tree-sitter and the queries beside this module. Called by the code index."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from .languages import LANGUAGES

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Query, Tree

EXTRACTOR_VERSION = 1
_QUERIES_OF = {
    "javascript": ("ecmascript", "javascript"),
    "typescript": ("ecmascript", "typescript"),
    "tsx": ("ecmascript", "typescript"),
}
"""Of the other languages each has one query of its own name."""
_LONGEST_SIGNATURE = 160
# A hand-written file needs about 4 progress steps per KB, text that is nothing but unbalanced brackets 20.
_STEPS_PER_KB = 200
_FEWEST_STEPS = 2000
_READ_BYTES = 65536
# Its scanner looks letters up in a table of 256 entries by their code points: the process ends at a far one.
_ONLY_ASCII = frozenset({"bash"})
_LETTER_FOR_REST = bytes(range(128)) + b"x" * 128
_BODY_OPENING = re.compile(r"(?:\s*(?:=>|[{:=]))+$")
_CODE_KINDS = frozenset({"function", "method", "constructor", "local"})
_TYPE_KINDS = frozenset({"class", "struct", "interface", "trait", "impl", "enum", "object"})
# What hangs a definition's first lines on it: decorators and the words before it belong to its span.
_WRAPPERS = frozenset({"decorated_definition", "export_statement", "template_declaration", "ambient_declaration"})
# These hold one definition or a list of them; only when there is one is it the whole.
_LIST_WRAPPERS = frozenset({"lexical_declaration", "variable_declaration", "type_declaration"})


@dataclass(frozen=True, slots=True)
class Symbol:
    """One definition. Lines are 1-indexed and inclusive.

    Attributes:
        kind: "function", "method", "class", ... as the query names it.
        line: where the name stands.
        start_line, end_line: the whole definition with decorators.
        signature: the definition up to its body, on one line, 160 characters at most.
        parent: names of the definitions around it, joined by "."; "" at the top.
    """

    name: str
    kind: str
    line: int
    start_line: int
    end_line: int
    signature: str
    parent: str

    @property
    def qualified_name(self) -> str:
        return f"{self.parent}.{self.name}" if self.parent else self.name


@dataclass(frozen=True, slots=True)
class Parsed:
    """Definitions in the order of their lines. `problem`: why the file counts as plain text; "" = it parsed."""

    symbols: tuple[Symbol, ...]
    problem: str = ""


def parse_definitions(language: str, text: str) -> Parsed:
    """Return the definitions of a text. One that cannot be parsed gives none, and the reason.

    Args:
        language: a name that `language_of` returned; "" = not code.
    """
    if not language:
        return Parsed(())
    source = text.encode()
    tree = parse_tree(language, source)
    if tree is None:
        return Parsed((), f"gave up parsing it as {language}")
    symbols = _read_symbols(language, tree, source)
    if tree.root_node.has_error and not symbols:
        return Parsed((), f"does not parse as {language}")
    return Parsed(symbols)


def extractor_id() -> str:
    """Return a digest of everything that decides what is extracted: version and queries."""
    digest = hashlib.sha256(str(EXTRACTOR_VERSION).encode())
    for language in LANGUAGES:
        digest.update(f"{language}\0{_query_text(language)}".encode())
    return digest.hexdigest()[:16]


def parse_tree(language: str, source: bytes) -> Tree | None:
    """Return the tree, or None when the parser takes far more steps than any file of this size should need.

    Cut names out of `source` by the nodes' offsets: `node.text` is not set, and some grammars see letters replaced.
    """
    from tree_sitter import Parser

    if language in _ONLY_ASCII:
        source = source.translate(_LETTER_FOR_REST)
    steps = 0
    limit = _FEWEST_STEPS + _STEPS_PER_KB * (len(source) // 1024)

    def read(offset: int, _point: object) -> bytes:
        return source[offset : offset + _READ_BYTES]

    def stop(_offset: int, _has_error: bool) -> bool:
        nonlocal steps
        steps += 1
        return steps > limit

    try:
        return Parser(_language(language)).parse(read, progress_callback=stop)
    except ValueError:
        return None


def _read_symbols(language: str, tree: Tree, source: bytes) -> tuple[Symbol, ...]:
    from tree_sitter import QueryCursor

    found: dict[tuple[int, int, int], tuple[Node, Node, str]] = {}
    # A more telling pattern stands first in its query; a later one that matches the same definition is no news.
    matches = QueryCursor(_query(language)).matches(tree.root_node)
    for _, captures in sorted(matches, key=lambda match: match[0]):
        names = captures.pop("name")
        for label, nodes in captures.items():
            for node, name in zip(nodes * len(names), names, strict=False):
                found.setdefault((node.start_byte, -node.end_byte, name.start_byte), (node, name, label))
    return tuple(_nest(source, [found[key] for key in sorted(found)]))


def _nest(source: bytes, definitions: list[tuple[Node, Node, str]]) -> Iterator[Symbol]:
    """Yield the symbols, each with the names of those it lies in; input is sorted by start, the longer first."""
    around: list[_Around] = []
    for node, name_node, label in definitions:
        span = (node.start_byte, node.end_byte)
        while around and (around[-1].end < node.end_byte or around[-1].span == span):
            around.pop()
        name = source[name_node.start_byte : name_node.end_byte].decode(errors="replace")
        kind = _kind(label.removeprefix("definition."), around[-1].kind if around else "")
        outer = _whole(node)
        yield Symbol(
            name=name,
            kind=kind,
            line=name_node.start_point.row + 1,
            start_line=outer.start_point.row + 1,
            end_line=_last_line(outer),
            signature=_signature(source, node, outer),
            parent=".".join(each.name for each in around),
        )
        around.append(_Around(span, name, kind))


@dataclass(frozen=True, slots=True)
class _Around:
    """A definition that others may lie in; `span` in bytes."""

    span: tuple[int, int]
    name: str
    kind: str

    @property
    def end(self) -> int:
        return self.span[1]


def _kind(kind: str, outer_kind: str) -> str:
    if outer_kind in _CODE_KINDS:
        return "local"
    return "method" if kind == "function" and outer_kind in _TYPE_KINDS else kind


def _whole(node: Node) -> Node:
    """Return the node with what stands before it and belongs to it: decorators, `export`, `template<...>`."""
    outer = node
    while (parent := outer.parent) is not None:
        alone = parent.type in _LIST_WRAPPERS and parent.named_child_count == 1
        if not alone and parent.type not in _WRAPPERS:
            break
        outer = parent
    return outer


def _last_line(node: Node) -> int:
    # A node that ends with its line's break ends at column 0 of the next one.
    row, column = node.end_point
    return max(row + (1 if column else 0), node.start_point.row + 1)


def _signature(source: bytes, node: Node, outer: Node) -> str:
    body = _body(node)
    end = body.start_byte if body is not None else node.end_byte
    start = node.start_byte if outer.type == "decorated_definition" else outer.start_byte
    text = source[start:end].decode(errors="replace")
    if body is None:
        text = text.split("\n", 1)[0]
    line = _BODY_OPENING.sub("", " ".join(text.split()))
    return line if len(line) <= _LONGEST_SIGNATURE else line[: _LONGEST_SIGNATURE - 1] + "…"


def _body(node: Node) -> Node | None:
    for holder in (node, node.child_by_field_name("value"), node.child_by_field_name("right")):
        if holder is not None and (body := holder.child_by_field_name("body")) is not None:
            return body
    return next((child for child in node.named_children if child.type in ("class_body", "function_body")), None)


@cache
def _language(name: str) -> Language:
    from tree_sitter_language_pack import get_language

    # Only languages with a query of ours get here: some other grammars of the package never return.
    loaded: Language = get_language(name)  # type: ignore[arg-type]
    return loaded


@cache
def _query(name: str) -> Query:
    from tree_sitter import Query

    return Query(_language(name), _query_text(name))


def _query_text(name: str) -> str:
    folder = files(__package__) / "queries"
    return "".join((folder / f"{each}.scm").read_text(encoding="utf-8") for each in _QUERIES_OF.get(name, (name,)))
