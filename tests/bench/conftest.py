"""A small repository whose history has every shape of change that the kinds of damage need."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from flowloom.bench.edit_cases.cases import Pool, read_pool
from flowloom.bench.edit_cases.sets import CaseSet, Source
from flowloom.bench.sample import GIT_ENV

SMALL = CaseSet("small", 7, False, (Source("nobody", "parcels"),))

_NOUNS = ("parcel", "shelf", "invoice", "route", "pallet", "credit")
_PYTHON = '''def load_{noun}(rows, limit=3):
    """Return the {noun} rows below the limit."""
    # keep only the rows that have a {noun} number
    chosen = [row for row in rows if row.{noun} < limit]

    if not chosen and limit > 0:
        raise ValueError("no {noun} left")
    for row in chosen:
        audit_every_row(row)
        row.{noun}_count += 1
    return chosen


'''
_GO = """// Load{noun} returns the {noun} rows below the limit, oldest first.
func Load{noun}(rows []Row, limit int) ([]Row, error) {{
\tchosen := make([]Row, 0, limit)
\tfor _, row := range rows {{
\t\tif row.{noun} < limit && row.Open {{
\t\t\tchosen = append(chosen, row)
\t\t}}
\t}}

\t// an empty {noun} list is an error of the caller
\tif len(chosen) == 0 {{
\t\treturn nil, errors.New("no {noun} left")
\t}}
\treturn chosen, nil
}}

"""
_CHANGES = (
    ("    for row in chosen:\n", "    for row in reversed(chosen):\n"),
    ("row.{noun}_count += 1\n", "row.{noun}_count += 2\n        row.touch('existing {noun}')\n"),
    ('    if not chosen and limit > 0:\n        raise ValueError("no {noun} left")\n', ""),
    ("chosen = [row for row in rows if row.{noun} < limit]\n", "chosen = keep_{noun}(rows, limit)\n"),
    ("    return chosen\n", "    if limit > 9:\n        log.warning('many')\n    return chosen\n"),
    ('"""Return the {noun} rows below the limit."""\n', '"""Return the {noun} rows up to the limit."""\n'),
)
_GO_CHANGES = (
    ("if row.{noun} < limit && row.Open {{\n", "if row.{noun} <= limit && row.Open {{\n"),
    ("\t\t\tchosen = append(chosen, row)\n", "\t\t\trow.Seen = true\n\t\t\tchosen = append(chosen, row)\n"),
    ('errors.New("no {noun} left")\n', 'fmt.Errorf("no {noun} below %d", limit)\n'),
    ("\tchosen := make([]Row, 0, limit)\n", "\tvar chosen []Row\n"),
    (
        "\treturn chosen, nil\n",
        "\tsort.Slice(chosen, func(i, j int) bool {{\n\t\treturn i < j\n\t}})\n\treturn chosen, nil\n",
    ),
    ("oldest first.\n", "newest first.\n"),
)


@pytest.fixture(scope="session")
def clones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds the repository `parcels`; every commit but the first changes one place."""
    folder = tmp_path_factory.mktemp("clones")
    repository = folder / "parcels"
    repository.mkdir()
    git(repository, "init", "--quiet")
    texts = {
        "load.py": "".join(_PYTHON.format(noun=noun) for noun in _NOUNS),
        "load.go": "".join(_GO.format(noun=noun.title()) for noun in _NOUNS),
    }
    _commit(repository, texts)
    for place, noun in enumerate(_NOUNS):
        for turn in range(2):
            for name, changes in (("load.py", _CHANGES), ("load.go", _GO_CHANGES)):
                shown = noun.title() if name == "load.go" else noun
                old, new = (text.format(noun=shown) for text in changes[(place + 3 * turn) % len(changes)])
                begin = texts[name].index(shown)
                head, tail = texts[name][:begin], texts[name][begin:]
                texts[name] = head + tail.replace(old, new, 1)
                _commit(repository, texts)
    return folder


@pytest.fixture(scope="session")
def pool(clones: Path) -> Pool:
    """Return all changes of the repository, quoted in four ways each."""
    pools = [read_pool(clones, SMALL, count=24, per_kind=4, seed=seed) for seed in range(4)]
    return Pool(tuple(hunk for one in pools for hunk in one.hunks), pools[0].lookalikes)


def git(repository: Path, *words: str) -> str:
    """Return what git printed."""
    env = {**os.environ, **GIT_ENV}
    return subprocess.run(["git", *words], cwd=repository, env=env, check=True, capture_output=True, text=True).stdout


def _commit(repository: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (repository / name).write_text(text, "utf-8")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "Change one place")
