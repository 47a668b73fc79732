"""Which commands verify and check the workspace: the settings, else what is detected and once agreed to.

A run keeps them.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..configs.answers import Answer, set_check, set_verify
from ..configs.detect import detect_verify
from ..configs.detect_check import detect_check
from ..configs.dirs import Dirs, make_private, replace_private
from ..core.errors import FlowError
from ..core.questions import Question
from ..graphs.expressions import compile_expression
from ..graphs.spec import NodeSpec
from .context import AppContext, Surface
from .graphs import GRAPH_SETTINGS

Command = str | list[str] | None

_KEPT = "verify.json"
_CHANGES_NOTHING = frozenset({"llm", "retrieve", "set", "human", "fail", "graph"})
"""Types of nodes that only answer, search or ask; those of a graph that a node runs are looked at as well."""


def needs_verify(nodes: Iterable[NodeSpec]) -> bool:
    """Return whether a graph of these nodes can change anything that would be verified."""
    return any(node.type not in _CHANGES_NOTHING for node in nodes)


def verify_command(context: AppContext, surface: Surface, mode: str) -> Command:
    """Return the command the graph's `settings.verify` gives; None = the run goes without one.

    A detected command runs code of the repository, so a person is asked once and the answer kept. In mode auto, where
    any command may run, it is taken unasked; where nobody can be asked, it is left out and that is said.
    """
    setting = context.settings.verify
    if setting is not None:
        return setting or None
    detected = detect_verify(context.workspace)
    if detected is None:
        surface.watcher.notice("No test command is known: set one with -c verify='...'. The run goes without.")
        return None
    return _agreed(
        context, surface, mode, _Asked("verify", "to verify changes", "Not verified.", set_verify), detected
    )


def needs_check(nodes: Iterable[NodeSpec]) -> bool:
    """Return whether a node runs the setting `check`."""
    return any(_reads_check(node.fields.get("run")) for node in nodes)


def detected_check(context: AppContext, surface: Surface, mode: str, nodes: Iterable[NodeSpec]) -> list[str] | None:
    """Return the quick check that is detected where the setting `check` says nothing, agreed to like a test command.

    None = the setting decides, no node runs it, nothing is detected, or nobody agreed.
    """
    if context.settings.check is not None or not needs_check(nodes):
        return None
    detected = detect_check(context.workspace, os.environ.get("PATH"))
    if detected is None:
        return None
    return _agreed(context, surface, mode, _Asked("check", "after each step", "Not checked.", set_check), detected)


def planned_commands(context: AppContext, nodes: Sequence[NodeSpec]) -> tuple[Command, Command, tuple[str, ...]]:
    """Return what would verify and check, as set or detected, and which of "verify" and "check" are detected."""
    verify, check = context.settings.verify, context.settings.check
    detected = []
    if verify is None and needs_verify(nodes) and (verify := detect_verify(context.workspace)):
        detected.append("verify")
    if check is None and needs_check(nodes) and (check := detect_check(context.workspace, os.environ.get("PATH"))):
        detected.append("check")
    return verify or None, check or None, tuple(detected)


class _Asked(NamedTuple):
    """A setting whose command is asked for: what for, what becomes of a run without it, how an answer is kept."""

    setting: str
    purpose: str
    without: str
    keep: Callable[[Dirs, Path, Answer], None]


def _agreed(context: AppContext, surface: Surface, mode: str, asked: _Asked, detected: list[str]) -> list[str] | None:
    line = shlex.join(detected)
    if mode == "auto":
        return detected
    given = surface.answerer(
        Question("human", "", f"Run `{line}` {asked.purpose} in this repository?", ("yes", "no"))
    )
    if given is None:
        told = f"-c {asked.setting}={shlex.quote(line)}"
        surface.watcher.notice(f"Nobody was there to allow `{line}`: set it with {told}. {asked.without}")
        return None
    agreed = given.choice == "yes"
    asked.keep(context.dirs, context.workspace, detected if agreed else "")
    return detected if agreed else None


def _reads_check(run: object) -> bool:
    command = run.get("command") if isinstance(run, dict) else None
    return isinstance(command, str) and ("settings", "check") in compile_expression(command).paths


def keep_verify(blobs: Path, command: Command, shown: Command) -> None:
    """Keep a command with a secret in it beside the run's blobs, for the owner only: the run's row has it masked.

    Args:
        shown: the command as the row has it; the same = there is nothing to keep.

    Raises:
        FlowError: it cannot be stored.
    """
    if command == shown:
        return
    try:
        make_private(blobs)
        replace_private(blobs / _KEPT, json.dumps(command).encode())
    except OSError as err:
        raise FlowError(f"The verify command cannot be stored in {str(blobs)!r}: {err.strerror}.") from err


def graph_settings(context: AppContext, options: Mapping[str, Any], blobs: Path) -> dict[str, Any]:
    """Return the settings that the expressions of a run's graph see.

    Args:
        options: of the run.

    Raises:
        FlowError: what was kept of the verify command cannot be read.
    """
    # What was detected and agreed to, until the setting says something else.
    check = options.get("check") if context.settings.check is None else context.settings.check or None
    return dict(zip(GRAPH_SETTINGS, (_kept_verify(blobs, options["verify"]), check), strict=True))


def _kept_verify(blobs: Path, shown: Command) -> Command:
    """Return the command as it has to run; `shown` is what the run's row has."""
    try:
        command: Command = json.loads((blobs / _KEPT).read_bytes())
    except FileNotFoundError:
        return shown
    except (OSError, ValueError) as err:
        raise FlowError(f"The verify command in {str(blobs / _KEPT)!r} cannot be read: {err}.") from err
    return command
