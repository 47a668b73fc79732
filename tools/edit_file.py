"""edit_file: replace one quoted piece of a file; encoding, byte order mark, line ends and mode stay."""

from __future__ import annotations

import hashlib

from ..core.effects import Effect, FileWrite
from ..core.errors import ToolError
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .edit_text import EditError, apply_edit
from .near import did_you_mean, near_files
from .paths import read_inside, resolve_for_write
from .prompt_text import description
from .text_files import editable

MAX_BYTES = 10_000_000


class Args(ToolArgs):
    path: str
    old_text: str
    new_text: str


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the write of the edited file.

    Raises:
        ToolError: the file can not be edited, or `old_text` does not name exactly one place.
    """
    _, relative = resolve_for_write(ctx.workspace, args.path)
    data = read_inside(ctx.workspace, relative, MAX_BYTES)
    if data is None:
        near = did_you_mean(near_files(ctx.workspace, relative))
        raise ToolError(f"there is no file {args.path!r}.{near} Use write_file to create one.")
    file = editable(data, args.path)
    edit = apply_edit(file.text, args.old_text, args.new_text)
    if isinstance(edit, EditError):
        raise ToolError(f"{relative} was not changed: {edit.message}")
    summary = f"Edited {relative} at line {edit.line}: {edit.removed} lines replaced by {edit.added}."
    return FileWrite(relative, hashlib.sha256(data).hexdigest(), file.encode(edit.text), summary)


TOOL = ToolSpec("edit_file", "edit", description("edit_file"), Args, plan)
