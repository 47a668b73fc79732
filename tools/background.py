"""background: shell commands that run on beside the agent, such as a server: begun, listed, read and ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from ..core.effects import Category, Command, Effect, Nothing, StopJob, ToolResult
from ..core.errors import ToolError
from ..core.ports import Jobs
from ..core.tool import ToolContext, ToolSpec
from . import bash
from .args import ToolArgs
from .background_jobs import TIMEOUT_S
from .prompt_text import description


class Args(ToolArgs):
    action: Literal["start", "list", "output", "stop"]
    command: str = Field(default="", description="to start")
    job: int = Field(default=0, description="number, for output and stop")


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the command to begin, the job to end, or what is known of the jobs.

    Raises:
        ToolError: there is no run, no such job, or no command that can run by itself.
    """
    if ctx.jobs is None:
        raise ToolError("nothing runs in the background outside of a run.")
    match args.action:
        case "start":
            return _start(args.command, ctx)
        case "list":
            return Nothing(ToolResult(_listed(ctx.jobs)))
        case "output":
            return Nothing(ToolResult(ctx.jobs.told(args.job)))
        case "stop":
            return StopJob(args.job)


def category_of(args: Args) -> Category:
    """Return what the call does: only a start reaches further than the run's own jobs."""
    return "shell" if args.action == "start" else "read"


def _start(line: str, ctx: ToolContext) -> Effect:
    if line.rstrip().endswith("&") and not line.rstrip().endswith("&&"):
        raise ToolError("leave the & at the end out: the command runs in the background as it is.")
    planned = bash.plan(bash.Args(command=line), ctx)
    # For the type: bash plans nothing else.
    return replace(planned, timeout_s=TIMEOUT_S, background=True) if isinstance(planned, Command) else planned


def _listed(jobs: Jobs) -> str:
    lines = [f"{job.number}  {job.status()}  {job.command}" for job in jobs.all()]
    return "\n".join(lines) or "Nothing was started in the background."


TOOL = ToolSpec("background", "shell", description("background"), Args, plan, live=True, category_of=category_of)
