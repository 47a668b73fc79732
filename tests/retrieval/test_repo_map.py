from __future__ import annotations

import dataclasses

import pytest

from flowloom.core.ports import TokenCounter
from flowloom.retrieval.code_snapshot import FileOutline
from flowloom.retrieval.parse import Symbol, parse_definitions
from flowloom.retrieval.repo_map import MOST_RANKED_FILES, MapQuery, RepoMap
from flowloom.retrieval.tokenise import count_identifiers


def _outline(path: str, source: str) -> FileOutline:
    symbols = parse_definitions("python", source).symbols
    return FileOutline(path, "python", len(source.splitlines()), "00", symbols, count_identifiers(source))


BASE = _outline(
    "base.py", "class Engine:\n    def start(self, key):\n        pass\n\n    def _stop(self):\n        pass\n"
)
USERS = [
    _outline(f"user{at}.py", f"from base import Engine\n\ndef use_{at}():\n    Engine().start(1)\n")
    for at in range(3)
]
LONE = _outline("lone.py", "def lone():\n    pass\n")
TREE = [BASE, LONE, *USERS]


def _ranked(outlines: list[FileOutline], query: MapQuery) -> list[str]:
    return [outline.path for outline, _ in RepoMap(outlines).rank_files(query)]


def test_without_a_query_the_file_that_others_use_comes_first() -> None:
    assert _ranked(TREE, MapQuery())[0] == "base.py"


def test_full_text_scores_lead() -> None:
    assert _ranked(TREE, MapQuery(scores={"lone.py": 3.0, "user1.py": 1.0}))[:2] == ["lone.py", "user1.py"]


def test_named_files_and_definitions_come_first() -> None:
    query = MapQuery(names=frozenset({"use_2"}), files=frozenset({"user0.py"}), scores={"lone.py": 1.0})
    assert _ranked(TREE, query)[:3] == ["user0.py", "user2.py", "lone.py"]


def test_what_a_matching_file_uses_rises() -> None:
    other = _outline("also.py", "class Unused:\n    pass\n")
    ranked = _ranked([other, *TREE], MapQuery(scores={"user0.py": 1.0}))
    assert ranked.index("base.py") == 1


def test_ties_are_broken_by_path() -> None:
    assert _ranked([LONE, dataclasses.replace(LONE, path="also.py")], MapQuery()) == ["also.py", "lone.py"]


def test_in_a_huge_repository_references_do_not_count() -> None:
    many = [dataclasses.replace(LONE, path=f"m{at:05}.py", symbols=()) for at in range(MOST_RANKED_FILES)]
    ranked = RepoMap([*many, *TREE]).rank_files(MapQuery(scores={"user1.py": 1.0}))
    assert [(outline.path, score) for outline, score in ranked[:2]] == [("user1.py", 1.0), ("base.py", 0.0)]


def test_an_outline_shows_lines_and_nesting(counter: TokenCounter) -> None:
    hit = RepoMap([BASE]).render(MapQuery(), 500, counter)[0]
    assert hit.text == "base.py\n1: class Engine\n2:  def start(self, key)\n5:  def _stop(self)"
    assert (hit.id, hit.path, hit.start_line, hit.end_line, hit.source) == ("base.py", "base.py", 1, 6, "map")


def test_local_functions_are_not_shown(counter: TokenCounter) -> None:
    outline = _outline("a.py", "def outer():\n    def inner():\n        pass\n")
    assert RepoMap([outline]).render(MapQuery(), 500, counter)[0].text == "a.py\n1: def outer()"


def test_the_definitions_that_tell_most_are_kept(counter: TokenCounter) -> None:
    source = "".join(f"def helper_number_{at}(argument):\n    pass\n" for at in range(40))
    text = RepoMap([_outline("a.py", source)]).render(MapQuery(names=frozenset({"helper_number_37"})), 100, counter)
    assert "helper_number_37" in text[0].text
    assert "helper_number_9" not in text[0].text


@pytest.mark.parametrize("budget", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377])
def test_the_budget_is_never_passed(counter: TokenCounter, budget: int) -> None:
    texts = [hit.text for hit in RepoMap(TREE).render(MapQuery(), budget, counter)]
    assert counter.count("\n".join(texts)) <= budget
    assert bool(texts) == (budget >= 21)


def test_no_file_takes_more_than_a_fifth(counter: TokenCounter) -> None:
    source = "".join(f"def f{at}(argument):\n    pass\n" for at in range(100))
    hits = RepoMap([_outline(f"{name}.py", source) for name in "abcde"]).render(MapQuery(), 200, counter)
    assert len(hits) == 5
    assert max(counter.count(hit.text) for hit in hits) <= 40


def test_an_empty_tree_has_an_empty_map(counter: TokenCounter) -> None:
    assert RepoMap([]).render(MapQuery(), 100, counter) == []


def test_names_that_many_files_define_tell_nothing() -> None:
    definers = [_outline(f"d{at}.py", "def common():\n    pass\n") for at in range(6)]
    user = _outline("u.py", "common()\n")
    scores = dict(
        (outline.path, score)
        for outline, score in RepoMap([*definers, user]).rank_files(MapQuery(scores={"u.py": 1}))
    )
    assert len({scores[each.path] for each in definers}) == 1
    assert scores["d0.py"] < 0.1


def test_a_symbol_names_what_it_lies_in() -> None:
    assert Symbol("m", "method", 1, 1, 1, "def m()", "A.B").qualified_name == "A.B.m"
