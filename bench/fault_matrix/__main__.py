"""`python -m bench.fault_matrix`, from the root of the checkout: runs every cell and prints the table in Markdown.

`--write FILE` puts the table between the marks in a document. Ends with 1 when something is not as it must be.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .cell import Cell, Result, run_cell
from .faults import APIS, FAULTS, ROLES
from .report import table, written


def main(arguments: Sequence[str]) -> int:
    """Return the exit code."""
    options = _options(arguments)
    cells = [
        Cell(fault, api, role, lasting)
        for fault in FAULTS
        if options.only.lower() in fault.name.lower()
        for api in APIS
        for role in ROLES
        for lasting in (False, True)
    ]
    results: list[Result] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for result in pool.map(run_cell, cells):
            results.append(result)
            cell = result.cell
            often = "for good" if cell.lasting else "once"
            told = "; ".join(result.wrong) or "ok"
            print(f"{cell.fault.name}, {often}, {cell.role}, {cell.api}: {result.ending}: {told}", file=sys.stderr)
    print(table(results))
    if options.write:
        options.write.write_text(written(options.write.read_text("utf-8"), results), "utf-8")
    return 1 if any(result.wrong for result in results) else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.fault_matrix")
    parser.add_argument("--only", default="", metavar="TEXT", help="only faults whose name holds this text")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--write", type=Path, metavar="FILE", help="the document to put the table into")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
