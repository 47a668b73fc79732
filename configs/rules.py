"""Rules of the shell policy as settings and graph files write them: `"bash(npm run test:*)" = "allow"`.

Checked by the settings when they are read; matched by tools/shell_rules.py.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

RuleDecision = Literal["allow", "ask", "deny"]

_FORM = re.compile(r"([a-z_]+)(?:\((.*)\))?", re.DOTALL)
_HOW = 'write it as "bash(npm run test:*)"'


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        words: program and arguments that a simple command begins with; () = every command.
        open: True when further words may follow (":*"); False = exactly these words.
        text: as written.
    """

    decision: RuleDecision
    words: tuple[str, ...]
    open: bool
    text: str


def parse_rule(text: str, decision: RuleDecision) -> Rule:
    """Return a rule from its text.

    `bash(npm run test:*)` is every command that begins with these words, `bash(make lint)` exactly this one,
    `bash(*)` or `bash` every command. Quotes are as in a shell.

    Raises:
        ValueError: it is written in another way; the message says how.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None or found.group(1) != "bash":
        raise ValueError(f"{text!r} is not a rule; {_HOW}")
    pattern = found.group(2)
    if pattern is None or pattern.strip() in ("*", ":*"):
        return Rule(decision, (), True, text)
    stem = re.sub(r"(?::\*|\s\*)$", "", pattern.strip())
    try:
        words = tuple(shlex.split(stem))
    except ValueError as err:
        raise ValueError(f"{text!r}: a quote is not closed") from err
    if not words:
        raise ValueError(f"{text!r} names no command; {_HOW}")
    if any("*" in word for word in words):
        raise ValueError(f"{text!r}: a * may only stand at the end; {_HOW}")
    if re.search(r"[;&|<>`$\n]", re.sub(r"'[^']*'", "", stem)):
        raise ValueError(f"{text!r}: a rule is one simple command without ; & | < > ` or $; {_HOW}")
    return Rule(decision, words, stem != pattern.strip(), text)


def parse_rules(settings: Mapping[str, RuleDecision]) -> tuple[Rule, ...]:
    """Return the rules of a [permissions] table.

    Raises:
        ValueError: as `parse_rule`.
    """
    return tuple(parse_rule(text, decision) for text, decision in settings.items())


def rule_text(prefix: str) -> str:
    """Return the rule that "always" adds for a prefix."""
    return f"bash({prefix}:*)"
