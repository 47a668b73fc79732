from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from flowloom.core.ports import TokenCounter
from flowloom.retrieval.background_refresh import BackgroundRefresh
from flowloom.retrieval.code_index import CodeIndex
from flowloom.retrieval.code_retriever import CodeRetriever

pytestmark = pytest.mark.long

MakeTree = Callable[[Mapping[str, str | bytes]], Path]


def _sources(count: int) -> dict[str, str]:
    return {f"p{at % 7}/m{at}.py": f"def do_{at}(x):\n    return do_{at // 2}(x)\n" for at in range(count)}


def test_who_will_not_wait_goes_on_with_what_is_ready(
    make_tree: MakeTree, cache_dir: Path, counter: TokenCounter
) -> None:
    told: list[str] = []
    retriever = CodeRetriever(make_tree(_sources(150)), cache_dir, counter, notify=told.append)
    assert retriever.prepare(wait_s=0) is None
    retriever.bring_up(0)
    retriever.bring_up(0)
    assert len(told) == 1 and told[0].startswith("the code index is being built, ")
    while retriever.prepare(60) is None:
        pass
    assert len(retriever.index.read(lambda snapshot: snapshot.paths())) == 150
    retriever.close()


def test_a_stopped_refresh_is_taken_up_where_it_was(make_tree: MakeTree, cache_dir: Path) -> None:
    index = CodeIndex(make_tree(_sources(200)), cache_dir)
    half = threading.Event()
    report = index.refresh(lambda done, total: half.set() if done >= 80 else None, half)
    assert not report.complete
    assert 0 < report.files < 200
    assert not index.read(lambda snapshot: snapshot.is_complete())
    seen: list[int] = []
    report = index.refresh(lambda done, total: seen.append(done))
    assert (report.complete, report.files) == (True, 200)
    assert len(seen) < 150


def test_stopping_leaves_the_refresh_usable(make_tree: MakeTree, cache_dir: Path) -> None:
    refresh = BackgroundRefresh(CodeIndex(make_tree(_sources(120)), cache_dir))
    assert refresh.wait(0) is None
    refresh.stop()
    report = refresh.wait(60)
    assert report is not None and report.files == 120


SCRIPT = """
import sys, pathlib
from flowloom.retrieval.code_index import CodeIndex
index = CodeIndex(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
index.refresh(lambda done, total: print(done, flush=True))
"""


def test_a_process_killed_while_it_indexes_leaves_what_the_next_completes(
    make_tree: MakeTree, tmp_path: Path
) -> None:
    tree = make_tree(_sources(300))
    for stop_at in (10, 70, 140):
        command = [sys.executable, "-c", SCRIPT, str(tree), str(tmp_path / "cache")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= stop_at:
                os.kill(process.pid, signal.SIGKILL)
                break
        process.communicate()
    index, fresh = CodeIndex(tree, tmp_path / "cache"), CodeIndex(tree, tmp_path / "fresh")
    report = index.refresh()
    assert (report.files, report.complete) == (300, True)
    fresh.refresh()
    assert _content(index.path) == _content(fresh.path)


def test_two_processes_index_one_changing_tree_to_the_same_end(make_tree: MakeTree, tmp_path: Path) -> None:
    tree = make_tree(_sources(80))
    command = [sys.executable, "-c", SCRIPT, str(tree), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    time.sleep(0.2)
    make_tree({"p0/m0.py": "def changed():\n    pass\n"})
    assert [process.wait(120) for process in running] == [0, 0]
    index, fresh = CodeIndex(tree, tmp_path / "cache"), CodeIndex(tree, tmp_path / "fresh")
    index.refresh()
    fresh.refresh()
    assert _content(index.path) == _content(fresh.path)


def _content(path: Path) -> list[object]:
    """Return what an index says, without the ids that depend on the order of work."""
    with sqlite3.connect(path) as db:
        ids = dict(db.execute("SELECT id, path FROM files").fetchall())
        files = db.execute(
            "SELECT path, lang, lines, problem FROM files JOIN texts ON texts.id = text_id ORDER BY path"
        ).fetchall()
        symbols = db.execute(
            "SELECT path, name, line FROM symbols JOIN files USING (text_id) ORDER BY path, line"
        ).fetchall()
        edges = sorted((ids[source], len(data)) for source, data in db.execute("SELECT file_id, targets FROM edges"))
    db.close()
    return [files, symbols, edges]
