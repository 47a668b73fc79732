"""Role presets: what planner, coder, reviewer, sub_agent, agent and llm nodes bring by themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pydantic import BaseModel

from ..context.assemble import Budget, TurnAssembler
from ..context.blocks import Block
from ..context.prompts import fill, load_prompt, slots
from ..core.ports import Changes
from ..core.schemas import Plan, Review
from ..core.tool_names import OWN_NAMES, ToolNames
from ..llm.structured import json_kind, schema_text
from ..tools.registry import TOOLS

READ_TOOLS = ("read_file", "grep", "glob")
CODER_TOOLS = ("read_file", "edit_file", "write_file", "bash", "grep", "glob", "spawn_agent")

_DIFF_TOKENS = 6000

Extra = Callable[[Changes, TurnAssembler, float], list[Block]]
"""Makes blocks; the number is the share of its budget that each part gets in the window."""


def _nothing(changes: Changes, assembler: TurnAssembler, share: float) -> list[Block]:
    return []


def _changed_files(changes: Changes, assembler: TurnAssembler, share: float) -> list[Block]:
    return [Block("changed_so_far", "\n".join(changes.files()))]


def _diff(changes: Changes, assembler: TurnAssembler, share: float) -> list[Block]:
    diff = changes.diff() or "(nothing was changed)"
    return [Block("diff", assembler.cut(diff, int(_DIFF_TOKENS * share)))]


@dataclass(frozen=True, slots=True)
class Role:
    """A preset.

    Attributes:
        prompt: name of the role's text in nodes/prompts.
        schema: what the final answer must follow; None = free text.
        extra: blocks about the run's own changes that stand before the task.
    """

    prompt: str
    tools: tuple[str, ...]
    schema: type[BaseModel] | None = None
    budget: Budget = field(default_factory=Budget)
    extra: Extra = _nothing

    def text(self, schema: type[BaseModel] | None, names: ToolNames = OWN_NAMES) -> str:
        """Return the role's text.

        Args:
            schema: what the final answer must follow; None = free text.
            names: what the tools are called that the text speaks of, as $NAME.
        """
        text = load_prompt("nodes", self.prompt)
        values = {name: names.tool(name) for name in slots(text) if name in TOOLS}
        if schema is None:
            return fill(text, **values)
        if "$schema" not in text:
            text = f"{text}\n{load_prompt('nodes', 'answer')}"
            values["kind"] = json_kind(schema)
        return fill(text, schema=schema_text(schema), **values)


ROLES: Mapping[str, Role] = MappingProxyType(
    {
        "planner": Role("planner", READ_TOOLS, Plan, Budget(repo_map=2000, code=2000)),
        "coder": Role("coder", CODER_TOOLS, None, Budget(repo_map=1000, code=3000), _changed_files),
        "reviewer": Role("reviewer", READ_TOOLS, Review, Budget(repo_map=500, code=1000, docs=0), _diff),
        "sub_agent": Role("sub_agent", READ_TOOLS, None, Budget(repo_map=1000, code=1000)),
        "agent": Role("agent", READ_TOOLS, None, Budget()),
        "llm": Role("agent", (), None, Budget(0, 0, 0, 0)),
    }
)
