"""What a command printed and what any tool says, made ready for the model.

Output is decoded, without terminal codes; a result that is too long is cut to its head and tail, and the whole of it
kept under a name that read_file takes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..core.effects import ToolResult
from ..core.ports import Blobs
from ..core.texts import decode
from ..core.tool import OUTPUT_ID

FILTER = "filter with grep, head or tail to see them"
_OUTPUT_PREFIX = "output:"
_SLACK_BYTES = 512
"""What a tool that keeps to the limit itself may say on top of it."""

# CSI and OSC sequences, then any other escape with its letter.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printed_text(output: bytes) -> str:
    """Return a command's output as a person would see it: lines drawn over and colours are gone."""
    text = _ESCAPES.sub("", _decoded(output))
    # A progress bar draws over its line by carriage returns: only the last drawing stays.
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _CONTROLS.sub("", "\n".join(lines))


def _decoded(output: bytes) -> str:
    text = output.decode("utf-8", errors="replace")
    # A few broken characters are a cut in the middle of UTF-8; many are another encoding.
    if text.count("\ufffd") * 100 <= len(text) or b"\0" in output:
        return text
    file = decode(output)
    return text if file is None else file.text


def cut_front(text: str, max_bytes: int) -> str:
    """Return the end of a text, about `max_bytes` bytes of UTF-8 and whole lines where there are any.

    A text that fits comes back unchanged; otherwise a line in front says how much is left out.
    """
    data = text.encode("utf-8", errors="replace")
    if len(data) <= max_bytes:
        return text
    tail = data[len(data) - max_bytes :].decode("utf-8", errors="ignore")
    if 0 <= (start := tail.find("\n")) < len(tail) // 2:
        tail = tail[start + 1 :]
    return f"[... {len(data) - len(tail.encode()):,} bytes left out here ...]\n{tail}"


def cut_middle(text: str, max_bytes: int, hint: str = FILTER) -> str:
    """Return a text of about `max_bytes` bytes of UTF-8: its head and its tail, whole lines where there are any.

    A text that fits comes back unchanged; otherwise a line in between says how much is left out.

    Args:
        hint: how the rest is had; "" = the line says nothing of it.
    """
    data = text.encode("utf-8", errors="replace")
    if len(data) <= max_bytes:
        return text
    half = max_bytes // 2
    head = data[:half].decode("utf-8", errors="ignore")
    tail = data[len(data) - half :].decode("utf-8", errors="ignore")
    # A cut inside a line is moved to the line's border unless that would cost more than half of what is shown.
    if (end := head.rfind("\n")) >= len(head) // 2:
        head = head[: end + 1]
    if 0 <= (start := tail.find("\n")) < len(tail) // 2:
        tail = tail[start + 1 :]
    left_out = len(data) - len(head.encode()) - len(tail.encode())
    border = "" if head.endswith("\n") or not head else "\n"
    note = f"[... {left_out:,} bytes left out here{'; ' if hint else ''}{hint} ...]"
    return f"{head}{border}{note}\n{tail}"


def leading_lines(lines: Sequence[str], max_bytes: int) -> list[str]:
    """Return the first lines that have about `max_bytes` bytes together, at least one where there are any."""
    left = max_bytes
    for at, line in enumerate(lines):
        left -= len(line.encode("utf-8", errors="replace")) + 1
        if left < 0:
            return list(lines[: max(at, 1)])
    return list(lines)


@dataclass(frozen=True, slots=True)
class OutputLimit:
    """How much of a result a model reads, and where it finds the rest.

    Attributes:
        bytes: of UTF-8; what says that something is left out comes on top.
        reader: what reads a kept output, as "read_file, path"; "" = the model has nothing that does.
    """

    bytes: int
    reader: str = ""

    def cut(self, text: str, output: str, hint: str = "") -> str:
        """Return the text cut to its head and tail; one that fits comes back unchanged.

        Args:
            output: blob id under which the whole is kept.
            hint: another way to have the rest.
        """
        kept = f"all of it: {self.reader} {output_name(output)!r}" if self.reader else ""
        return cut_middle(text, self.bytes, ", or ".join(filter(None, (hint, kept))))


def output_name(output: str) -> str:
    """Return the path by which a model reads a kept output."""
    return f"{_OUTPUT_PREFIX}{output[:OUTPUT_ID]}"


def output_id(path: str) -> str:
    """Return the short id in the path of a kept output; "" = it is no such path."""
    return path.removeprefix(_OUTPUT_PREFIX) if path.startswith(_OUTPUT_PREFIX) else ""


def fitted(result: ToolResult, limit: OutputLimit, blobs: Blobs) -> ToolResult:
    """Return a result that fits; what is left out of a longer one is kept, and its lines do not count as shown."""
    data = result.text.encode("utf-8", errors="replace")
    if len(data) <= limit.bytes + _SLACK_BYTES:
        return result
    output = blobs.put(data)
    return replace(result, text=limit.cut(result.text, output), full_output=output, spans={})
