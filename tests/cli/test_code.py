"""`flow index`, `flow search` and `flow map`."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

Flow = Callable[..., Any]

CART = """from shop.prices import net_price


def total(items):
    rebate = 1
    return net_price(items) - rebate
"""
FILES = {
    "shop/cart.py": CART,
    "shop/prices.py": "def net_price(item):\n    return item\n",
    "notes.md": "How the cart is sent by mail.\n",
    "logo.png": "\0\1",
}


@pytest.fixture
def repo(workspace: Path) -> Path:
    for name, text in FILES.items():
        (workspace / name).parent.mkdir(exist_ok=True)
        (workspace / name).write_text(text)
    return workspace


def test_an_index_is_built_shown_and_deleted(flow: Flow, repo: Path) -> None:
    assert flow("index", "status").out == "There is no index yet. Make one with: flow index build\n"
    built = flow("index", "build", "-o", "json")
    facts = json.loads(built.out)
    assert (built.code, facts["files"], facts["updated"], facts["complete"]) == (0, 3, 4, True)
    assert [each["path"] for each in facts["skipped"]] == ["logo.png"]
    (repo / "new.py").write_text("x = 1\n")
    state = json.loads(flow("index", "status", "-o", "json").out)
    assert state["languages"] == {"Python": 2, "": 1}
    assert (state["definitions"], state["removed"]) == (2, 0)
    shown = flow("index", "status").out
    assert "3 files, 2 definitions" in shown and "logo.png: binary" in shown
    assert flow("index", "clean").out.startswith("Deleted ")
    assert flow("index", "clean").out == "There was nothing to delete.\n"


def test_cleaning_leaves_the_indexes_of_others(flow: Flow, repo: Path, tmp_path: Path) -> None:
    flow("index", "build")
    other = tmp_path / "other"
    (other / ".git").mkdir(parents=True)
    flow("-C", str(other), "index", "build")
    flow("-C", str(other), "index", "clean")
    assert json.loads(flow("index", "status", "-o", "json").out)["files"] == 3
    assert flow("index", "clean", "--all").out.startswith("Deleted ")
    assert json.loads(flow("index", "status", "-o", "json").out) is None


def test_a_search_tells_files_with_reasons_and_lines(flow: Flow, repo: Path) -> None:
    ended = flow("search", "cart", "total", "-k", "2")
    assert ended.code == 0
    assert ended.out.splitlines()[0].startswith(" 1  shop/cart.py  ")
    assert "path: cart" in ended.out and "      1-6  total" in ended.out
    first = json.loads(flow("search", "cart total", "-o", "json").out)[0]
    assert (first["path"], first["pieces"][0]) == ("shop/cart.py", {"name": "total", "start_line": 1, "end_line": 6})


def test_a_search_without_an_answer_says_so(flow: Flow, repo: Path) -> None:
    assert flow("search", "xylophone").out == "Nothing was found for 'xylophone'.\n"


def test_a_definition_is_printed_with_its_body(flow: Flow, repo: Path) -> None:
    ended = flow("search", "--symbol", "net_price")
    assert ended.out == "shop/prices.py:1-2  function net_price\ndef net_price(item):\n    return item\n"


def test_an_unknown_definition_is_refused_with_a_near_name(flow: Flow, repo: Path) -> None:
    ended = flow("search", "--symbol", "net_prices")
    assert ended.code == 2
    assert "nothing defines 'net_prices'" in ended.err and "net_price" in ended.err


def test_uses_and_callers_are_listed(flow: Flow, repo: Path) -> None:
    assert flow("search", "--refs", "net_price").out.splitlines() == [
        "shop/cart.py:1: mention: from shop.prices import net_price",
        "shop/cart.py:6: call: return net_price(items) - rebate",
    ]
    assert flow("search", "--callers", "net_price").out == "shop/cart.py:6: def total(items)\n"
    assert flow("search", "--callers", "total").out == "Nothing calls 'total'.\n"


def test_a_tree_and_a_query_on_stdin_give_ranked_paths(
    flow: Flow, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.go").write_text("package a\n\nfunc Parcel() {}\n")
    asked = {"tree": str(tmp_path / "other"), "query": "parcel"}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(asked)))
    assert flow("search", "--stdin").out == "a.go\n"


@pytest.mark.parametrize("text", ["", "[]", '{"tree": 1, "query": "x"}', '{"tree": "/nowhere", "query": "x"}'])
def test_stdin_that_asks_nothing_is_refused(
    flow: Flow, repo: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    ended = flow("search", "--stdin")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 2


@pytest.mark.parametrize("words", [[], ["x", "--refs", "y"], ["--symbol", "x", "--callers", "y"]])
def test_one_thing_is_looked_for_at_a_time(flow: Flow, repo: Path, words: list[str]) -> None:
    assert "give one thing to look for" in flow("search", *words).err


def test_the_map_shows_outlines_within_its_tokens(flow: Flow, repo: Path) -> None:
    ended = flow("map", "--tokens", "60")
    assert ended.out.splitlines()[:2] == ["shop/prices.py", "1: def net_price(item)"]
    facts = json.loads(flow("map", "-o", "json").out)
    assert facts["files"][0] == "shop/prices.py"


def test_the_map_of_a_folder_and_in_focus(flow: Flow, repo: Path) -> None:
    (repo / "odd [1]").mkdir()
    (repo / "odd [1]" / "x.py").write_text("def odd():\n    pass\n")
    assert flow("map", "odd [1]").out.splitlines() == ["odd [1]/x.py", "1: def odd()"]
    assert flow("map", "--focus", "cart.py", "--query", "price").out.splitlines()[0] == "shop/cart.py"


def test_a_neighbourhood_is_drawn(flow: Flow, repo: Path) -> None:
    drawn = flow("map", "--graph", "shop/prices.py").out
    assert drawn.startswith('flowchart LR\n  f0["shop/prices.py"]:::focus\n')
    assert "f1 -->|net#95;price| f0" in drawn or "f1 -->|net_price| f0" in drawn
    svg = flow("map", "--graph", "shop/prices.py", "--format", "svg").out
    texts = [each.text for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["shop/cart.py", "shop/prices.py"]
    facts = json.loads(flow("map", "--graph", "shop/prices.py", "-o", "json").out)
    assert [each["path"] for each in facts["users"]] == ["shop/cart.py"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "there is no 'nowhere'"),
        (["/etc"], "lies outside of"),
        (["--tokens", "x"], "--tokens 'x' is no number above 0"),
        (["--focus", "nowhere.py"], "no indexed file is 'nowhere.py'"),
        (["--graph"], "--graph draws one file"),
        (["--format", "png"], "there is no format 'png'"),
    ],
)
def test_what_the_map_can_not_do_is_told_in_a_line(flow: Flow, repo: Path, words: list[str], told: str) -> None:
    ended = flow("map", *words)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
