"""What `@git-changes`, `@problems`, `@terminal` and `@docs:` give: of the checkout, the run before, the documents."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from ..context.blocks import hits_text
from ..core.effects import ToolResult
from ..core.errors import FlowError, ToolError
from ..core.masking import SecretMask
from ..core.ports import Blobs, Changes, Retriever
from ..core.texts import decode
from ..retrieval.files import Denials
from ..retrieval.languages import language_of
from ..retrieval.syntax_errors import syntax_errors
from ..runs.changes import RunChanges
from ..runs.git import GitFolder
from ..runs.journal import RunJournal
from ..runs.store import RunRow, RunStore
from ..tools.output import cut_middle
from ..tools.paths import read_inside
from ..tools.syntax import MAX_SHOWN
from .mentioned_files import Found
from .secrets import MaskedChanges

MAX_BYTES = 64_000
"""Of one text: about 20,000 tokens, more than any budget for mentions gives."""
MAX_CHECKED = 50
"""Changed files that are looked through for syntax errors."""
MAX_CHECKED_BYTES = 200_000
DOCS_TOKENS = 2_000

_COMMANDS = """
SELECT effect, result FROM tool_call WHERE run_id = ? AND kind = 'command' AND state = 'done'
ORDER BY began_at DESC, rowid DESC LIMIT 50
"""


def git_changes(workspace: Path, journal: RunJournal, blobs: Blobs, mask: SecretMask) -> Found | str:
    """Return the difference between the last commit and the files as they are, new files among them."""
    name = "@git-changes"
    head = GitFolder(workspace).head()
    changes: Changes = MaskedChanges(RunChanges(workspace, {"head": head}, journal, blobs), mask, workspace)
    files, left_out = _allowed(workspace, changes.files())
    if not files:
        return f"nothing differs from the last commit{left_out}."
    return Found(name, cut_middle(f"{changes.diff(files)}{left_out}", MAX_BYTES))


def _allowed(workspace: Path, files: list[str]) -> tuple[list[str], str]:
    denials = Denials(workspace)
    allowed = [path for path in files if not denials.denied_by(path)]
    denied = len(files) - len(allowed)
    return allowed, f" ({denied} changed files left out, denied by an ignore file)" if denied else ""


def run_before(store: RunStore, row: RunRow) -> RunRow | None:
    """Return the newest run of the same workspace that began before this one; None = this is the first."""
    rows = store.list_runs(row.workspace, 200)
    return next((each for each in rows if each.created_at < row.created_at and each.id != row.id), None)


def last_terminal(store: RunStore, before: RunRow | None) -> Found | str:
    """Return the last command of the run before, with what it printed."""
    if before is None:
        return "no run of this workspace came before."
    commands = _commands(store, before.id)
    if not commands:
        return f"run {before.id} ran no command."
    effect, result = commands[0]
    return Found("@terminal", _command_text(effect, result), keep_end=True)


def last_problems(store: RunStore, before: RunRow | None, workspace: Path, mask: SecretMask) -> Found | str:
    """Return what the last check or verification of the run before printed, if it failed, and the syntax errors of
    the files that differ from the last commit."""
    parts = []
    if before is not None:
        checks = [(effect, result) for effect, result in _commands(store, before.id) if effect.get("by_graph")]
        if checks and checks[0][1].failed:
            parts.append(_command_text(*checks[0]))
    parts += _syntax_problems(workspace, mask)
    if not parts:
        return "no problems are known: no check of the run before failed, and changed files parse."
    return Found("@problems", cut_middle("\n\n".join(parts), MAX_BYTES), keep_end=True)


def _commands(store: RunStore, run_id: str) -> list[tuple[dict[str, Any], ToolResult]]:
    """Return the finished commands of a run with their results, the last first; secrets in them are masked."""
    rows = store.query(_COMMANDS, (run_id,))
    return [(json.loads(row["effect"]), ToolResult.from_dict(json.loads(row["result"]))) for row in rows]


def _command_text(effect: dict[str, Any], result: ToolResult) -> str:
    argv = list(effect["argv"])
    line = argv[2] if argv[:2] == ["bash", "-c"] and len(argv) == 3 else shlex.join(argv)
    return f"$ {line}\n{cut_middle(result.text, MAX_BYTES)}"


def _syntax_problems(workspace: Path, mask: SecretMask) -> list[str]:
    files, _ = _allowed(workspace, GitFolder(workspace).dirty())
    found = []
    for path in [path for path in files if language_of(path)][:MAX_CHECKED]:
        text = _text(workspace, path)
        faults = syntax_errors(language_of(path, text), text) if text else []
        lines = [f"{path}:{fault.line}: cannot be parsed: {fault.text}" for fault in faults[:MAX_SHOWN]]
        if lines:
            found.append(mask.mask("\n".join(lines), path))
    return found


def _text(workspace: Path, path: str) -> str:
    """Return a file's text; "" = it is gone, too large, or no text."""
    try:
        file = decode(read_inside(workspace, path, MAX_CHECKED_BYTES) or b"")
    except (OSError, ToolError):
        return ""
    return "" if file is None else file.text


def documents(retriever: Retriever, query: str) -> Found | str:
    """Return the passages of documents that a query finds."""
    try:
        hits = retriever.retrieve(query, DOCS_TOKENS, ("docs",))
    except FlowError as err:
        return err.message
    return Found(f"@docs:{query}", hits_text(hits)) if hits else "no documents are indexed that it would find."
