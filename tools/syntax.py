"""Syntax errors that an edit puts into a file, told to the model with the result of the edit."""

from __future__ import annotations

from ..retrieval.languages import language_of
from ..retrieval.syntax_errors import syntax_errors

MAX_CHARS = 1_000_000
"""Longer texts are not parsed: it would take over a second."""
MAX_SHOWN = 3


def new_errors(path: str, before: str, after: str) -> str:
    """Return a sentence about the errors that only the new text has; "" = none, or no language that is known.

    A text that had errors before may be in a dialect that the parser does not know; then only a larger number counts.
    """
    language = language_of(path, after)
    if not language or max(len(before), len(after)) > MAX_CHARS:
        return ""
    now = syntax_errors(language, after)
    if not now:
        return ""
    earlier = {error.text for error in syntax_errors(language, before)} if before else set()
    fresh = [error for error in now if error.text not in earlier]
    if not fresh or (earlier and len(now) <= len(earlier)):
        return ""
    lines = "\n".join(f"{error.line}|{error.text}" for error in fresh[:MAX_SHOWN])
    more = f"\n(and {len(fresh) - MAX_SHOWN} more)" if len(fresh) > MAX_SHOWN else ""
    return f"Check this: {language} can not parse it now, near\n{lines}{more}"
