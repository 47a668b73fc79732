"""YAML 1.2 text as a tree in which every key and value knows its place. Called by read.py.

Built from the parser's events, so that a hostile file is stopped by depth, size and aliases before anything grows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from .faults import Fault, Position

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_VALUES = 50_000

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# The core schema of YAML 1.2.2, section 10.3.2; longer digit strings stay texts.
_INT = re.compile(r"[-+]?[0-9]{1,300}")
_BASED = re.compile(r"0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,300}|[0-9]{1,300}(\.[0-9]{0,300})?)([eE][-+]?[0-9]{1,3})?")

Scalar = str | int | float | bool | None


@dataclass(slots=True)
class Tree:
    """One value. `value` is a scalar, a list of trees, or a dict of entries by key."""

    value: Any
    at: Position

    def plain(self) -> Any:
        """Return the value as JSON data."""
        if isinstance(self.value, dict):
            return {key: entry.tree.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value


@dataclass(slots=True)
class Entry:
    """One key of a mapping: the place of the key, and its value."""

    at: Position
    tree: Tree


def lying_in(tree: Tree, path: str) -> Tree:
    """Return the tree with every place in it told to be of this file."""
    at = replace(tree.at, path=path)
    if isinstance(tree.value, dict):
        entries = tree.value.items()
        return Tree({key: Entry(replace(each.at, path=path), lying_in(each.tree, path)) for key, each in entries}, at)
    if isinstance(tree.value, list):
        return Tree([lying_in(item, path) for item in tree.value], at)
    return Tree(tree.value, at)


class BadYaml(Exception):
    """The text is no YAML that a graph file may hold; carries the one fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(slots=True)
class _Open:
    """A list or mapping that is still being read."""

    tree: Tree
    key: tuple[str, Position] | None = None


@dataclass(slots=True)
class _Builder:
    path: str
    faults: list[Fault]
    documents: list[Tree] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    count: int = 0

    def stop(self, at: Position, message: str) -> BadYaml:
        return BadYaml(Fault(self.path, at, message))

    def take(self, event: Any) -> None:
        name = type(event).__name__
        if name == "AliasEvent" or getattr(event, "anchor", None):
            raise self.stop(_place(event.start_mark), "anchors (&) and aliases (*) are not part of graph files")
        if name == "ScalarEvent":
            self.add(Tree(self._scalar(event), _place(event.start_mark)), event)
        elif name in ("MappingStartEvent", "SequenceStartEvent"):
            self._open(Tree({} if name.startswith("M") else [], _place(event.start_mark)), event)
        elif name in ("MappingEndEvent", "SequenceEndEvent"):
            self.stack.pop()

    def _open(self, tree: Tree, event: Any) -> None:
        if event.tag is not None and not event.implicit:
            raise self.stop(tree.at, f"YAML tags such as {str(event.tag)!r} are not part of graph files")
        if len(self.stack) >= MAX_DEPTH:
            raise self.stop(tree.at, f"nested deeper than {MAX_DEPTH} levels")
        self.add(tree, event)
        self.stack.append(_Open(tree))

    def add(self, tree: Tree, event: Any) -> None:
        self.count += 1
        if self.count > MAX_VALUES:
            raise self.stop(tree.at, f"more than {MAX_VALUES} values in one file")
        if not self.stack:
            self.documents.append(tree)
            return
        parent = self.stack[-1]
        if isinstance(parent.tree.value, list):
            parent.tree.value.append(tree)
        elif parent.key is None:
            parent.key = (self._key(tree, event), tree.at)
        else:
            (key, at), parent.key = parent.key, None
            self._put(parent.tree.value, key, Entry(at, tree))

    def _put(self, mapping: dict[str, Entry], key: str, entry: Entry) -> None:
        if key in mapping:
            first = mapping[key].at
            self.faults.append(
                Fault(self.path, entry.at, f"{key!r} stands here a second time; the first is on line {first.line}")
            )
            return
        mapping[key] = entry

    def _key(self, tree: Tree, event: Any) -> str:
        if isinstance(tree.value, (list, dict)):
            raise self.stop(tree.at, "a key must be a plain name; put quotes around a text that begins with {{")
        return str(event.value)

    def _scalar(self, event: Any) -> Scalar:
        if event.tag is not None and str(event.tag) != "!":
            raise self.stop(
                _place(event.start_mark), f"YAML tags such as {str(event.tag)!r} are not part of graph files"
            )
        plain = event.style in (None, "") and event.tag is None
        return plain_scalar(str(event.value)) if plain else str(event.value)


def plain_scalar(text: str) -> Scalar:
    """Return what an unquoted scalar means in the core schema of YAML 1.2 (`yes` and `on` are texts)."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text) and (number := float(text)) not in (float("inf"), float("-inf")):
        return number
    return text


def parse(text: str, path: str, faults: list[Fault]) -> list[Tree]:
    """Return the documents of a YAML text; duplicate keys are added to `faults`.

    Raises:
        BadYaml: not YAML, or something that graph files may not hold (aliases, tags, too deep, too large).
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise BadYaml(Fault(path, Position(), f"larger than {MAX_BYTES} bytes, which no graph file is"))
    builder = _Builder(path, faults)
    for event in _events(text, path):
        builder.take(event)
    return builder.documents


def _events(text: str, path: str) -> Iterator[Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as err:
        at = _place(err.problem_mark) if err.problem_mark else Position()
        raise BadYaml(Fault(path, at, _explain(err))) from err
    except YAMLError as err:
        at = _place_of(text, getattr(err, "position", 0))
        raise BadYaml(Fault(path, at, f"not readable as YAML: {_reason(err)}")) from err
    except (ValueError, TypeError, IndexError, AttributeError, AssertionError, RecursionError) as err:
        # What the parser lets through on broken directives, escapes and the like.
        raise BadYaml(Fault(path, Position(), f"not readable as YAML ({type(err).__name__}: {err})")) from err


def _explain(err: Any) -> str:
    problem = str(err.problem or err.context or "syntax error").strip().splitlines()[0]
    hint = " (indent with spaces)" if "'\\t'" in problem else ""
    told = problem.replace("'<stream end>'", "the end of the file")
    return f"not readable as YAML: {told}{hint}"


def _reason(err: Exception) -> str:
    character = getattr(err, "character", None)
    return str(err).splitlines()[0] if character is None else f"the character {character!r} may not stand in it"


def _place_of(text: str, index: int) -> Position:
    before = text[:index]
    return Position(before.count("\n") + 1, index - before.rfind("\n"))


def _place(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)
