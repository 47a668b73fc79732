"""What the graph triage-issues calls."""

from __future__ import annotations

from typing import Any


def pick_fixable(verdicts: list[dict[str, Any]], issues: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the issues whose verdict is that they can be fixed."""
    wanted = {verdict["item"] for verdict in verdicts if verdict["verdict"] == "fixable"}
    return [issue for issue in issues if issue["id"] in wanted]
