"""Which git hooks a run's commits may run, and saying which do not: core.ports.HookTrust."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..configs.trust import TrustStore
from ..core.events import Noticed
from ..core.ports import EventSink
from ..runs.store import RunStore


class TrustedHooks:
    """The hooks that a person trusts.

    Args:
        folder: the checkout that is worked in.
        project: the checkout that a person trusts files of. A worktree is another one: what was trusted there counts
            here where the content is the same.
        tell: told which hooks do not run.
    """

    def __init__(self, trust: TrustStore, folder: Path, project: Path, tell: Callable[[str], None]) -> None:
        self._trust = trust
        self._folder = folder
        self._project = project
        self._tell = tell

    def covers(self, file: Path, content: bytes) -> bool:
        """True when these bytes, just read from this file, are what a person trusted.

        Raises:
            ConfigError: the trust store is damaged.
        """
        inside = file.is_relative_to(self._folder)
        return self._trust.covers(self._project / file.relative_to(self._folder) if inside else file, content)

    def left_out(self, hooks: Sequence[str]) -> None:
        """Say that commits are made without these hooks."""
        names = ", ".join(hooks)
        self._tell(
            f"Commits are made without these git hooks, which are not trusted as they are now: {names}."
            " `flow trust` shows them and lets them run."
        )


def told_once(store: RunStore, run_id: str, sink: EventSink) -> Callable[[str], None]:
    """Return what emits a notice of the run unless it was given before, by whichever process."""

    def tell(text: str) -> None:
        if not any(record.type == Noticed.type and record.data["text"] == text for record in store.events(run_id)):
            sink.emit("", Noticed(text))

    return tell
