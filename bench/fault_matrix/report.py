"""The matrix as a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .cell import Result
from .faults import APIS, FAULTS, Api

BEGIN = "<!-- fault matrix: made by `make bench-faults` -->"
END = "<!-- end of the fault matrix -->"
_HEAD = "| fault | comes once | does not go away | as it must be |\n|--|--|--|--|"
_TITLES: dict[Api, str] = {"ollama": "Ollama", "openai": "OpenAI"}


def table(results: Sequence[Result]) -> str:
    """Return one row a fault. Endings that differ between agents or APIs stand side by side."""
    rows = [_HEAD]
    for fault in FAULTS:
        of_fault = [result for result in results if result.cell.fault is fault]
        if of_fault:
            once, lasting = (
                _endings(one for one in of_fault if one.cell.lasting == often) for often in (False, True)
            )
            right = sum(not result.wrong for result in of_fault)
            rows.append(f"| {fault.name} | {once} | {lasting} | {right} of {len(of_fault)} |")
    return "\n".join(rows)


def written(document: str, results: Sequence[Result]) -> str:
    """Return the document with this table between its marks.

    Raises:
        ValueError: it has no marks.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no marks {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{table(results)}\n{END}{after}"


def _endings(results: Iterable[Result]) -> str:
    by_api: dict[Api, list[str]] = {api: [] for api in APIS}
    for result in results:
        if result.ending not in by_api[result.cell.api]:
            by_api[result.cell.api].append(result.ending)
    told = {api: " or ".join(_shown(ending) for ending in endings) for api, endings in by_api.items()}
    if len(set(told.values())) == 1:
        return told[APIS[0]]
    return "; ".join(f"{_TITLES[api]}: {text}" for api, text in told.items())


def _shown(ending: str) -> str:
    status, _, code = ending.partition(" ")
    return f"{status}, exit {code}" if code else status
