"""The shell node: a command of the graph file or of the settings, never one that a model wrote."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

from ..core.effects import Command
from ..core.errors import RunFailed, UsageError
from ..core.events import ToolEnded, ToolStarted
from ..core.ports import CallRef
from .agent_loop import ask_person
from .call import NodeCall, NodeResult
from .deps import NodeDeps

DEFAULT_TIMEOUT_S = 600.0


async def run_shell(call: NodeCall, deps: NodeDeps) -> NodeResult:
    """Return {exit_code, text}; with `parse: json` the parsed output instead, and a failing command is an error."""
    argv = _argv(call)
    deps.events.emit(call.label, ToolStarted("run", "command", shlex.join(argv)[:120]))
    deps.events.progress(call.label, "running command")
    started = time.monotonic()
    # Category "read": the person who wrote the graph or the setting has already decided that it may run.
    command = Command(argv, call.timeout_s or DEFAULT_TIMEOUT_S, env=call.fields.get("env") or {}, category="read")
    result = await deps.toolbox.effects.run(CallRef(call.label, "run"), command, "read", ask_person)
    seconds = time.monotonic() - started
    deps.events.emit(
        call.label, ToolEnded("run", "command", not result.exit_code, seconds, result.files, result.text[-400:])
    )
    summary = f"exit code {result.exit_code}"
    if call.fields.get("parse") == "json":
        return NodeResult(_parsed(call, deps, result.exit_code, result.text, result.full_output), summary)
    return NodeResult({"exit_code": result.exit_code, "text": result.text}, summary)


def _argv(call: NodeCall) -> tuple[str, ...]:
    run = call.fields["run"]
    command: Any = run["command"] if isinstance(run, dict) else run
    if isinstance(command, str) and command.strip():
        return ("bash", "-c", command)
    if isinstance(command, list) and command and all(isinstance(word, str) for word in command):
        return tuple(command)
    raise UsageError(
        f"{call.path}: the command must be a text or a list of texts, got {command!r}.",
        hint="Set it like -c verify='python -m pytest -q'.",
    )


def _parsed(call: NodeCall, deps: NodeDeps, exit_code: int | None, text: str, full: str) -> Any:
    if exit_code:
        raise RunFailed(f"{call.path}: the command failed: {text[-200:]!r}")
    try:
        return json.loads(deps.toolbox.blobs.get(full) if full else text)
    except ValueError as err:
        raise RunFailed(f"{call.path}: the command's output is not JSON: {err}") from err
