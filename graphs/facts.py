"""What expressions see beside input and state. Made by app/, read by every node and route of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Facts:
    """What expressions see beside input and state; the same during one command."""

    settings: Mapping[str, Any]
    run: Mapping[str, Any]
    git: Mapping[str, Any]

    def names(self, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "input": dict(inputs),
            "state": dict(state),
            "settings": dict(self.settings),
            "run": dict(self.run),
            "git": dict(self.git),
        }
