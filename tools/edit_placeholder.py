"""Ellipses in edits: lines such as "# ... rest of the code ..." that stand for code and are not code.

Called by edit_text.py. The same mark in both texts means "what stands here stays"; in the replacement alone it would
delete what it stands for, so that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

_OPEN = r"(?:#+|//+|--+|;+|%+|/\*+|<!--|\{/\*|\*|\"\"\"|\'\'\'|\(\*|REM\b|\.\.(?=\s))"
_CLOSE = r"(?:\*+/\}?|-->|\"\"\"|\'\'\'|\*\))"
_COMMENT = re.compile(rf"{_OPEN}(?P<said>.*?){_CLOSE}?\Z")
# The mark may stand in brackets: [...], <...>, {{ ... }}.
_BRACKETED = re.compile(r"[\[<({]{1,2}(?P<said>.*?)[\])>}]{1,2}\Z")
_DOTS = re.compile(r"\.\.\.+|…+")
_KEY_WORDS = """
rest remaining remainder remains remain existing exists unchanged same previous original omitted truncated elided
snip snipped unmodified before untouched
"""
_FILLING_WORDS = """
the a an of this that your our all any other others more code codes file files function functions method methods
class classes implementation implementations module script body block content contents logic line lines import
imports field fields test tests case cases definition definitions here goes go follows follow stays stay is are be as
and above below after for brevity clarity else everything nothing no not change changes changed keep kept leave left
part parts section sections etc continues continue with in to it its stuff things statements declarations properties
"""
_KEYS = frozenset(_KEY_WORDS.split())
"""What says that code is left out. One of them is enough where dots stand beside it."""
_FILLERS = frozenset(_FILLING_WORDS.split())
"""Words that a placeholder may have besides; a comment that says anything else is a comment."""
# The same said in several words, each of which stands in ordinary comments too.
_UNCHANGED = re.compile(
    r"\b(?:no|not|nothing|without)\b(?: \w+){0,2}? chang(?:e|es|ed)\b|\bas (?:it )?(?:is|was|are|were)\b"
    r"|\b(?:keep|leave|stays?|goes) (?:\w+ ){0,3}?(?:here|alone|as)\b"
)
_JAPANESE = re.compile(r"省略|既存の|残りの|以下同様|変更なし|変更無し|そのまま|中略|後略|前略|以下略|同じ")
_BLOCK_OPENER = re.compile(
    r"(?:(?:async\s+)?(?:def|class|if|elif|else|for|while|with|try|except|finally|match|case)\b|\)).*:(?:\s*#.*)?\Z"
    r"|.*(?:\"\"\"|''')\Z"
)
_FRAME = " .,;:!()[]{}<>/*#-=~\"'"
_SIGNS = re.compile(r"[=(){}\[\];$@&|+<>\\\d]")
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")


def is_elision(line: str) -> bool:
    """Tell whether a line stands for code that is left out: dots alone, or a remark that says so and nothing else."""
    stripped = line.strip()
    comment = _COMMENT.match(stripped) or _BRACKETED.match(stripped)
    said = (comment.group("said") if comment else stripped).strip()
    inner = _DOTS.sub("", said).strip(_FRAME)
    words = [word.lower() for word in _WORD.findall(said)]
    dots = _DOTS.search(said)
    if dots and not inner:
        return True
    if comment is None and not (said.startswith(("... ", "… ", "…")) and said.endswith(("...", "…"))):
        return False
    if _JAPANESE.search(said):
        return bool(dots) or len(said) <= 20
    keyed = any(word in _KEYS for word in words) or bool(_UNCHANGED.search(" ".join(words)))
    only_fillers = all(word in _KEYS or word in _FILLERS for word in words)
    # Besides these words a placeholder has dots or nothing: figures and signs are code that is commented out.
    bare = not _SIGNS.search(inner)
    if dots:
        return (only_fillers and bool(words)) or (keyed and bare and len(words) <= 8)
    return keyed and bare and only_fillers


def placeholder_in(new: Sequence[str], old: Sequence[str], known: Container[str]) -> str:
    """Return the first line of the replacement that only stands for code; "" = none does.

    Args:
        known: stripped lines of the file; a remark that stands in it is one of its own.
    """
    quoted = {line.strip() for line in old}
    for number, line in enumerate(new):
        stripped = line.strip()
        if not stripped or stripped in quoted or not is_elision(line):
            continue
        if not _DOTS.search(stripped) and (stripped in known or _goes_on(new, number)):
            continue
        if stripped == "..." and _is_whole_body(new, number):
            continue
        return stripped
    return ""


def _goes_on(lines: Sequence[str], number: int) -> bool:
    """Tell whether a remark of one word is a part of the comment above or below it."""
    beside = [line for line in (*lines[max(0, number - 1) : number], *lines[number + 1 : number + 2]) if line.strip()]
    if len(_WORD.findall(lines[number])) != 1 or re.search(r"[\[({<]", lines[number]):
        return False
    return any(_COMMENT.match(line.strip()) for line in beside)


def _is_whole_body(lines: Sequence[str], number: int) -> bool:
    """Tell whether dots are the only statement of a Python block, as in a stub or a protocol."""
    before = [line.strip() for line in lines[:number] if line.strip() and not line.lstrip().startswith("#")]
    if not before or not _BLOCK_OPENER.match(before[-1]):
        return False
    after = [line for line in lines[number + 1 :] if line.strip()]
    depth = len(lines[number]) - len(lines[number].lstrip())
    return not after or len(after[0]) - len(after[0].lstrip()) < depth


def parts_between(lines: Sequence[str]) -> list[list[str]]:
    """Return the lines between elisions, in order; a single part = there is none."""
    parts: list[list[str]] = [[]]
    for line in lines:
        if is_elision(line):
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def elisions(lines: Sequence[str]) -> list[str]:
    """Return the lines that are elisions, stripped, in order."""
    return [line.strip() for line in lines if is_elision(line)]
