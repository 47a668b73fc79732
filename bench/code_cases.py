"""Cases of localization: a commit's message as the query, the files that it changed as the answer.

Taken from bare clones of public repositories, which the bench does not fetch itself.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SEED = "flow-2"
_COMMITS = 1000
_MOST_FILES = 5
_SHORTEST_QUERY = 12
_SUFFIXES = ".py .pyi .js .jsx .mjs .ts .tsx .vue .go .rs .java .kt .scala .c .h .cc .cpp .hpp .rb .cs .php .swift"
_SOURCE_SUFFIXES = frozenset(_SUFFIXES.split())
_CHECKED_OUT = f"{_SUFFIXES} .md .rst .txt .toml .yml .yaml .sh .gradle .html .css .sql .proto .cfg .ini"
_TEST = re.compile(
    r"(?:^|/)(?:tests?|testing|__tests__|spec|specs|testdata|it|benches|fixtures)(?:/|$)", re.IGNORECASE
)
_TEST_NAME = re.compile(r"(?:^test_|_test\.|\.test\.|\.spec\.|Test\.|Tests\.|IT\.|_spec\.|^conftest\.py$)")
_TRAILER = re.compile(r"^[A-Z][A-Za-z-]+(?: [a-z]+)?: .*$|^\(cherry picked.*$", re.MULTILINE)
_NOISE = (
    re.compile(r"https?://\S+"),
    re.compile(r"\b[0-9a-f]{7,40}\b"),
    re.compile(r"\b[A-Z]{2,10}-\d+\b"),
    re.compile(r"(?:\w+/\w+)?#\d+|\bgh-\d+\b", re.IGNORECASE),
    re.compile(r"\S*/\S+"),
    re.compile(
        r"\b[\w-]+\.(?:py|pyi|js|jsx|mjs|ts|tsx|vue|go|rs|java|kt|scala|c|h|cc|cpp|rb|md|rst|toml|json|ya?ml)\b"
    ),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One commit. `gold`: the source files that it changed; `parent`: the tree in which they are looked for."""

    repo: str
    commit: str
    parent: str
    query: str
    gold: tuple[str, ...]


def is_source(path: str) -> bool:
    """Tell whether a path is of code and not of a test, by its name alone."""
    pure = PurePosixPath(path)
    return (
        pure.suffix in _SOURCE_SUFFIXES
        and not _TEST.search(pure.parent.as_posix())
        and not _TEST_NAME.search(pure.name)
    )


def read_cases(clone: Path, count: int) -> list[Case]:
    """Return cases of the last 1,000 commits that are no merges, chosen by hash, the oldest first.

    A commit counts that changed one to five source files and added, deleted or moved none, and whose message says
    something once paths, file names, links, hashes and ticket numbers are taken out.
    """
    commits = _git(clone, "log", "--no-merges", f"-{_COMMITS}", "--format=%H").split()
    ordered = sorted(commits, key=lambda commit: hashlib.sha256(f"{SEED} {commit}".encode()).hexdigest())
    found: list[Case] = []
    for commit in ordered:
        if len(found) == count:
            break
        case = _case(clone, commit)
        if case is not None:
            found.append(case)
    place = {commit: at for at, commit in enumerate(commits)}
    return sorted(found, key=lambda case: -place[case.commit])


def _case(clone: Path, commit: str) -> Case | None:
    rows = [line.split("\t") for line in _git(clone, "show", "--format=", "--name-status", "-M", commit).splitlines()]
    sources = [row for row in rows if len(row) > 1 and any(is_source(path) for path in row[1:])]
    if not 1 <= len(sources) <= _MOST_FILES or any(row[0] != "M" for row in sources):
        return None
    query = clean_message(_git(clone, "show", "-s", "--format=%B", commit))
    if len(query) < _SHORTEST_QUERY:
        return None
    parent = _git(clone, "rev-parse", f"{commit}^").strip()
    return Case(clone.stem, commit, parent, query, tuple(sorted(row[1] for row in sources)))


def clean_message(message: str) -> str:
    """Return what a commit's message says, without what names files or tickets."""
    text = _TRAILER.sub("", message)
    for pattern in _NOISE:
        text = pattern.sub(" ", text)
    return " ".join(text.split())


def checked_out(clone: Path, cases: list[Case], folder: Path) -> Iterator[Case]:
    """Yield each case with its parent's tree checked out in the folder, each made from the one before."""
    subprocess.run(["git", "clone", "-q", "--shared", "--no-checkout", str(clone), str(folder)], check=True)
    # A mirror may lack the largest files, which are no text.
    _git(folder, "sparse-checkout", "set", "--no-cone", *(f"*{suffix}" for suffix in _CHECKED_OUT.split()))
    for case in cases:
        _git(folder, "checkout", "-q", "-f", "--detach", case.parent)
        yield case


def _git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *args], capture_output=True, check=True)
    return done.stdout.decode(errors="replace")
