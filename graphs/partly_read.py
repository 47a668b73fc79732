"""What is wrong with the meaning of a graph whose form has faults too, so that all is told at once, by read.py.

Only what holds however those faults are mended: nothing about a part that has one, and nothing that rests on it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from .faults import Fault, Position
from .fields import Path
from .flow_checks import check_names
from .spec import GraphSpec
from .validate import own_faults

_TOP: Path = ()
"""The part of a fault that stands before all others: a key that is missing, for one."""


def sure_faults(spec: GraphSpec, broken: Sequence[Fault]) -> Iterator[Fault]:
    """Yield the faults of meaning that stand whatever becomes of the faults of form."""
    parts = _Parts(spec)
    wrong = {parts.of(fault.at) for fault in broken}
    nodes_wrong = any(part[:1] == ("nodes",) for part in wrong)
    found = [*own_faults(spec, {}, None)]
    if not wrong & {_TOP, ("nodes",), ("edges",)}:
        found += check_names(spec)
    for fault in dict.fromkeys(found):
        if parts.of(fault.at) in wrong:
            continue
        if "not declared" in fault.message and not (spec.inputs if fault.message.startswith("input") else spec.state):
            continue
        if parts.of(fault.at) == ("edges",) and nodes_wrong and "output" in fault.message:
            continue
        yield fault


class _Parts:
    """The parts of a graph's text by where they begin: keys of the top, and single nodes."""

    def __init__(self, spec: GraphSpec) -> None:
        places = {
            at: path
            for path, at in sorted(spec.positions.items(), key=lambda each: len(each[0]))
            if not at.path and (len(path) == 1 or (len(path) == 2 and path[0] == "nodes"))
        }
        self._starts = sorted(places)
        self._paths = [places[at] for at in self._starts]
        # A preset or a prompt in a file is a part of the first node that takes it.
        self._beside: dict[str, Path] = {}
        for path, at in spec.positions.items():
            if at.path and len(path) > 1:
                self._beside.setdefault(at.path, path[:2])

    def of(self, at: Position) -> Path:
        if at.path:
            return self._beside.get(at.path, _TOP)
        index = bisect_right(self._starts, at) - 1
        return self._paths[index] if index >= 0 else _TOP
