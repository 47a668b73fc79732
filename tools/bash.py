"""bash: one shell command in the workspace."""

from __future__ import annotations

from pydantic import Field

from ..core.effects import Command, Effect
from ..core.errors import ToolError
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .prompt_text import description

DEFAULT_TIMEOUT_MS = 120_000
MAX_TIMEOUT_MS = 600_000


class Args(ToolArgs):
    command: str
    timeout_ms: int = Field(default=DEFAULT_TIMEOUT_MS, ge=1, le=MAX_TIMEOUT_MS)


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the command; one that only reads is of category shell-safe, with the environment it needs for that.

    Raises:
        ToolError: it is empty, holds a NUL, or would wait for a person.
    """
    if not args.command.strip() or "\0" in args.command:
        raise ToolError("the command is empty or holds a NUL character. Give one shell command.")
    from .shell_advice import commit_hint, interactive_hint  # late: a run without commands goes without
    from .shell_line import judge_line

    git = ctx.names.tool("git") if "git" in ctx.offered else ""
    if hint := commit_hint(args.command, ctx.workspace, git):
        raise ToolError(hint)
    if hint := interactive_hint(args.command) or _background_hint(args.command, ctx):
        raise ToolError(hint)
    # Rules are looked at when it is decided; whether it only reads does not depend on them.
    judged = judge_line(args.command, (), ctx.workspace)
    argv, timeout_s = ("bash", "-c", args.command), args.timeout_ms / 1000
    if not judged.verdict.read_only:
        return Command(argv, timeout_s)
    return Command(argv, timeout_s, env=judged.env, category="shell-safe")


def _background_hint(line: str, ctx: ToolContext) -> str:
    """Return what to do in place of an & at a line's end, which starts nothing that goes on; "" = there is none."""
    end = line.rstrip()
    if ctx.jobs is None or "background" not in ctx.offered or not end.endswith("&") or end.endswith(("&&", "\\&")):
        return ""
    tool = ctx.names.tool("background")
    return f"what & starts ends with this command: use the tool {tool} with action start, and leave the & out."


TOOL = ToolSpec("bash", "shell", description("bash"), Args, plan)
