from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from flowloom.core.errors import RunFailed
from flowloom.core.hits import Hit, Source, hit_to_dict, path_fits
from flowloom.nodes.call import NodeCall
from flowloom.nodes.retrieve import PASSAGE_TOKENS, run_retrieve

from .conftest import MakeBench


def hit(number: int) -> Hit:
    return Hit(f"d{number}", "docs/a.md", number, number, None, "H", "text", 1.0, "docs", "0" * 64)


class Documents:
    """Keeps what it was asked for; gives five hits."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def retrieve(
        self, query: str, budget: int, sources: Sequence[Source], *, within: Sequence[str] = ()
    ) -> list[Hit]:
        self.asked.append((query, budget, tuple(sources), tuple(within)))
        return [hit(number) for number in range(5)]


async def retrieve(bench: MakeBench, documents: Documents, **fields: Any) -> Any:
    deps = bench().deps()
    deps = replace(deps, toolbox=replace(deps.toolbox, retriever=documents))
    call = NodeCall("a", 1, "retrieve", {"index": "docs", "query": "how", "k": 3, "filter": [], **fields})
    return (await run_retrieve(call, deps)).value


async def test_hits_come_as_json_the_best_ones_first(bench: MakeBench) -> None:
    documents = Documents()
    assert await retrieve(bench, documents) == [hit_to_dict(hit(number)) for number in range(3)]
    assert documents.asked == [("how", 3 * PASSAGE_TOKENS, ("docs",), ())]


async def test_the_filter_and_the_index_are_handed_on(bench: MakeBench) -> None:
    documents = Documents()
    await retrieve(bench, documents, index="code", filter=["docs/**", "manuals"])
    assert documents.asked[0][2:] == (("code",), ("docs/**", "manuals"))


async def test_an_empty_query_finds_nothing(bench: MakeBench) -> None:
    documents = Documents()
    assert await retrieve(bench, documents, query=" ") == []
    assert documents.asked == []


async def test_a_filter_that_is_no_list_of_texts_is_refused(bench: MakeBench) -> None:
    with pytest.raises(RunFailed, match=r"a: 'filter' must give a list of texts, got \['x', 1\]"):
        await retrieve(bench, Documents(), filter=["x", 1])


async def test_a_graph_retrieves_into_its_state(bench: MakeBench) -> None:
    # Nothing is indexed there: an empty list.
    assert await bench().node("type: retrieve, index: docs, query: '{{ input.q }}'", q="x") == []


@pytest.mark.parametrize(
    ("path", "globs", "fits"),
    [
        ("docs/a/b.md", ["docs/**/*.md"], True),
        ("docs/b.md", ["docs/**/*.md"], True),
        ("src/b.md", ["docs/**", "*.pdf"], False),
        ("deep/b.pdf", ["docs/**", "*.pdf"], True),
        ("x", [], False),
    ],
)
def test_globs_mean_what_they_mean_in_a_gitignore(path: str, globs: list[str], fits: bool) -> None:
    assert path_fits(path, globs) is fits
