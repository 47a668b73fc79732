"""One Chroma collection on disk, as a cache of vectors that can be thrown away. Called by the vector index only.

chromadb is loaded when a cache is opened; a caller must be the only process that has the folder open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

Vector = Sequence[float]

_UPSERT_BATCH = 5000  # chromadb 1.5.9 refuses more than 5,461
_PROBE_DISTANCE = 1e-3


class ChromaCache:
    """Finds near vectors by their ids. Made by `open_cache`."""

    def __init__(self, client: Client, collection: Collection) -> None:
        self._client = client
        self._collection = collection
        self.ids = frozenset(collection.get(include=[])["ids"])

    def is_sound(self, probes: Mapping[str, Vector]) -> bool:
        """Tell whether the neighbour index holds all ids and finds each of the probes, ids' own vectors, by itself.

        The index can lose its files while the ids stay listed, and then answers from what is left with no error.
        """
        if self._collection.count() != len(self.ids):
            return False
        found = [self._nearest(vector, 1) for vector in probes.values()]
        return all(near and abs(near[0][0]) < _PROBE_DISTANCE for near in found)

    def replace(self, gone: Sequence[str], vectors: Mapping[str, Vector]) -> None:
        """Forget the ids that are gone, and store vectors under their ids, new or not."""
        for batch in _batches(gone):
            self._collection.delete(ids=list(batch))
        for batch in _batches(list(vectors)):
            self._collection.upsert(ids=list(batch), embeddings=[vectors[each] for each in batch])
        self.ids = (self.ids - set(gone)) | set(vectors)

    def find_nearest(self, vector: Vector, limit: int) -> list[str]:
        """Return the ids of the nearest vectors, nearest first as far as float32 tells."""
        return [each for _, each in self._nearest(vector, limit)]

    def _nearest(self, vector: Vector, limit: int) -> list[tuple[float, str]]:
        if not self.ids:
            return []
        found = self._collection.query(
            query_embeddings=[vector], n_results=min(limit, len(self.ids)), include=["distances"]
        )
        distances = (found["distances"] or [[]])[0]
        return [(float(distance), each) for distance, each in zip(distances, found["ids"][0], strict=True)]

    def close(self) -> None:
        self._client.close()


def open_cache(folder: Path, name: str) -> ChromaCache | None:
    """Return the named collection of the folder, made when missing; None when the folder's content is broken."""
    # Read by the library when it is loaded, beside the setting below.
    os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")
    import chromadb
    from chromadb.config import Settings
    from chromadb.errors import ChromaError

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    client: Client | None = None
    try:
        # The declared type lacks close(), which the object has and which ends the library's hold on the files.
        client = cast("Client", chromadb.PersistentClient(str(folder), Settings(anonymized_telemetry=False)))
        # No embedding function: the default one would fetch a model from the network.
        collection = client.get_or_create_collection(
            name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        return ChromaCache(client, collection)
    except (ChromaError, ValueError, KeyError):
        if client is not None:
            client.close()
        return None


def _batches(items: Sequence[str]) -> list[Sequence[str]]:
    return [items[at : at + _UPSERT_BATCH] for at in range(0, len(items), _UPSERT_BATCH)]
