from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from flowloom.core.hits import Hit
from flowloom.core.ports import TokenCounter
from flowloom.retrieval.code_retriever import CodeRetriever

MakeTree = Callable[[Mapping[str, str | bytes]], Path]
MakeRetriever = Callable[[Path], CodeRetriever]

STORE = '''"""Rows on disk."""


class Store:
    def load_rows(self, limit):
        return self.rows[:limit]

    def save(self, rows):
        self.rows = rows
'''
MAIN = '''from store import Store


def run_report(path):
    """Print the monthly report."""
    store = Store()
    for row in store.load_rows(10):
        print(row)
'''
NOTES = "# 経費精算\n\n領収書は経理に提出する。\n"
TREE: Mapping[str, str | bytes] = {"store.py": STORE, "app/main.py": MAIN, "docs/notes.md": NOTES, "z.txt": "zebra\n"}


def _ids(hits: list[Hit]) -> list[str]:
    return [hit.id for hit in hits]


def test_a_named_definition_comes_first_with_its_body(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    hits = make_retriever(make_tree(TREE)).retrieve("why does load_rows ignore the limit?", 500, ["code"])
    assert hits[0].text == "    def load_rows(self, limit):\n        return self.rows[:limit]"
    assert (hits[0].id, hits[0].heading, hits[0].source) == ("store.py:5-6", "Store.load_rows", "code")
    assert hits[0].score > hits[1].score


def test_a_plain_word_that_is_a_functions_name_counts(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    tree = make_tree({**TREE, "slug.py": "def slugify(text):\n    return text\n", "x.py": "# slugify slugify\n"})
    assert make_retriever(tree).retrieve("make slugify faster", 500, ["code"])[0].id == "slug.py:1-2"


def test_a_method_named_with_its_class_is_meant_alone(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    tree = make_tree({**TREE, "a.py": "class Other:\n    def save(self):\n        pass\n"})
    hits = make_retriever(tree).retrieve("Store.saveを直す", 60, ["code"])
    assert hits[0].id == "store.py:8-9"
    assert "a.py" not in [hit.path for hit in hits]


def test_a_line_of_a_file_gives_the_definition_around_it(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    query = 'File "/srv/checkout/app/main.py", line 7, in run_report'
    hit = make_retriever(make_tree(TREE)).retrieve(query, 500, ["code"])[0]
    assert (hit.id, hit.heading) == ("app/main.py:1-8", "run_report")


def test_a_named_file_comes_before_other_matches(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    hits = make_retriever(make_tree(TREE)).retrieve("rows are wrong, look at app/main.py", 500, ["code"])
    assert hits[0].path == "app/main.py"


def test_a_japanese_query_finds_japanese_text(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    hits = make_retriever(make_tree(TREE)).retrieve("領収書の提出先", 500, ["code"])
    assert (hits[0].id, hits[0].text) == ("docs/notes.md:1-3", NOTES.rstrip())


def test_when_nothing_matches_the_most_used_code_is_shown(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    hits = make_retriever(make_tree(TREE)).retrieve("動作確認", 500, ["code"])
    assert hits[0].path == "store.py"


def test_map_and_code_share_the_budget(
    make_tree: MakeTree, make_retriever: MakeRetriever, counter: TokenCounter
) -> None:
    hits = make_retriever(make_tree(TREE)).retrieve("load_rows", 300, ["map", "code"])
    assert [hit.source for hit in hits] == ["map"] * 4 + ["code"] * (len(hits) - 4)
    assert hits[0].text.startswith("store.py\n4: class Store")
    assert sum(counter.count(hit.text) for hit in hits) <= 300


def test_sources_come_in_the_order_asked_for(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    hits = make_retriever(make_tree(TREE)).retrieve("load_rows", 300, ["code", "map", "code"])
    assert hits[0].source == "code"
    assert hits[-1].source == "map"
    assert len(set(_ids(hits))) == len(hits)


def test_documents_are_not_here(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    assert make_retriever(make_tree(TREE)).retrieve("load_rows", 300, ["docs"]) == []


@pytest.mark.parametrize("budget", [-5, 0, 1, 4, 9, 17, 33, 70, 150, 400])
@pytest.mark.parametrize("query", ["load_rows of Store in app/main.py", "report rows", "領収書", ""])
def test_the_budget_is_never_passed(
    make_tree: MakeTree, make_retriever: MakeRetriever, counter: TokenCounter, budget: int, query: str
) -> None:
    hits = make_retriever(make_tree(TREE)).retrieve(query, budget, ["map", "code"])
    assert sum(counter.count(hit.text) for hit in hits) <= max(budget, 0)
    assert bool(hits) >= (budget >= 33)


def test_a_hit_that_is_too_long_is_cut_to_whole_lines(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    body = "def long_one():\n" + "".join(f"    step_{at}()\n" for at in range(50))
    hit = make_retriever(make_tree({"a.py": body})).retrieve("long_one", 100, ["code"])[0]
    assert hit.start_line == 1
    assert hit.text.split("\n") == body.split("\n")[: hit.end_line]
    assert 5 < hit.end_line < 50


def test_a_long_definition_leaves_room_for_others(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    body = "def long_one():\n" + "".join(f"    step_{at}()\n" for at in range(200))
    tree = make_tree({"a.py": body, "b.py": "def caller():\n    long_one()\n"})
    assert {hit.path for hit in make_retriever(tree).retrieve("long_one", 200, ["code"])} == {"a.py", "b.py"}


def test_no_line_is_given_twice(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    hits = make_retriever(make_tree(TREE)).retrieve("Store load_rows save rows limit report", 2000, ["code"])
    lines = [(hit.path, line) for hit in hits for line in range(hit.start_line, hit.end_line + 1)]
    assert len(lines) == len(set(lines))
    assert {line for path, line in lines if path == "store.py"} >= {1, 4, 5, 6, 8, 9}


def test_hits_carry_the_hash_of_their_file(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    import hashlib

    hit = make_retriever(make_tree(TREE)).retrieve("load_rows", 100, ["code"])[0]
    assert hit.doc_sha256 == hashlib.sha256(STORE.encode()).hexdigest()


def test_an_edit_is_seen_by_the_next_retrieve(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    retriever = make_retriever(make_tree(TREE))
    retriever.retrieve("load_rows", 300, ["code"])
    make_tree({"store.py": STORE.replace("load_rows", "fetch_rows")})
    hits = retriever.retrieve("fetch_rows", 300, ["map", "code"])
    assert any("def fetch_rows" in hit.text for hit in hits)
    assert not any("def load_rows" in hit.text for hit in hits)


def test_an_empty_workspace_gives_nothing(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    assert make_retriever(make_tree({"empty.py": ""})).retrieve("anything", 300, ["code"]) == []


@pytest.mark.parametrize("query", ["", " ", '" OR *', "\0", "\ud800", "x" * 50_000, "a_b " * 5000, "(" * 1000])
def test_no_query_breaks_the_search(make_tree: MakeTree, make_retriever: MakeRetriever, query: str) -> None:
    make_retriever(make_tree(TREE)).retrieve(query, 200, ["map", "code"])


PRINT_HITS = """
import sys, pathlib, dataclasses, json
from flowloom.retrieval.code_retriever import CodeRetriever
class Counter:
    def count(self, text):
        return len(text) // 3 + 1
retriever = CodeRetriever(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), Counter())
hits = retriever.retrieve("load_rows for the report 領収書", 400, ["map", "code"])
print(json.dumps([dataclasses.asdict(hit) for hit in hits], ensure_ascii=False))
loaded = {"networkx", "numpy", "chromadb", "torch", "sentence_transformers"} & set(sys.modules)
print(sorted(loaded), file=sys.stderr)
"""


def _run_elsewhere(tree: Path, cache: Path, seed: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PRINT_HITS, str(tree), str(cache)],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr.strip()


def test_the_same_tree_and_query_give_the_same_bytes_anywhere(make_tree: MakeTree, tmp_path: Path) -> None:
    tree = make_tree(TREE)
    here, loaded = _run_elsewhere(tree, tmp_path / "c1", "1")
    tree.rename(tmp_path / "moved")
    there, _ = _run_elsewhere(tmp_path / "moved", tmp_path / "c2", "2")
    assert here == there
    assert len(here) > 500
    assert loaded == "[]"
