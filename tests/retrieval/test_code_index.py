from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from flowloom.core.errors import ConfigError
from flowloom.retrieval.code_index import CodeIndex
from flowloom.retrieval.code_search import rank_files
from flowloom.retrieval.code_snapshot import CodeSnapshot, Passage

MakeTree = Callable[[Mapping[str, str | bytes]], Path]
MakeIndex = Callable[[Path], CodeIndex]
Age = Callable[[Path], None]

CODE = "class Store:\n    def load_rows(self):\n        return 1\n\n    def save(self):\n        return 2\n"


def _search(index: CodeIndex, query: str) -> list[str]:
    passages = index.read(lambda snapshot: snapshot.search_passages(query, 10))
    return [f"{each.path}:{each.start_line}-{each.end_line}" for each in passages]


def test_a_first_refresh_indexes_every_file(make_tree: MakeTree, make_index: MakeIndex) -> None:
    report = make_index(make_tree({"a.py": CODE, "b.md": "# 説明\n", "c.bin": b"\0\1"})).refresh()
    assert (report.files, report.updated, report.removed) == (2, 3, 0)
    assert [(each.path, each.reason) for each in report.skipped] == [("c.bin", "binary")]


def test_an_unchanged_tree_is_left_alone(make_tree: MakeTree, make_index: MakeIndex, age: Age) -> None:
    tree = make_tree({"a.py": CODE, "c.bin": b"\0\1"})
    age(tree)
    index = make_index(tree)
    index.refresh()
    before = index.path.stat().st_mtime_ns
    report = index.refresh()
    assert (report.files, report.updated, report.removed) == (1, 0, 0)
    assert [each.path for each in report.skipped] == ["c.bin"]
    assert index.path.stat().st_mtime_ns == before


def test_changed_new_and_deleted_files_are_followed(make_tree: MakeTree, make_index: MakeIndex) -> None:
    tree = make_tree({"a.py": "def first(): pass\n", "b.py": "def second(): pass\n", "c.py": "def third(): pass\n"})
    index = make_index(tree)
    index.refresh()
    make_tree({"a.py": "def changed(): pass\n", "d.py": "def fourth(): pass\n"})
    (tree / "b.py").unlink()
    report = index.refresh()
    assert (report.files, report.updated, report.removed) == (3, 2, 1)
    assert _search(index, "first") == _search(index, "second") == []
    assert _search(index, "changed") == ["a.py:1-1"]
    assert _search(index, "fourth") == ["d.py:1-1"]


def test_a_change_of_the_same_size_and_time_is_seen_when_the_file_was_young(
    make_tree: MakeTree, make_index: MakeIndex
) -> None:
    tree = make_tree({"a.py": "x = 'aaaa'\n"})
    index = make_index(tree)
    index.refresh()
    before = (tree / "a.py").stat().st_mtime_ns
    (tree / "a.py").write_text("x = 'bbbb'\n")
    os.utime(tree / "a.py", ns=(before, before))
    assert index.refresh().updated == 1


def test_a_file_that_was_only_touched_is_not_indexed_again(make_tree: MakeTree, make_index: MakeIndex) -> None:
    tree = make_tree({"a.py": CODE})
    index = make_index(tree)
    index.refresh()
    before = index.read(CodeSnapshot.generation)
    os.utime(tree / "a.py", (1, 1))
    assert index.refresh().updated == 0
    assert index.read(CodeSnapshot.generation) == before


def test_a_text_that_became_binary_leaves_the_search(make_tree: MakeTree, make_index: MakeIndex) -> None:
    tree = make_tree({"a.py": CODE})
    index = make_index(tree)
    index.refresh()
    make_tree({"a.py": b"\0\1\2"})
    report = index.refresh()
    assert report.files == 0
    assert _search(index, "Store") == []


def test_code_that_does_not_parse_is_searched_as_text_and_reported(
    make_tree: MakeTree, make_index: MakeIndex
) -> None:
    index = make_index(make_tree({"a.go": "}}} mentions frobnicate {{{ (("}))
    report = index.refresh()
    assert [(each.path, each.reason) for each in report.unparsed] == [("a.go", "does not parse as go")]
    assert _search(index, "frobnicate") == ["a.go:1-1"]


def test_a_japanese_question_finds_japanese_text_in_any_encoding(make_tree: MakeTree, make_index: MakeIndex) -> None:
    text = "# 領収書を経理に送る\ndef send(): pass\n"
    index = make_index(make_tree({"a.py": text.encode("cp932"), "b.py": text.encode("euc_jp"), "c.py": "pass\n"}))
    index.refresh()
    assert _search(index, "領収書はどこへ送りますか") == ["a.py:1-2", "b.py:1-2"]


def test_names_in_paths_and_definitions_outweigh_bodies(make_tree: MakeTree, make_index: MakeIndex) -> None:
    filler = {f"other{at}.py": f"value_{at} = {at}\n" for at in range(8)}
    tree = make_tree({"a.py": "# ledger ledger\nx = 1\n", "b.py": "def ledger():\n    return 1\n", **filler})
    make_tree({"ledger/c.py": "y = 1\n"})
    index = make_index(tree)
    index.refresh()
    found = [each.path for each in index.read(lambda snapshot: rank_files(snapshot, "ledger"))]
    assert (sorted(found[:2]), found[2:]) == (["b.py", "ledger/c.py"], ["a.py"])


def test_equal_matches_come_in_the_order_of_their_paths(make_tree: MakeTree, make_index: MakeIndex) -> None:
    tree = make_tree({f"{name}.txt": "the same words\n" for name in "cab"})
    index = make_index(tree)
    index.refresh()
    make_tree({"b.txt": "the same words and then some\n"})
    index.refresh()
    make_tree({"b.txt": "the same words\n"})
    index.refresh()
    assert _search(index, "same words") == ["a.txt:1-1", "b.txt:1-1", "c.txt:1-1"]


def test_an_index_brought_up_step_by_step_answers_like_a_new_one(
    make_tree: MakeTree, make_index: MakeIndex, tmp_path: Path
) -> None:
    tree = make_tree({"z.py": CODE, "a.py": CODE.replace("Store", "Cache")})
    index = make_index(tree)
    index.refresh()
    make_tree({"a.py": CODE, "m.py": CODE.replace("save", "keep")})
    index.refresh()
    fresh = CodeIndex(tree, tmp_path / "other")
    fresh.refresh()

    def answers(snapshot: CodeSnapshot) -> list[Passage]:
        return snapshot.search_passages("load rows of the Store", 10)

    assert index.read(answers) == fresh.read(answers)


def test_the_text_is_that_of_the_refresh(make_tree: MakeTree, make_index: MakeIndex) -> None:
    index = make_index(make_tree({"a.py": "x = 1\n"}))
    index.refresh()
    make_tree({"a.py": "y = 2\n"})
    assert index.read(lambda snapshot: snapshot.read_file("a.py")).lines == ("x = 1",)
    with pytest.raises(KeyError):
        index.read(lambda snapshot: snapshot.read_file("b.py"))


def test_only_the_owner_can_read_the_index(make_tree: MakeTree, make_index: MakeIndex, cache_dir: Path) -> None:
    index = make_index(make_tree({"a.py": CODE}))
    index.refresh()
    assert stat.S_IMODE(cache_dir.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in cache_dir.iterdir()} == {0o600}


def test_two_workspaces_have_two_files_and_a_link_to_one_has_the_same(
    make_tree: MakeTree, make_index: MakeIndex, tmp_path: Path
) -> None:
    tree = make_tree({"a/x.py": "", "b/x.py": ""})
    (tmp_path / "link").symlink_to(tree / "a")
    assert make_index(tree / "a").path != make_index(tree / "b").path
    assert make_index(tree / "a").path == make_index(tmp_path / "link").path


@pytest.mark.parametrize("damage", [b"this is not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_index_is_built_anew_and_told(
    make_tree: MakeTree, make_index: MakeIndex, notices: list[str], damage: bytes
) -> None:
    index = make_index(make_tree({"a.py": CODE}))
    index.refresh()
    index.path.write_bytes(damage)
    assert _search(index, "load_rows") == ["a.py:1-6"]
    assert [notice.split("'")[2] for notice in notices] == [" was damaged and is built anew"]


def test_damage_in_the_middle_of_the_file_is_found_when_it_is_read(
    make_tree: MakeTree, make_index: MakeIndex, notices: list[str]
) -> None:
    index = make_index(make_tree({f"{at}.py": CODE + "# more words\n" * 300 for at in range(30)}))
    index.refresh()
    with sqlite3.connect(index.path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    with open(index.path, "r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * (index.path.stat().st_size - 8192))
    assert len(_search(index, "load_rows")) == 10
    assert len(notices) == 1


def test_an_index_of_another_version_is_built_anew(make_tree: MakeTree, make_index: MakeIndex) -> None:
    index = make_index(make_tree({"a.py": CODE}))
    index.refresh()
    with sqlite3.connect(index.path) as db:
        db.execute("PRAGMA user_version = 7")
        db.execute("CREATE TABLE leftover (x)")
    db.close()
    assert index.refresh().updated == 1
    assert _search(index, "load_rows") == ["a.py:1-6"]


def test_a_cache_folder_that_cannot_be_made_is_told(make_tree: MakeTree, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"index folder '.*file/cache' cannot be used: Not a directory"):
        CodeIndex(make_tree({}), tmp_path / "file" / "cache")


def test_two_processes_may_index_at_once(make_tree: MakeTree, make_index: MakeIndex) -> None:
    tree = make_tree({f"m{at}.py": CODE.replace("Store", f"Store{at}") for at in range(60)})
    index = make_index(tree)
    script = """
import sys, pathlib
from flowloom.retrieval.code_index import CodeIndex
report = CodeIndex(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])).refresh()
print(report.files, report.updated)
"""
    command = [sys.executable, "-c", script, str(tree), str(index.path.parent)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = sorted(process.communicate()[0].split() for process in running)
    assert [process.returncode for process in running] == [0, 0, 0]
    assert said == [["60", "0"], ["60", "0"], ["60", "60"]]
    with sqlite3.connect(index.path) as db:
        assert db.execute("SELECT count(*), count(DISTINCT path) FROM files").fetchone() == (60, 60)
    db.close()


@pytest.mark.long
def test_a_repository_of_300_files_is_indexed_in_seconds(
    make_tree: MakeTree, make_index: MakeIndex, age: Age
) -> None:
    body = "".join(f"def function_{at}(value):\n    total = value + {at}\n    return total\n\n\n" for at in range(40))
    tree = make_tree({f"p{at % 9}/m{at}.py": body.replace("function", f"do_{at}") for at in range(300)})
    age(tree)
    index = make_index(tree)
    start = time.process_time()
    index.refresh()
    cold = time.process_time() - start
    start = time.process_time()
    index.refresh()
    assert cold < 3
    assert time.process_time() - start < 0.1


def test_a_second_checkout_begins_with_the_index_of_the_first(
    make_tree: MakeTree, make_index: MakeIndex, tmp_path: Path
) -> None:
    tree = make_tree({"a.py": CODE, "b.py": "def other():\n    pass\n"})
    first = make_index(tree)
    first.refresh()
    other = tmp_path / "checkout"
    other.mkdir()
    (other / "a.py").write_text(CODE)
    parsed: list[int] = []
    index = CodeIndex(other, tmp_path / "cache", like=first.path)
    report = index.refresh(lambda done, total: parsed.append(done))
    assert (report.files, report.removed, parsed) == (1, 1, [0, 1])
    assert _search(index, "load_rows") == ["a.py:1-6"]
    assert _search(index, "other") == []
    assert _search(make_index(tree), "other") == ["b.py:1-2"]
