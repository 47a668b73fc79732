"""The scripted model server in a process of its own, so that its work is not counted as the client's."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from flowloom.llm.answers import ChatRequest, Reply
from flowloom.llm.ollama_server import OllamaServer

from .tokens import canonical, count_tokens


@dataclass(frozen=True, slots=True)
class Asked:
    """One chat request: its body, when it had arrived and when its answer was ready, by `time.monotonic()`."""

    body: dict[str, Any]
    arrived: float
    answered: float


class ModelServer:
    """A running server. `url`: its address."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.url: str = connection.recv()

    def take(self) -> list[Asked]:
        """Return the requests since the last call, in order, and forget them."""
        self._connection.send("take")
        asked: list[Asked] = self._connection.recv()
        return asked


@contextmanager
def model_server(script: Sequence[Reply]) -> Iterator[ModelServer]:
    """Give a server that answers a conversation's n-th question with the n-th reply, in every conversation alike."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, tuple(script)), daemon=True)
    process.start()
    # With our copy closed, a server that fails to start is an EOFError here instead of a wait for ever.
    theirs.close()
    try:
        yield ModelServer(ours)
    finally:
        ours.close()
        process.join(10)


def _serve(connection: Connection, script: tuple[Reply, ...]) -> None:
    asked: list[Asked] = []

    def answer(request: ChatRequest) -> Reply:
        arrived = time.monotonic()
        reply = script[sum(message["role"] == "assistant" for message in request.messages)]
        counts = Reply(reply.text, reply.calls, prompt_tokens=count_tokens(canonical(request.body).decode()))
        asked.append(Asked(request.body, arrived, time.monotonic()))
        return counts

    # The first count loads the tokenizer's table, which is no part of an answer's time.
    count_tokens("warm")
    with OllamaServer(answer) as server:
        connection.send(server.url)
        with suppress(EOFError):
            while connection.recv() == "take":
                taken = asked[:]
                asked.clear()
                connection.send(taken)
