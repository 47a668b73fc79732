"""What the model reads of a command that has ended. Used by effects.py."""

from __future__ import annotations

from ..core.effects import Command, ToolResult
from ..core.masking import SecretMask
from ..core.ports import Blobs, CommandOutcome
from .output import FILTER, OutputLimit, printed_text


def command_result(
    command: Command, outcome: CommandOutcome, limit: OutputLimit, secrets: SecretMask, blobs: Blobs
) -> ToolResult:
    """Return the result: how the command ended and what it printed, cut to the limit; the whole goes to the blobs."""
    whole = secrets.mask(printed_text(outcome.output))
    kept = ""
    if len(whole.encode("utf-8", errors="replace")) > limit.bytes:
        kept = blobs.put(outcome.output)
    shown = limit.cut(whole, kept, FILTER)
    if not outcome.ended:
        status = "This was cut short and not run again. Check what it has done.\n"
    elif outcome.timed_out:
        status = f"timed out after {command.timeout_s:g} s\n"
    else:
        status = f"exit code {outcome.exit_code}\n" if outcome.exit_code else ""
    return ToolResult(
        text=status + (shown.rstrip("\n") or "(no output)"),
        failed=not outcome.ended or outcome.timed_out or outcome.exit_code != 0,
        exit_code=outcome.exit_code if outcome.ended else None,
        full_output=kept,
    )
