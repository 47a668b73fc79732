"""`python -m bench [NAME...]`, from the root of the checkout: runs the named benches, or all, one after the other.

Prints one table; ends with 1 when a limit is passed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from . import edits, engine, growth, requests, retrieval, sandbox, shell, snapshots, startup, turns
from .machine import at_this_speed
from .rows import Row, table

BENCHES: Mapping[str, Callable[[], list[Row]]] = {
    "startup": startup.run,
    "requests": requests.run,
    "turns": turns.run,
    "engine": engine.run,
    "growth": growth.run,
    "retrieval": retrieval.run,
    "snapshots": snapshots.run,
    "edits": edits.run,
    "sandbox": sandbox.run,
    "shell": shell.run,
}


def main(names: Sequence[str]) -> int:
    """Return the exit code: 0, 1 when a limit is passed, 2 for a bench that does not exist."""
    if unknown := [name for name in names if name not in BENCHES]:
        print(f"There is no bench {unknown[0]!r}. Benches: {', '.join(BENCHES)}.", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for name in names or BENCHES:
        print(f"{name} ...", file=sys.stderr)
        rows += at_this_speed(BENCHES[name]())
    print(table(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
