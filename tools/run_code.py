"""run_code: a snippet of Python, JavaScript or shell in the workspace, confined as every command is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from ..core.effects import Command, Effect
from ..core.errors import ToolError
from ..core.tool import ToolContext, ToolSpec
from . import bash
from .args import ToolArgs
from .prompt_text import description

MAX_CHARS = 100_000
"""Linux takes one argument of up to 128 KiB; a longer snippet belongs into a file."""


class Args(ToolArgs):
    language: Literal["python", "node", "bash"]
    code: str = Field(min_length=1)
    timeout_ms: int = Field(default=bash.DEFAULT_TIMEOUT_MS, ge=1, le=bash.MAX_TIMEOUT_MS)


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the command that runs the snippet; nothing is written for it.

    Raises:
        ToolError: it is empty, too long, or holds a NUL.
    """
    if args.language == "bash":
        return bash.plan(bash.Args(command=args.code, timeout_ms=args.timeout_ms), ctx)
    if not args.code.strip() or "\0" in args.code:
        raise ToolError("the code is empty or holds a NUL character.")
    if len(args.code.encode(errors="replace")) > MAX_CHARS:
        raise ToolError(f"the code is longer than {MAX_CHARS:,} bytes. Write it to a file and run that.")
    program = (_python(ctx.workspace), "-c") if args.language == "python" else ("node", "-e")
    return Command((*program, args.code), args.timeout_ms / 1000)


def _python(workspace: Path) -> str:
    """Return the interpreter of the project's own environment, where its packages are, else the one on PATH."""
    own = workspace / ".venv" / "bin" / "python"
    return str(own) if own.is_file() else "python3"


TOOL = ToolSpec("run_code", "shell", description("run_code"), Args, plan)
