"""Reading typed values out of a YAML tree, collecting every fault with its place. Called by read.py and its parts."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from .beside import AGENT, MODULE, Beside, Files, NoFiles, NotBeside, key_of
from .faults import Fault, Position, listed, near
from .spec import Expr
from .tree import Entry, Tree

Path = tuple[str | int, ...]

_COUNT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([kM])")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h)")
_FACTORS = {"k": 1_000, "M": 1_000_000}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}
_NAME = re.compile(r"\w[\w.-]*")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_CODE = re.compile(r"(?:(?P<file>.+\.py)|(?P<module>[^\W\d][\w.]*)):(?P<name>[^\W\d]\w*)")


def parse_count(value: object) -> int | None:
    """Return a number such as 12, "600k" or "2M" (k and M are 1,000 and 1,000,000); None when it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    match = _COUNT.fullmatch(value) if isinstance(value, str) else None
    return round(float(match[1]) * _FACTORS[match[2]]) if match else None


def parse_duration(value: object) -> float | None:
    """Return the seconds of a time such as "500ms", "30s", "10m" or "4h"; None when it is none or zero."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return (float(match[1]) * _SECONDS[match[2]] or None) if match else None


def is_name(text: str) -> bool:
    """Return whether the text can name a graph or a node."""
    return _NAME.fullmatch(text) is not None


def is_identifier(text: str) -> bool:
    """Return whether the text can stand after a dot in an expression."""
    return _IDENTIFIER.fullmatch(text) is not None


@dataclass(slots=True)
class Reading:
    """One document being read.

    Attributes:
        files: gives what lies beside the document's file.
        beside: what was read of that, by key.
    """

    path: str
    faults: list[Fault]
    positions: dict[Path, Position] = field(default_factory=dict)
    files: Files = field(default_factory=NoFiles)
    beside: dict[str, Beside] = field(default_factory=dict)

    def fault(self, at: Position, message: str) -> None:
        self.faults.append(Fault(at.path or self.path, at, message))

    def read_beside(self, name: str, at: Position) -> Beside | None:
        """Return the file that a text at this place names, relative to the file it stands in; None and a fault when
        there is none.

        Args:
            name: a path, or a key that begins with "agent:" or "module:".

        Raises:
            Denied: it is not trusted.
        """
        try:
            key = name if name.startswith((AGENT, MODULE)) else key_of(name, self._base(at))
            if key not in self.beside:
                self.beside[key] = self.files.read(key)
        except NotBeside as err:
            self.fault(at, str(err))
            return None
        return self.beside[key]

    def _base(self, at: Position) -> str:
        """Return the key of the preset that a place lies in; "" = the graph's own file."""
        presets = (key for key, file in self.beside.items() if file.shown == at.path and _is_preset(key))
        return next(presets, "") if at.path else ""

    def remember(self, tree: Tree, path: Path = ()) -> None:
        """Store the place of every value of the tree."""
        self.positions[path] = tree.at
        if isinstance(tree.value, dict):
            for key, entry in tree.value.items():
                self.remember(entry.tree, (*path, key))
        elif isinstance(tree.value, list):
            for index, item in enumerate(tree.value):
                self.remember(item, (*path, index))

    def entries(self, tree: Tree, what: str) -> dict[str, Entry]:
        """Return the entries of a mapping; {} and a fault when it is none."""
        if isinstance(tree.value, dict):
            return dict(tree.value)
        self.fault(tree.at, f"{what} must be a mapping (name: value), not {kind(tree)}")
        return {}

    def items(self, tree: Tree, what: str) -> list[Tree]:
        """Return the items of a list; [] and a fault when it is none."""
        if isinstance(tree.value, list):
            return list(tree.value)
        self.fault(tree.at, f"{what} must be a list, not {kind(tree)}")
        return []

    def fields(self, tree: Tree, what: str, keys: Collection[str]) -> Fields:
        """Return a mapping whose keys are known; unknown ones are faults."""
        entries = self.entries(tree, what)
        unknown: list[str] = []
        for key, entry in list(entries.items()):
            if key in keys:
                continue
            del entries[key]
            self.fault(entry.at, f"unknown key {key!r} in {what}{near(key, keys)}")
            unknown.append(key)
        return Fields(self, what, tree.at, entries, unknown=tuple(unknown))


@dataclass(slots=True)
class Fields:
    """A mapping with known keys. Every reader returns its default and notes a fault when the value does not fit.

    Attributes:
        path: where it stands in the document; () = that is not needed.
        unknown: keys that stand there and do not exist; each was told.
    """

    reading: Reading
    what: str
    at: Position
    entries: dict[str, Entry]
    path: Path = ()
    unknown: tuple[str, ...] = ()

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def place(self, key: str) -> Position:
        return self.entries[key].tree.at if key in self.entries else self.at

    def need(self, *keys: str) -> None:
        for key in keys:
            # A mistyped key is told once, as what it is.
            if key not in self.entries and not any(near(other, [key]) for other in self.unknown):
                self.reading.fault(self.at, f"{self.what} needs {key!r}")

    def wrong(self, key: str, must: str) -> None:
        tree = self.entries[key].tree
        shown = kind(tree) if isinstance(tree.value, (list, dict)) or tree.value is None else repr(tree.value)
        self.reading.fault(tree.at, f"{key!r} must be {must}, not {shown}")

    def plain(self, key: str) -> Any:
        return self.entries[key].tree.plain() if key in self.entries else None

    def text(self, key: str) -> str:
        value = self.plain(key)
        if key in self.entries and not isinstance(value, str):
            self.wrong(key, "a text")
            return ""
        return value or ""

    def word(self, key: str, must: str) -> str:
        """Return a text that is not empty; "" (and a fault when the key is there) otherwise."""
        value = self.plain(key)
        if key in self.entries and not (isinstance(value, str) and value):
            self.wrong(key, must)
            return ""
        return value or ""

    def expr(self, key: str) -> Expr | None:
        return read_expr(self.reading, self.entries[key].tree, repr(key)) if key in self.entries else None

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.plain(key)
        if key in self.entries and not isinstance(value, bool):
            self.wrong(key, "true or false")
        return value if isinstance(value, bool) else default

    def count(self, key: str, least: int = 1) -> int | None:
        """Return a number of at least `least`; None when absent."""
        number = parse_count(self.plain(key))
        if key in self.entries and (number is None or number < least):
            self.wrong(key, f"a number of at least {least} (k and M may follow: 600k, 2M)")
            return None
        return number

    def duration(self, key: str) -> float | None:
        seconds = parse_duration(self.plain(key))
        if key in self.entries and seconds is None:
            self.wrong(key, "a time above zero with its unit (500ms, 30s, 10m, 4h)")
        return seconds

    def one_of(self, key: str, options: Collection[str], default: str) -> str:
        value = self.plain(key)
        if key in self.entries and value not in options:
            hint = near(value, options) if isinstance(value, str) else ""
            self.reading.fault(self.place(key), f"{key!r} must be one of {listed(options)}, not {value!r}{hint}")
        return value if isinstance(value, str) and value in options else default

    def words(self, key: str) -> tuple[str, ...] | None:
        """Return a list of texts, each once; None when absent."""
        if key not in self.entries:
            return None
        words: list[str] = []
        for item in self.reading.items(self.entries[key].tree, repr(key)):
            if not isinstance(item.value, str) or not item.value:
                self.reading.fault(item.at, f"{key!r} must be a list of texts, not with {kind(item)}")
            elif item.value in words:
                self.reading.fault(item.at, f"{item.value!r} stands twice in {key!r}")
            else:
                words.append(item.value)
        return tuple(words)

    def words_or_code(self, key: str) -> tuple[str, ...] | None:
        """Return a list of texts like `words`, each that names something in Python code as `code` gives it."""
        words = self.words(key)
        if words is None:
            return None
        items = self.reading.items(self.entries[key].tree, repr(key))
        places = {item.value: item.at for item in items if isinstance(item.value, str)}
        return tuple(self._word_or_code(word, places[word]) for word in words)

    def _word_or_code(self, word: str, at: Position) -> str:
        match = _CODE.fullmatch(word)
        if match is None:
            return word
        file = self.reading.read_beside(match["file"] or f"{MODULE}{match['module']}", at)
        return f"{file.key}:{match['name']}" if file is not None else ""

    def mapping(self, key: str) -> dict[str, Any]:
        """Return a mapping as JSON data; {} when absent."""
        if key not in self.entries:
            return {}
        tree = self.entries[key].tree
        return {name: entry.tree.plain() for name, entry in self.reading.entries(tree, repr(key)).items()}

    def code(self, key: str, must: str) -> str:
        """Return "KEY:name" for something in Python code, see beside.py; "" when absent, or with a fault."""
        text = self.word(key, must)
        match = _CODE.fullmatch(text)
        if not text or match is None:
            if text:
                self.wrong(key, must)
            return ""
        name = match["file"] or f"{MODULE}{match['module']}"
        file = self.reading.read_beside(name, self.place(key))
        return f"{file.key}:{match['name']}" if file is not None else ""

    def schema(self, key: str = "schema") -> str | dict[str, Any] | None:
        """Return a schema's name, an inline JSON Schema, or "KEY:Name" as `code` does; None when absent."""
        value = self.plain(key)
        if isinstance(value, str) and ":" in value:
            return self.code(key, "a schema's name, a JSON Schema, or file.py:Model") or {}
        if key in self.entries and not (isinstance(value, dict) or (isinstance(value, str) and value)):
            self.wrong(key, "a schema's name, a JSON Schema, or file.py:Model")
            return None
        return value if isinstance(value, (str, dict)) else None


def _is_preset(key: str) -> bool:
    return key.startswith(AGENT) and "/" not in key


def read_expr(reading: Reading, tree: Tree, what: str) -> Expr:
    """Return a bare expression; true, false and numbers may stand for themselves."""
    if isinstance(tree.value, bool):
        return Expr("true" if tree.value else "false")
    if isinstance(tree.value, (int, float)):
        return Expr(str(tree.value))
    if isinstance(tree.value, str) and tree.value.strip():
        return Expr(tree.value.strip())
    hint = "; put quotes around it" if isinstance(tree.value, (dict, list)) else ""
    reading.fault(tree.at, f"{what} must be an expression, not {kind(tree)}{hint}")
    return Expr("none")


def kind(tree: Tree) -> str:
    """Return what a person calls the value of a tree."""
    if tree.value is None:
        return "nothing"
    if isinstance(tree.value, str):
        return "a text" if tree.value else "an empty text"
    if isinstance(tree.value, bool):
        return "true" if tree.value else "false"
    return "a list" if isinstance(tree.value, list) else "a mapping" if isinstance(tree.value, dict) else "a number"
