"""Who may have a folder's Chroma files open, and how broken ones are put right. Called by the vector index only."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Callable, Set
from pathlib import Path

from ..configs.dirs import create_private
from ..core.errors import ConfigError
from .chroma_cache import ChromaCache, open_cache
from .vector_store import VectorStore

_PROBES = 5


class ChromaOwner:
    """The Chroma cache of one folder and one embedder, which one process at a time may own.

    Two processes that write to the same files lose vectors without an error, and one that reads sees old ones.

    Args:
        folder: it exists once `own` was called.
        name: of the collection.
        notify: told in one line when something had to be built anew.
    """

    def __init__(self, folder: Path, name: str, store: VectorStore, notify: Callable[[str], None]) -> None:
        self._folder = folder
        self._name = name
        self._store = store
        self._notify = notify
        self._lock: sqlite3.Connection | None = None
        self.cache: ChromaCache | None = None

    def own(self) -> bool:
        """Take the folder for this process, by a lock that ends with it however it ends; False = another has it."""
        if self._lock is not None:
            return True
        lock = self._folder / "owner.sqlite3"
        create_private(lock)
        owner = sqlite3.connect(lock, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            owner.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            owner.close()
            return False
        self._lock = owner
        return True

    def open(self, stored: Set[str]) -> ChromaCache:
        """Return the cache, made anew when it disagrees with the stored vectors; only for the owner.

        Files that are damaged in some ways end the process while they are opened. The mark that is left then makes
        the next process start from nothing; a new folder each time, since the library keeps a broken one in memory.

        Raises:
            ConfigError: none can be made.
        """
        if self.cache is not None:
            return self.cache
        mark = self._folder / "opening"
        folders = self.folders()
        cache = None
        if len(folders) == 1 and not mark.exists():
            mark.touch()
            cache = self._open_sound(folders[0], stored)
        if cache is None:
            if folders:
                self._notify("the vector index did not agree with the stored vectors and is built anew")
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
            cache = open_cache(self._folder / f"chroma-{secrets.token_hex(4)}", self._name)
        if cache is None:
            raise ConfigError(f"no vector index can be made in {str(self._folder)!r}.", hint="Check its free space.")
        mark.unlink(missing_ok=True)
        self.cache = cache
        return cache

    def folders(self) -> list[Path]:
        """Return the folders with Chroma's files; more than one when a process was ended while it made another."""
        return sorted(self._folder.glob("chroma-*"))

    def close(self) -> None:
        """Let another process own the folder."""
        if self.cache is not None:
            self.cache.close()
            self.cache = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _open_sound(self, folder: Path, stored: Set[str]) -> ChromaCache | None:
        """Return the cache of a folder, or None when it is broken or holds other vectors than the stored ones."""
        cache = open_cache(folder, self._name)
        if cache is None:
            return None
        shas = sorted(cache.ids)
        probes = self._store.get(shas[:: max(len(shas) // _PROBES, 1)][:_PROBES])
        if cache.ids <= stored and cache.is_sound(probes):
            return cache
        cache.close()
        return None
