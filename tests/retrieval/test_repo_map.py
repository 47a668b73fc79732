from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from flowloom.core.ports import TokenCounter
from flowloom.retrieval.code_retriever import CodeRetriever
from flowloom.retrieval.parse import Symbol

MakeTree = Callable[[Mapping[str, str | bytes]], Path]
MakeRetriever = Callable[[Path], CodeRetriever]

BASE = "class Engine:\n    def start(self, key):\n        pass\n\n    def _stop(self):\n        pass\n"
TREE = {
    "base.py": BASE,
    "lone.py": "def lone():\n    pass\n",
    **{f"user{at}.py": f"from base import Engine\n\ndef use_{at}():\n    Engine().start(1)\n" for at in range(3)},
}


@pytest.fixture
def map_of(make_tree: MakeTree, make_retriever: MakeRetriever) -> Callable[..., list[str]]:
    """Return a function that gives the outlines of a map."""

    def outlines(
        files: Mapping[str, str | bytes], query: str = "", budget: int = 500, **more: list[str]
    ) -> list[str]:
        return [hit.text for hit in make_retriever(make_tree(files)).map(query, budget, **more)]

    return outlines


MapOf = Callable[..., list[str]]


def _paths(outlines: list[str]) -> list[str]:
    return [text.split("\n", 1)[0] for text in outlines]


def test_without_a_query_the_file_that_others_use_comes_first(map_of: MapOf) -> None:
    assert _paths(map_of(TREE))[0] == "base.py"


def test_the_files_that_the_query_speaks_of_come_first(map_of: MapOf) -> None:
    assert _paths(map_of(TREE, "lone"))[0] == "lone.py"


def test_what_a_matching_file_uses_rises(map_of: MapOf) -> None:
    found = _paths(map_of({"also.py": "class Unused:\n    pass\n", **TREE}, "use_1"))
    assert found.index("base.py") < found.index("also.py")


def test_a_file_in_focus_comes_first(map_of: MapOf) -> None:
    assert _paths(map_of(TREE, "engine", focus=["lone.py"]))[0] == "lone.py"


def test_only_files_within_the_globs_are_shown(map_of: MapOf) -> None:
    assert _paths(map_of(TREE, "", within=["/user*"])) == ["user0.py", "user1.py", "user2.py"]


def test_an_outline_shows_lines_and_nesting(map_of: MapOf) -> None:
    assert map_of({"base.py": BASE}) == ["base.py\n1: class Engine\n2:  def start(self, key)\n5:  def _stop(self)"]


def test_a_hit_is_the_whole_file(make_tree: MakeTree, make_retriever: MakeRetriever) -> None:
    hit = make_retriever(make_tree({"base.py": BASE})).map("", 500)[0]
    assert (hit.id, hit.path, hit.start_line, hit.end_line, hit.source) == ("base.py", "base.py", 1, 6, "map")


def test_local_functions_are_not_shown(map_of: MapOf) -> None:
    assert map_of({"a.py": "def outer():\n    def inner():\n        pass\n"}) == ["a.py\n1: def outer()"]


def test_files_that_define_nothing_come_only_when_they_are_asked_for(map_of: MapOf) -> None:
    assert _paths(map_of({"a.py": "def f():\n    pass\n", "notes.md": "Words.\n"})) == ["a.py"]
    assert _paths(map_of({}, "words")) == ["notes.md", "a.py"]


def test_without_any_definition_paths_are_shown(map_of: MapOf) -> None:
    assert _paths(map_of({"b.md": "B\n", "a.md": "A\n"})) == ["a.md", "b.md"]


def test_bodies_are_not_shown(map_of: MapOf) -> None:
    assert "body_of_it" not in "".join(map_of({"a.py": "def f():\n    body_of_it = 1\n    return body_of_it\n"}))


def test_the_definitions_that_tell_most_are_kept(map_of: MapOf) -> None:
    source = "".join(f"def helper_number_{at}(argument):\n    pass\n" for at in range(40))
    text = map_of({"a.py": source}, "helper_number_37", 100)[0]
    assert "helper_number_37" in text
    assert "helper_number_9" not in text


@pytest.mark.parametrize("budget", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377])
def test_the_budget_is_never_passed(map_of: MapOf, counter: TokenCounter, budget: int) -> None:
    texts = map_of(TREE, "", budget)
    assert counter.count("\n".join(texts)) <= budget
    assert bool(texts) == (budget >= 3)


def test_no_file_takes_more_than_a_fifth(map_of: MapOf, counter: TokenCounter) -> None:
    source = "".join(f"def f{at}(argument):\n    pass\n" for at in range(100))
    texts = map_of({f"{name}.py": f"# {name}\n{source}" for name in "abcde"}, "", 200)
    assert len(texts) == 5
    assert max(map(counter.count, texts)) <= 40


def test_an_empty_tree_has_an_empty_map(map_of: MapOf) -> None:
    assert map_of({}) == []


def test_a_symbol_names_what_it_lies_in() -> None:
    assert Symbol("m", "method", 1, 1, 1, "def m()", "A.B").qualified_name == "A.B.m"


SCRIPT = """
import sys
from pathlib import Path
from flowloom.llm.tokens import EstimatingCounter
from flowloom.retrieval.code_retriever import CodeRetriever
retriever = CodeRetriever(Path(sys.argv[1]), Path(sys.argv[2]), EstimatingCounter())
retriever.index.refresh()
for query in ("", "start the engine", "use_1 in user2.py"):
    print("\\n".join(hit.text for hit in retriever.map(query, 400)))
"""


def test_the_map_is_the_same_under_another_path_seed_locale_and_order_of_files(tmp_path: Path) -> None:
    files = {
        **TREE,
        **{
            f"p{at % 3}/m{at}.py": f"from base import Engine\n\ndef do_{at}(x):\n    return do_{at // 2}(x)\n"
            for at in range(20)
        },
    }
    made = []
    for name, seed, locale in (
        ("one", "1", "C"),
        ("deeper/two 二", "4711", "C.UTF-8"),
        ("three", "99", "tr_TR.UTF-8"),
    ):
        order = list(files)
        random.Random(seed).shuffle(order)
        for path in order:
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(files[path])
        env = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale}
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / name), str(tmp_path / f"cache-{seed}")]
        made.append(subprocess.run(command, env=env, capture_output=True, check=True).stdout)
        shutil.rmtree(tmp_path / name)
    assert len(made[0]) > 500
    assert made[0] == made[1] == made[2]
