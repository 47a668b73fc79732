"""Writes of the code index within a transaction: texts, files, edges between files. Called by code_index."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from .code_file import CodeFile, unpack_imports, unpack_uses
from .code_terms import count_terms
from .files import FileStat
from .import_paths import PathTable
from .parse import Import
from .resolve import Definers, Edges, FileUses, Resolver, pack_ids, pack_targets

# Of stale texts as many as of others are kept, and some: another branch may bring them back.
_KEPT_STALE = 200
# Of so many files all names are held at a time, to ask for their definitions alone.
_FEW_FILES = 500


def insert_texts(db: sqlite3.Connection, batch: Sequence[tuple[tuple[str, str], CodeFile]]) -> list[int]:
    """Store texts that are not there yet, each with its hash and language; return their ids."""
    ids = []
    for (sha256, language), file in batch:
        row = (sha256, language, file.lines, file.problem, file.definition_length, file.body_length)
        done = db.execute(
            """INSERT INTO texts (sha256, lang, lines, problem, definition_length, body_length)
               VALUES (?, ?, ?, ?, ?, ?)""",
            row,
        )
        ids.append(int(done.lastrowid or 0))
    stored = list(zip(ids, (file for _, file in batch), strict=True))
    db.executemany(
        "INSERT INTO contents VALUES (?, ?, ?, ?)",
        ((text_id, file.body, file.references, file.imports) for text_id, file in stored),
    )
    db.executemany(
        "INSERT INTO symbols VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ((text_id, *row) for text_id, file in stored for row in file.symbols),
    )
    db.executemany(
        "INSERT INTO chunks (text_id, start_line, end_line, heading, context, text_sha) VALUES (?, ?, ?, ?, ?, ?)",
        ((text_id, *row) for text_id, file in stored for row in file.chunks),
    )
    return ids


def put_file(
    db: sqlite3.Connection, stat: FileStat, read_ns: int, *, sha256: str = "", text_id: int | None, skipped: str = ""
) -> None:
    """Store what a path holds now: a text, or the reason why it is skipped."""
    words = " ".join(sorted(count_terms(stat.path)))
    db.execute(
        """INSERT INTO files (path, words, sha256, size, mtime_ns, read_ns, text_id, skipped)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (path) DO UPDATE SET sha256 = excluded.sha256, size = excluded.size,
             mtime_ns = excluded.mtime_ns, read_ns = excluded.read_ns, text_id = excluded.text_id,
             skipped = excluded.skipped""",
        (stat.path, words, sha256, stat.size, stat.mtime_ns, read_ns, text_id, skipped),
    )


def live_texts(db: sqlite3.Connection) -> set[int]:
    return {row[0] for row in db.execute("SELECT DISTINCT text_id FROM files WHERE text_id IS NOT NULL")}


def drop_stale_texts(db: sqlite3.Connection, live: set[int]) -> None:
    """Delete the oldest texts that no file has any more, when they are more than those that files have."""
    rows = db.execute("SELECT id FROM texts ORDER BY id DESC")
    stale = [row[0] for row in rows if row[0] not in live][len(live) + _KEPT_STALE :]
    for table, column in (("contents", "text_id"), ("symbols", "text_id"), ("chunks", "text_id"), ("texts", "id")):
        db.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(each,) for each in stale])


def names_of(db: sqlite3.Connection, text_id: int | None) -> set[tuple[str, str]]:
    """Return the names that a text defines for others, each with the text's language; None = no text."""
    rows = db.execute(
        """SELECT DISTINCT name, lang FROM symbols JOIN texts ON texts.id = text_id
           WHERE text_id = ? AND kind <> 'local'""",
        (text_id,),
    )
    return set(rows.fetchall())


def read_path_table(db: sqlite3.Connection) -> PathTable:
    return PathTable(row[0] for row in db.execute("SELECT path FROM files WHERE text_id IS NOT NULL"))


def write_edges(db: sqlite3.Connection, file_ids: set[int] | None, table: PathTable) -> None:
    """Resolve these files, or all, and store what leads from each to others; forget it of files that are gone."""
    if file_ids is None:
        db.execute("DELETE FROM edges")
    else:
        db.executemany("DELETE FROM edges WHERE file_id = ?", [(each,) for each in file_ids])
        db.execute("DELETE FROM edges WHERE file_id NOT IN (SELECT id FROM files WHERE text_id IS NOT NULL)")
    rows = [
        (uses.file_id, pack_targets(edges.weights()), pack_ids(edges.imported))
        for uses, edges in resolve_files(db, file_ids, table)
    ]
    db.executemany("INSERT INTO edges VALUES (?, ?, ?)", [row for row in rows if row[1]])


def resolve_files(
    db: sqlite3.Connection, file_ids: set[int] | None, table: PathTable
) -> Iterator[tuple[FileUses, Edges]]:
    """Yield files, or all, with what leads from each to others."""
    ids = dict(db.execute("SELECT path, id FROM files WHERE text_id IS NOT NULL"))
    few = file_ids is not None and len(file_ids) <= _FEW_FILES
    users: Iterable[FileUses] = list(_uses_of(db, file_ids)) if few else _uses_of(db, file_ids)
    names = {name for each in users for name in each.codes} if few else None

    def imports_of(file_id: int) -> tuple[str, Sequence[Import]]:
        found = next(_uses_of(db, {file_id}))
        return found.language, found.imports

    resolver = Resolver(ids, table, imports_of, _definers(db, names))
    for each in users:
        yield each, resolver.resolve(each)


def _uses_of(db: sqlite3.Connection, file_ids: set[int] | None) -> Iterator[FileUses]:
    """Yield what files use, or all files, in the order of the paths."""
    rows = db.execute(
        """SELECT files.id, path, lang, uses, imports FROM files JOIN texts ON texts.id = files.text_id
           JOIN contents ON contents.text_id = files.text_id WHERE lang <> '' ORDER BY path"""
        if file_ids is None
        else f"""SELECT files.id, path, lang, uses, imports FROM files JOIN texts ON texts.id = files.text_id
           JOIN contents ON contents.text_id = files.text_id
           WHERE files.id IN ({",".join(map(str, sorted(file_ids)))}) ORDER BY path"""
    )
    for row in rows:
        yield FileUses(row[0], row[1], row[2], unpack_uses(row[3]), unpack_imports(row[4]))


def _definers(db: sqlite3.Connection, names: set[str] | None) -> Definers:
    """Return the files that define each of these names, or each name."""
    statement = """SELECT DISTINCT name, files.id, path, lang FROM symbols JOIN texts ON texts.id = symbols.text_id
                   JOIN files ON files.text_id = symbols.text_id WHERE kind <> 'local' {} ORDER BY path"""
    found = Definers()
    if names is None:
        for row in db.execute(statement.format("")):
            found.add(*row)
        return found
    for name in sorted(names):
        for row in db.execute(statement.format("AND name = ?"), (name,)):
            found.add(*row)
    return found
