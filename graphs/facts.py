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
        """Return what expressions see, by name. It is no copy: nobody may change it."""
        return {"input": inputs, "state": state, "settings": self.settings, "run": self.run, "git": self.git}
