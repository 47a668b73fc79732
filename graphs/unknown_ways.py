"""An end to a trap of LangGraph: a way to a node that there is not is only logged, and the run ends as done."""

from __future__ import annotations

import logging

from ..core.errors import RunFailed
from .python_visit import INVOCATION

_LOGGER = "langgraph"
_SAID = "unknown channel"


class _Refusing(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Return that a line may be logged.

        Raises:
            RunFailed: it tells of a way to nowhere, in a graph that a run of flow drives.
        """
        text = record.getMessage()
        if _SAID in text and INVOCATION.get() is not None:
            name = text.partition(f"{_SAID} ")[2].partition(",")[0].removeprefix("branch:to:")
            raise RunFailed(f"A way of the graph leads to {name!r}, which it does not have.")
        return True


_FILTER = _Refusing()


def refuse_unknown_ways() -> None:
    """Let such ways fail from now on, in every graph written in Python that a run drives; others only log them."""
    logging.getLogger(_LOGGER).addFilter(_FILTER)
