"""Placeholders of secrets in recorded calls: each run makes its own, so two runs compare theirs by order.

Called by cassette.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.masking import PLACEHOLDER


def numbered(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return messages with the placeholders in them numbered from 1, by where each first stands."""
    text = json.dumps(messages, ensure_ascii=False)
    numbers = {tag: number for number, tag in enumerate(_tags(text), start=1)}
    changed = PLACEHOLDER.sub(lambda found: f"<secret:{numbers[found[1]]}>", text) if numbers else text
    result: list[dict[str, Any]] = json.loads(changed)
    return result


def renaming(recorded: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Callable[[str], str]:
    """Return what turns a recorded run's placeholders into those that stand in their places now."""
    before, after = (json.dumps(messages, ensure_ascii=False) for messages in (recorded, now))
    new = {found[1]: found[0] for found in PLACEHOLDER.finditer(after)}
    names = {old: new[tag] for old, tag in zip(_tags(before), _tags(after), strict=False)}
    return lambda text: PLACEHOLDER.sub(lambda found: names.get(found[1], found[0]), text) if names else text


def _tags(text: str) -> list[str]:
    return list(dict.fromkeys(found[1] for found in PLACEHOLDER.finditer(text)))
