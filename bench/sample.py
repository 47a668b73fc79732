"""A generated repository: the same bytes on every machine, for every bench that needs code to look at."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

_AREAS = ("orders", "stock", "picking", "billing", "returns", "carriers", "labels", "audit", "pricing", "staff")
_NOUNS = ("parcel", "shelf", "invoice", "route", "customer", "batch", "pallet", "credit", "window", "barcode")
_VERBS = ("load", "merge", "check", "price", "split", "assign", "export", "trace", "close", "rank")

# As dense as the first sixty lines of flask's modules, which have 7.4 tokens (cl100k) a line.
_FUNCTION = '''
def {verb}_{noun}_{area}(rows: list[Row], limit: int = {limit}, state: str = "{verb}") -> list[Row]:
    """Return the {noun} rows that {area} still has to {verb}.

    Rows without a number are left out, and all from the limit on.
    """
    chosen: list[Row] = []

    for position, row in enumerate(rows):
        if row.number is None or position >= limit:
            continue

        weight = row.weight * {factor} + row.extra
        chosen.append(row.copy(weight=weight, state=state))

    return {other}(chosen) if chosen else []

'''
_ROWS = '''"""The row that everything here passes on."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Row:
    number: int | None
    weight: float = 0.0
    extra: float = 0.0
    state: str = ""

    def copy(self, **fields):
        return replace(self, **fields)
'''
_CLASS = '''
class {title}Keeper:
    """Keeps every {noun} of {area} by its number."""

    def __init__(self, capacity={limit}):
        self.capacity = capacity
        self.entries = {{}}

    def add(self, number, entry):
        if len(self.entries) >= self.capacity:
            raise OverflowError(f"{noun} {{number}} does not fit any more")
        self.entries[number] = {function}([entry])

    def find(self, number):
        return self.entries.get(number)

    def dump(self, stream):
        _dump_{area}_{noun}(self.entries.values(), stream)

'''
_DUMP = """
def _dump_{area}_{noun}(rows, stream):
    for row in sorted(rows, key=lambda row: row.number):
        stream.write(f"{{row.number:>8}} {{row.weight:>8.2f}}\\n")
"""


def write_sample(folder: Path, files: int) -> list[str]:
    """Write a repository of so many files as one commit; return its Python modules, sorted.

    A tenth are tests, the others modules that import and call each other, in packages by area.
    """
    contents = dict(_contents(files))
    for name, text in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Sample"]):
        subprocess.run(["git", *words], cwd=folder, check=True, env={**os.environ, **GIT_ENV})
    return sorted(name for name in contents if name.endswith(".py") and not name.startswith("tests/"))


GIT_ENV: Mapping[str, str] = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Bench",
    "GIT_AUTHOR_EMAIL": "bench@example.invalid",
    "GIT_COMMITTER_NAME": "Bench",
    "GIT_COMMITTER_EMAIL": "bench@example.invalid",
}


def _contents(files: int) -> Iterator[tuple[str, str]]:
    pick = random.Random(20261120)
    names: list[tuple[str, str]] = []
    yield "README.md", "# Depot\n\nMoves parcels from shelf to carrier.\n"
    yield "depot/rows.py", _ROWS
    for at in range(files - 2):
        area, noun = _AREAS[at % 10], _NOUNS[at // 10 % 10]
        verb = _VERBS[(at // 100 + at) % 10]
        if names and at % 10 == 9:
            yield f"tests/test_{area}_{noun}_{at}.py", _test(at, pick.sample(names, min(3, len(names))))
            continue
        function = f"{verb}_{noun}_{area}"
        module = f"depot/{area}/{noun}_{at}.py"
        yield module, _module(pick, area, noun, names)
        names.append((f"depot.{area}.{noun}_{at}", function))


def _module(pick: random.Random, area: str, noun: str, names: list[tuple[str, str]]) -> str:
    used = pick.sample(names, min(4, len(names)))
    imports = "".join(f"from {module} import {function}\n" for module, function in sorted(set(used)))
    others = [function for _, function in used] or ["list"]
    parts = [f'"""The {noun} side of {area}."""\n\nfrom depot.rows import Row\n{imports}\n']
    for verb in _VERBS:
        parts.append(
            _FUNCTION.format(
                verb=verb,
                noun=noun,
                area=area,
                other=pick.choice(others),
                limit=pick.randrange(10, 900),
                factor=pick.randrange(2, 90) / 10,
            )
        )
    function = f"{pick.choice(_VERBS)}_{noun}_{area}"
    title = noun.title()
    parts.append(_CLASS.format(title=title, noun=noun, area=area, limit=pick.randrange(50, 500), function=function))
    parts.append(_DUMP.format(noun=noun, area=area))
    return "\n".join(parts)


def _test(at: int, used: list[tuple[str, str]]) -> str:
    imports = "".join(f"from {module} import {function}\n" for module, function in sorted(set(used)))
    cases = "".join(
        f"\n\ndef test_{function}_{at}_keeps_the_weight():\n"
        f"    rows = [Row(number=7, weight=1.5)]\n"
        f"    assert {function}(rows)[0].weight > 1.5\n"
        for _, function in sorted(set(used))
    )
    return f"from depot.rows import Row\n{imports}{cases}"
