"""From the edits of one call to the write of one file: all of them or none, on content that the model has seen.

Called by the tools that change a part of a file (edit_file, multi_edit, apply_patch).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..core.effects import Effect, FileWrite, Nothing, Review, ToolResult
from ..core.errors import ToolError
from ..core.texts import FileText
from ..core.tool import ToolContext
from .edit_text import OWN_WORDS, EditError, EditResult, EditWords, Stage, apply_edit
from .masked import restored
from .near import did_you_mean, near_files
from .paths import read_inside, resolve_for_write
from .region_diff import text_diff
from .seen import MAX_BYTES, note_seen, standing
from .syntax import new_errors
from .text_files import editable
from .three_way import merge

MAX_DIFF_LINES = 60
"""Lines of a diff that the model is shown after an edit."""
MAX_REWRITTEN_LINES = 200
"""Files up to this length are offered to write_file when an edit of them is refused."""

_SURE_STAGES: frozenset[Stage] = frozenset({"exact", "unwrapped", "trailing", "indentation"})
"""Stages that may find a place in a file that changed since it was shown."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One quoted text and what takes its place; `near_line` as for apply_edit."""

    old: str
    new: str
    near_line: int | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """All edits of a call applied to a text.

    Attributes:
        results: one an edit, in their order; each diff speaks of the text that the edit before left.
        overlaps: what somebody else changed at the same lines, all versions; "" = nothing.
    """

    text: str
    results: tuple[EditResult, ...]
    overlaps: str = ""

    @property
    def review(self) -> Review:
        if self.overlaps:
            return "conflict"
        return "inexact" if any(result.stage == "fuzzy" for result in self.results) else ""


def plan_edits(path: str, edits: Sequence[Edit], ctx: ToolContext, tool: str) -> Effect:
    """Return the write of the edited file; a file that was not shown yet is shown in place of being changed.

    Args:
        tool: the one that plans it, for the messages.

    Raises:
        ToolError: the file can not be edited, or an edit does not name exactly one place; nothing is changed then.
    """
    words = _words(tool, ctx)
    _, relative = resolve_for_write(ctx.workspace, path)
    data = read_inside(ctx.workspace, relative, MAX_BYTES)
    if data is None:
        near = did_you_mean(near_files(ctx.workspace, relative))
        raise ToolError(f"there is no file {path!r}.{near} Use {words.write_file} to create one.")
    file = editable(data, path)
    known = standing(ctx, relative, data)
    quoted, edits = edits, _with_secrets(edits, relative, file, known.shown, ctx)
    if known.kind == "changed" and known.shown is not None:
        made = _made_on_change(known.shown.text, file.text, edits, words)
    else:
        made = apply_all(file.text, edits, words)
    if isinstance(made, EditError):
        made = _told(made, quoted, file, relative, ctx, words)
    if known.kind != "seen" and known.shown is None:
        # What shows no line of the file does not count as having shown it.
        seen = note_seen(ctx, relative, data) if isinstance(made, Made) or made.lines else {}
        return Nothing(ToolResult(_shown_instead(relative, known.kind, made), failed=True, seen=seen))
    if isinstance(made, EditError):
        raise ToolError(_refusal(relative, made, file, words))
    return _write(relative, data, file, made)


def _with_secrets(
    edits: Sequence[Edit], path: str, file: FileText, shown: FileText | None, ctx: ToolContext
) -> list[Edit]:
    """Return the edits with the file's own secrets in place of their placeholders."""
    contents = [each.text for each in (file, shown) if each is not None]
    for content in contents:
        ctx.secrets.learn(content, path)
    return [
        replace(
            edit,
            old=restored(edit.old, path, ctx.secrets, *contents),
            new=restored(edit.new, path, ctx.secrets, *contents),
        )
        for edit in edits
    ]


def _words(tool: str, ctx: ToolContext) -> EditWords:
    old_text, new_text, near_line = (ctx.names.argument(tool, name) for name in EditWords._fields[:3])
    return EditWords(old_text, new_text, near_line, ctx.names.tool("write_file"))


def _told(
    error: EditError, quoted: Sequence[Edit], file: FileText, path: str, ctx: ToolContext, words: EditWords
) -> EditError:
    """Return the refusal of the edits as the model wrote them, on the file as it was shown: a word diff with the file
    itself could tell a secret in pieces that nobody knows any more."""
    shown = ctx.secrets.mask(file.text, path)
    again = apply_all(shown, quoted, words) if shown != file.text else error
    return again if isinstance(again, EditError) else replace(error, message=ctx.secrets.mask(error.message))


def apply_all(text: str, edits: Sequence[Edit], words: EditWords = OWN_WORDS) -> Made | EditError:
    """Return the text with all edits applied one after the other, or the refusal of the first that can not be."""
    results: list[EditResult] = []
    for number, edit in enumerate(edits, 1):
        result = apply_edit(text, edit.old, edit.new, edit.near_line, words)
        if isinstance(result, EditError):
            before = f"edit {number} of {len(edits)}: " if len(edits) > 1 else ""
            return replace(result, message=before + result.message)
        text = result.text
        results.append(result)
    return Made(text, tuple(results))


def _made_on_change(shown: str, now: str, edits: Sequence[Edit], words: EditWords) -> Made | EditError:
    """Apply edits that were made for `shown` to what stands in the file now."""
    made = apply_all(shown, edits, words)
    direct = apply_all(now, edits, words)
    is_sure = isinstance(direct, Made) and all(result.stage in _SURE_STAGES for result in direct.results)
    if isinstance(made, EditError):
        # Quoted from elsewhere, perhaps from a command that printed the newest text.
        return direct if is_sure or isinstance(direct, EditError) else made
    merged = merge(shown, now, made.text)
    if not merged.overlaps:
        return replace(made, text=merged.text)
    return direct if is_sure else replace(made, text=merged.text, overlaps=merged.overlaps)


def _write(relative: str, data: bytes, file: FileText, made: Made) -> Effect:
    note = made.overlaps
    if not note and made.review == "inexact":
        note = "The quoted text is not in the file as it stands; this place is most like it."
    return FileWrite(
        path=relative,
        pre_sha=hashlib.sha256(data).hexdigest(),
        post=file.encode(made.text),
        summary=_summary(relative, file.text, made),
        review=made.review,
        note=note,
    )


def _summary(relative: str, before: str, made: Made) -> str:
    """Return what the model reads once it is written: the region as it is now, and what is wrong with it."""
    stages = sorted({result.stage for result in made.results} - {"exact"})
    how = f" (found by: {', '.join(stages)})" if stages else ""
    is_one = len(made.results) == 1 and made.results[0].text == made.text
    diff = made.results[0].diff if is_one else text_diff(before, made.text)
    lines = diff.split("\n")
    if len(lines) > MAX_DIFF_LINES:
        left_out = len(lines) - MAX_DIFF_LINES
        diff = "\n".join([*lines[:MAX_DIFF_LINES], f"[{left_out} more lines of this diff left out]"])
    parts = [f"Edited {relative}{how}:\n{diff}", new_errors(relative, before, made.text)]
    return "\n".join(part for part in parts if part)


def _shown_instead(relative: str, kind: str, made: Made | EditError) -> str:
    why = "You have not read it yet" if kind == "unseen" else "It changed since you saw it"
    if isinstance(made, EditError):
        return f"{relative} was not changed. {why}, and {made.message[:1].lower()}{made.message[1:]}"
    diff = "\n".join(result.diff for result in made.results)
    return (
        f"{relative} was not changed. {why}. This is what your edit would do:\n{diff}\n"
        "If that is right, send the same call again; otherwise read the file first."
    )


def _refusal(relative: str, error: EditError, file: FileText, words: EditWords) -> str:
    text = f"{relative} was not changed: {error.message}"
    lines = file.text.count("\n") + 1
    if error.reason in ("not_found", "ambiguous") and lines <= MAX_REWRITTEN_LINES:
        text += f"\nThe file has {lines} lines; after a second failure replace all of it with {words.write_file}."
    return text
