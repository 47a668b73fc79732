"""One tool call from the model's words to its result: every fault that the model can mend becomes a failed result."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from ..core.effects import Category, Effect, ToolResult
from ..core.errors import ToolError
from ..core.messages import ToolCall
from ..core.ports import Ask, CallRef, EffectRunner
from ..core.tool import ToolContext, ToolSpec
from .args import parse_args
from .masked import masked_effect
from .near import did_you_mean, near_names


async def run_call(
    call: ToolCall,
    spec_by_name: Mapping[str, ToolSpec],
    ctx: ToolContext,
    effects: EffectRunner,
    agent: str,
    ask: Ask,
) -> ToolResult:
    """Return what a call came to.

    A call that a kill cut short is finished from the journal and not planned again. An unknown tool, wrong
    arguments, a tool's refusal and an error of the file system are failed results; anything else is a bug and, like
    what `ask` raises, passes through. No secret is in what comes back.

    Args:
        agent: path of the calling agent with its visit, the same again after a resume.
    """
    spec = spec_by_name.get(call.name)
    if spec is None:
        shown = [ctx.names.tool(name) for name in spec_by_name]
        near = did_you_mean(near_names(call.name, shown))
        return _failed(f"there is no tool {call.name!r}.{near} Tools: {', '.join(shown)}.")
    ref = CallRef(agent, call.id)
    try:
        earlier = await effects.recover(ref, ask)
        if earlier is not None:
            return earlier
        effect, category = await asyncio.to_thread(_planned, spec, call, ctx)
        return await effects.run(ref, effect, category, ask)
    except ToolError as err:
        return _failed(ctx.secrets.mask(str(err)))
    except OSError as err:
        return _failed(f"{ctx.names.tool(call.name)}: {_os_fault(err, ctx.workspace)}")


def _planned(spec: ToolSpec, call: ToolCall, ctx: ToolContext) -> tuple[Effect, Category]:
    args = parse_args(spec, call.args, ctx.names)
    category = spec.category_of(args) if spec.category_of is not None else spec.category
    return masked_effect(spec.plan(args, ctx), ctx.secrets), category


def _failed(text: str) -> ToolResult:
    return ToolResult(text, failed=True)


def _os_fault(err: OSError, workspace: Path) -> str:
    """Return an error of the file system in words for the model, with paths as it knows them."""
    name = str(err.filename or "").removeprefix(f"{workspace}/")
    what = f"{name!r}: " if name and not name.isdigit() else ""
    match err:
        case PermissionError():
            return f"{what}permission denied. The file belongs to someone else or is read-only."
        case IsADirectoryError():
            return f"{what}this is a folder, not a file."
        case NotADirectoryError():
            return f"{what}a part of this path is a file or a link, not a folder."
        case FileNotFoundError():
            return f"{what}it does not exist."
        case FileExistsError():
            return f"{what}it exists already."
        case _:
            return f"{what}{err.strerror or err}."
