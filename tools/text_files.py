"""What edits need to know of a file's text: whether it can be written back, and its line ends.

Called by the writing and editing tools.
"""

from __future__ import annotations

from ..core.errors import ToolError
from ..core.texts import FileText, decode


def editable(data: bytes, name: str) -> FileText:
    """Return the text of a file that is about to be changed.

    Raises:
        ToolError: binary, or an encoding whose text would not give the same bytes again.
    """
    file = decode(data)
    if file is None:
        raise ToolError(f"{name!r} is a binary file and can not be edited as text.")
    if file.encode(file.text) != data:
        raise ToolError(f"{name!r} ({file.encoding}) holds bytes that would change by an edit; use a shell command.")
    return file


def uses_crlf(text: str) -> bool:
    """Tell whether most lines end with CR LF."""
    crlf = text.count("\r\n")
    return crlf > text.count("\n") - crlf
