"""How `flow run --dry-run` shows what a run would do."""

from __future__ import annotations

import shlex
from typing import Any

from ..app.drawing import draw_graph
from ..app.dry_run import DryRun, PlannedNode
from ..app.prompts import ShownPrompt
from .graph_text import limit_texts
from .printing import visible
from .runs import columns


def dry_run_lines(planned: DryRun, *, plain: bool) -> list[str]:
    """Return the route, the nodes with what each is sent and may do, and the limits.

    Args:
        plain: True where only ASCII can be shown.
    """
    spec = planned.loaded.spec
    drawing = draw_graph(spec, "ascii", plain=plain)
    parts = [
        [f"{spec.name}: no server was asked, nothing was changed and no run was made."],
        drawing.rstrip("\n").split("\n"),
        columns([("NODE", "TYPE", "MODEL", "PROMPT", "REPLY", "BOUNDS", "TOOLS"), *map(_row, planned.nodes)]),
        _budget_lines(planned),
        _run_lines(planned),
        _open_lines(planned),
    ]
    return [visible(line) for at, part in enumerate(filter(None, parts)) for line in ([""] if at else []) + part]


def _row(planned: PlannedNode) -> tuple[str, ...]:
    node, prompt = planned.node, planned.prompt
    kind = node.type if node.type != "graph" else f"graph {node.fields['graph']}"
    bounds = ", ".join(_bounds(planned)) or "-"
    if prompt is None:
        return planned.path, kind, "-", "-", "-", bounds, _about(planned)
    size = f"{prompt.tokens:,} of {prompt.window - prompt.max_tokens:,}"
    tools = ", ".join(_tools(prompt)) or "none"
    return planned.path, kind, prompt.model or "chosen by the run", size, f"{prompt.max_tokens:,}", bounds, tools


def _bounds(planned: PlannedNode) -> list[str]:
    node = planned.node
    found = [f"max {node.max_visits} visits"] if node.max_visits else []
    found += [f"each of {node.each.items}"] if node.each else []
    return found + limit_texts(node.limits)


def _about(planned: PlannedNode) -> str:
    """Return what a node without a model does, in a few words; "" = its type says it all."""
    fields = planned.node.fields
    match planned.node.type:
        case "shell":
            run = fields["run"]
            return f"runs {run['command']}" if isinstance(run, dict) else f"runs {' '.join(map(str, run))}"
        case "human":
            headless = fields.get("headless")
            return f"{', '.join(fields['choices'])}; nobody there: {headless or 'the run waits'}"
        case "tool" | "python":
            return f"calls {fields['call']}"
        case "fail":
            return f"exit code {fields['exit']}"
        case _:
            return ""


def _tools(prompt: ShownPrompt) -> list[str]:
    return [tool["function"]["name"] for tool in prompt.body.get("tools", ())]


def _budget_lines(planned: DryRun) -> list[str]:
    """Return how much of the parts with a budget the first request of each node takes."""
    rows = [("BUDGETS", "")]
    for each in planned.nodes:
        if each.prompt is not None:
            parts = [f"{name} {size:,} of {most:,}" for name, size, most in each.prompt.parts if most is not None]
            rows.append((each.path, ", ".join(parts) or "none"))
    return columns(rows) if len(rows) > 1 else []


def _run_lines(planned: DryRun) -> list[str]:
    facts = [
        ("Limits", ", ".join(limit_texts(planned.limits)) or "none"),
        ("Mode", planned.mode),
        ("Verify", _command_text(planned, "verify", planned.verify)),
        ("Check", _command_text(planned, "check", planned.check)),
    ]
    return columns([(f"{name}:", value) for name, value in facts])


def _command_text(planned: DryRun, name: str, command: str | list[str] | None) -> str:
    if command is None:
        return "none"
    line = command if isinstance(command, str) else shlex.join(command)
    if name not in planned.detected:
        return line
    return f"{line} (detected{'' if planned.mode == 'auto' else ', and asked for once'})"


def _open_lines(planned: DryRun) -> list[str]:
    """Return what only a run can fill in, and what does not fit."""
    lines = []
    for each in planned.nodes:
        prompt = each.prompt
        if prompt is not None and prompt.open:
            lines.append(f"{each.path}: not counted, since only a run knows it: {', '.join(prompt.open)}")
        if prompt is not None and prompt.tokens + prompt.max_tokens > prompt.window:
            lines.append(f"{each.path}: it does not fit; set a larger window with -c models.num_ctx=N")
    return lines


def dry_run_data(planned: DryRun) -> dict[str, Any]:
    """Return the same as JSON data."""
    from dataclasses import asdict

    return {
        "graph": planned.loaded.spec.name,
        "mode": planned.mode,
        "verify": planned.verify,
        "check": planned.check,
        "detected": list(planned.detected),
        "limits": asdict(planned.limits),
        "nodes": [_node_data(each) for each in planned.nodes],
        "notices": list(planned.notices),
    }


def _node_data(planned: PlannedNode) -> dict[str, Any]:
    data: dict[str, Any] = {"path": planned.path, "type": planned.node.type, "max_visits": planned.node.max_visits}
    prompt = planned.prompt
    if prompt is None:
        return data
    return {
        **data,
        "model": prompt.model,
        "window": prompt.window,
        "tokens": prompt.tokens,
        "max_tokens": prompt.max_tokens,
        "tools": _tools(prompt),
        "parts": [part._asdict() for part in prompt.parts],
        "open": list(prompt.open),
    }
