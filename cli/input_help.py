"""What `flow run GRAPH --help` says beyond the help of `flow run`: the inputs of that graph."""

from __future__ import annotations

from typing import Any

from .context import CliOptions, app_context
from .printing import visible


def input_help(options: CliOptions, command: Any, words: list[str]) -> str:
    """Return the inputs of the graph that the words name, each with how it is given; "" = they name none.

    Args:
        command: the built `flow run`, which knows what of its options take a value.

    Raises:
        FlowError: there is no such graph, or its file cannot be read.
    """
    name = _graph(command, words)
    if not name:
        return ""
    from ..app.graphs import Looking
    from .graph_text import input_lines, usage_line
    from .run import graph_file

    spec = Looking(app_context(options)).load(graph_file(options, name))[0].spec
    told = f"{spec.name}: {spec.description}" if spec.description else spec.name
    lines = ["", told, f"  {usage_line(spec)}", "", "Inputs of this graph:", *input_lines(spec)]
    return "".join(f"{visible(line)}\n" for line in lines)


def _graph(command: Any, words: list[str]) -> str:
    """Return the first word that is neither an option nor the value of one."""
    valued = {form for param in command.params for form in param.opts if not getattr(param, "is_flag", False)}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-"):
            return word
        if word in valued and waiting:
            waiting.pop(0)
    return ""
