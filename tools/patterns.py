"""File name patterns as people write them, turned into regular expressions over workspace-relative paths.

Called by glob and by grep's `include`.
"""

from __future__ import annotations

import re

from ..core.errors import ToolError

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[[!^]?\]?[^\]/]*\]|\\.|.", re.DOTALL)
_FIXED = {"**/": r"(?:[^/]+/)*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
_BRACES = {"{": "(?:", "}": ")", ",": "|"}


def glob_regex(pattern: str) -> re.Pattern[str]:
    """Return the expression that a path must match as a whole.

    `*` and `?` stay within a name, `**` crosses folders, `[ab]` and `{a,b}` are alternatives. A pattern without "/"
    is looked for at every depth; one that ends in "/" means everything below.

    Raises:
        ToolError: a brace is not closed, or a bracket holds a range the wrong way round.
    """
    cleaned = pattern.removeprefix("./").lstrip("/")
    prefix = "" if "/" in cleaned.rstrip("/") else r"(?:.*/)?"
    cleaned = cleaned + "**" if cleaned.endswith("/") else cleaned
    try:
        return re.compile(prefix + _translated(cleaned), re.DOTALL)
    except re.error as err:
        raise ToolError(f"{pattern!r} is not a file name pattern: {err}. Example: src/**/*.py") from err


def _translated(pattern: str) -> str:
    depth = 0
    out: list[str] = []
    for token in _TOKEN.findall(pattern):
        depth += token == "{"
        if token in _BRACES and depth:
            out.append(_BRACES[token])
            depth -= token == "}"
        else:
            out.append(_FIXED.get(token) or _name_token(token))
    return "".join(out)


def _name_token(token: str) -> str:
    """Return the expression of one character of a name, of a set like [ab], or of a character after a backslash."""
    if len(token) > 2 and token.startswith("["):
        negated = token[1] in "!^"
        inner = re.sub(r"([\\\[\]&|~^])", r"\\\1", token[2 if negated else 1 : -1])
        return f"[^/{inner}]" if negated else f"[{inner}]"
    return re.escape(token[1] if len(token) == 2 and token[0] == "\\" else token)
