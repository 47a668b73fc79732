"""Filters that stand in Python code beside a graph: `filters: texts.py`, then `{{ value | texts.shorten(20) }}`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..core.errors import GraphInvalid, RunFailed
from ..core.marks import mark_of
from ..nodes.user_code import Code, failure_line
from .code import load_ref, referred
from .spec import GraphSpec

Filters = Mapping[str, Callable[..., Any]]


def own_filters(spec: GraphSpec) -> Filters:
    """Return the filters of a graph's own code by name, "FILE.function".

    Raises:
        GraphInvalid: the code cannot be run.
    """
    return {name: _filter(spec, name, ref) for name, ref in spec.filters.items()}


def _filter(spec: GraphSpec, name: str, ref: str) -> Callable[..., Any]:
    function, (code, _) = load_ref(spec, ref), referred(spec, ref)
    mark = mark_of(function)
    if mark is None or mark.kind != "filter":
        raise GraphInvalid(
            f"{code.shown}: {name!r} is no filter.", hint="Put @filter of flowloom above the function."
        )
    return _told(function, name, code)


def _told(function: Callable[..., Any], name: str, code: Code) -> Callable[..., Any]:
    def filled(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (Exception, SystemExit) as err:
            raise RunFailed(f"The filter {name!r}: {failure_line(err, code)}.") from err

    return filled
