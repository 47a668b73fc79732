"""Rules held against one simple command: denial and asking are read widely, permission is read narrowly."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from ..configs.rules import Rule
from .shell_parse import parse_line
from .shell_words import Word
from .shell_wrappers import runs_others

_MAX_NESTING = 3

# Options before a program's own command, by which a denied command could look like another one.
_TAKES_VALUE = {
    "git": ("-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env"),
    "npm": ("--prefix", "-C", "-w", "--workspace"),
    "docker": ("-H", "--host", "-c", "--context", "--config", "-l", "--log-level"),
    "kubectl": ("-n", "--namespace", "--context", "--kubeconfig"),
    "cargo": ("-C", "--config", "-Z", "--color"),
    "make": ("-C", "-f", "-I", "-j"),
}


def matching_rule(words: Sequence[Word], rules: Sequence[Rule]) -> Rule | None:
    """Return the rule that decides about a simple command, the first that denies, else asks, else allows.

    None = none does. Denial and asking reach the commands that a wrapper holds, as text or as arguments.

    Args:
        words: program and arguments, without assignments and redirections.
    """
    texts = tuple(word.text for word in words)
    readings = list(_readings(texts, 0)) if any(rule.decision != "allow" for rule in rules) else []
    for decision in ("deny", "ask"):
        for rule in rules:
            if rule.decision == decision and any(_fits(rule, reading) for reading in readings):
                return rule
    if not all(is_certain(word) for word in words):
        return None
    return next((rule for rule in rules if rule.decision == "allow" and _fits(rule, texts)), None)


def _readings(texts: tuple[str, ...], depth: int) -> Iterator[tuple[str, ...]]:
    """Yield a command in every way it may be meant, and what a wrapper may run."""
    yield texts
    yield _without_global_options(texts)
    if not texts or depth == _MAX_NESTING or not runs_others(posixpath.basename(texts[0])):
        return
    for place in range(1, len(texts)):
        yield from _readings(texts[place:], depth + 1)
        if " " in texts[place]:
            for command in parse_line(texts[place]).commands:
                yield from _readings(tuple(word.text for word in command.words), depth + 1)


def is_certain(word: Word) -> bool:
    """Tell whether a word reaches the program as it is written, or as file names that are no options."""
    return word.fixed or (word.glob and not (word.variable or word.brace or word.tilde or word.may_be_option))


def _fits(rule: Rule, texts: tuple[str, ...]) -> bool:
    return texts[: len(rule.words)] == rule.words if rule.open else texts == rule.words


def _without_global_options(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words with the program's bare name, and its command moved before the options in front of it."""
    program = posixpath.basename(texts[0]) if texts else ""
    takes = _TAKES_VALUE.get(program, ())
    rest = list(texts[1:])
    skipped: list[str] = []
    while rest and rest[0].startswith("-"):
        skipped.append(rest.pop(0))
        if skipped[-1] in takes and rest:
            skipped.append(rest.pop(0))
    return (program, *rest, *skipped) if rest and skipped else (program, *texts[1:])
