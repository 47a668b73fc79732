"""What the model reads of a command that has ended. Used by effects.py."""

from __future__ import annotations

from ..core.effects import Command, ToolResult
from ..core.masking import SecretMask
from ..core.ports import Blobs, CommandOutcome
from .output import FILTER, OutputLimit, printed_text

_NO_OUTPUT = "(no output)"


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
        status = _exit_line(outcome.exit_code)
    return ToolResult(
        text=status + (shown.rstrip("\n") or _NO_OUTPUT),
        failed=not outcome.ended or outcome.timed_out or outcome.exit_code != 0,
        exit_code=outcome.exit_code if outcome.ended else None,
        full_output=kept,
    )


def printed(result: ToolResult, secrets: SecretMask, blobs: Blobs) -> str:
    """Return all that the command of a result printed, line breaks at its end left out; "" = nothing."""
    if result.full_output:
        return secrets.mask(printed_text(blobs.get(result.full_output))).rstrip("\n")
    shown = result.text.removeprefix(_exit_line(result.exit_code))
    return "" if shown == _NO_OUTPUT else shown


def _exit_line(exit_code: int | None) -> str:
    return f"exit code {exit_code}\n" if exit_code else ""
