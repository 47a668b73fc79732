"""Tools outside a run: listing them, and calling one by the same path as an agent does."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from ..configs.rules import parse_rules
from ..core.effects import Command, FileWrite, ToolResult
from ..core.errors import Denied
from ..core.messages import ToolCall, ToolDef
from ..core.ports import CallRef, JournalEntry
from ..core.questions import Answer, Question
from ..core.tool import MemoryRules, ToolContext, ToolSpec
from ..llm.tokens import EstimatingCounter
from ..runs.blobs import BlobStore
from ..tools.calls import run_call
from ..tools.effects import Effects
from ..tools.registry import toolset
from ..tools.sandboxes import choose_sandbox, confinement_by
from .compose import run_retriever
from .context import AppContext, Surface
from .hooks import TrustedHooks
from .memory import trusted_when_written
from .project_tools import project_tools
from .secrets import make_mask


class ListedTool(NamedTuple):
    """`tokens`: what its definition costs in a request, estimated."""

    name: str
    category: str
    tokens: int
    description: str


class UnjournaledCalls:
    """The journal of a single call that belongs to no run: nothing can be resumed, so nothing is kept."""

    def find(self, ref: CallRef) -> JournalEntry | None:
        return None

    def begin(self, ref: CallRef, effect: FileWrite | Command, pre: bytes | None) -> None:
        return None

    def finish(self, ref: CallRef, result: ToolResult) -> None:
        return None


class NoSpawner:
    """Sub-agents need a run; a single call has none."""

    async def spawn(self, parent: str, call_id: str, task: str, tools: object, effects: object) -> str:
        raise Denied("spawn_agent works inside a run only.", hint="Use `flow run`.")


def list_tools(context: AppContext) -> list[ListedTool]:
    """Return every tool: the built-in ones in the order of the registry, then those of the project.

    Raises:
        GraphInvalid: the code of one of the project's cannot be run.
    """
    counter = EstimatingCounter()
    return [
        ListedTool(spec.name, spec.category, counter.count(wire_form(spec.definition())), spec.description)
        for spec in project_tools(context, context.workspace).values()
    ]


def wire_form(tool: ToolDef) -> str:
    """Return a tool's definition as it stands in a request."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return json.dumps({"type": "function", "function": function}, ensure_ascii=False)


async def call_tool(context: AppContext, surface: Surface, name: str, args: Mapping[str, Any]) -> ToolResult:
    """Return what the tool answers; changes and commands are asked for as the mode says.

    Raises:
        UsageError: no such tool.
        Denied: nobody was there to allow it.
    """
    known = project_tools(context, context.workspace)
    (spec,) = toolset([name], known)
    tool_context = _tool_context(context, surface, known)

    def ask(question: Question) -> Answer:
        given = surface.answerer(question)
        if given is None:
            raise Denied(f"{name} needs a person's yes, and nobody can be asked.", hint="Allow it with -c mode=auto.")
        return given

    with TemporaryDirectory(prefix="flow-") as jobs:
        effects = _effects(context, surface, tool_context, Path(jobs))
        return await run_call(ToolCall("call", name, dict(args)), {name: spec}, tool_context, effects, "call", ask)


def _tool_context(context: AppContext, surface: Surface, known: Mapping[str, ToolSpec]) -> ToolContext:
    """Return what the tool is given; `known`: every tool there is."""
    return ToolContext(
        context.workspace,
        BlobStore(context.dirs.data / "blobs" / "single-calls"),
        run_retriever(context, surface.watcher.notice),
        offered=tuple(known),
        secrets=make_mask(b"", os.environ, context.workspace),
        hooks=TrustedHooks(context.trust, context.workspace, context.workspace, surface.watcher.notice),
        memory=MemoryRules(context.settings.memory.auto_bytes, datetime.date.today().isoformat()),
    )


def _effects(context: AppContext, surface: Surface, tool_context: ToolContext, jobs: Path) -> Effects:
    """Return the runner of a single call's effects, which keeps nothing of them; `jobs`: a folder for this call."""
    settings = context.settings
    sandbox = choose_sandbox(settings.sandbox, context.dirs, os.environ)
    return Effects(
        workspace=context.workspace,
        sandbox=sandbox,
        journal=UnjournaledCalls(),
        blobs=tool_context.blobs,
        jobs=jobs,
        mode=settings.mode,
        grants=set(),
        output_bytes=settings.tools.output_bytes,
        spawner=NoSpawner(),
        secrets=tool_context.secrets,
        rules=parse_rules(settings.permissions),
        network=settings.sandbox.network,
        confinement=confinement_by(settings.sandbox, sandbox),
        after_write=trusted_when_written(context.trust, context.workspace, context.workspace, surface.watcher.notice),
    )
