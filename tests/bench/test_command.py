from __future__ import annotations

from pathlib import Path

import pytest

from flowloom.bench.edit_cases.__main__ import main

from .conftest import SMALL

SMALL_SETS = {"tune": SMALL}


def test_run_prints_the_tables_and_ends_with_one_when_a_limit_is_missed(
    clones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--repos", str(clones), "--hunks", "24", "--per-kind", "2"]
    code = main([*arguments, "--kinds", "exact,dedented,target_gone,line_left_out"], SMALL_SETS)
    said = capsys.readouterr().out

    assert "Set small, seed 7: 24 hunks, 4 kinds, 8 cases." in said
    assert "| exact only" in said
    assert code == int("NOT MET" in said)


def test_cases_of_the_tuning_set_can_be_looked_at(clones: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--repos", str(clones), "--hunks", "24", "--sample", "elision", "--most", "1"], SMALL_SETS)
    said = capsys.readouterr().out

    assert code == 0
    assert said.count("=== elision (edit wanted)") == 1
    assert "--- the right change" in said


@pytest.mark.parametrize("option", ["--show", "--sample"])
def test_cases_of_the_held_out_set_are_never_shown(
    clones: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    code = main(["--repos", str(clones), "--set", "report", option, "exact"])
    captured = capsys.readouterr()

    assert code == 2
    assert captured.out == ""
    assert "held out" in captured.err


def test_unknown_kind_is_named(clones: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--repos", str(clones), "--kinds", "exact,typos"]) == 2
    assert "no kind 'typos'" in capsys.readouterr().err
