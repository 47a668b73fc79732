"""Which command verifies the workspace: the setting, else what is detected and once agreed to. A run keeps it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from pathlib import Path

from ..configs.answers import set_verify
from ..configs.detect import detect_verify
from ..configs.dirs import make_private, replace_private
from ..core.errors import FlowError
from ..core.questions import Question
from ..graphs.spec import NodeSpec
from .context import AppContext, Surface

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
    line = shlex.join(detected)
    if mode == "auto":
        return detected
    question = Question("human", "", f"Run `{line}` to verify changes in this repository?", ("yes", "no"))
    given = surface.answerer(question)
    if given is None:
        surface.watcher.notice(f"Nobody was there to allow `{line}`: set it with -c verify='{line}'. Not verified.")
        return None
    agreed = given.choice == "yes"
    set_verify(context.dirs, context.workspace, detected if agreed else "")
    return detected if agreed else None


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


def kept_verify(blobs: Path, shown: Command) -> Command:
    """Return the command as it has to run.

    Raises:
        FlowError: what was kept of it cannot be read.
    """
    try:
        command: Command = json.loads((blobs / _KEPT).read_bytes())
    except FileNotFoundError:
        return shown
    except (OSError, ValueError) as err:
        raise FlowError(f"The verify command in {str(blobs / _KEPT)!r} cannot be read: {err}.") from err
    return command
