"""A node whose visits each work in a checkout of their own (`workspace: worktree`). Used by build.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..core.errors import ModelFault, RunFailed
from ..nodes.call import NodeCall, NodeResult, NodeType
from ..nodes.deps import NodeDeps


def in_checkout(make: Callable[[NodeDeps], NodeType]) -> NodeType:
    """Return the node type that runs another one in a checkout, and leaves a branch with what it changed.

    What a visit changed that failed is kept in its branch as well. A node that works in such a checkout already stays
    there. Where the value is an object without a `branch`, the branch's name is added, "" = nothing was changed.

    Args:
        make: gives the node type for the deps it works with.
    """

    async def run(call: NodeCall, deps: NodeDeps) -> NodeResult:
        checkouts = deps.checkouts
        if checkouts is None:
            return await make(deps)(call, deps)
        own = await checkouts.enter(call.label, deps)
        try:
            result = await make(own)(call, own)
        except (RunFailed, ModelFault):
            await checkouts.leave(call, own)
            raise
        branch = await checkouts.leave(call, own)
        if call.kind != "graph" or not isinstance(result.value, dict):
            return result
        return replace(result, value={"branch": branch, **result.value})

    return run
