"""Nearest passages by meaning: keeps the vectors of a source of passages, and finds the nearest to a query.

Called by the retrievers when an embedder is set. The vectors in SQLite are the truth; up to some 50,000 of them are
compared one by one, beyond that Chroma answers, whose files are kept in step and are made anew when they are not.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..core.errors import ConfigError, ModelFault, ModelUnavailable
from ..core.ports import Embedder
from .chroma_owner import ChromaOwner
from .code_index import ignore_notice
from .vector_store import VectorStore, pack, unpack

if TYPE_CHECKING:
    from .exact_search import ExactSearch

OnEmbedded = Callable[[int, int], None]
"""Told how many texts are embedded, and of how many; first with 0."""

EXACT_LIMIT = 50_000
"""Vectors up to which they are compared one by one."""

AT_ONCE = 64
"""Texts that are embedded while somebody waits for an answer; with more to do, the rest of them is left to `sync`."""

_EMBED_BATCH = 64
_READ_BATCH = 512
_MARGIN = 16
_UNREADABLE_TOLD = 0.05
# Vectors of texts that are gone stay until they are the greater part: another branch may bring the texts back.
_STALE_FACTOR = 2
# What is embedded to see whether an id still means the same model, and how near its vectors have to be.
_SAMPLE = "Where does the parser read the settings?"
_SAME_MODEL = 0.98
# Names of what the store notes about the vectors.
_SAMPLE_MARK = "sample"
_CHROMA_MARK = "chroma"


class PassageSource(Protocol):
    """Passages of text that vectors are kept of."""

    def generation(self) -> int:
        """Return a number that rises whenever passages come or go."""
        ...

    def text_shas(self) -> set[str]:
        """Return the hashes of the texts of all passages."""
        ...

    def passage_texts(self, text_shas: set[str]) -> Iterator[tuple[str, str]]:
        """Yield (hash, text to embed) once for each of the hashes that is still there, in any order."""
        ...


class VectorIndex:
    """The passages of one source by one embedder. Threads may share it; one process at a time embeds.

    Args:
        folder: where vectors and Chroma's files lie; made when missing, readable by its owner only.
        notify: told in one line what a person should know.
        what, build_with: the passages in a word and the command that calls `sync`, for notices.
        exact_limit: see EXACT_LIMIT.
    """

    def __init__(
        self,
        folder: Path,
        embedder: Embedder,
        *,
        notify: Callable[[str], None] = ignore_notice,
        what: str = "code",
        build_with: str = "flow index build",
        exact_limit: int = EXACT_LIMIT,
    ) -> None:
        self._folder = folder
        self._embedder = embedder
        self._notify = notify
        self._what = what
        self._build_with = build_with
        self._exact_limit = exact_limit
        self._store = VectorStore(folder / "vectors.sqlite3", embedder.id)
        name = f"passages-{hashlib.sha256(embedder.id.encode()).hexdigest()[:16]}"
        self._owner = ChromaOwner(folder, name, self._store, notify)
        self._syncing = threading.Lock()  # held for as long as texts are embedded; the search goes on meanwhile
        self._mutex = threading.Lock()
        self._told: set[str] = set()
        self._opened = False
        self._exact: ExactSearch | None = None
        self._kept: set[str] = set()
        self._generation = -1

    def sync(self, source: PassageSource, on_progress: OnEmbedded | None = None) -> int:
        """Embed what is new in the source, forget what is gone, and check Chroma's files; return how many texts were
        embedded.

        0 also when nothing changed since the last call, or when another process embeds. Each batch is on disk before
        the next: a process that is killed loses one batch, and the next call goes on.

        Raises:
            ConfigError: the embedder cannot be used, or gives vectors of another length than it says.
            ModelUnavailable, ModelFault: the embedder's server does not answer, or with nothing of use.
        """
        with self._syncing:
            try:
                return self._sync(source, on_progress, answering=False)
            finally:
                self._let_go()

    def search(self, query: str, limit: int) -> list[str]:
        """Return the text hashes of the nearest passages of the last sync, nearest first; [] when there are none.

        Raises:
            ConfigError, ModelUnavailable, ModelFault: as for sync.
        """
        if not self._kept or not query.strip():
            return []
        return self.find_nearest(self._embedder.embed_query(query), limit)

    def find_nearest(self, vector: Sequence[float], limit: int) -> list[str]:
        """Return the same for the unit vector of a query; [] for one that the model cannot read."""
        with self._mutex:
            return self._nearest(vector, limit) if self._kept and vector else []

    def rank(self, source: PassageSource, query: str, limit: int) -> list[str]:
        """Return the nearest passages as `search` does, for somebody who waits for an answer.

        Only a few new texts are embedded for it; more are left for `sync`, and it is told once that they are missing.
        An embedding server that fails is told once too, and leaves the search to words: [].

        Raises:
            ConfigError: as for sync.
        """
        self.catch_up(source)
        try:
            return self.search(query, limit)
        except (ModelUnavailable, ModelFault) as err:
            self._tell_once("failed", f"search by meaning is off: {err}")
            return []

    def catch_up(self, source: PassageSource) -> None:
        """Do what `rank` does before it searches; nothing while another thread is at it.

        Raises:
            ConfigError: as for sync.
        """
        if not self._syncing.acquire(blocking=False):
            return
        try:
            self._sync(source, None, answering=True)
        except (ModelUnavailable, ModelFault) as err:
            self._tell_once("failed", f"search by meaning is off: {err}")
        finally:
            self._let_go()
            self._syncing.release()

    def missing(self, source: PassageSource) -> int:
        """Return how many texts have no vector yet. Loads no model and no Chroma."""
        stored = self._store.text_shas() if self._store.path.exists() else set()
        return len(source.text_shas() - stored)

    def close(self) -> None:
        """Let another process own the vectors."""
        with self._mutex:
            self._owner.close()
            self._exact = None
            self._kept = set()
            self._generation = -1

    def _open(self) -> None:
        if self._opened:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._store.open():
            self._notify("the stored vectors were damaged and are computed anew")
        self._opened = True

    def _sync(self, source: PassageSource, on_progress: OnEmbedded | None, *, answering: bool) -> int:
        generation = source.generation()
        if generation == self._generation:
            return 0
        self._open()
        wanted = source.text_shas()
        missing = wanted - self._store.text_shas()
        embedded = self._embed_missing(source, missing, on_progress, answering)
        stored, searchable = self._store.text_shas(), self._store.searchable_shas()
        with self._mutex:
            if wanted & searchable != self._kept:
                self._kept = wanted & searchable
                self._exact = None
            if not answering or len(self._kept) > self._exact_limit:
                self._keep_cache(searchable, check=not answering)
        if not answering:
            self._tell_unreadable(len(wanted & stored), len(self._kept))
        if len(stored) > _STALE_FACTOR * len(wanted) and self._owner.own():
            self._store.delete(stored - wanted)
        # What another process still embeds, or `sync` is to, is looked at again the next time.
        self._generation = generation if wanted <= stored else -1
        return embedded

    def _embed_missing(
        self, source: PassageSource, missing: set[str], on_progress: OnEmbedded | None, answering: bool
    ) -> int:
        """Embed in batches, each stored at once."""
        if not missing:
            return 0
        if answering and len(missing) > AT_ONCE:
            self._tell_once(
                "missing",
                f"{len(missing):,} passages of {self._what} have no vectors yet and are found by their words only; "
                f"`{self._build_with}` computes them",
            )
            return 0
        if not self._owner.own():
            self._tell_once(
                "owned",
                f"another process computes the vectors of {self._what}; what is new in it is found by its words only",
            )
            return 0
        missing = self._check_model(source, missing)
        if len(missing) > _EMBED_BATCH and on_progress is None:
            self._notify(f"embedding {len(missing):,} passages of {self._what}")
        return self._embed_all(source, sorted(missing), on_progress or (lambda done, total: None))

    def _embed_all(self, source: PassageSource, missing: Sequence[str], on_progress: OnEmbedded) -> int:
        done = 0
        on_progress(0, len(missing))
        for at in range(0, len(missing), _READ_BATCH):
            # Texts of like length side by side: a batch takes as long as its longest.
            texts = sorted(
                source.passage_texts(set(missing[at : at + _READ_BATCH])), key=lambda each: (len(each[1]), each[0])
            )
            for start in range(0, len(texts), _EMBED_BATCH):
                batch = texts[start : start + _EMBED_BATCH]
                vectors = self._embedder.embed_passages([text for _, text in batch])
                self._check_vectors(vectors)
                self._store.put({sha: vector for (sha, _), vector in zip(batch, vectors, strict=True)})
                done += len(batch)
                on_progress(done, len(missing))
        return done

    def _check_model(self, source: PassageSource, missing: set[str]) -> set[str]:
        """Return what is to be embedded: all texts, when the same id no longer gives the same vectors.

        A server's model can be replaced under its name; vectors of two models must not be compared.
        """
        vector = self._embedder.embed_query(_SAMPLE)
        self._check_vectors([vector])
        before = unpack(self._store.mark(_SAMPLE_MARK))
        if before and vector and not _is_near(before, vector):
            self._notify("the embedding model is not the one that the stored vectors are of; all are computed anew")
            self._store.delete(self._store.text_shas())
            missing = source.text_shas()
        self._store.set_mark(_SAMPLE_MARK, pack(vector))
        return missing

    def _check_vectors(self, vectors: Sequence[Sequence[float]]) -> None:
        wanted = self._embedder.dimension
        if wrong := next((len(vector) for vector in vectors if vector and len(vector) != wanted), None):
            raise ConfigError(
                f"the embedder {self._embedder.id!r} gave {wrong} numbers instead of {wanted}.",
                hint="Check embed.model and the weights' config.json.",
            )
        if any(not math.isfinite(sum(vector)) for vector in vectors):
            raise ConfigError(
                f"the embedder {self._embedder.id!r} gave a vector that is not of numbers.",
                hint="Check the weights, or the server's log; float32 weights help where half precision overflows.",
            )

    def _keep_cache(self, stored: set[str], *, check: bool) -> None:
        """Bring Chroma in step with the kept vectors.

        Args:
            check: open it even when it is said to be in step, so that damage is seen.
        """
        digest = hashlib.sha256("".join(sorted(self._kept)).encode()).digest()
        folders, mark = self._owner.folders(), self._store.mark(_CHROMA_MARK)
        in_step = len(folders) == 1 and mark == folders[0].name.encode() + digest
        if (in_step and not check) or (not self._kept and not folders) or not self._owner.own():
            return
        if mark and not folders:
            self._notify("the vector index was gone and is built anew from the stored vectors")
        cache = self._owner.open(stored)
        cache.replace(sorted(cache.ids - self._kept), self._store.get(sorted(self._kept - cache.ids)))
        self._store.set_mark(_CHROMA_MARK, self._owner.folders()[0].name.encode() + digest)

    def _nearest(self, vector: Sequence[float], limit: int) -> list[str]:
        from .exact_search import order_by_nearness

        # The order among what is nearly as near differs with the arithmetic, also of what is just within the limit.
        found = self._candidates(vector, limit + _MARGIN)
        return order_by_nearness(self._store.get(found), vector)[:limit]

    def _candidates(self, vector: Sequence[float], limit: int) -> list[str]:
        if self._owner.cache is None and len(self._kept) > self._exact_limit and self._owner.own():
            self._keep_cache(self._store.searchable_shas(), check=True)
        if self._owner.cache is not None:
            return self._owner.cache.find_nearest(vector, limit)
        if self._exact is None:
            from .exact_search import ExactSearch

            dimension = self._embedder.dimension
            self._exact = ExactSearch(self._store.packed(self._kept, dimension), dimension)
        return self._exact.find_nearest(vector, limit)

    def _tell_unreadable(self, stored: int, kept: int) -> None:
        if stored - kept > _UNREADABLE_TOLD * stored:
            self._tell_once(
                "unreadable",
                f"{stored - kept:,} of {stored:,} passages of {self._what} are in a script that the embedding model "
                "does not know and are found by their words only; a multilingual one reads them (`flow models pull "
                "e5-small`)",
            )

    def _let_go(self) -> None:
        """Let other processes embed, unless Chroma is needed for answers."""
        with self._mutex:
            if len(self._kept) <= self._exact_limit:
                self._owner.close()

    def _tell_once(self, about: str, text: str) -> None:
        if about not in self._told:
            self._told.add(about)
            self._notify(text)


def _is_near(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and sum(a * b for a, b in zip(one, other, strict=True)) >= _SAME_MODEL
