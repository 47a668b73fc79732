"""What expressions see beside input and state. Made by app/, read by every node and route of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .filter_names import scope_name
from .own_filters import Filters


@dataclass(frozen=True, slots=True)
class Facts:
    """What expressions see beside input and state; the same during one command. `filters`: the graph's own."""

    settings: Mapping[str, Any]
    run: Mapping[str, Any]
    git: Mapping[str, Any]
    filters: Filters = field(default_factory=dict)

    def names(self, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
        """Return what expressions see, by name. It is no copy: nobody may change it."""
        own = {scope_name(name): each for name, each in self.filters.items()}
        return {"input": inputs, "state": state, "settings": self.settings, "run": self.run, "git": self.git, **own}
