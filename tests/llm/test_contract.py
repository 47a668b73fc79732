from __future__ import annotations

import inspect

import httpx
import langchain_ollama
import ollama
import pytest
from langchain_core.messages import HumanMessage
from langchain_ollama import ChatOllama

from flowloom.llm.chat_ollama import FlowChatOllama
from flowloom.llm.ollama_server import Call, Reply

from .conftest import Serve


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("_acreate_chat_stream", ["self", "messages", "stop", "kwargs"]),
        ("_aiterate_over_stream", ["self", "messages", "stop", "kwargs"]),
        ("_chat_params", ["self", "messages", "stop", "kwargs"]),
        ("_convert_messages_to_ollama_messages", ["self", "messages"]),
    ],
)
def test_private_methods_of_chat_ollama_are_as_overridden(name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(ChatOllama, name)).parameters) == parameters


def test_private_clients_are_where_they_are_used() -> None:
    chat = FlowChatOllama(model="m", base_url="http://127.0.0.1:9", client_kwargs={"verify": False})
    assert isinstance(chat._async_client, ollama.AsyncClient)
    assert isinstance(chat._async_client._client, httpx.AsyncClient)
    assert isinstance(chat._client._client, httpx.Client)


def test_pinned_version_is_installed() -> None:
    assert langchain_ollama.__version__ == "1.1.0"


async def test_defect_of_the_library_is_still_there(serve: Serve) -> None:
    # When this fails the library keeps strings as they are, and the override can go.
    server = serve([Reply(calls=[Call("write_file", {"content": '{"a": 1}'})])])
    chat = ChatOllama(model="scripted", base_url=server.url, client_kwargs={"trust_env": False})
    reply = await chat.ainvoke([HumanMessage("go")])
    assert reply.tool_calls[0]["args"] == {"content": {"a": 1}}
    await chat._async_client._client.aclose()
    chat._client._client.close()
