"""Reading `permissions` and `network` of a graph or a node. Called by read.py and read_nodes.py."""

from __future__ import annotations

from typing import cast

from ..configs.rules import STRICTNESS, RuleDecision, parse_rule
from .faults import listed, near
from .fields import Fields, kind
from .spec import Rights

RIGHTS = ("permissions", "network")
"""The keys that say what commands may do."""


def read_rights(fields: Fields) -> Rights:
    """Return what a graph or a node says of its commands; each wrong rule is a fault at its own place."""
    network = fields.flag("network") if "network" in fields else None
    return Rights(_read_rules(fields), network)


def _read_rules(fields: Fields) -> dict[str, RuleDecision]:
    if "permissions" not in fields:
        return {}
    reading, rules = fields.reading, dict[str, RuleDecision]()
    for text, entry in reading.entries(fields.entries["permissions"].tree, "'permissions'").items():
        decision = entry.tree.value
        if decision not in STRICTNESS:
            said = repr(decision) if isinstance(decision, str) else kind(entry.tree)
            hint = near(decision, STRICTNESS) if isinstance(decision, str) else ""
            reading.fault(entry.tree.at, f"the rule {text!r} must be one of {listed(STRICTNESS)}, not {said}{hint}")
        try:
            parse_rule(text, "ask")
        except ValueError as err:
            reading.fault(entry.at, str(err))
            continue
        if decision in STRICTNESS:
            rules[text] = cast(RuleDecision, decision)
    return rules
