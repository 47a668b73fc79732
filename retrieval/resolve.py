"""Resolves the names that files use to the files that define them, and sums them up as edges between files.

A name means, in this order: what the file itself defines; a definition in a file that it imports; one in the same
folder; the only one there is; else all of them, when they are few. Called by the code index after each change.
"""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .import_paths import PathTable, find_imported
from .parse import REFERENCE_KINDS, Import

MOST_DEFINERS = 5
_KIND_WEIGHT = {"base": 2.0, "call": 1.0, "type": 1.0, "use": 0.5}
_WEIGHTS = tuple(_KIND_WEIGHT[kind] for kind in REFERENCE_KINDS)
_ROOTS = tuple(map(math.sqrt, _WEIGHTS))
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
_ENTRANCES = frozenset({"__init__.py", "mod.rs", "lib.rs"} | {f"index.{end}" for end in ("ts", "js", "tsx", "mjs")})


@dataclass(slots=True)
class _Places:
    """Where one name is defined in one family of languages: file ids by path, and by folder."""

    by_path: dict[str, int] = field(default_factory=dict)
    by_folder: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def meant(self, folder: str, within: set[str]) -> tuple[Sequence[int], float]:
        """Return which of the files are meant by one that lies in a folder, and how sure that is; (), 0.0 = none."""
        by_path = self.by_path
        if len(by_path) == 1:  # most names: that one, in whatever way it is found
            return list(by_path.values()), 1.0
        imported = within & by_path.keys() if len(within) < len(by_path) else [p for p in by_path if p in within]
        if imported:
            return [by_path[each] for each in sorted(imported)[:MOST_DEFINERS]], 1.0
        if beside := self.by_folder.get(folder):
            return beside[:MOST_DEFINERS], 1.0
        return (list(by_path.values()), _GUESSED) if len(by_path) <= MOST_DEFINERS else ((), 0.0)


class Definers:
    """The files that define names."""

    def __init__(self) -> None:
        self._families: dict[str, dict[str, _Places]] = defaultdict(lambda: defaultdict(_Places))

    def add(self, name: str, file_id: int, path: str, language: str) -> None:
        """Take in one file; files come in the order of their paths."""
        places = self._families[family_of(language)][name]
        places.by_path[path] = file_id
        places.by_folder[path.rpartition("/")[0]].append(file_id)

    def all_meant(
        self, names: Iterable[str], language: str, path: str, within: set[str]
    ) -> Iterator[tuple[str, Sequence[int], float]]:
        """Yield names that stand in `path` with the ids of the files that define them, and how sure that is.

        Left out are those that the file defines itself, that nobody defines, or too many.

        Args:
            names: each once.
            within: paths that the file imports.
        """
        defined = self._families.get(family_of(language), {})
        folder = path.rpartition("/")[0]
        for name in names:
            if (places := defined.get(name)) is None or path in places.by_path:
                continue
            found, certainty = places.meant(folder, within)
            if found:
                yield name, found, certainty


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

    names: dict[int, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    imported: set[int] = field(default_factory=set)

    def weights(self) -> dict[int, float]:
        """Return one weight for each file that is used, by id."""
        # The exact sum does not depend on the order.
        found = {target: math.fsum(names.values()) for target, names in self.names.items()}
        for target in self.imported:
            found[target] = found.get(target, 0.0) + _IMPORT_WEIGHT
        return found


class Resolver:
    """Resolves files of one state of the tree.

    Args:
        ids: the file id of each path.
        table: of the same paths; it remembers what imports meant.
        imports_of: the imports of a file by id, for those that say again what others define.
        definers: all files that define the names that are asked for.
    """

    def __init__(
        self,
        ids: Mapping[str, int],
        table: PathTable,
        imports_of: Callable[[int], tuple[str, Sequence[Import]]],
        definers: Definers,
    ) -> None:
        self._ids = ids
        self._table = table
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
        for name, meant, certainty in self._definers.all_meant(uses.codes, uses.language, uses.path, within):
            weight = certainty * _use_weight(uses.codes[name])
            if len(meant) > 1:
                weight /= math.sqrt(len(meant))
            for each in meant:
                edges.names[each][name] = weight
        return edges

    def _imported(self, language: str, imports: Sequence[Import], path: str) -> list[str]:
        found: dict[str, None] = {}
        for each in imports:
            found.update(dict.fromkeys(find_imported(language, each.text, path, self._table)))
        return list(found)

    def _through(self, path: str) -> tuple[str, ...]:
        """Return the files that an imported file says again, when it is of the kind that does."""
        if not is_entrance(path):
            return ()
        if path not in self._passed_on:
            language, imports = self._imports_of(self._ids[path])
            self._passed_on[path] = tuple(self._imported(language, imports, path))
        return self._passed_on[path]


def family_of(language: str) -> str:
    """Return the name of the languages whose files use each other's definitions."""
    return _FAMILY.get(language, language)


def languages_of(family: str) -> list[str]:
    """Return the languages of a family."""
    return [family, *(each for each, of in _FAMILY.items() if of == family and each != family)]


def is_entrance(path: str) -> bool:
    """Tell whether a file says again, by its name, what the files that it imports define."""
    return path.rpartition("/")[2] in _ENTRANCES


def _use_weight(codes: Sequence[int]) -> float:
    """Return the weight of a name's uses in one file; the tenth use of a name says little more than the third."""
    if len(codes) == 1:
        return _ROOTS[codes[0] % len(_WEIGHTS)]
    return math.sqrt(sum([_WEIGHTS[code % len(_WEIGHTS)] for code in codes]))


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


def pack_ids(ids: Iterable[int]) -> bytes:
    """Pack file ids in their order."""
    return array("I", sorted(ids)).tobytes()


def unpack_ids(data: bytes) -> Iterable[int]:
    ids = array("I")
    ids.frombytes(data)
    return ids
