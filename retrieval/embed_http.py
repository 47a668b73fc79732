"""Embeddings by a model server: Ollama (/api/embed), or an OpenAI-compatible one (/v1/embeddings).

The texts go to the server that the settings name and to no other. Prefixes are ours to add: servers add none.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..core.errors import ModelFault, ModelNotUsable, ModelUnavailable
from .embeddings import EmbeddingModel

if TYPE_CHECKING:
    import httpx

Api = Literal["ollama", "openai"]

_PATHS: dict[Api, str] = {"ollama": "/api/embed", "openai": "/v1/embeddings"}
_BATCH = 32
_DELAYS_S = (0.25, 1.0, 3.0)
"""Between tries while the server is away or busy; for a query, which somebody waits for, only the first."""
_BUSY = frozenset({429, 502, 503, 504})
# What servers say of a text that is longer than the model's window or their batch.
_TOO_LONG = ("context length", "too large", "too long", "context size", "maximum", "exceed")
_SHORTEST_CHARS = 64


class HttpEmbedder:
    """An Embedder on a model server.

    Args:
        connect: makes the client, whose base URL is the server's; called with the first text.
        clean: takes the secrets out of a text before it is sent.
        url: of the server, for messages and the id.
        name: the model's name on the server.
        model: its record.
        api: None = Ollama's is tried first.
    """

    def __init__(
        self,
        connect: Callable[[], httpx.Client],
        clean: Callable[[str], str],
        url: str,
        name: str,
        model: EmbeddingModel,
        api: Api | None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connect = connect
        self._clean = clean
        self._url = url
        self._name = name
        self._record = model
        self._api = api
        self._sleep = sleep
        self._mutex = threading.Lock()
        self._delays_s: Sequence[float] = _DELAYS_S
        self._client: httpx.Client | None = None
        self._dimension = model.dimension
        facts = (url, name, model.query_prefix, model.passage_prefix)
        self.id = f"{model.name}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}"

    @property
    def dimension(self) -> int:
        """Numbers of a vector; of a model without a record the server is asked.

        Raises:
            ModelUnavailable, ModelFault: as for embed_query.
        """
        if self._dimension is None:
            self._dimension = len(self.embed_query("dimension"))
        return self._dimension

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of a query.

        Raises:
            ModelUnavailable: no server, or it does not have the model.
            ModelFault: its answer is of no use.
        """
        return self._embed([self._record.query_prefix + self._clean(text)], _DELAYS_S[:1])[0]

    def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the unit vectors of passages in their order; a text that is too long for the model is cut.

        Raises:
            ModelUnavailable, ModelFault: as for embed_query.
        """
        vectors: list[list[float]] = []
        for at in range(0, len(texts), _BATCH):
            batch = [self._record.passage_prefix + self._clean(text) for text in texts[at : at + _BATCH]]
            vectors += self._embed(batch, _DELAYS_S)
        return vectors

    def _embed(self, texts: Sequence[str], delays_s: Sequence[float]) -> list[list[float]]:
        with self._mutex:
            self._delays_s = delays_s
            return [_unit(vector) for vector in self._ask_shorter(texts)]

    def _ask_shorter(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors; where the server finds a text too long, it is halved until it is not."""
        try:
            return self._ask(texts)
        except _TooLong as err:
            if len(texts) > 1:
                return [vector for text in texts for vector in self._ask_shorter([text])]
            if len(texts[0]) <= _SHORTEST_CHARS:
                raise ModelFault(f"{self._url}: {err}", hint="Look at the server's log.") from err
            return self._ask_shorter([texts[0][: len(texts[0]) // 2]])

    def _ask(self, texts: Sequence[str]) -> list[list[float]]:
        response = self._post(self._api or "ollama", texts)
        if response.status_code in (404, 405) and self._api is None and not _says_no_model(response):
            self._api = "openai"
            response = self._post(self._api, texts)
        if response.status_code >= 300:
            raise self._refused(response)
        self._api = self._api or "ollama"
        try:
            vectors = _read(response.json(), self._api)
        except (ValueError, KeyError, TypeError, IndexError) as err:
            raise self._fault("its answer holds no embeddings") from err
        if len(vectors) != len(texts):
            raise self._fault(f"it gave {len(vectors)} embeddings for {len(texts)} texts")
        return vectors

    def _post(self, api: Api, texts: Sequence[str]) -> httpx.Response:
        """Return the server's answer; while it is away or busy it is asked again.

        Raises:
            ModelUnavailable: it stayed so.
        """
        import httpx

        if self._client is None:
            self._client = self._connect()
        reason = ""
        for delay_s in (*self._delays_s, None):
            try:
                response = self._client.post(_PATHS[api], json={"model": self._name, "input": list(texts)})
                if response.status_code not in _BUSY:
                    return response
                reason = f"it is busy (HTTP {response.status_code})"
            except httpx.HTTPError as err:
                reason = str(err) or type(err).__name__
            if delay_s is not None:
                self._sleep(delay_s)
        raise ModelUnavailable(
            f"the embedding server at {self._url} does not answer: {reason}.",
            hint="Start it, name another in embed.url, or set embed.backend to 'none'.",
        )

    def _refused(self, response: httpx.Response) -> Exception:
        text = _error_text(response)
        if response.status_code == 404 or _says_no_model(response):
            return ModelNotUsable(
                f"the embedding server at {self._url} does not have the model {self._name!r}: {text}.",
                model=self._name,
                hint=f"`ollama pull {self._name}`, or set embed.model to a name that it lists.",
            )
        if any(words in text.lower() for words in _TOO_LONG):
            return _TooLong(text)
        return self._fault(f"HTTP {response.status_code}: {text}")

    def _fault(self, text: str) -> ModelFault:
        return ModelFault(
            f"the embedding server at {self._url} failed with {self._name!r}: {text}.",
            hint="Check that embed.model names an embedding model of it, and look at its log.",
        )


class _TooLong(Exception):
    """The server does not take a text of this length."""


def _read(data: Any, api: Api) -> list[list[float]]:
    if api == "ollama":
        rows = data["embeddings"]
    else:
        rows = [each["embedding"] for each in sorted(data["data"], key=lambda each: each.get("index", 0))]
    return [[float(number) for number in row] for row in rows]


def _unit(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(number * number for number in vector))
    return [number / length for number in vector] if length else vector


def _says_no_model(response: httpx.Response) -> bool:
    text = _error_text(response).lower()
    return response.status_code in (400, 404) and "model" in text and "not found" in text


def _error_text(response: httpx.Response) -> str:
    """Return the error that an answer names, one line of at most 200 characters."""
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = response.text
    text = str(error.get("message", error) if isinstance(error, dict) else error)
    return " ".join(text.split())[:200] or f"HTTP {response.status_code}"
