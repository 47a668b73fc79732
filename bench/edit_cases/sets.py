"""The public repositories whose history makes the cases, and how their clones are found and made.

`python -m bench.edit_cases.sets FOLDER [tune|report]` clones those that are missing; this needs the internet.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flowloom.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Source:
    """A repository.

    Attributes:
        owner: on github.com; "" for one that is only given as a clone.
        tip: the commit whose history is read, so that a later clone makes the same cases.
    """

    owner: str
    name: str
    tip: str = "HEAD"


@dataclass(frozen=True, slots=True)
class CaseSet:
    """A named set.

    Attributes:
        held_out: nothing may be tuned on it, so its cases are never shown.
    """

    name: str
    seed: int
    held_out: bool
    sources: tuple[Source, ...]


SETS = {
    "tune": CaseSet(
        "tune",
        20261128,
        False,
        (
            Source("pallets", "flask", "2ac89889f4cc330eabd50f295dcef02828522c69"),
            Source("tokio-rs", "tokio", "ea91b33ca57ff0581b38e735cc108f831bccbdaa"),
            Source("vuejs", "core", "e2bede96134f757aad5c5b33ac9be055022dbfc8"),
            Source("prometheus", "prometheus", "d15adb9ad7e5d9fbde3a9a8f30200593a5a14d86"),
        ),
    ),
    "report": CaseSet(
        "report",
        4711,
        True,
        (
            Source("apache", "kafka", "1eb7644349cb07139d6a3c1ad1986979647cac99"),
            Source("sqlalchemy", "sqlalchemy", "f35da7e2b9349a08b8de1f6bd3b07c8bf8616790"),
            Source("Aider-AI", "aider", "5dc9490bb35f9729ef2c95d00a19ccd30c26339c"),
        ),
    ),
}


def clone_in(folder: Path, source: Source) -> Path:
    """Return the clone of a repository in a folder: NAME, NAME.git or OWNER/NAME, bare or not.

    Raises:
        UsageError: there is none.
    """
    places = [folder / source.name, folder / f"{source.name}.git", folder / source.owner / source.name]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        said = f"{folder} holds no clone of {source.owner}/{source.name}"
        raise UsageError(f"{said}. With internet `python -m bench.edit_cases.sets {folder}` makes it.")
    return found


def clone_missing(folder: Path, sources: Iterable[Source]) -> None:
    """Clone, bare and with the whole history, those repositories that the folder has not.

    Raises:
        UsageError: git could not clone one of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        try:
            clone_in(folder, source)
        except UsageError:
            url, target = f"https://github.com/{source.owner}/{source.name}", folder / f"{source.name}.git"
            print(f"cloning {url}", file=sys.stderr)
            if subprocess.run(["git", "clone", "--quiet", "--bare", url, str(target)]).returncode:
                raise UsageError(f"{url} could not be cloned into {target}.") from None


if __name__ == "__main__":
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(SETS):
        sys.exit(f"usage: python -m bench.edit_cases.sets FOLDER [{'|'.join(SETS)}]")
    try:
        clone_missing(Path(sys.argv[1]), [source for name in sys.argv[2:] or SETS for source in SETS[name].sources])
    except UsageError as err:
        sys.exit(str(err))
