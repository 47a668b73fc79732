from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.errors import ConfigError, FlowError, UsageError
from flowloom.retrieval.doc_finder import DocFinder, Scope
from flowloom.retrieval.doc_index import DocumentIndex
from flowloom.retrieval.doc_sources import default_name, source_pattern
from flowloom.retrieval.doc_store import DocumentStore

MakeTree = Callable[[Mapping[str, str | bytes]], Path]
Age = Callable[[Path], None]


@pytest.fixture
def index(tmp_path: Path) -> DocumentIndex:
    return DocumentIndex(tmp_path / "data" / "docs" / "one.sqlite3", tmp_path / "tree")


@pytest.fixture
def tree(make_tree: MakeTree, age: Age, index: DocumentIndex) -> Path:
    """Return a folder with three documents and one other file, added as the collection "kb" and read."""
    folder = make_tree(
        {"a.md": "# Alpha\n\nfirst fact\n", "b.txt": "second fact\n", "sub/c.md": "third\n", "x.py": "no\n"}
    )
    age(folder)
    index.add("kb", [str(folder)])
    index.sync()
    return folder


def found(index: DocumentIndex, query: str) -> list[str]:
    finder = DocFinder(index.workspace or Path("/"), [Scope(index.store)])
    return [each.hit.path for each in finder.search(query, 10)]


def rows(index: DocumentIndex, sql: str) -> list[Any]:
    with index.store.connect() as db:
        return db.execute(sql).fetchall()


def is_sound(index: DocumentIndex) -> bool:
    """Tell whether passages, words and documents belong together, each once."""
    with index.store.connect() as db:
        (chunks,) = db.execute("SELECT count(*) FROM chunks").fetchone()
        (words,) = db.execute("SELECT count(*) FROM words JOIN chunks ON chunks.id = words.rowid").fetchone()
        (all_words,) = db.execute("SELECT count(*) FROM words").fetchone()
        (orphans,) = db.execute(
            "SELECT count(*) FROM chunks WHERE document_id NOT IN (SELECT id FROM documents)"
        ).fetchone()
        (twice,) = db.execute("SELECT count(*) - count(DISTINCT path) FROM documents").fetchone()
        (state,) = db.execute("PRAGMA integrity_check").fetchone()
        db.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    return bool(chunks == words == all_words and orphans == twice == 0 and state == "ok")


def test_nothing_is_made_before_something_is_added(index: DocumentIndex) -> None:
    assert (index.names(), index.facts(), index.generation(), index.text_shas()) == ([], [], 0, set())
    assert index.sync().unchanged == 0 and not index.remove("kb")
    assert not index.store.path.exists()


def test_documents_are_found_by_their_words(index: DocumentIndex, tree: Path) -> None:
    assert found(index, "second fact")[0] == "b.txt"
    assert found(index, "alpha") == ["a.md"]
    (facts,) = index.facts()
    assert (facts.documents, facts.passages, facts.formats) == (3, 3, {"markdown": 2, "text": 1})


def test_the_index_is_for_its_owner_alone(index: DocumentIndex, tree: Path) -> None:
    assert index.store.path.stat().st_mode & 0o077 == 0
    assert index.store.path.parent.stat().st_mode & 0o077 == 0


def test_unchanged_files_are_not_touched(index: DocumentIndex, tree: Path) -> None:
    before = rows(index, "SELECT * FROM documents"), index.generation()
    report = index.sync()
    assert (report.unchanged, report.added + report.updated + report.removed) == (3, 0)
    assert (rows(index, "SELECT * FROM documents"), index.generation()) == before


def test_a_new_time_stamp_alone_reads_no_document_anew(index: DocumentIndex, tree: Path) -> None:
    generation = index.generation()
    os.utime(tree / "a.md", (1, 1))
    assert index.sync().unchanged == 3
    assert index.generation() == generation
    assert rows(index, "SELECT mtime_ns FROM documents WHERE path LIKE '%a.md'") == [(1_000_000_000,)]


def test_a_changed_file_is_read_anew_and_its_old_text_is_gone(index: DocumentIndex, tree: Path) -> None:
    (tree / "a.md").write_text("# Beta\n\nother words\n")
    assert index.sync().updated == 1
    assert found(index, "alpha first") == []
    assert found(index, "beta") == ["a.md"]
    assert is_sound(index)


def test_a_change_within_the_same_instant_is_noticed(index: DocumentIndex, tree: Path) -> None:
    (tree / "n.md").write_text("abc def\n")
    index.sync()
    stamp = (tree / "n.md").stat()
    (tree / "n.md").write_text("uvw xyz\n")
    os.utime(tree / "n.md", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert index.sync().updated == 1


def test_deleted_text_is_gone_at_once(index: DocumentIndex, tree: Path) -> None:
    (tree / "b.txt").unlink()
    assert found(index, "second") == []
    assert index.sync().removed == 1
    assert rows(index, "SELECT text FROM chunks WHERE text LIKE '%second%'") == []
    assert is_sound(index)


def test_moved_text_keeps_its_hash(index: DocumentIndex, tree: Path) -> None:
    before = index.text_shas()
    (tree / "a.md").rename(tree / "sub" / "moved.md")
    report = index.sync()
    assert (report.added, report.removed) == (1, 1)
    assert index.text_shas() == before


def test_texts_are_given_once_by_their_hash(index: DocumentIndex, tree: Path) -> None:
    shutil.copy(tree / "a.md", tree / "copy.md")
    index.sync()
    texts = dict(index.passage_texts(index.text_shas() | {"unknown"}))
    assert len(texts) == 3
    assert "Alpha\n# Alpha\n\nfirst fact" in texts.values()


def test_a_pattern_takes_what_fits_it_alone(index: DocumentIndex, tree: Path) -> None:
    pattern = source_pattern("*.md", tree)
    index.add("top", [pattern])
    index.add("deep", [source_pattern("**/*.md", tree)])
    index.sync()
    facts = {each.name: each.documents for each in index.facts()}
    assert facts == {"kb": 3, "top": 1, "deep": 2}


def test_a_file_is_named_by_its_stem_and_a_folder_by_its_name(tree: Path) -> None:
    names = [default_name(source_pattern(given, tree)) for given in ("sub", "a.md", "sub/*.md")]
    assert names == ["sub", "a", "sub"]


def test_a_document_in_two_collections_is_found_once(index: DocumentIndex, tree: Path) -> None:
    index.add("again", [str(tree / "a.md")])
    index.sync()
    assert found(index, "first fact alpha").count("a.md") == 1


def test_a_name_that_is_a_path_is_refused(index: DocumentIndex) -> None:
    for name in ("", " ", "a/b", "x" * 81, "new\nline"):
        with pytest.raises(UsageError, match="cannot be the name of a collection"):
            index.add(name, ["/tmp"])


def test_what_is_not_there_is_refused(tree: Path) -> None:
    with pytest.raises(UsageError, match="no file or folder"):
        source_pattern("nope", tree)
    (tree / "old.doc").write_bytes(b"x")
    with pytest.raises(UsageError, match="cannot be read") as caught:
        source_pattern("old.doc", tree)
    assert caught.value.hint == "Try this: save it as .docx."


def test_documents_that_cannot_be_read_are_reported_and_not_indexed(
    index: DocumentIndex, tree: Path, age: Age
) -> None:
    (tree / "broken.pdf").write_bytes(b"%PDF nothing")
    (tree / "empty.md").write_bytes(b"")
    (tree / "old.xls").write_bytes(b"x")
    (tree / "~$open.docx").write_bytes(b"x")
    age(tree)
    assert index.sync().failed == 3
    (facts,) = index.facts()
    assert [(Path(each.path).name, each.reason) for each in facts.unread] == [
        ("broken.pdf", "damaged, or not a PDF"),
        ("empty.md", "no text in it"),
        ("old.xls", "this format is not read: save it as .xlsx"),
    ]
    assert facts.documents == 3
    assert index.sync().unchanged == 6


def test_a_file_that_becomes_readable_is_read(index: DocumentIndex, tree: Path) -> None:
    (tree / "late.md").write_bytes(b"")
    index.sync()
    (tree / "late.md").write_text("now there is text\n")
    index.sync()
    assert found(index, "now text") == ["late.md"]
    assert index.facts()[0].unread == ()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_reported(index: DocumentIndex, tree: Path) -> None:
    (tree / "locked.md").write_text("x")
    (tree / "locked.md").chmod(0)
    index.sync()
    assert index.facts()[0].unread[0].reason == "cannot be read (Permission denied)"


def test_links_lead_nowhere_and_pipes_are_not_opened(index: DocumentIndex, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("outside words\n")
    (tree / "link.md").symlink_to(tmp_path / "secret.md")
    (tree / "inside.md").symlink_to(tree / "a.md")
    os.mkfifo(tree / "pipe.md")
    index.sync()
    assert found(index, "outside") == []
    reasons = {Path(each.path).name: each.reason for each in index.facts()[0].unread}
    assert reasons == {"link.md": "a link that leaves the folder", "pipe.md": "not a regular file"}


def test_folders_that_look_like_code_are_named_and_can_be_added(index: DocumentIndex, tree: Path) -> None:
    for name in ("vendor", "node_modules"):
        (tree / name).mkdir()
        (tree / name / "contract.md").write_text("the supplier pays\n")
    index.sync()
    assert [(Path(each.path).name, each.reason) for each in index.facts()[0].unread] == [
        ("vendor", "a vendored or generated folder: add it by itself")
    ]
    index.add("suppliers", [str(tree / "vendor")])
    index.sync()
    assert found(index, "supplier") == ["vendor/contract.md"]


def test_what_the_project_denies_is_never_indexed_nor_shown(index: DocumentIndex, tree: Path) -> None:
    (tree / ".flowignore").write_text("b.txt\n")
    assert found(index, "second fact") == ["a.md"]
    index.sync()
    assert rows(index, "SELECT count(*) FROM chunks WHERE text LIKE '%second%'") == [(0,)]
    assert index.facts()[0].unread[0].reason == "denied by .flowignore"


def test_the_documents_of_a_folder_that_is_gone_are_kept_and_not_shown(
    index: DocumentIndex, tree: Path, tmp_path: Path
) -> None:
    tree.rename(tmp_path / "away")
    report = index.sync()
    assert (report.missing, report.removed) == ([str(tree)], 0)
    assert found(index, "first fact") == []
    (tmp_path / "away").rename(tree)
    assert found(index, "first fact")[0] == "a.md"


def test_a_single_file_that_is_gone_is_not_shown(index: DocumentIndex, tree: Path) -> None:
    index.add("one", [str(tree / "sub" / "c.md")])
    index.sync()
    shutil.rmtree(tree / "sub")
    assert found(index, "third") == []


def test_a_collection_is_forgotten_whole_or_by_source(index: DocumentIndex, tree: Path) -> None:
    index.add("kb", [str(tree / "x.py")])
    index.sync()
    assert found(index, "no") == ["x.py"]
    assert index.remove("kb", str(tree / "x.py")) and not index.remove("kb", str(tree / "x.py"))
    index.sync()
    assert found(index, "no") == []
    assert index.remove("kb") and not index.remove("kb")
    assert (index.names(), rows(index, "SELECT count(*) FROM words")) == ([], [(0,)])


def test_nothing_of_a_forgotten_text_stays_on_the_disk(index: DocumentIndex, make_tree: MakeTree) -> None:
    folder = make_tree({f"{at}.md": f"zeppelin{at} secretword\n" for at in range(20)})
    index.add("kb", [str(folder)])
    index.sync()
    index.remove("kb")
    with index.store.connect() as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    stored = b"".join(path.read_bytes() for path in index.store.path.parent.glob("one.sqlite3*"))
    assert b"secretword" not in stored and b"zeppelin" not in stored


def test_progress_names_the_next_document(index: DocumentIndex, make_tree: MakeTree) -> None:
    folder = make_tree({"a.md": "a", "b.md": "b"})
    index.add("kb", [str(folder)])
    told: list[tuple[int, int, str]] = []
    index.sync(on_document=lambda done, total, path: told.append((done, total, Path(path).name)))
    assert told == [(0, 2, "a.md"), (1, 2, "b.md"), (2, 2, "")]


def test_a_sync_that_has_no_time_says_what_is_left(index: DocumentIndex, make_tree: MakeTree) -> None:
    folder = make_tree({"a.md": "a", "b.md": "b"})
    index.add("kb", [str(folder)])
    time.sleep(0.01)
    assert index.sync(limit_s=0.0).left == 2
    assert (index.sync().added, index.behind()["kb"]) == (2, (0, []))


def test_what_a_sync_would_do_is_counted(index: DocumentIndex, tree: Path) -> None:
    (tree / "a.md").write_text("changed entirely\n")
    (tree / "b.txt").unlink()
    (tree / "new.md").write_text("new\n")
    assert index.behind() == {"kb": (3, [])}


def test_a_reader_sees_one_state_while_another_writes(index: DocumentIndex, tree: Path) -> None:
    with index.store.connect() as db:
        db.execute("BEGIN")
        (before,) = db.execute("SELECT count(*) FROM chunks").fetchone()
        (tree / "new.md").write_text("new\n")
        assert index.sync().added == 1
        assert db.execute("SELECT count(*) FROM chunks").fetchone() == (before,)
        db.execute("ROLLBACK")


def test_an_index_of_a_newer_version_is_left_alone(index: DocumentIndex, tree: Path) -> None:
    with index.store.connect() as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="newer flow"):
        index.facts()


def test_a_damaged_index_is_said_in_one_line(index: DocumentIndex, tree: Path) -> None:
    index.store.path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(FlowError, match="cannot be used: file is not a database") as caught:
        index.facts()
    assert "add the documents again" in caught.value.hint


SYNC = """
import sys
from pathlib import Path
from flowloom.retrieval.doc_index import DocumentIndex
DocumentIndex(Path(sys.argv[1]), None).sync()
"""


def test_two_processes_at_once_store_every_document_once(index: DocumentIndex, make_tree: MakeTree) -> None:
    folder = make_tree({f"{at}.md": f"# Part {at}\n\nfact{at}\n" for at in range(60)})
    index.add("kb", [str(folder)])
    processes = [subprocess.Popen([sys.executable, "-c", SYNC, str(index.store.path)]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert rows(index, "SELECT count(*) FROM documents") == [(60,)]
    assert is_sound(index)


def test_threads_may_share_it(index: DocumentIndex, tree: Path) -> None:
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            (tree / f"t{number}.md").write_text(f"thread{number}\n")
            index.sync()
            assert f"t{number}.md" in found(index, f"thread{number}")
        except BaseException as err:  # noqa: BLE001 - handed to the test
            faults.append(err)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert is_sound(index)


def kill_while_indexing(index: DocumentIndex, after: int) -> None:
    """Kill a sync once it has stored some documents."""
    before = rows(index, "SELECT count(*) FROM documents")[0][0]
    process = subprocess.Popen([sys.executable, "-c", SYNC, str(index.store.path)])
    with sqlite3.connect(index.store.path) as db:
        while process.poll() is None and db.execute("SELECT count(*) FROM documents").fetchone()[0] < before + after:
            time.sleep(0.002)
    db.close()
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.chaos)])
def test_a_kill_while_indexing_loses_and_doubles_nothing(
    index: DocumentIndex, make_tree: MakeTree, kills: int, tmp_path: Path
) -> None:
    files = {f"{at:03}.md": f"# Part {at}\n\n" + f"fact{at} of the handbook.\n\n" * 20 for at in range(kills * 40)}
    folder = make_tree(files)
    index.add("kb", [str(folder)])
    for _ in range(kills):
        kill_while_indexing(index, 10)
        assert is_sound(index)
    index.sync()
    fresh = DocumentIndex(tmp_path / "fresh.sqlite3", index.workspace)
    fresh.add("kb", [str(folder)])
    fresh.sync()
    sql = """SELECT path, start_line, end_line, heading, text FROM chunks JOIN documents ON documents.id = document_id
             ORDER BY 1, 2"""
    assert rows(index, sql) == rows(fresh, sql)
    assert [found(index, f"fact{at}") for at in range(0, 40, 7)] == [
        found(fresh, f"fact{at}") for at in range(0, 40, 7)
    ]
    assert is_sound(index)


def test_a_search_sees_the_file_that_took_the_place_of_the_one_it_had_open(tmp_path: Path) -> None:
    store = DocumentStore(tmp_path / "docs.sqlite3")
    with store.connect_again() as db:
        db.execute("INSERT INTO collections VALUES (1, 'old', 0)")
    with store.connect_again() as again:
        assert again is db
    other = DocumentStore(tmp_path / "other.sqlite3")
    with other.connect() as made:
        made.execute("INSERT INTO collections VALUES (1, 'new', 0)")
    for name in ("docs.sqlite3", "docs.sqlite3-wal", "docs.sqlite3-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    os.replace(other.path, store.path)
    with store.connect_again() as db:
        assert db.execute("SELECT name FROM collections").fetchall() == [("new",)]


def test_a_file_that_macos_named_is_added_and_searched_by_the_name_that_is_typed(
    make_tree: MakeTree, index: DocumentIndex
) -> None:
    folder = make_tree({unicodedata.normalize("NFD", "ガイド/ブック.md"): "貸出は三台まで\n"})
    added = source_pattern("ガイド/ブック.md", folder)
    assert Path(added).read_text() == "貸出は三台まで\n"
    assert default_name(added) == "ブック"
    index.add("g", [source_pattern("ガイド/*ブ*.md", folder)])
    index.sync()
    assert len(found(index, "貸出")) == 1
