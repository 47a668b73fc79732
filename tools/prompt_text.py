"""The descriptions models see of the tools, kept as prompts/<name>.md beside the code."""

from __future__ import annotations

from pathlib import Path


def description(name: str) -> str:
    """Return a tool's description as one line."""
    text = (Path(__file__).parent / "prompts" / f"{name}.md").read_text(encoding="utf-8")
    return " ".join(text.split())
