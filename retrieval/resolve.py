"""Resolves the names that files use to the files that define them, and sums them up as edges between files.

A name means, in this order: what the file itself defines; a definition in a file that it imports; one in the same
folder; the only one there is; else all of them, when they are few. Called by the code index after each change.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .import_paths import PathTable, find_imported
from .parse import REFERENCE_KINDS, Import

MOST_DEFINERS = 5
_KIND_WEIGHT = {"base": 2.0, "call": 1.0, "type": 1.0, "use": 0.5}
_WEIGHTS = tuple(_KIND_WEIGHT[kind] for kind in REFERENCE_KINDS)
_IMPORT_WEIGHT = 1.0
# Not what it seems to be as often as not.
_GUESSED = 0.5
_FAMILIES = (
    {"javascript", "typescript", "tsx", "vue", "svelte"},
    {"c", "cpp", "objc", "swift"},
    {"java", "kotlin", "scala"},
    {"ocaml", "ocaml_interface"},
    {"elixir", "erlang", "gleam"},
)
_FAMILY = {language: sorted(family)[0] for family in _FAMILIES for language in family}
# These say again what others define.
_ENTRANCES = frozenset({"__init__.py", "mod.rs", "lib.rs"} | {f"index.{end}" for end in ("ts", "js", "tsx", "mjs")})


@dataclass(slots=True)
class _Places:
    """Where one name is defined in one family of languages: file ids by path, and by folder."""

    by_path: dict[str, int] = field(default_factory=dict)
    by_folder: dict[str, list[int]] = field(default_factory=dict)


class Definers:
    """The files that define names."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], _Places] = {}

    def add(self, name: str, file_id: int, path: str, language: str) -> None:
        """Take in one file; files come in the order of their paths."""
        places = self._places.setdefault((name, _FAMILY.get(language, language)), _Places())
        places.by_path[path] = file_id
        places.by_folder.setdefault(path.rpartition("/")[0], []).append(file_id)

    def meant(self, name: str, family: str, path: str, within: set[str]) -> tuple[Sequence[int], float]:
        """Return the ids of the files in which a name is defined that stands in `path`, and how sure that is.

        ((), 0.0) = the file defines it itself, nobody does, or too many do.

        Args:
            within: paths that the file imports.
        """
        places = self._places.get((name, family))
        if places is None or path in places.by_path:
            return (), 0.0
        if imported := within & places.by_path.keys():
            return [places.by_path[each] for each in sorted(imported)[:MOST_DEFINERS]], 1.0
        if beside := places.by_folder.get(path.rpartition("/")[0]):
            return beside[:MOST_DEFINERS], 1.0
        count = len(places.by_path)
        if count > MOST_DEFINERS:
            return (), 0.0
        return list(places.by_path.values()), 1.0 if count == 1 else _GUESSED


@dataclass(frozen=True, slots=True)
class FileUses:
    """What one file uses: for each name the numbers of `Parsed.uses`, and its imports."""

    file_id: int
    path: str
    language: str
    codes: Mapping[str, Sequence[int]]
    imports: Sequence[Import]


@dataclass(slots=True)
class Edges:
    """What leads from one file to others.

    Attributes:
        names: for each file (by id) the names that are found there, with their weights.
        imported: the files that are imported.
    """

    names: dict[int, dict[str, float]] = field(default_factory=dict)
    imported: set[int] = field(default_factory=set)

    def weights(self) -> dict[int, float]:
        """Return one weight for each file that is used, by id."""
        found = {target: sum(names[name] for name in sorted(names)) for target, names in self.names.items()}
        for target in self.imported:
            found[target] = found.get(target, 0.0) + _IMPORT_WEIGHT
        return found


class Resolver:
    """Resolves files of one state of the tree.

    Args:
        ids: the file id of each path.
        imports_of: the imports of a file by id, for those that say again what others define.
        definers: all files that define the names that are asked for.
    """

    def __init__(
        self,
        ids: Mapping[str, int],
        imports_of: Callable[[int], tuple[str, Sequence[Import]]],
        definers: Definers,
    ) -> None:
        self._ids = ids
        self._table = PathTable(ids)
        self._imports_of = imports_of
        self._definers = definers
        self._passed_on: dict[str, tuple[str, ...]] = {}

    def resolve(self, uses: FileUses) -> Edges:
        """Return what leads from a file to others."""
        edges = Edges()
        direct = self._imported(uses.language, uses.imports, uses.path)
        edges.imported.update(self._ids[path] for path in direct)
        within = set(direct)
        for path in direct:
            within.update(self._through(path))
        family = _FAMILY.get(uses.language, uses.language)
        for name in sorted(uses.codes):
            meant, certainty = self._definers.meant(name, family, uses.path, within)
            if meant:
                weight = certainty * _use_weight(uses.codes[name]) / math.sqrt(len(meant))
                for each in meant:
                    edges.names.setdefault(each, {})[name] = weight
        return edges

    def _imported(self, language: str, imports: Sequence[Import], path: str) -> list[str]:
        found: dict[str, None] = {}
        for each in imports:
            found.update(dict.fromkeys(find_imported(language, each.text, path, self._table)))
        return list(found)

    def _through(self, path: str) -> tuple[str, ...]:
        """Return the files that an imported file says again, when it is of the kind that does."""
        if path.rpartition("/")[2] not in _ENTRANCES:
            return ()
        if path not in self._passed_on:
            language, imports = self._imports_of(self._ids[path])
            self._passed_on[path] = tuple(self._imported(language, imports, path))
        return self._passed_on[path]


def _use_weight(codes: Sequence[int]) -> float:
    """Return the weight of a name's uses in one file; the tenth use of a name says little more than the third."""
    return math.sqrt(sum(_WEIGHTS[code % len(_WEIGHTS)] for code in codes))


def pack_targets(weights: Mapping[int, float]) -> bytes:
    """Pack file ids with their weights, in the order of the ids."""
    ids = array("I", sorted(weights))
    return ids.tobytes() + array("f", [weights[each] for each in ids]).tobytes()


def unpack_targets(data: bytes) -> Iterable[tuple[int, float]]:
    half = len(data) // 2
    ids, weights = array("I"), array("f")
    ids.frombytes(data[:half])
    weights.frombytes(data[half:])
    return zip(ids, weights, strict=True)
