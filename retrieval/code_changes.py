"""Tells which files have to be resolved anew after some changed. Called by the code index within its transaction.

What a name means in a file depends on the files that define it, on where they lie, and on what the file imports. So
a file that did not change itself is due when a name that it uses came, went or moved, or an import means another
file now. The edges of all others are what a resolution of all files would give.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .code_file import unpack_imports, unpack_uses
from .code_terms import whole_term
from .import_paths import PathTable, find_imported
from .postings import texts_with
from .resolve import MOST_DEFINERS, family_of, is_entrance, languages_of, unpack_ids

# Above this share it costs less to resolve all files than to find out which.
_ALL_ABOVE = 0.3
# Above this number it costs less to read all files than to ask which hold the terms.
_MOST_TERMS = 500


@dataclass(slots=True)
class Changes:
    """What changed since all files were resolved.

    Attributes:
        changed: paths whose text is new.
        names: for each name and language of a text the paths that began or ceased to define it.
        paths: paths that came or went.
        everything: nothing is known of the state before.
    """

    changed: set[str] = field(default_factory=set)
    names: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    paths: set[str] = field(default_factory=set)
    everything: bool = False


@dataclass(frozen=True, slots=True)
class _Tree:
    """The files as they are now.

    Attributes:
        ids: of all files by path.
        text_ids, families: of those that are code, by id.
        imported: what each file (by id) imported when it was last resolved; some of that may be gone.
    """

    ids: Mapping[str, int]
    text_ids: Mapping[int, int]
    families: Mapping[int, str]
    imported: Mapping[int, frozenset[int]]


def files_to_resolve(db: sqlite3.Connection, changes: Changes, table: PathTable) -> set[int] | None:
    """Return the ids of the files whose edges may be other ones now; None = all of them. `table`: of all paths."""
    count = int(db.execute("SELECT count(*) FROM files WHERE text_id IS NOT NULL").fetchone()[0])
    if changes.everything or len(changes.changed) > count * _ALL_ABOVE:
        return None
    if not (changes.names or changes.paths or any(map(is_entrance, changes.changed))):
        return _ids_of(db, changes.changed)
    tree = _read_tree(db)
    due = {tree.ids[path] for path in changes.changed if path in tree.ids}
    entrances = {file_id for path, file_id in tree.ids.items() if is_entrance(path)}
    importing = _importing_otherwise(db, tree, changes, due & entrances, table)
    passing_on = importing & entrances
    due |= importing
    due |= {file_id for file_id, imported in tree.imported.items() if not passing_on.isdisjoint(imported)}
    few, many = _by_definers(db, changes)
    asked = _asked_in(tree, many, entrances)
    texts = _with_terms(db, {whole_term(name) for names in few.values() for name in names})
    for file_id, text_id in tree.text_ids.items():
        names = few[tree.families[file_id]] if texts is None or text_id in texts else set()
        wanted = asked.get(file_id, set())
        if file_id not in due and (names or wanted):
            used = _uses(db, text_id)
            if not (names.isdisjoint(used) and wanted.isdisjoint(used)):
                due.add(file_id)
    return due


def _ids_of(db: sqlite3.Connection, paths: set[str]) -> set[int]:
    rows = (db.execute("SELECT id FROM files WHERE path = ? AND text_id IS NOT NULL", (path,)) for path in paths)
    return {file_id for row in rows for (file_id,) in row}


def _read_tree(db: sqlite3.Connection) -> _Tree:
    rows = db.execute(
        "SELECT path, files.id, text_id, lang FROM files JOIN texts ON texts.id = text_id ORDER BY path"
    ).fetchall()
    imported = {row[0]: frozenset(unpack_ids(row[1])) for row in db.execute("SELECT file_id, imported FROM edges")}
    return _Tree(
        ids={row[0]: row[1] for row in rows},
        text_ids={row[1]: row[2] for row in rows if row[3]},
        families={row[1]: family_of(row[3]) for row in rows},
        imported=imported,
    )


def _importing_otherwise(
    db: sqlite3.Connection, tree: _Tree, changes: Changes, changed: set[int], table: PathTable
) -> set[int]:
    """Return the files whose imports mean other files than before; of changed ones `changed` alone are looked at."""
    terms = {term for path in changes.paths for term in _path_terms(path)}
    texts = _with_terms(db, terms) if changes.paths else set()
    there = set(tree.ids.values())
    found = set()
    for path, file_id in tree.ids.items():
        if (text_id := tree.text_ids.get(file_id)) is None:
            continue
        before = tree.imported.get(file_id, frozenset())
        if texts is None or text_id in texts or file_id in changed or not before <= there:
            now = {tree.ids[each] for each in _imported(db, text_id, path, table)}
            if now != before:
                found.add(file_id)
    return found


def _imported(db: sqlite3.Connection, text_id: int, path: str, table: PathTable) -> Iterator[str]:
    row = db.execute(
        "SELECT lang, imports FROM texts JOIN contents ON text_id = id WHERE id = ? AND imports <> x''", (text_id,)
    ).fetchone()
    for each in unpack_imports(row[1]) if row else ():
        yield from find_imported(row[0], each.text, path, table)


def _path_terms(path: str) -> Iterator[str]:
    """Yield the terms one of which stands in every import that may mean the path; "" = it can not be told."""
    *_, folder, name = f"/{path}".split("/")
    # What stands for its folder need not be named at all: "from .. import x".
    yield "" if is_entrance(path) else whole_term(name.split(".")[0])
    if folder:
        stem = folder.split(".")[0]
        # A crate "a-b" is called a_b.
        yield whole_term(stem.replace("-", "_"))
        yield whole_term(stem.split("-")[0])


def _with_terms(db: sqlite3.Connection, terms: set[str]) -> set[int] | None:
    """Return the texts in which any of the terms stands; None = that may be any text."""
    return None if "" in terms or len(terms) > _MOST_TERMS else texts_with(db, sorted(terms))


def _by_definers(db: sqlite3.Connection, changes: Changes) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return by family of languages the names that few files define, or did; by path those that many do, and did.

    A name of many files means one of them only to a file that lies beside it or imports it.
    """
    few: dict[str, set[str]] = defaultdict(set)
    many: dict[str, set[str]] = defaultdict(set)
    of_families: dict[tuple[str, str], set[str]] = defaultdict(set)
    for (name, language), paths in changes.names.items():
        of_families[name, family_of(language)] |= paths
    for (name, family), paths in of_families.items():
        least = MOST_DEFINERS + len(paths) + 1
        languages = languages_of(family)
        rows = db.execute(
            f"""SELECT DISTINCT files.id FROM symbols JOIN texts ON texts.id = symbols.text_id
                JOIN files ON files.text_id = texts.id WHERE name = ? AND kind <> 'local'
                AND lang IN ({",".join("?" * len(languages))}) LIMIT ?""",
            (name, *languages, least),
        )
        if len(rows.fetchall()) < least:
            few[family].add(name)
            continue
        for path in paths:
            many[path].add(name)
    return few, many


def _asked_in(tree: _Tree, many: Mapping[str, set[str]], entrances: set[int]) -> dict[int, set[str]]:
    """Return by file the names that mean something else in it, should it use them: it lies near, or imports."""
    asked: dict[int, set[str]] = defaultdict(set)
    folders: dict[str, set[str]] = defaultdict(set)
    defined: dict[int, set[str]] = defaultdict(set)
    for path, names in many.items():
        folders[path.rpartition("/")[0]] |= names
        if path in tree.ids:
            defined[tree.ids[path]] |= names
    for path, file_id in tree.ids.items():
        if names_beside := folders.get(path.rpartition("/")[0]):
            asked[file_id] |= names_beside
    passed_on = {each: defined.keys() & tree.imported.get(each, ()) for each in entrances}
    for each, targets in passed_on.items():
        for target in targets:
            defined[each] = defined[each] | defined[target]
    for file_id, imported in tree.imported.items():
        for target in defined.keys() & imported:
            asked[file_id] |= defined[target]
    return asked


def _uses(db: sqlite3.Connection, text_id: int) -> dict[str, list[int]]:
    row = db.execute("SELECT uses FROM contents WHERE text_id = ?", (text_id,)).fetchone()
    return unpack_uses(row[0]) if row else {}
