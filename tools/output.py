"""What a command printed, made ready for the model: decoded, without terminal codes, cut to head and tail."""

from __future__ import annotations

import re

from ..core.texts import decode

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


def cut_middle(text: str, max_bytes: int) -> str:
    """Return a text of about `max_bytes` bytes of UTF-8: its head and its tail, whole lines where there are any.

    A text that fits comes back unchanged; otherwise a line in between says how much is left out.
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
    note = f"[... {left_out:,} bytes left out here; filter with grep, head or tail to see them ...]"
    return f"{head}{border}{note}\n{tail}"
