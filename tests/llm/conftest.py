"""A chat on the in-package server, closed at the end of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from flowloom.core.events import Phase
from flowloom.core.messages import CallKey, Message, ModelRequest
from flowloom.llm.ollama import OllamaChat
from flowloom.llm.ollama_server import Answer, Answers, OllamaServer, scripted
from flowloom.llm.openai_compatible import OpenAIChat
from flowloom.llm.openai_server import OpenAIServer

Serve = Callable[..., OllamaServer]
Connect = Callable[..., OllamaChat]
ServeOpenAI = Callable[..., OpenAIServer]
ConnectOpenAI = Callable[..., OpenAIChat]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with answers, given as a list or a function."""
    with ExitStack() as servers:

        def start(answers: Sequence[Answer] | Answers, **options: Any) -> OllamaServer:
            given = answers if callable(answers) else scripted(answers)
            return servers.enter_context(OllamaServer(given, **options))

        yield start


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Make a chat on a server, or at a URL."""
    chats: list[OllamaChat] = []

    def make(server: OllamaServer | str, **options: Any) -> OllamaChat:
        url = server if isinstance(server, str) else server.url
        chats.append(OllamaChat(**{"url": url, "model": "scripted", "window": 8192, **options}))
        return chats[-1]

    yield make
    for chat in chats:
        await chat.aclose()


@pytest.fixture
def serve_openai() -> Iterator[ServeOpenAI]:
    """Start an OpenAI-compatible server with answers, given as a list or a function."""
    with ExitStack() as servers:

        def start(answers: Sequence[Answer] | Answers, **options: Any) -> OpenAIServer:
            given = answers if callable(answers) else scripted(answers)
            return servers.enter_context(OpenAIServer(given, **options))

        yield start


@pytest.fixture
async def connect_openai() -> AsyncIterator[ConnectOpenAI]:
    """Make a chat on an OpenAI-compatible server, or at a URL."""
    chats: list[OpenAIChat] = []

    def make(server: OpenAIServer | str, **options: Any) -> OpenAIChat:
        url = server if isinstance(server, str) else server.url
        kind = "openai" if isinstance(server, str) else server.kind
        chats.append(OpenAIChat(**{"url": url, "model": "scripted", "window": 8192, "kind": kind, **options}))
        return chats[-1]

    yield make
    for chat in chats:
        await chat.aclose()


def ask(*messages: Message, turn: int = 0, node: str = "code", **options: Any) -> ModelRequest:
    """Return a request of the given messages after a system message; a lone question when there are none."""
    asked = messages or (Message("user", "Do it."),)
    return ModelRequest((Message("system", "You code."), *asked), CallKey(node, 1, turn), **options)


def ignore(phase: Phase, amount: int, fault: str = "") -> None:
    """Take progress and do nothing."""
