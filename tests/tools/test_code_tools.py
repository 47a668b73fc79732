"""repo_map, find_symbol and find_references."""

from __future__ import annotations

from typing import Any

from flowloom.core.hits import Hit, Source


def _hit(source: Source, text: str) -> Hit:
    return Hit("a.py:3-4", "a.py", 3, 4, None, "Store.load", text, 1.0, source, "00")


def test_the_map_shows_outlines_one_after_the_other(rig: Any) -> None:
    rig.retriever.hits = [_hit("map", "a.py\n3: def load()"), _hit("map", "b.py")]
    assert rig.read("repo_map", query="load") == "a.py\n3: def load()\n\nb.py"
    rig.retriever.hits = []
    assert rig.read("repo_map") == "No file is indexed yet."


def test_a_symbol_comes_with_its_place_and_body(rig: Any) -> None:
    rig.retriever.hits = [_hit("symbol", "def load():\n    pass")]
    assert rig.read("find_symbol", name="load") == "a.py:3-4 Store.load\ndef load():\n    pass"
    rig.retriever.hits = []
    assert "Nothing defines 'load'" in rig.read("find_symbol", name="load")


def test_references_are_listed_by_file(rig: Any) -> None:
    rig.retriever.hits = [_hit("references", "7: load()  [in run]")]
    assert rig.read("find_references", name="load") == "a.py\n7: load()  [in run]"
    rig.retriever.hits = []
    assert rig.read("find_references", name="load") == "Nothing uses 'load'."
