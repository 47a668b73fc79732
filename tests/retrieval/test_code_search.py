from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from flowloom.core.hits import Source
from flowloom.core.ports import TokenCounter
from flowloom.retrieval.code_index import CodeIndex
from flowloom.retrieval.code_retriever import CodeRetriever
from flowloom.retrieval.code_search import Signals, rank_files
from flowloom.retrieval.code_symbols import find_callers, find_symbol, find_used_lines

from .conftest import HashEmbedder

MakeTree = Callable[[Mapping[str, str | bytes]], Path]

PRICES = """def net_price(item):
    return item.price - item.rebate


class Rebate:
    def apply(self):
        return net_price(self)
"""
CART = """from shop.prices import net_price


def total(items):
    return sum(net_price(i) for i in items)
"""
FILES = {
    "shop/cart.py": CART,
    "shop/prices.py": PRICES,
    "shop/mail.py": "def send(text):\n    '''Send a mail about the cart.'''\n    return text\n",
    "docs/notes.md": "The cart is sent by mail.\n",
    "tests/test_prices.py": "from shop.prices import net_price\n\n\ndef test_net_price():\n    assert net_price(1)\n",
}


@pytest.fixture
def index(make_tree: MakeTree, cache_dir: Path) -> CodeIndex:
    made = CodeIndex(make_tree(FILES), cache_dir)
    made.refresh()
    return made


def _ranked(index: CodeIndex, query: str, signals: Signals = Signals()) -> list[str]:  # noqa: B008
    return [each.path for each in index.read(lambda snapshot: rank_files(snapshot, query, signals=signals))]


def test_words_in_any_form_find_files(index: CodeIndex) -> None:
    assert _ranked(index, "rebates") == ["shop/prices.py"]
    assert "shop/mail.py" in _ranked(index, "sending")


def test_what_a_found_file_uses_is_found_through_the_graph(index: CodeIndex) -> None:
    assert "shop/prices.py" not in _ranked(index, "total")
    assert _ranked(index, "total", Signals(graph=True))[:2] == ["shop/cart.py", "shop/prices.py"]


def test_each_signal_can_be_switched_off(index: CodeIndex) -> None:
    nothing = Signals(words=False, names=False, history=False, meaning=False)
    assert _ranked(index, "net_price total", nothing) == []
    assert _ranked(index, "net_price", Signals(words=False)) == ["shop/prices.py"]


def test_every_file_has_its_reasons(index: CodeIndex) -> None:
    found = index.read(lambda snapshot: rank_files(snapshot, "total net_price in cart", limit=5))
    reasons = {each.path: each.reasons for each in found}
    assert reasons["shop/cart.py"][:2] == ("path: cart", "names: total")
    assert "defines net_price" in reasons["shop/prices.py"]


def test_a_symbol_is_found_by_its_name_alone_or_with_its_type(index: CodeIndex) -> None:
    def names(wanted: str) -> list[str]:
        found = index.read(lambda snapshot: find_symbol(snapshot, wanted))
        return [f"{each.path} {each.symbol.qualified_name}" for each in found]

    assert names("apply") == names("Rebate.apply") == names("Rebate::apply()") == ["shop/prices.py Rebate.apply"]
    assert names("Other.apply") == names("") == names("rebate") == []


def test_uses_are_told_with_kind_and_place(index: CodeIndex) -> None:
    found = index.read(lambda snapshot: find_used_lines(snapshot, "net_price"))
    assert [(each.use.path, each.use.line, each.use.kind) for each in found] == [
        ("shop/cart.py", 1, ""),
        ("shop/cart.py", 5, "call"),
        ("shop/prices.py", 7, "call"),
        ("tests/test_prices.py", 1, ""),
        ("tests/test_prices.py", 5, "call"),
    ]
    assert found[2].text == "return net_price(self)"
    assert found[2].inside is not None and found[2].inside.qualified_name == "Rebate.apply"


def test_callers_are_the_definitions_around_the_calls(index: CodeIndex) -> None:
    found = index.read(lambda snapshot: find_callers(snapshot, "net_price"))
    assert [(each.path, each.inside and each.inside.name, each.lines) for each in found] == [
        ("shop/cart.py", "total", (5,)),
        ("shop/prices.py", "apply", (7,)),
        ("tests/test_prices.py", "test_net_price", (5,)),
    ]


def test_a_name_outside_of_ascii_is_found_as_well(make_tree: MakeTree, cache_dir: Path) -> None:
    index = CodeIndex(
        make_tree({"a.py": "def 合計(x):\n    return x\n", "b.py": "from a import 合計\n合計(1)\n"}), cache_dir
    )
    index.refresh()
    found = index.read(lambda snapshot: find_used_lines(snapshot, "合計"))
    assert [(each.use.path, each.use.line, each.use.kind) for each in found] == [("b.py", 1, ""), ("b.py", 2, "call")]


def test_the_retriever_gives_definitions_and_uses_as_hits(
    make_tree: MakeTree, cache_dir: Path, counter: TokenCounter
) -> None:
    retriever = CodeRetriever(make_tree(FILES), cache_dir, counter)
    (hit,) = retriever.retrieve("Rebate.apply", 500, ("symbol",))
    assert (hit.id, hit.source) == ("shop/prices.py:6-7", "symbol")
    assert hit.text == "    def apply(self):\n        return net_price(self)"
    hits = retriever.retrieve("net_price", 500, ("references",))
    assert [each.path for each in hits] == ["shop/cart.py", "shop/prices.py", "tests/test_prices.py"]
    assert hits[1].text == "7: return net_price(self)  [in Rebate.apply]"
    assert retriever.retrieve("net_price", 500, ("references",), within=["shop/**"])[-1].path == "shop/prices.py"


@pytest.mark.parametrize("budget", [1, 5, 20, 40, 80])
@pytest.mark.parametrize("source", ["symbol", "references", "code", "map"])
def test_hits_stay_within_the_budget(
    make_tree: MakeTree, cache_dir: Path, counter: TokenCounter, budget: int, source: Source
) -> None:
    retriever = CodeRetriever(make_tree(FILES), cache_dir, counter)
    hits = retriever.retrieve("net_price", budget, (source,))
    assert counter.count("\n".join(hit.text for hit in hits)) <= budget


def test_meaning_adds_files_that_share_no_word(
    make_tree: MakeTree, cache_dir: Path, counter: TokenCounter, embedder: HashEmbedder
) -> None:
    retriever = CodeRetriever(make_tree(FILES), cache_dir, counter, embedder)
    retriever.embed()
    found = retriever.search("cart", 5)
    assert any("meaning" in each.reasons for each in found)
    off = CodeRetriever(retriever.index.workspace, cache_dir, counter, embedder, signals=Signals(meaning=False))
    assert not any("meaning" in each.reasons for each in off.search("cart", 5))
