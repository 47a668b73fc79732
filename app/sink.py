"""The EventSink of a run: the table first, then whoever watches."""

from __future__ import annotations

from ..core.events import Event, Phase
from ..runs.store import RunStore
from .context import Watcher


class StoreSink:
    """Appends a run's events to its table and shows them."""

    def __init__(self, store: RunStore, run_id: str, watcher: Watcher) -> None:
        self._store = store
        self._run_id = run_id
        self._watcher = watcher

    def emit(self, node: str, event: Event) -> None:
        self._watcher.record(self._store.append_event(self._run_id, node, event))

    def progress(self, node: str, phase: Phase, amount: int = 0) -> None:
        self._watcher.progress(node, phase, amount)
