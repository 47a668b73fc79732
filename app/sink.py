"""The EventSink of a run: secrets masked, the table first, then whoever watches."""

from __future__ import annotations

from dataclasses import fields, replace

from ..core.events import Event, Phase
from ..core.masking import SecretMask
from ..runs.store import RunStore
from .context import Watcher


class StoreSink:
    """Appends a run's events to its table and shows them."""

    def __init__(self, store: RunStore, run_id: str, watcher: Watcher, secrets: SecretMask | None = None) -> None:
        self._store = store
        self._run_id = run_id
        self._watcher = watcher
        self._secrets = secrets or SecretMask()

    def emit(self, node: str, event: Event) -> None:
        masked = {each.name: self._secrets.mask_data(getattr(event, each.name)) for each in fields(event)}
        self._watcher.record(self._store.append_event(self._run_id, node, replace(event, **masked)))

    def progress(self, node: str, phase: Phase, amount: int = 0) -> None:
        self._watcher.progress(node, phase, amount)
