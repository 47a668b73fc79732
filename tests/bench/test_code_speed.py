from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from flowloom.bench import code_speed
from flowloom.bench.rows import Row


def test_a_repository_that_was_saved_is_not_measured_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save = tmp_path / "save.json"
    row = Row("flask: first index", 1.25, "s", 2.0, beside="Aider 4.54 s", limit_here=3.0)
    save.write_text(json.dumps({"flask": [asdict(row)]}))
    # There is no clone to measure.
    assert code_speed.main(["--repos", str(tmp_path), "--only", "flask", "--save", str(save)]) == 0
    assert "| flask: first index | 1.25 s | <= 2  | <= 3 | Aider 4.54 s | ok |" in capsys.readouterr().out


def test_a_saved_figure_above_its_limit_fails_the_run(tmp_path: Path) -> None:
    save = tmp_path / "save.json"
    save.write_text(json.dumps({"flask": [asdict(Row("flask: first index", 9.0, "s", 2.0))]}))
    assert code_speed.main(["--repos", str(tmp_path), "--only", "flask", "--save", str(save)]) == 1
