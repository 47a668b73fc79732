"""All built-in tools, listed by hand, and how a node's tool names become tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ..core.errors import UsageError
from ..core.tool import ToolSpec
from . import (
    apply_patch,
    background,
    bash,
    edit_file,
    find_references,
    find_symbol,
    git,
    glob,
    grep,
    multi_edit,
    read_file,
    remember,
    repo_map,
    run_code,
    search_code,
    search_docs,
    spawn_agent,
    todo,
    write_file,
)
from .near import did_you_mean, near_names

_MODULES = (
    read_file,
    edit_file,
    write_file,
    bash,
    grep,
    glob,
    spawn_agent,
    search_code,
    repo_map,
    find_symbol,
    find_references,
    search_docs,
    git,
    todo,
    multi_edit,
    apply_patch,
    run_code,
    background,
    remember,
)

TOOLS: Mapping[str, ToolSpec] = MappingProxyType({module.TOOL.name: module.TOOL for module in _MODULES})


def toolset(names: Iterable[str], known: Mapping[str, ToolSpec] = TOOLS) -> tuple[ToolSpec, ...]:
    """Return the named tools of those that are known, in the order given, each once.

    Raises:
        UsageError: a name is not a tool's.
    """
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in known:
            near = did_you_mean(near_names(name, known))
            raise UsageError(f"there is no tool {name!r}.{near}", hint=f"Tools: {', '.join(known)}.")
    return tuple(known[name] for name in wanted)
