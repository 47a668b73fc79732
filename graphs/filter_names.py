"""Names of filters that stand in Python code of a graph, `FILE.function`, in the language of its expressions.

To an expression such a filter is one more name of what it is evaluated on, so that each graph has its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_MARK = "|"
"""Begins the name of a filter among the names that expressions see; no other name can."""


def is_own(name: str) -> bool:
    """Return whether the name of a filter means one of a graph's own code."""
    return "." in name


def scope_name(name: str) -> str:
    """Return the name under which a graph's own filter stands among the names that expressions see."""
    return f"{_MARK}{name}"


def own_name(name: str) -> str:
    """Return the filter that a name stands for; "" = it is no filter's."""
    return name.removeprefix(_MARK) if name.startswith(_MARK) else ""


class WithOwn(dict[str, Callable[..., Any]]):
    """Filters by name, for Jinja: ours, and for the name of any own one what looks it up when it is called."""

    def __missing__(self, name: str) -> Callable[..., Any]:
        if not is_own(name):
            raise KeyError(name)
        from jinja2 import pass_context

        @pass_context
        def filled(context: Any, *args: Any, **kwargs: Any) -> Any:
            return context[scope_name(name)](*args, **kwargs)

        self[name] = filled
        return filled

    def get(self, name: str, default: Any = None) -> Any:
        """Return the filter of a name, also of one that was not asked for yet."""
        return self[name] if name in self or is_own(name) else default
