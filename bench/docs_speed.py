"""How long documents take: one question in a process of its own, many in one that is warm, reading, and syncing."""

from __future__ import annotations

import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from flowloom.retrieval.doc_finder import DocFinder, Scope
from flowloom.retrieval.doc_index import DocumentIndex

from .process import FLOW, flow_env, run_process
from .rows import Row

_FILES = 1000
_SECTIONS = 50
_QUERIES = 200
_TIMES = 7
_SUBJECTS = 5000
"""Words of two kanji that the texts are made of, the common ones far more often than the others."""
_VERBS = ("提出する", "確認する", "保管する", "変更する", "廃止する", "approves", "rejects", "archives", "updates")


class Words:
    """Makes up texts in which words are as unevenly frequent as in a language."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        kanji = [chr(code) for code in self._chance.sample(range(0x4E00, 0x9000), 800)]
        self._subjects = ["".join(self._chance.sample(kanji, 2)) for _ in range(_SUBJECTS)]
        # Zipf's law.
        self._weights = list(itertools.accumulate(1 / rank for rank in range(1, _SUBJECTS + 1)))

    def subjects(self, count: int) -> str:
        """Return so many words with a particle between them."""
        return "の".join(self._chance.choices(self._subjects, cum_weights=self._weights, k=count))

    def sentence(self) -> str:
        """Return a sentence of some twenty characters."""
        number = self._chance.randrange(100_000)
        return f"{self.subjects(2)}{number}号は{self.subjects(1)}を{self._chance.choice(_VERBS)}。"

    def question(self) -> str:
        """Return a question."""
        return f"{self.subjects(2)}を{self.subjects(1)}するのはいつまでですか"


def run() -> list[Row]:
    """Return seconds and milliseconds of CPU, but for the syncs, which are of the clock."""
    words = Words(4711)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        files = home / "files"
        write_documents(files, _FILES, 1, words)
        index = _index(home, "small", files)
        seconds = _cpu_s(index.sync)
        rows = [Row(f"{_FILES:,} documents of 2 KB: reading", _FILES / seconds, "a s", limit=300, bound="at least")]
        rows += [
            Row("sync, nothing changed", _median_s(index.sync), "s", limit=0.5),
            Row("sync, one document changed", _median_s(lambda: _change(files, index)), "s", limit=0.3),
        ]
        for count, limits in ((20, (2, 5)), (_FILES, (15, 40))):
            write_documents(home / str(count), count, _SECTIONS, words)
            index = _index(home, str(count), home / str(count))
            index.sync()
            rows += _warm(f"{count * _SECTIONS:,} passages", index, words, limits)
    return [*rows, *_one_shot(words)]


def write_documents(folder: Path, files: int, sections: int, words: Words) -> None:
    """Write Markdown files: of one section they have 2 KB, else each section is a passage."""
    folder.mkdir(parents=True)
    for number in range(files):
        parts = [f"# {words.subjects(2)} {number}"]
        for section in range(sections):
            parts.append(f"## {words.subjects(2)} {section}")
            parts.append("".join(words.sentence() for _ in range(12 if sections > 1 else 35)))
        path = folder / f"{number:05}.md"
        path.write_text("\n\n".join(parts) + "\n", "utf-8")
        # A file that was written just before it was read is hashed at every look, lest a change be missed.
        os.utime(path, (path.stat().st_mtime - 3600,) * 2)


def _index(home: Path, name: str, files: Path) -> DocumentIndex:
    index = DocumentIndex(home / f"{name}.sqlite3", None)
    index.add(name, [str(files)])
    return index


def _warm(name: str, index: DocumentIndex, words: Words, limits: tuple[float, float]) -> list[Row]:
    finder = DocFinder(index.store.path.parent, [Scope(index.store)])
    questions = [words.question() for _ in range(_QUERIES)]
    times = sorted(1000 * _cpu_s(partial(finder.search, question, 5)) for question in questions)
    return [
        Row(f"a question to {name}, CPU, median", statistics.median(times), "ms", limit=limits[0]),
        Row(f"a question to {name}, CPU, 95 of 100", times[int(len(times) * 0.95)], "ms", limit=limits[1]),
    ]


def _one_shot(words: Words) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        write_documents(home / "files", _FILES, 1, words)
        env = flow_env(home)
        run_process([*FLOW, "docs", "add", "files"], cwd=home, env=env)
        line = [*FLOW, "docs", "query", words.question()]
        cpu = sorted(1000 * run_process(line, cwd=home, env=env).cpu_s for _ in range(_TIMES))
    return [Row("flow docs query, CPU", cpu[0], "ms", limit=200, beside=f"median {cpu[_TIMES // 2]:.0f} ms")]


def _change(files: Path, index: DocumentIndex) -> None:
    path = files / "00500.md"
    path.write_text(path.read_text("utf-8") + "追記する。\n", "utf-8")
    if index.sync().updated != 1:
        raise RuntimeError("the change was not read")


def _median_s(action: Callable[[], object]) -> float:
    times = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _cpu_s(action: Callable[[], object]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started
