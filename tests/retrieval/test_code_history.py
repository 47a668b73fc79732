from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from flowloom.retrieval.code_index import CodeIndex
from flowloom.retrieval.code_search import RankedFile, Signals, rank_files

MakeRepo = Callable[[Mapping[str, str]], Path]
MakeTree = Callable[[Mapping[str, str | bytes]], Path]

FILES = {"shop/cart.py": "def total(x):\n    return x\n", "shop/mail.py": "def send(x):\n    return x\n"}
OFF = Signals(history=False)


def _commit(repo: Path, message: str, *names: str) -> None:
    for name in names:
        path = repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{path.read_text('utf-8') if path.exists() else ''}# {len(message)}\n", "utf-8")
    for words in (["add", "-A"], ["commit", "-q", "-m", message]):
        subprocess.run(["git", *words], cwd=repo, check=True, capture_output=True)


def _search(index: CodeIndex, query: str, signals: Signals = Signals()) -> list[RankedFile]:  # noqa: B008
    return index.read(lambda snapshot: rank_files(snapshot, query, signals=signals, limit=10))


def _paths(index: CodeIndex, query: str, signals: Signals = Signals()) -> list[str]:  # noqa: B008
    return [each.path for each in _search(index, query, signals)]


@pytest.fixture
def repo(make_repo: MakeRepo) -> Path:
    made = make_repo(FILES)
    _commit(made, "Count vouchers against the invoice", "shop/cart.py")
    return made


@pytest.fixture
def index(repo: Path, cache_dir: Path) -> CodeIndex:
    made = CodeIndex(repo, cache_dir)
    made.refresh()
    return made


def test_a_file_is_found_by_what_commits_said_of_it(index: CodeIndex) -> None:
    (found,) = _search(index, "an invoice with vouchers")
    assert (found.path, found.reasons) == ("shop/cart.py", ("commits: invoice, vouchers",))
    assert _search(index, "an invoice with vouchers", OFF) == []


def test_a_commit_says_more_of_a_file_the_fewer_it_changed(index: CodeIndex, repo: Path) -> None:
    others = [f"shop/part{number}.py" for number in range(8)]
    _commit(repo, "Translate prices", *others, "shop/cart.py")
    _commit(repo, "Translate prices", "shop/mail.py")
    index.refresh()
    assert _paths(index, "translate prices")[0] == "shop/mail.py"


def test_a_commit_that_changed_very_many_files_says_nothing(index: CodeIndex, repo: Path) -> None:
    _commit(repo, "Reformat everything", *(f"shop/part{number}.py" for number in range(31)))
    index.refresh()
    assert _search(index, "reformat everything") == []


def test_history_is_read_anew_only_when_another_commit_is_checked_out(index: CodeIndex, repo: Path) -> None:
    with closing(sqlite3.connect(index.path)) as db, db:
        db.execute("DELETE FROM change_terms")
    (repo / "shop" / "cart.py").write_text("def total(x):\n    return x + 1\n", "utf-8")
    index.refresh()
    assert _search(index, "vouchers") == []
    _commit(repo, "Send it twice", "shop/mail.py")
    index.refresh()
    assert _paths(index, "vouchers") == ["shop/cart.py"]
    subprocess.run(["git", "checkout", "-q", "--detach", "HEAD~2"], cwd=repo, check=True)
    index.refresh()
    assert _search(index, "vouchers") == []


def test_files_that_are_gone_are_not_found_by_their_commits(index: CodeIndex, repo: Path) -> None:
    (repo / "shop" / "cart.py").unlink()
    index.refresh()
    assert _search(index, "vouchers") == []


def test_without_a_repository_the_other_signals_rank(make_tree: MakeTree, cache_dir: Path) -> None:
    index = CodeIndex(make_tree(FILES), cache_dir)
    index.refresh()
    assert _paths(index, "total") == _paths(index, "total", OFF) != []


def test_commits_about_other_things_leave_the_order_of_words(index: CodeIndex, repo: Path) -> None:
    _commit(repo, "Document the release", "shop/mail.py")
    index.refresh()
    assert _paths(index, "total") == ["shop/cart.py"]


def test_a_single_kanji_is_found_in_messages_as_the_beginning_of_a_word(index: CodeIndex, repo: Path) -> None:
    _commit(repo, "税率を変える", "shop/mail.py")
    index.refresh()
    assert _paths(index, "税") == _paths(index, "税率") == ["shop/mail.py"]


PRINT_FOUND = """
import sys, pathlib
from flowloom.retrieval.code_index import CodeIndex
from flowloom.retrieval.code_search import rank_files
index = CodeIndex(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
index.refresh()
print(index.read(lambda snapshot: rank_files(snapshot, "count vouchers of the invoice total", limit=9)))
"""


def test_the_same_history_gives_the_same_answer_anywhere(repo: Path, tmp_path: Path) -> None:
    _commit(repo, "Count mails and invoices", "shop/mail.py", "shop/cart.py", "docs/a.md")
    answers = []
    for at, folder in enumerate((repo, tmp_path / "moved")):
        if folder != repo:
            repo.rename(folder)
        env = {**os.environ, "PYTHONHASHSEED": str(at), "LC_ALL": ("C", "C.UTF-8")[at]}
        argv = [sys.executable, "-c", PRINT_FOUND, str(folder), str(tmp_path / f"cache{at}")]
        answers.append(subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout)
    assert answers[0] == answers[1]
    assert "commits: " in answers[0]
