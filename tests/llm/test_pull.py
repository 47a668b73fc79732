from __future__ import annotations

import socket
from typing import Any

import pytest

from flowloom.core.errors import ModelUnavailable
from flowloom.llm.pull import pull

from .conftest import Serve

LAYER = {"status": "pulling 9eb", "digest": "sha256:9eb", "total": 400, "completed": 100}


async def test_progress_is_told_until_the_model_is_there(serve: Serve) -> None:
    seen: list[tuple[str, int, int]] = []
    server = serve([], pull=({"status": "pulling manifest"}, LAYER, {"status": "success"}))
    await pull(server.url, "gemma3:12b", lambda *told: seen.append(told))
    assert seen == [("pulling manifest", 0, 0), ("pulling 9eb", 100, 400), ("success", 0, 0)]
    assert "gemma3:12b" in server.models


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([{"error": "pull model manifest: file does not exist"}], "no model 'x:1' to download.*flow models list"),
        ([LAYER, {"error": "dial tcp: lookup registry.ollama.ai: no such host"}], "no way to its library"),
        ([{"error": "write /models/x: no space left on device"}], "Free space"),
        ([{"error": "the model requires a newer version of Ollama"}], "Update Ollama"),
        ([{"status": "pulling manifest"}, LAYER], "stopped in the middle.*Try again"),
        ([], "stopped in the middle"),
    ],
)
async def test_download_that_fails_says_why_and_what_to_do(serve: Serve, parts: Any, message: str) -> None:
    with pytest.raises(ModelUnavailable, match=message):
        await pull(serve([], pull=parts).url, "x:1", lambda *told: None)


async def test_no_server_is_told(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ModelUnavailable, match="connection refused"):
        await pull(url, "x:1", lambda *told: None)
