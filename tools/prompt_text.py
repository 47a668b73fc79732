"""The descriptions models see of the tools, kept as prompts/<name>.md beside the code."""

from __future__ import annotations

from pathlib import Path
from string import Template

from ..core.tool_names import OWN_NAMES, ToolNames

PROMPTS = Path(__file__).parent / "prompts"


def description(name: str, names: ToolNames = OWN_NAMES) -> str:
    """Return a tool's description as one line.

    `$old_text` in the file stands for the name under which that argument, or the tool of that name, is shown. A
    profile may bring a text of its own, prompts/<name>.<profile>.md.
    """
    own = PROMPTS / f"{name}.{names.profile}.md"
    path = own if names.profile and own.exists() else PROMPTS / f"{name}.md"
    template = Template(" ".join(path.read_text(encoding="utf-8").split()))
    return template.substitute({slot: names.word(name, slot) for slot in template.get_identifiers()})
