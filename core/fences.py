"""Frames around text that was read, so that a model can tell data from its task."""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff"
    r"\ufff9-\ufffb\U000e0000-\U000e007f]"
)

_IN_QUOTES = str.maketrans({'"': "&quot;", "<": "&lt;", ">": "&gt;"})


def without_hidden(text: str) -> str:
    """Return the text without control characters and marks that nobody sees; line breaks and tabs stay."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub("", text)


def fenced(tag: str, text: str, name: str = "") -> str:
    """Return a text in a frame; a closing mark inside of it is defused and invisible characters are dropped.

    Args:
        name: which of several frames with this mark it is; "" = there is but one.
    """
    closing = re.compile(rf"<(\s*/\s*{re.escape(tag)})", re.IGNORECASE)
    body = closing.sub(r"&lt;\1", without_hidden(text)).strip("\n")
    shown = " ".join(without_hidden(name).split()).translate(_IN_QUOTES)
    mark = f'{tag} name="{shown}"' if shown else tag
    return f"<{mark}>\n{body}\n</{tag}>"
