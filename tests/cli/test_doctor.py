from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.ollama_server import OllamaServer, Reply, scripted

from .conftest import Ended, Flow


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer(scripted([]), models=("devstral:24b", "gemma3:12b")) as running:
        yield running


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def checks(ended: Ended) -> dict[str, list[dict[str, Any]]]:
    by_name: dict[str, list[dict[str, Any]]] = {}
    for check in json.loads(ended.out)["checks"]:
        by_name.setdefault(check["name"], []).append(check)
    return by_name


def failed(ended: Ended) -> list[str]:
    return [name for name, found in checks(ended).items() if any(check["status"] == "fail" for check in found)]


def test_a_machine_with_server_and_model_is_fine(flow: Flow, server: OllamaServer) -> None:
    ended = flow("doctor", "-o", "json", "-c", f"server.url={server.url}", "-c", "models.main=devstral:24b")
    assert (ended.code, failed(ended)) == (0, [])
    assert list(checks(ended)) == [
        "python",
        "git",
        "ripgrep",
        "sandbox",
        "folders",
        "disk",
        "sqlite",
        "server",
        "model",
        "embeddings",
    ]


def test_every_role_has_its_model_checked(flow: Flow, server: OllamaServer) -> None:
    ended = flow(
        "doctor",
        "--json",
        "-c",
        f"server.url={server.url}",
        "-c",
        "models.main=gemma3:12b",
        "-c",
        "models.coder=no:1b",
    )
    found = checks(ended)["model"]
    assert [check["status"] for check in found] == ["ok", "fail"]
    assert "planner" in found[0]["text"]
    assert (ended.code, "no:1b" in found[1]["text"], "ollama pull no:1b" in found[1]["fix"]) == (5, True, True)


def test_what_a_test_of_the_model_found_is_told(flow: Flow) -> None:
    with OllamaServer(lambda request: Reply("x"), memory=(20 * 10**9, 15 * 10**9)) as server:
        address = ("-c", f"server.url={server.url}")
        before = checks(flow("doctor", "--json", *address))["model"]
        flow("models", "test", *address)
        after = checks(flow("doctor", "--json", *address))["model"]
    assert "not looked at yet: `flow models test` does" in before[0]["text"]
    assert "window of 32,768 tokens" in after[0]["text"]
    assert [check["status"] for check in after] == ["ok", "warn", "warn"]
    assert "25% of it runs on the CPU" in after[1]["text"] and "called no tool" in after[2]["text"]


def test_several_models_and_none_chosen_ends_with_5(flow: Flow, server: OllamaServer) -> None:
    ended = flow("doctor", "--json", "-c", f"server.url={server.url}")
    assert (ended.code, failed(ended)) == (5, ["model"])


def test_no_server_ends_with_5_and_the_next_command(flow: Flow) -> None:
    ended = flow("doctor", "-c", f"server.url=http://127.0.0.1:{free_port()}")
    assert ended.code == 5
    lines = ended.out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("fail  server"))
    assert "ollama serve" in lines[at + 1]
    assert all(line[:4] in ("ok  ", "warn", "fail", "    ") for line in lines)


def test_a_server_that_says_nothing_costs_less_than_2500_ms(flow: Flow) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        ended = flow("doctor", "-c", f"server.url=http://127.0.0.1:{silent.getsockname()[1]}")
    assert (ended.code, time.monotonic() - started < 2.5) == (5, True)


def test_missing_programs_are_told_and_only_git_is_needed(flow: Flow, server: OllamaServer, tmp_path: Path) -> None:
    url = f"server.url={server.url}"
    ended = flow("doctor", "--json", "-c", url, "-c", "models.main=gemma3:12b", PATH=str(tmp_path))
    assert (ended.code, failed(ended)) == (2, ["git"])
    assert [checks(ended)[name][0]["status"] for name in ("ripgrep", "sandbox")] == ["warn", "warn"]


def test_a_sandbox_that_cannot_start_is_told(flow: Flow, tmp_path: Path) -> None:
    bwrap = tmp_path / "bwrap"
    bwrap.write_text("#!/bin/sh\nexit 1\n")
    bwrap.chmod(0o755)
    ended = flow("doctor", "--json", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (sandbox,) = checks(ended)["sandbox"]
    assert (sandbox["status"], "starts no sandbox here" in sandbox["text"]) == ("warn", True)
    assert "user namespaces" in sandbox["fix"]


def test_folders_that_cannot_be_made_are_told(flow: Flow, server: OllamaServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = str(tmp_path / "file" / "home")
    ended = flow("doctor", "--json", "-c", f"server.url={server.url}", "-c", "models.main=gemma3:12b", FLOW_HOME=home)
    assert (ended.code, failed(ended)) == (2, ["folders"])


def test_settings_that_cannot_be_used_are_one_of_the_checks(flow: Flow, server: OllamaServer) -> None:
    ended = flow("doctor", "--json", "-c", "models.mian=x", OLLAMA_HOST=server.url)
    found = checks(ended)["settings"][0]
    assert (found["status"], "models.main" in found["fix"]) == ("fail", True)
    assert "git" in checks(ended)


def test_untrusted_settings_of_the_project_are_a_warning(flow: Flow, workspace: Path) -> None:
    (workspace / ".flow").mkdir()
    (workspace / ".flow" / "config.toml").write_text("")
    found = checks(flow("doctor", "--json"))["settings"][0]
    assert (found["status"], "flow trust" in found["text"]) == ("warn", True)


def embeddings(flow: Flow, *settings: str) -> dict[str, Any]:
    words = [word for setting in settings for word in ("-c", setting)]
    return checks(flow("doctor", "--json", *words))["embeddings"][0]


def test_embeddings_that_are_off_are_fine(flow: Flow) -> None:
    assert embeddings(flow)["status"] == "ok"


@pytest.mark.skipif(find_spec("sentence_transformers") is None, reason="needs the extra e5")
def test_embeddings_without_weights_are_told(flow: Flow, tmp_path: Path) -> None:
    backend = "embed.backend=sentence-transformers"
    assert "no folder" in embeddings(flow, backend)["text"]
    (tmp_path / "config.json").write_text('{"hidden_size": 384}')
    (tmp_path / "model.safetensors").write_text("")
    found = embeddings(flow, backend, f"embed.path={tmp_path}")
    assert (found["status"], "lacks tokenizer" in found["text"]) == ("fail", True)
    (tmp_path / "tokenizer.json").write_text("{}")
    assert embeddings(flow, backend, f"embed.path={tmp_path}")["status"] == "ok"
