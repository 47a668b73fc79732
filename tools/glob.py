"""glob: the files whose path matches a pattern."""

from __future__ import annotations

from pydantic import Field

from ..core.effects import Effect, Nothing, ToolResult
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .listing import files_under
from .output import leading_lines
from .patterns import glob_regex
from .prompt_text import description

MAX_FILES = 200


class Args(ToolArgs):
    pattern: str = Field(min_length=1)
    path: str = "."


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the matching files, relative to the workspace and sorted.

    Raises:
        ToolError: no such folder, or not a pattern.
    """
    wanted = glob_regex(args.pattern)
    folder, files = files_under(ctx.workspace, args.path)
    prefix = "" if folder == "." else folder + "/"
    # A pattern may be meant from the folder or, as models often write it, from the workspace.
    found = [file for file in files if wanted.fullmatch(file.removeprefix(prefix)) or wanted.fullmatch(file)]
    if not found:
        text = f"No file matches {args.pattern!r} in {folder!r} ({len(files):,} files; ignored ones are left out)."
        return Nothing(ToolResult(text))
    lines = leading_lines(found[:MAX_FILES], ctx.output_bytes)
    if len(found) > len(lines):
        lines.append(f"(the first {len(lines)} of {len(found):,} files; use a narrower pattern for the others)")
    return Nothing(ToolResult("\n".join(lines)))


TOOL = ToolSpec("glob", "read", description("glob"), Args, plan, together=True)
