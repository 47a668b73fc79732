"""llama-server on a tiny model, for one session of tests. LLAMA_SERVER names the program, else PATH is searched."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowloom.llm.openai_compatible import OpenAIChat
from flowloom.llm.probe import describe_model, probe_server
from flowloom.llm.server_info import ModelDetails, ServerInfo

WINDOW = 4096
START_S = 60


@dataclass(frozen=True)
class Engine:
    """A llama-server that is ready. `name` is its model's."""

    url: str
    name: str = "tiny"

    async def info(self) -> ServerInfo:
        return await probe_server(self.url)

    async def details(self) -> ModelDetails:
        return await describe_model(self.url, self.name, info=await self.info())

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body, timeout=60)

    def prompt(self, messages: list[dict[str, Any]], **words: Any) -> str:
        """Return the prompt that the server's own template makes of messages."""
        answer = self.post("/apply-template", {"messages": messages, **words})
        answer.raise_for_status()
        return str(answer.json()["prompt"])

    def tokens(self, text: str) -> int:
        body = {"content": text, "add_special": True, "parse_special": True}
        return len(self.post("/tokenize", body).json()["tokens"])


StartEngine = Callable[..., AbstractContextManager[Engine]]


@pytest.fixture(scope="session")
def program() -> str:
    found = os.environ.get("LLAMA_SERVER") or shutil.which("llama-server")
    if not found or not Path(found).is_file():
        pytest.skip("no llama-server here: `make test-engine` builds one, or LLAMA_SERVER names it")
    if importlib.util.find_spec("gguf") is None:
        pytest.skip("the extra `engine` is not installed, which writes the model")
    return found


@pytest.fixture(scope="session")
def start_engine(program: str, tmp_path_factory: pytest.TempPathFactory) -> StartEngine:
    """Return a function that gives a server for a `with` block; its words are options of llama-server."""
    from .tiny_model import write_model

    folder = tmp_path_factory.mktemp("engine")
    model = folder / "tiny.gguf"
    write_model(model, context=WINDOW)
    return lambda *options: _serving([program, "-m", str(model), *options], folder / "server.log")


@pytest.fixture(scope="session")
def engine(start_engine: StartEngine) -> Iterator[Engine]:
    with start_engine() as server:
        yield server


@pytest.fixture
def published() -> Path:
    """The folder of the models' own chat templates, which CHAT_TEMPLATES names."""
    folder = Path(os.environ.get("CHAT_TEMPLATES") or "none")
    if not folder.is_dir():
        pytest.skip("no published chat templates here: `make test-engine` gets them")
    return folder


@pytest.fixture
async def chat(engine: Engine) -> AsyncIterator[OpenAIChat]:
    """Our client on that server."""
    client = OpenAIChat(url=engine.url, model=engine.name, window=WINDOW, kind="llama.cpp")
    yield client
    await client.aclose()


@contextmanager
def _serving(command: list[str], log: Path) -> Iterator[Engine]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    words = ("--host", "127.0.0.1", "--port", str(port), "--alias", "tiny", "-c", str(WINDOW), "-np", "1", "-t", "1")
    with (
        log.open("ab") as out,
        subprocess.Popen(
            [*command, *words, "--offline"], stdout=out, stderr=out, stdin=subprocess.DEVNULL
        ) as process,
    ):
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/health", process, log)
            yield Engine(f"http://127.0.0.1:{port}")
        finally:
            process.kill()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + START_S
    while time.monotonic() < limit and process.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        time.sleep(0.05)
    raise RuntimeError(f"llama-server did not start: {log.read_text('utf-8', 'replace')[-2000:]}")
