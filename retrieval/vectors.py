"""Nearest passages of code by meaning. Called by the retriever when an embedder is set."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ..configs.dirs import create_private
from ..core.errors import ConfigError
from ..core.ports import Embedder
from .chroma_cache import ChromaCache, open_cache
from .code_index import CodeIndex, ignore_notice
from .vector_store import VectorStore

_EMBED_BATCH = 64
_PROBES = 5
# Vectors of texts that are gone stay until they are the greater part: another branch may bring the texts back.
_STALE_FACTOR = 2


class VectorIndex:
    """The passages of one code index by one embedder. Threads may share it; one process at a time owns the folder.

    Args:
        folder: where vectors and Chroma's files lie; made when missing, readable by its owner only.
        notify: told in one line when another process owns the vectors, and when something had to be rebuilt.
    """

    def __init__(self, folder: Path, embedder: Embedder, *, notify: Callable[[str], None] = ignore_notice) -> None:
        self._folder = folder
        self._embedder = embedder
        self._notify = notify
        self._name = f"passages-{hashlib.sha256(embedder.id.encode()).hexdigest()[:16]}"
        self._store = VectorStore(folder / "vectors.sqlite3", embedder.id)
        self._mutex = threading.Lock()
        self._owner: sqlite3.Connection | None = None
        self._refused = False
        self._cache: ChromaCache | None = None
        self._generation = -1

    def sync(self, index: CodeIndex) -> int:
        """Embed what is new in the index and forget what is gone; return how many passages were embedded.

        0 also when nothing changed since the last call, or when another process owns the vectors.

        Raises:
            ConfigError: the embedder cannot be used, or gives vectors of another length than it says.
        """
        with self._mutex:
            if not self._own():
                return 0
            generation, wanted = index.read(lambda snapshot: (snapshot.generation(), snapshot.text_shas()))
            if generation == self._generation:
                return 0
            embedded = self._embed_missing(index, wanted)
            stored = self._store.text_shas()
            cache = self._open_cache(stored)
            kept = wanted & stored
            cache.replace(sorted(cache.ids - kept), self._store.get(sorted(kept - cache.ids)))
            if len(stored) > _STALE_FACTOR * len(wanted):
                self._store.delete(sorted(stored - wanted))
            self._generation = generation
            return embedded

    def search(self, query: str, limit: int) -> list[str]:
        """Return the text hashes of the nearest passages, nearest first; [] when another process owns the vectors."""
        with self._mutex:
            if self._cache is None or not query.strip():
                return []
            return self._cache.find_nearest(self._embedder.embed_query(query), limit)

    def close(self) -> None:
        """Let another process own the vectors."""
        with self._mutex:
            if self._cache is not None:
                self._cache.close()
                self._cache = None
            self._generation = -1
            if self._owner is not None:
                self._owner.close()
                self._owner = None

    def _own(self) -> bool:
        """Take the folder for this process: an exclusive lock that ends with the process, however it ends."""
        if self._owner is not None:
            return True
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = self._folder / "owner.sqlite3"
        create_private(lock)
        owner = sqlite3.connect(lock, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            owner.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            owner.close()
            if not self._refused:
                self._notify("another process uses this workspace's vectors; this one searches by words only")
            self._refused = True
            return False
        self._owner = owner
        if not self._store.open():
            self._notify("the stored vectors were damaged and are computed anew")
        return True

    def _embed_missing(self, index: CodeIndex, wanted: set[str]) -> int:
        """Embed in batches, each stored at once, so that a killed process loses one batch at most."""
        missing = wanted - self._store.text_shas()
        if not missing:
            return 0
        texts = index.read(lambda snapshot: list(snapshot.passage_texts(missing)))
        if len(texts) > _EMBED_BATCH:
            self._notify(f"embedding {len(texts)} passages of code")
        for at in range(0, len(texts), _EMBED_BATCH):
            batch = texts[at : at + _EMBED_BATCH]
            vectors = self._embedder.embed_passages([text for _, text in batch])
            self._check_dimension(vectors)
            self._store.put({sha: vector for (sha, _), vector in zip(batch, vectors, strict=True)})
        return len(texts)

    def _check_dimension(self, vectors: Sequence[Sequence[float]]) -> None:
        wanted = self._embedder.dimension
        if wrong := next((len(vector) for vector in vectors if len(vector) != wanted), None):
            raise ConfigError(
                f"the embedder {self._embedder.id!r} gave {wrong} numbers instead of {wanted}.",
                hint="Check embed.model and the weights' config.json.",
            )

    def _open_cache(self, stored: set[str]) -> ChromaCache:
        """Return Chroma's index, made anew when it disagrees with the stored vectors.

        Files that are damaged in some ways end the process while they are opened. The mark that is left then makes
        the next process start from nothing; a new folder each time, since the library keeps a broken one in memory.
        """
        if self._cache is not None:
            return self._cache
        mark = self._folder / "opening"
        folders = sorted(self._folder.glob("chroma-*"))
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
        self._cache = cache
        return cache

    def _open_sound(self, folder: Path, stored: set[str]) -> ChromaCache | None:
        """Return the index of a folder, or None when it is broken or holds other vectors than the stored ones."""
        cache = open_cache(folder, self._name)
        if cache is None:
            return None
        shas = sorted(cache.ids)
        probes = self._store.get(shas[:: max(len(shas) // _PROBES, 1)][:_PROBES])
        if cache.ids <= stored and cache.is_sound(probes):
            return cache
        cache.close()
        return None
