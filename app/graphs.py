"""Graphs as the commands ask for them: found in this workspace, checked, listed. Imports nothing that runs one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..core.errors import Denied, GraphInvalid
from ..graphs.find import GraphEntry, Loaded, find_graph, find_graphs, list_graphs
from ..tools.registry import TOOLS
from .context import AppContext
from .project_tools import project_tool_names

GRAPH_SETTINGS = ("verify", "check")
"""The settings that a graph file may read."""


def load_graph(context: AppContext, name: str) -> Loaded:
    """Return a checked graph and the graphs it runs.

    Raises:
        UsageError: no graph of that name.
        GraphInvalid: it cannot be run; one line per fault.
        Denied: it lies in the repository and is not trusted.
    """
    return find_graph(name, **_where(context), **_known(context))


def load_graphs(context: AppContext, name: str) -> list[Loaded]:
    """Return the graph of a name, or every graph of a file; raises like `load_graph`."""
    return find_graphs(name, **_where(context), **_known(context))


class Looking:
    """Reads graph files and presets without running anything of them, so also those that are not trusted.

    Code and whatever else such a file names must be trusted all the same. `untrusted`: the files that were read
    without, as absolute paths.
    """

    def __init__(self, context: AppContext) -> None:
        self.untrusted: list[Path] = []
        self._context = context

    def load(self, name: str) -> list[Loaded]:
        """Return the graph of a name, or every graph of a file.

        Raises:
            UsageError: no graph of that name.
            GraphInvalid: one cannot be run; one line per fault.
        """
        return find_graphs(name, **{**_where(self._context), "is_trusted": self._may_read}, **_known(self._context))

    def _may_read(self, path: Path, content: bytes) -> bool:
        if self._context.trust.covers(path, content):
            return True
        if path.suffix not in (".yaml", ".yml"):
            return False
        if path not in self.untrusted:
            self.untrusted.append(path)
        return True


def _where(context: AppContext) -> dict[str, Any]:
    user_dir = context.dirs.config / "graphs"
    return {"workspace": context.workspace, "user_dir": user_dir, "is_trusted": context.trust.covers}


def _known(context: AppContext) -> dict[str, Any]:
    own = project_tool_names(context, context.workspace)
    return {"tools": (*TOOLS, *own), "settings": GRAPH_SETTINGS}


def graph_entries(context: AppContext) -> list[GraphEntry]:
    """Return every graph that can be asked for by name, as graphs.find.list_graphs does."""
    return list_graphs(**_where(context))


class Validated(NamedTuple):
    """Graphs that can run, and the faults of those that cannot, one line each; `untrusted`: files that are not."""

    good: list[Loaded]
    faults: list[str]
    untrusted: list[Path]


def validate_graphs(context: AppContext, names: Sequence[str]) -> Validated:
    """Check graphs by name or file, all known ones where none is named.

    Raises:
        UsageError: no such graph.
    """
    looking = Looking(context)
    names = names or list(dict.fromkeys(str(context.workspace / each.path) for each in graph_entries(context)))
    good: list[Loaded] = []
    faults: dict[str, None] = {}
    for name in names:
        try:
            good += looking.load(name)
        except (GraphInvalid, Denied) as err:
            faults |= dict.fromkeys(err.message.splitlines())
    return Validated(good, list(faults), looking.untrusted)
