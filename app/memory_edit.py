"""A person's own edit of a memory file: what the file is before the editor opens it, and what it came to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..configs.dirs import write_private
from ..configs.memory import HEADERS, EditableLayer, memory_path
from ..configs.project_files import link_target, read_project_file
from ..core.errors import FlowError, UsageError
from ..tools.paths import replace_file
from .context import AppContext

EditOutcome = Literal["unchanged", "written", "untrusted", "removed"]
"""written: and trusted, where that is needed; untrusted: it was not trusted before and is not now."""


@dataclass(slots=True)
class MemoryEdit:
    """An edit that is going on. `outcome` is known once the editor has ended."""

    path: Path
    layer: EditableLayer
    outcome: EditOutcome = "unchanged"


@contextmanager
def editing(context: AppContext, layer: EditableLayer) -> Iterator[MemoryEdit]:
    """Hold a memory file that a person edits in between, made with its header where there is none.

    What a person changed in a file that was trusted, or not there, is trusted as it is then. A file that was there
    and not trusted may hold more than what they changed, so that stays open. A new file is removed again when nothing
    was written into it.

    Raises:
        UsageError: there is no such file to be edited: no folder, a link, or no regular file.
        FlowError: it cannot be written.
    """
    path = _path(context, layer)
    before = _content(path)
    was_trusted = before is None or layer == "user" or context.trust.covers(path, before)
    edit = MemoryEdit(path, layer)
    if before is None:
        _create(context, edit)
    try:
        yield edit
    finally:
        if before is None and _content(path) == HEADERS[layer].encode():
            path.unlink()
    after = _content(path)
    if after == before:
        return
    if after is None:
        edit.outcome = "removed"
    elif not was_trusted:
        edit.outcome = "untrusted"
    else:
        edit.outcome = "written"
        if layer != "user":
            context.trust.trust_content(path, after)


def _path(context: AppContext, layer: EditableLayer) -> Path:
    user_dir = context.settings.memory.user_dir
    if layer == "user" and not user_dir:
        raise UsageError("There is no folder for your own memory.", hint="Set memory.user_dir in your settings.")
    path = memory_path(layer, context.workspace, user_dir)
    if layer == "user":
        if Path(os.path.realpath(path)).is_relative_to(context.workspace):
            raise UsageError(
                f"{str(path)!r} lies in the workspace and so is no memory of your own.",
                hint="Set memory.user_dir to a folder outside.",
            )
        return path
    if target := link_target(path, context.workspace):
        raise UsageError(f"{str(path)!r} is a link to {str(target)!r}.", hint="Edit that file itself.")
    return path


def _content(path: Path) -> bytes | None:
    try:
        return read_project_file(path)
    except FileNotFoundError:
        return None
    except OSError as err:
        raise UsageError(
            f"{str(path)!r} cannot be used: {err.strerror or err}.", hint="Move it away or mend it."
        ) from err


def _create(context: AppContext, edit: MemoryEdit) -> None:
    header = HEADERS[edit.layer].encode()
    if edit.layer == "user":
        write_private(edit.path, header)
        return
    try:
        replace_file(context.workspace, edit.path.relative_to(context.workspace).as_posix(), header)
    except OSError as err:
        raise FlowError(f"{str(edit.path)!r} cannot be written: {err.strerror}.") from err
