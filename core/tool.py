"""What a tool is: a name, a category, arguments for the model, and a plan without side effects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from .effects import Category, Effect, Spans
from .masking import SecretMask
from .messages import ToolDef
from .ports import Blobs, Changes, HookTrust, Jobs, Retriever
from .tool_names import OWN_NAMES, ToolNames

OUTPUT_BYTES = 16_384
"""Bytes of one result in a window that is not small: about 5,000 tokens, a sixth of 32,768."""
OUTPUT_ID = 12
"""Characters of a blob id that name a kept output to a model."""


@dataclass(frozen=True, slots=True)
class MemoryRules:
    """What holds for facts that agents keep for later runs.

    Attributes:
        max_bytes: how large the file with them may become.
        day: what a new one is dated with, as YYYY-MM-DD. The day on which the run began, so that the question about
            it stays the same until it is answered.
    """

    max_bytes: int
    day: str


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may look at while it plans.

    Attributes:
        workspace: absolute, resolved folder that no path may leave.
        offered: names of the tools the calling agent has, for spawn_agent.
        todos: the agent's current to-do list.
        changes: what this run changed so far; None outside a run.
        seen: what the conversation shows of files, SHA-256 hex by path; None = there is no conversation.
        shown: which lines of these contents it shows.
        outputs: results that it shows cut, blob id of the whole by its first `OUTPUT_ID` characters.
        output_bytes: about how much a result may have; more is cut.
        secrets: masks what a tool shows, and puts the secrets of a file back where the file is edited.
        jobs: what runs in the background of the run; None = nothing can.
        names: under which the model knows the tools and arguments that a message speaks of.
        hooks: which git hooks commits run; None = none.
        memory: of what is kept for later runs; None = nothing can be.
    """

    workspace: Path
    blobs: Blobs
    retriever: Retriever
    offered: tuple[str, ...] = ()
    todos: tuple[Mapping[str, str], ...] = ()
    changes: Changes | None = None
    seen: Mapping[str, str] | None = None
    secrets: SecretMask = field(default_factory=SecretMask)
    jobs: Jobs | None = None
    names: ToolNames = OWN_NAMES
    hooks: HookTrust | None = None
    memory: MemoryRules | None = None
    shown: Mapping[str, Spans] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    output_bytes: int = OUTPUT_BYTES


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool.

    Attributes:
        args: pydantic model with extra="forbid"; each field is described for the model.
        plan: reads what it needs and returns the Effect; must not change anything outside the process.
            Raises ToolError for the model. Plain sync code: the caller runs it in a thread.
        together: True when calls of it in one reply may run side by side (it only reads).
        live: True when the same call may be made again and again, since what it tells changes by itself.
        category_of: for a tool whose category depends on its arguments; None = always `category`.
    """

    name: str
    category: Category
    description: str
    args: type[BaseModel]
    plan: Callable[[Any, ToolContext], Effect]
    together: bool = False
    live: bool = False
    category_of: Callable[[Any], Category] | None = None

    def definition(self) -> ToolDef:
        """Return what a model is shown: the schema without pydantic's titles and defaults of null."""
        return ToolDef(self.name, self.description, _parameters(self.args))


@cache
def _parameters(args: type[BaseModel]) -> dict[str, Any]:
    # Asked for at every model call, and pydantic takes milliseconds for each tool.
    return slim_schema(args.model_json_schema())


def slim_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON Schema without what only costs tokens: titles, and `anyOf` with null for an optional value."""
    slim: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key == "default" and value is None:
            continue
        if key == "properties":
            slim[key] = {name: slim_schema(sub) for name, sub in value.items()}
        elif key == "anyOf" and (kept := [s for s in value if s != {"type": "null"}]) and len(kept) == 1:
            slim.update(slim_schema(kept[0]))
        elif isinstance(value, dict):
            slim[key] = slim_schema(value)
        else:
            slim[key] = value
    return slim
