from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from flowloom.retrieval.code_file import unpack_body, unpack_imports, unpack_uses
from flowloom.retrieval.parse_pool import ParsePool, ParseTask

SOURCE = "from a import b\n\n\nclass Store(Base):\n    def load(self, key):\n        return fetch(key)\n"
# The grammar of the pack that never returns; no file is ever taken to be in it.
HANGING = "cobol"


@pytest.fixture
def pool() -> Iterator[ParsePool]:
    made = ParsePool(2, timeout_s=1.0)
    yield made
    made.close()


def test_texts_come_back_with_what_was_found(pool: ParsePool) -> None:
    tasks = [ParseTask(at, "python", SOURCE.replace("Store", f"Store{at}")) for at in range(7)]
    found = {task.key: file for task, file in pool.analyse_all(iter(tasks))}
    assert {at: file.symbols[0][0] for at, file in found.items()} == {at: f"Store{at}" for at in range(7)}
    file = found[3]
    assert unpack_uses(file.references) == {"Base": [4 * 4 + 0], "fetch": [6 * 4 + 1]}
    assert [each.text for each in unpack_imports(file.imports)] == ["from a import b"]
    assert unpack_body(file.body) == tasks[3].text
    assert "store3" in file.terms.split("\n")


def test_a_parse_that_hangs_is_killed_and_its_text_is_searched_by_words(pool: ParsePool) -> None:
    tasks = [ParseTask(0, "python", SOURCE), ParseTask(1, HANGING, "x"), *_more(20)]
    found = {task.key: file for task, file in pool.analyse_all(iter(tasks))}
    assert len(found) == 22
    assert found[1].problem == "parsing it as cobol took more than 1 s"
    assert "x" in found[1].terms.split("\n")
    assert all(file.symbols for key, file in found.items() if key != 1)


def test_a_worker_that_is_killed_from_outside_costs_one_text(pool: ParsePool) -> None:
    list(pool.analyse_all(iter(_more(2))))
    for worker in pool._workers:
        if worker._process is not None:
            os.kill(worker._process.pid, signal.SIGKILL)
    found = {task.key: file for task, file in pool.analyse_all(iter(_more(6)))}
    problems = [file.problem for file in found.values() if file.problem]
    assert len(found) == 6
    assert set(problems) <= {"parsing it as python crashed (SIGKILL)"}
    assert len(problems) <= 2


def test_stopping_early_leaves_the_pool_usable(pool: ParsePool) -> None:
    for _ in pool.analyse_all(iter(_more(100))):
        break
    assert len(list(pool.analyse_all(iter(_more(3))))) == 3


def test_an_error_of_the_tasks_is_the_callers(pool: ParsePool) -> None:
    def broken() -> Iterator[ParseTask]:
        yield ParseTask(0, "python", SOURCE)
        raise KeyError("gone")

    with pytest.raises(KeyError):
        list(pool.analyse_all(broken()))


def test_a_worker_ends_with_its_parent_even_while_it_hangs() -> None:
    script = """
import sys
from flowloom.retrieval import parse_worker
from flowloom.retrieval.parse_pool import ParsePool, ParseTask
pool = ParsePool(1)
list(pool.analyse_all(iter([ParseTask(0, "python", "x = 1")])))
print(pool._workers[0]._process.pid, flush=True)
sys.stdin.read()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 20
    while _is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_alive(worker)


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _more(count: int) -> list[ParseTask]:
    return [ParseTask(at + 2, "python", SOURCE) for at in range(count)]
