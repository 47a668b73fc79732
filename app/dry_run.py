"""`flow run --dry-run`: what a run would do, as far as that is known before it. Nothing is asked, written or kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..graphs.find import Loaded
from ..graphs.preview import model_nodes
from ..graphs.spec import GraphSpec, Limits, NodeSpec
from .context import AppContext
from .graphs import load_graph
from .prompts import ShownPrompt, show_prompts
from .run import RunRequest
from .verify import Command, planned_commands


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """One node. `path` names the nodes around it; `prompt` is None for one that asks no model."""

    path: str
    node: NodeSpec
    prompt: ShownPrompt | None


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run would do.

    Attributes:
        limits: of the run; the request's take the place of the graph's.
        verify, check: the commands of the settings, else those that are detected; None = there is none.
        detected: which of the two were, so that a person would be asked for them.
        notices: what the run would tell meanwhile, one line each.
    """

    loaded: Loaded
    nodes: tuple[PlannedNode, ...]
    limits: Limits
    verify: Command
    check: Command
    detected: tuple[str, ...]
    mode: str
    notices: tuple[str, ...]


async def plan_run(context: AppContext, request: RunRequest) -> DryRun:
    """Return what a run would do that begins now.

    Raises:
        FlowError: as start_run before it asks a server. An input that is required may be missing.
    """
    loaded = load_graph(context, request.graph)
    shown = await show_prompts(context, request, loaded, model_nodes(loaded))
    prompts = {each.node: each for each in shown}
    nodes = tuple(PlannedNode(path, node, prompts.get(path)) for path, node in _nodes(loaded.spec, loaded, ""))
    limits = loaded.spec.limits
    limits = replace(limits, tokens=request.max_tokens or limits.tokens, wall_s=request.max_time_s or limits.wall_s)
    notices = tuple(dict.fromkeys(line for each in shown for line in each.notices))
    verify, check, detected = planned_commands(context, loaded.file_nodes)
    return DryRun(loaded, nodes, limits, verify, check, detected, context.settings.mode, notices)


def _nodes(spec: GraphSpec, loaded: Loaded, above: str) -> list[tuple[str, NodeSpec]]:
    found: list[tuple[str, NodeSpec]] = []
    for node in spec.nodes.values():
        path = f"{above}/{node.name}".lstrip("/")
        found.append((path, node))
        if node.type == "graph":
            found += _nodes(loaded.library[node.fields["graph"]], loaded, path)
    return found
