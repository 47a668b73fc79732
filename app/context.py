"""What every app function starts from: the workspace, the directories, the settings, and who watches and answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..configs.dirs import Dirs
from ..configs.settings import Settings
from ..configs.trust import TrustStore
from ..core.events import EventRecord, Phase
from ..core.questions import Answer, Question

Answerer = Callable[[Question], Answer | None]
"""Returns an answer; None = nobody can answer now."""


class Watcher(Protocol):
    """Shows a run while it goes on."""

    def record(self, record: EventRecord) -> None: ...

    def progress(self, node: str, phase: Phase, amount: int) -> None: ...

    def notice(self, text: str) -> None:
        """Show one line that belongs to no run yet."""
        ...


@dataclass(frozen=True, slots=True)
class AppContext:
    """The surroundings of one command.

    Attributes:
        workspace: absolute and resolved.
        start: the folder that the command works in, relative to the workspace.
    """

    workspace: Path
    dirs: Dirs
    trust: TrustStore
    settings: Settings
    start: str = "."


@dataclass(frozen=True, slots=True)
class Surface:
    """Who watches a run and answers its questions.

    Attributes:
        stop: set by the first Ctrl-C; the run stops after the step in flight.
    """

    watcher: Watcher
    answerer: Answerer
    stop: threading.Event = field(default_factory=threading.Event)


def runs_db(context: AppContext) -> Path:
    """Return where the run database lies."""
    return context.dirs.data / "runs.db"
