"""Broken graph files in broken/: the `# fault` lines at the end of each are what must be said of it, all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowloom.core.errors import GraphInvalid
from flowloom.graphs.find import find_graph
from flowloom.tools.registry import TOOLS

FILES = sorted((Path(__file__).parent / "broken").glob("*.yaml"))
_FAULT = re.compile(r"^# fault (\d+):(\d+): (.*)$", re.MULTILINE)


def told(path: Path) -> list[str]:
    with pytest.raises(GraphInvalid) as caught:
        find_graph(
            str(path),
            workspace=path.parent,
            user_dir=path.parent / "none",
            is_trusted=lambda file, content: True,
            tools=tuple(TOOLS),
            settings=("verify", "check"),
        )
    assert caught.value.exit_code == 6
    return caught.value.message.splitlines()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_broken_file_is_told_at_the_right_place_in_the_right_words(path: Path) -> None:
    wanted = [
        f"{path.name}:{line}:{column}: {without_list(message)}"
        for line, column, message in _FAULT.findall(path.read_text("utf-8"))
    ]
    assert wanted
    assert list(map(without_list, told(path))) == wanted


def without_list(message: str) -> str:
    """Return a message without the list of all there are, which grows by itself."""
    return re.sub(r"(unknown (?:tool|schema|filter) .*; there are: ).*", r"\1...", message)


def test_there_are_enough_of_them() -> None:
    assert len(FILES) >= 60


def test_several_faults_are_told_together_in_the_order_of_the_file() -> None:
    (path,) = (path for path in FILES if path.stem == "several")
    places = [tuple(map(int, line.split(":")[1:3])) for line in told(path)]
    assert len(places) >= 7 and places == sorted(places)
