"""Rules about commands as settings and graph files write them: `"bash(npm run test:*)" = "allow"`.

Checked where they are read, by the settings and by graphs/read_permissions.py; matched by tools/shell_rules.py.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, get_args

RuleDecision = Literal["allow", "ask", "deny"]
STRICTNESS: tuple[RuleDecision, ...] = ("allow", "ask", "deny")
"""Of several rules that fit a command the later one of these counts."""
RuleKind = Literal["bash", "network"]
"""What a rule is about: whether a command runs, or whether it has the network."""

_FORM = re.compile(r"([a-z_]+)(?:\((.*)\))?", re.DOTALL)
_HOW = 'write it as "bash(npm run test:*)" or "network(npm ci:*)"'


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        words: program and arguments that a simple command begins with; () = every command.
        open: True when further words may follow (":*"); False = exactly these words.
        text: as written.
        about: "bash" = whether the command runs; "network" = whether it has the network.
    """

    decision: RuleDecision
    words: tuple[str, ...]
    open: bool
    text: str
    about: RuleKind = "bash"


@dataclass(frozen=True, slots=True)
class CommandRules:
    """What commands are held to: those of the settings, and what a graph and a node in it add.

    Attributes:
        network: what the graph's and the node's `network:` say; None = nothing. Once False it stays so.
        open_network: True when the settings give every command the network.
    """

    rules: tuple[Rule, ...] = ()
    network: bool | None = None
    open_network: bool = False

    def about(self, kind: RuleKind) -> tuple[Rule, ...]:
        """Return the rules of one kind."""
        return tuple(rule for rule in self.rules if rule.about == kind)

    def adding(self, permissions: Mapping[str, RuleDecision], network: bool | None) -> CommandRules:
        """Return these with more: a rule is never taken back, nor is `network: false`.

        Raises:
            ValueError: as `parse_rule`.
        """
        both = [said for said in (self.network, network) if said is not None]
        return replace(self, rules=(*self.rules, *parse_rules(permissions)), network=all(both) if both else None)


def parse_rule(text: str, decision: RuleDecision) -> Rule:
    """Return a rule from its text.

    `bash(npm run test:*)` is every command that begins with these words, `bash(make lint)` exactly this one,
    `bash(*)` or `bash` every command, and so with `network`. Quotes are as in a shell.

    Raises:
        ValueError: it is written in another way; the message says how.
    """
    found = _FORM.fullmatch(text.strip())
    about = next((kind for kind in get_args(RuleKind) if found is not None and found.group(1) == kind), None)
    if found is None or about is None:
        raise ValueError(f"{text!r} is not a rule{_near_kind(text)}; {_HOW}")
    pattern = found.group(2)
    if pattern is None or pattern.strip() in ("*", ":*"):
        return Rule(decision, (), True, text, about)
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
    return Rule(decision, words, stem != pattern.strip(), text, about)


def _near_kind(text: str) -> str:
    """Return " (did you mean 'bash'?)" where a rule begins with nearly that; "" elsewhere."""
    head = text.partition("(")[0].strip().lower()
    near = get_close_matches(head, get_args(RuleKind), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def parse_rules(settings: Mapping[str, RuleDecision]) -> tuple[Rule, ...]:
    """Return the rules of a table `permissions`.

    Raises:
        ValueError: as `parse_rule`.
    """
    return tuple(parse_rule(text, decision) for text, decision in settings.items())


def rule_text(prefix: str, about: RuleKind = "bash") -> str:
    """Return the rule that "always" adds for a prefix."""
    return f"{about}({prefix}:*)"
