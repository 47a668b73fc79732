"""Definitions, uses of names and imports of a source file by tree-sitter. Called by the code index's workers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from .grammars import definitions_query, grammar, references_query

if TYPE_CHECKING:
    from tree_sitter import Node, Tree

_LONGEST_SIGNATURE = 160
_LONGEST_NAME = 200
_LONGEST_IMPORT = 1000
REFERENCE_KINDS = ("base", "call", "type", "use")
"""A name that two patterns find is of the kind that stands first here."""
# Of these files only what stands in <script> is parsed.
_SCRIPTED = frozenset({"vue", "svelte"})
_SCRIPT = re.compile(rb"<script\b[^>]*>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
_NOT_LINE_END = re.compile(rb"[^\n]")
# A hand-written file needs about 4 progress steps per KB, text that is nothing but unbalanced brackets 20.
_STEPS_PER_KB = 200
_FEWEST_STEPS = 2000
# tree-sitter 0.26 never frees what it was given piece by piece, and asks for the same piece again and again.
_READ_BYTES = 2048
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


class Reference(NamedTuple):
    """A use of a name: `kind` is one of REFERENCE_KINDS, `line` is 1-indexed."""

    name: str
    kind: str
    line: int


class Import(NamedTuple):
    """An import as it is written, on one line; `line` is 1-indexed."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file defines, uses and imports, each in the order of the lines.

    Attributes:
        problem: why the file counts as plain text; "" = it parsed.
        uses: for each name that is used, in the order of first uses, a number for each use (there are many of them).
    """

    symbols: tuple[Symbol, ...]
    problem: str = ""
    uses: Mapping[str, Sequence[int]] = field(default_factory=dict)
    imports: tuple[Import, ...] = ()

    @property
    def references(self) -> list[Reference]:
        """The uses one by one, in the order of the lines."""
        found = [
            Reference(name, use_kind(code), use_line(code)) for name, codes in self.uses.items() for code in codes
        ]
        return sorted(found, key=lambda each: each.line)


def use_kind(code: int) -> str:
    """Return the kind of a use from its number in `Parsed.uses`."""
    return REFERENCE_KINDS[code % len(REFERENCE_KINDS)]


def use_line(code: int) -> int:
    """Return the 1-indexed line of a use from its number in `Parsed.uses`."""
    return code // len(REFERENCE_KINDS)


def parse_definitions(language: str, text: str) -> Parsed:
    """Return the definitions of a text and nothing else of it. One that cannot be parsed gives none, and the reason.

    Args:
        language: as for `parse_code`.
    """
    return _parse(language, text, whole=False)


def parse_code(language: str, text: str) -> Parsed:
    """Return definitions, references and imports of a text. One that cannot be parsed gives none, and the reason.

    To be called in a process that may be killed: some texts keep a grammar busy for minutes.

    Args:
        language: a name that `language_of` returned; "" = not code.
    """
    return _parse(language, text, whole=True)


def _parse(language: str, text: str, *, whole: bool) -> Parsed:
    if not language:
        return Parsed(())
    source = text.encode()
    tree = _parse_at_once(language, source) if whole else parse_tree(language, source)
    if tree is None:
        return Parsed((), f"gave up parsing it as {language}")
    found = _find_definitions(language, tree)
    symbols = tuple(_nest(source, found))
    if tree.root_node.has_error and not symbols:
        return Parsed((), f"does not parse as {language}")
    if not whole:
        return Parsed(symbols)
    return Parsed(symbols, "", *_read_references(language, tree, source, {each.name.start_byte for each in found}))


def parse_tree(language: str, source: bytes) -> Tree | None:
    """Return the tree, or None when the parser takes far more steps than any file of this size should need.

    Cut names out of `source` by the nodes' offsets: `node.text` is not set, and some grammars see letters replaced.
    """
    from tree_sitter import Parser

    source = _readable(language, source)
    steps = 0
    limit = _FEWEST_STEPS + _STEPS_PER_KB * (len(source) // 1024)

    def read(offset: int, _point: object) -> bytes:
        return source[offset : offset + _READ_BYTES]

    def stop(_offset: int, _has_error: bool) -> bool:
        nonlocal steps
        steps += 1
        return steps > limit

    try:
        return Parser(grammar(language)).parse(read, progress_callback=stop)
    except ValueError:
        return None


def _parse_at_once(language: str, source: bytes) -> Tree:
    """Return the tree with nothing to end it but the death of the process; faster, and the memory is given back."""
    from tree_sitter import Parser

    return Parser(grammar(language)).parse(_readable(language, source))


def _readable(language: str, source: bytes) -> bytes:
    """Return the source as its grammar can take it, all offsets as they were."""
    if language in _ONLY_ASCII:
        source = source.translate(_LETTER_FOR_REST)
    return _only_scripts(source) if language in _SCRIPTED else source


def _only_scripts(source: bytes) -> bytes:
    """Return the source with blanks for all that is no script, so that lines and offsets stay."""
    kept = bytearray(_NOT_LINE_END.sub(b" ", source))
    for match in _SCRIPT.finditer(source):
        kept[match.start(1) : match.end(1)] = match[1]
    return bytes(kept)


class _Definition(NamedTuple):
    """`scope`: the type that a method is written for outside of its body; None = what stands around it."""

    node: Node
    name: Node
    kind: str
    scope: Node | None


def _find_definitions(language: str, tree: Tree) -> list[_Definition]:
    """Return the definitions by start, the longer first."""
    from tree_sitter import QueryCursor

    found: dict[tuple[int, int, int], _Definition] = {}
    # A more telling pattern stands first in its query; a later one that matches the same definition is no news.
    matches = QueryCursor(definitions_query(language)).matches(tree.root_node)
    for _, captures in sorted(matches, key=lambda match: match[0]):
        names = captures.get("name", [])
        scope = next(iter(captures.get("scope", ())), None)
        for label, nodes in captures.items():
            if not label.startswith("definition."):
                continue
            for node, name in zip(nodes * len(names), names, strict=False):
                definition = _Definition(node, name, label.removeprefix("definition."), scope)
                found.setdefault((node.start_byte, -node.end_byte, name.start_byte), definition)
    return [found[key] for key in sorted(found)]


def _read_references(
    language: str, tree: Tree, source: bytes, taken: set[int]
) -> tuple[dict[str, list[int]], tuple[Import, ...]]:
    """Return the uses and imports. `taken`: offsets of names that define something, so they are no uses."""
    from tree_sitter import QueryCursor

    captures = QueryCursor(references_query(language)).captures(tree.root_node)
    found: list[tuple[int, bytes, int]] = []
    for place, kind in enumerate(REFERENCE_KINDS):
        for node in captures.get(f"reference.{kind}", ()):
            start, end = node.start_byte, node.end_byte
            if start not in taken and end - start <= _LONGEST_NAME:
                taken.add(start)
                code = (node.start_point.row + 1) * len(REFERENCE_KINDS) + place
                found.append((start, source[start:end], code))
    found.sort()
    uses: dict[bytes, list[int]] = {}
    for _, name, code in found:
        uses.setdefault(name, []).append(code)
    imports = {
        node.start_byte: Import(_one_line(source, node), node.start_point.row + 1)
        for node in captures.get("import", ())
    }
    named = {name.decode(errors="replace"): codes for name, codes in uses.items()}
    return named, tuple(imports[start] for start in sorted(imports))


def _one_line(source: bytes, node: Node) -> str:
    return " ".join(_text(source, node).split())[:_LONGEST_IMPORT]


def _nest(source: bytes, definitions: list[_Definition]) -> Iterator[Symbol]:
    """Yield the symbols, each with the names of those it lies in; input is sorted by start, the longer first."""
    around: list[_Around] = []
    for node, name_node, label, scope in definitions:
        span = (node.start_byte, node.end_byte)
        while around and (around[-1].end < node.end_byte or around[-1].span == span):
            around.pop()
        name = _text(source, name_node)
        kind = _kind(label, around[-1].kind if around else "")
        parents = [each.name for each in around]
        if scope is not None:
            parents.append(_text(source, scope).split("<", 1)[0])
        outer = _whole(node)
        yield Symbol(
            name=name,
            kind=kind,
            line=name_node.start_point.row + 1,
            start_line=outer.start_point.row + 1,
            end_line=_last_line(_with_body(outer)),
            signature=_signature(source, node, outer),
            parent=".".join(parents),
        )
        around.append(_Around(span, name, kind))


def _text(source: bytes, node: Node) -> str:
    return source[node.start_byte : node.end_byte].decode(errors="replace")


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


def _with_body(node: Node) -> Node:
    """Return what ends the definition: in Dart the body stands beside the signature."""
    holder = node.parent if node.parent is not None and node.parent.type == "method_signature" else node
    beside = holder.next_named_sibling
    return beside if beside is not None and beside.type == "function_body" else node


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
