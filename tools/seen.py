"""What the model has been shown of files: an edit may rest only on content that it has seen.

Called by the reading, writing and editing tools. The conversation itself is the record: each message carries the
hashes of the files it shows, so what is dropped from the conversation counts as unseen again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ..core.texts import FileText, decode
from ..core.tool import ToolContext

MAX_BYTES = 10_000_000
"""Larger files are not edited, so what was shown of them is not kept."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a file stands to what the model was shown of it.

    Attributes:
        kind: "seen" = it is as shown, or nothing keeps track; "unseen" = it was never shown; "changed" = it is not
            as shown any more.
        shown: the text that was shown, for "changed"; None = it is not kept.
    """

    kind: str
    shown: FileText | None = None


def note_seen(ctx: ToolContext, path: str, data: bytes) -> dict[str, str]:
    """Return what a result says it shows of a file, and keep the bytes to compare a later edit with."""
    if ctx.seen is None or len(data) > MAX_BYTES:
        return {}
    return {path: ctx.blobs.put(data)}


def shows_lines(ctx: ToolContext, path: str, sha: str, first: int, last: int) -> bool:
    """Return whether the conversation shows all these lines of just this content, and nothing later of the file."""
    if ctx.seen is None or ctx.seen.get(path) != sha:
        return False
    wanted = first
    for start, end in sorted(ctx.shown.get(path, ())):
        if start > wanted:
            break
        wanted = max(wanted, end + 1)
    return wanted > last


def standing(ctx: ToolContext, path: str, data: bytes) -> Standing:
    """Return how the file's bytes of now stand to what was shown."""
    if ctx.seen is None:
        return Standing("seen")
    sha = ctx.seen.get(path)
    if sha is None:
        return Standing("unseen")
    if sha == hashlib.sha256(data).hexdigest():
        return Standing("seen")
    try:
        return Standing("changed", decode(ctx.blobs.get(sha)))
    except KeyError:  # shown as a passage of the index, whose whole file nobody kept
        return Standing("changed")
