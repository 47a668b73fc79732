"""Which server and which model a command takes, over real servers on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from flowloom.app.servers import choose_allowed, find_server, find_servers
from flowloom.configs.model_settings import ModelSettings, ServerSettings
from flowloom.configs.settings import Settings
from flowloom.core.errors import Denied, ModelUnavailable
from flowloom.llm.answers import scripted
from flowloom.llm.ollama_server import OllamaServer
from flowloom.llm.openai_server import OpenAIServer
from flowloom.llm.probe import probe_server
from flowloom.llm.servers import UsualServer


@pytest.fixture
def running() -> Iterator[Any]:
    """Start servers that live to the end of the test."""
    with ExitStack() as servers:
        yield lambda server: servers.enter_context(server)


def ollama(*models: str) -> OllamaServer:
    return OllamaServer(scripted([]), models=models)


def lm_studio(*models: str) -> OpenAIServer:
    return OpenAIServer(scripted([]), kind="lmstudio", models=models)


def settings(url: str = "", **models: Any) -> Settings:
    return Settings(server=ServerSettings(url=url), models=ModelSettings(**models))


def closed_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


async def test_configured_server_is_the_only_one_asked(running: Any) -> None:
    other, mine = running(ollama("a:1")), running(lm_studio("b"))
    usual = (UsualServer("ollama", other.url),)
    assert [info.url for info in await find_servers(settings(mine.url), usual=usual)] == [mine.url]


async def test_dead_configured_server_is_not_replaced_by_another(running: Any) -> None:
    usual = (UsualServer("ollama", running(ollama("a:1")).url),)
    with pytest.raises(ModelUnavailable, match="connection refused"):
        await find_server(settings(closed_url()), usual=usual)


@pytest.mark.parametrize(
    ("models", "kind"),
    [({}, "ollama"), ({"main": "b"}, "lmstudio"), ({"main": "a:1"}, "ollama"), ({"main": "c"}, "ollama")],
)
async def test_of_several_servers_the_first_with_the_models_is_taken(
    running: Any, models: dict[str, str], kind: str
) -> None:
    first, second = running(ollama("a:1")), running(lm_studio("b"))
    usual = (UsualServer("ollama", first.url), UsualServer("lmstudio", second.url))
    found = await find_servers(settings(**models), usual=usual)
    assert (found[0].kind, len(found)) == (kind, 2)


async def test_setting_kind_narrows_what_is_looked_for(running: Any) -> None:
    first, second = running(ollama("a:1")), running(lm_studio("b"))
    usual = (UsualServer("ollama", first.url), UsualServer("lmstudio", second.url))
    wanted = Settings(server=ServerSettings(kind="openai"))
    assert [info.kind for info in await find_servers(wanted, usual=usual)] == ["lmstudio"]


async def test_no_server_at_all_names_what_was_tried() -> None:
    url = closed_url()
    with pytest.raises(ModelUnavailable) as caught:
        await find_server(settings(), usual=(UsualServer("ollama", url), UsualServer("vllm", url)))
    assert f"Ollama at {url}: connection refused; vLLM at {url}: connection refused." in caught.value.message
    assert (caught.value.exit_code, "flow demo" in caught.value.hint) == (5, True)


async def test_key_is_read_from_the_named_variable(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = running(OpenAIServer(scripted([]), kind="vllm", api_key="k-2"))
    monkeypatch.setenv("MY_KEY", "k-2")
    with_key = Settings(server=ServerSettings(url=server.url, api_key_env="MY_KEY"))
    assert (await find_server(with_key)).kind == "vllm"


async def test_denied_model_is_refused_by_name(running: Any) -> None:
    info = await probe_server(running(ollama("qwen3:8b", "devstral:24b")).url)
    with pytest.raises(Denied, match=r"models\.denied_families"):
        choose_allowed(settings(), info, "qwen3:8b")
    assert choose_allowed(settings(denied_families=[]), info, "qwen3:8b") == "qwen3:8b"


async def test_only_allowed_model_is_taken_when_none_is_named(running: Any) -> None:
    info = await probe_server(running(ollama("qwen3:8b", "devstral:24b")).url)
    assert choose_allowed(settings(), info, "") == "devstral:24b"


async def test_server_with_nothing_but_a_denied_model_says_so(running: Any) -> None:
    info = await probe_server(running(ollama("qwen3:8b")).url)
    with pytest.raises(Denied, match="'qwen3:8b' is of the family 'qwen'"):
        choose_allowed(settings(), info, "")
