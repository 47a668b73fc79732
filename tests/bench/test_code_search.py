from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from flowloom.bench import code_search
from flowloom.bench.code_search import (
    AIDER,
    FLOOR,
    OURS,
    Result,
    is_below_floor,
    measure,
    paired,
    read_results,
    report,
)

MakeRepo = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def clones(make_repo: MakeRepo, tmp_path: Path) -> Path:
    """A folder with a clone "shop" whose last commit is a case."""
    repo = make_repo({"cart.py": "def total(x):\n    return x\n", "mail.py": "def send(x):\n    return x\n"})
    (repo / "cart.py").write_text("def total(x):\n    return round(x)\n", "utf-8")
    subprocess.run(["git", "commit", "-q", "-am", "Round what total returns"], cwd=repo, check=True)
    repo.rename(tmp_path / "shop.git")
    return tmp_path


def test_results_that_are_saved_are_not_computed_again(clones: Path, tmp_path: Path) -> None:
    save = tmp_path / "results.json"
    first = measure(clones, ["shop"], 5, [FLOOR], "", save)
    assert [(each.ranker, each.ranks) for each in first] == [(FLOOR, (1,))]
    save.write_text(json.dumps([{**json.loads(save.read_text())[0], "ranks": [7]}]))
    both = measure(clones, ["shop"], 5, [FLOOR, OURS], "", save)
    assert [(each.ranker, each.ranks) for each in both] == [(FLOOR, (7,)), (OURS, (1,))]
    assert read_results(save) == both


def test_aider_is_left_out_without_its_interpreter(clones: Path) -> None:
    assert [each.ranker for each in measure(clones, ["shop"], 5, [FLOOR, AIDER], "")] == [FLOOR]


def _results(ours: int, floor: int) -> list[Result]:
    return [
        Result("shop", f"c{at}", name, (rank,)) for at in range(4) for name, rank in ((OURS, ours), (FLOOR, floor))
    ]


def test_the_report_has_means_and_paired_differences() -> None:
    text = report(_results(ours=1, floor=20))
    assert "| BM25 | 4 | 0.000 | 0.000 | 1.000 | 0.050 |" in text
    assert (
        f"| {OURS} | 4 | 1.000 | 1.000 | 1.000 | 1.000 | +1.000 (+1.000..+1.000) | +0.950 (+0.950..+0.950) |" in text
    )
    assert paired(_results(1, 20), OURS, FLOOR).endswith("(4 cases)")


@pytest.mark.parametrize(("ours", "floor", "below"), [(1, 20, False), (3, 3, False), (0, 1, True)])
def test_below_bm25_fails_the_bench(ours: int, floor: int, below: bool) -> None:
    assert is_below_floor(_results(ours, floor)) is below


def test_the_sets_share_no_repository() -> None:
    assert not set(code_search.SETS["tune"]) & set(code_search.SETS["report"])
