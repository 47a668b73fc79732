"""The shell node: a command of the graph file or of the settings, never one that a model wrote."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any, NoReturn

from ..core.effects import Command, ToolResult
from ..core.errors import RunFailed, UsageError
from ..core.events import ToolEnded, ToolStarted
from ..core.ports import CallRef
from ..tools.command_result import printed
from .asking import ask_person
from .call import NodeCall, NodeResult, attempts, denied
from .deps import NodeDeps

DEFAULT_TIMEOUT_S = 600.0


async def run_shell(call: NodeCall, deps: NodeDeps) -> NodeResult:
    """Return {exit_code, text}; text is cut where it is long.

    With `parse: lines` the value has also `lines`, all of the output. With `parse: json` it is the parsed output
    instead, and a failing command is an error.

    Raises:
        UsageError: the command is no text and no list of texts.
        RunFailed: it was refused (exit code 7), could not be started, or its output cannot be used as JSON.
    """
    argv = _argv(call)
    if deps.gate.before_tool(call.label, "run"):
        deps.events.emit(call.label, ToolStarted("run", "command", shlex.join(argv)[:120]))
    deps.events.progress(call.label, "running command")
    started = time.monotonic()
    # Category "read": the person who wrote the graph or the setting has already decided that it may run. What it
    # does is judged by `by_graph` where that matters.
    timeout_s, env = call.timeout_s or DEFAULT_TIMEOUT_S, call.fields.get("env") or {}
    command = Command(argv, timeout_s, env=env, category="read", by_graph=True)
    result = await _result(call, command, deps)
    seconds = time.monotonic() - started
    deps.events.emit(
        call.label, ToolEnded("run", "command", not result.failed, seconds, result.files, result.text[-400:])
    )
    return NodeResult(_value(call, result, deps), f"exit code {result.exit_code}")


async def _result(call: NodeCall, command: Command, deps: NodeDeps) -> ToolResult:
    """Return what the command came to; a visit that runs again takes the journal's result, if it can be used."""
    effects = deps.toolbox.effects
    for call_id in attempts("run"):
        ref = CallRef(call.label, call_id)
        if (earlier := await effects.recover(ref, ask_person)) is None:
            return await effects.run(ref, command, "read", ask_person)
        if _is_usable(call, earlier, deps):
            return earlier
    raise AssertionError("attempts never end")


def _is_usable(call: NodeCall, result: ToolResult, deps: NodeDeps) -> bool:
    try:
        _value(call, result, deps)
    except RunFailed:
        return False
    return True


def _value(call: NodeCall, result: ToolResult, deps: NodeDeps) -> Any:
    if result.denied:
        raise denied(call, result.text)
    if result.exit_code is None:
        raise RunFailed(f"{call.path}: {result.text}")
    value = {"exit_code": result.exit_code, "text": result.text}
    match call.fields.get("parse"):
        case "lines":
            output = printed(result, deps.toolbox.secrets, deps.toolbox.blobs)
            return {**value, "lines": output.split("\n") if output else []}
        case "json":
            return _json(call, result, deps)
        case _:
            return value


def _json(call: NodeCall, result: ToolResult, deps: NodeDeps) -> Any:
    if result.exit_code:
        raise RunFailed(f"{call.path}: the command failed: {result.text[-200:]!r}")
    try:
        output = deps.toolbox.blobs.get(result.full_output) if result.full_output else result.text
        # The stored output holds what the command really printed; a value goes into checkpoints.
        return deps.toolbox.secrets.mask_data(json.loads(output, parse_constant=_refuse_constant))
    except (ValueError, RecursionError) as err:
        raise RunFailed(f"{call.path}: the command's output is not JSON: {err}") from err


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


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
