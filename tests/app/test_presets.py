"""Which of several models is taken when none is named."""

from __future__ import annotations

import pytest

from flowloom.app.hardware import Memory
from flowloom.app.presets import best_installed
from flowloom.configs.model_settings import ModelSettings
from flowloom.llm.server_info import ServerInfo

GB = 10**9


def taken(memory: Memory, *models: str, url: str = "http://127.0.0.1:11434", window: int = 0) -> tuple[str, str]:
    """Return the model that is taken and why, ("", "") = none."""
    info = ServerInfo(url, "0.12.0", models)
    found = best_installed(info, ModelSettings(num_ctx=window), lambda: memory)
    return (found.name, found.why) if found else ("", "")


def test_largest_model_that_fits_the_gpu_is_taken_and_told() -> None:
    name, why = taken(Memory(48 * GB, 64 * GB), "llama3.2:3b", "devstral-small-2:24b", "gemma3:12b")
    assert name == "devstral-small-2:24b"
    assert why.startswith(
        "No model is named: devstral-small-2:24b was taken of 3, for it fits the GPU and takes tools."
    )
    assert "models.main" in why


def test_smaller_memory_takes_a_smaller_model() -> None:
    models = ("devstral-small-2:24b", "llama3.3:70b")
    assert taken(Memory(24 * GB, 16 * GB), *models)[0] == "devstral-small-2:24b"
    assert taken(Memory(80 * GB, 64 * GB), *models)[0] == "llama3.3:70b"


def test_window_that_fits_is_named() -> None:
    name, why = taken(Memory(18 * GB, 64 * GB), "devstral-small-2:24b", "llama3.3:70b")
    assert name == "devstral-small-2:24b"
    assert "tokens (models.num_ctx) it fits the GPU and takes tools." in why


def test_without_a_gpu_the_ram_counts() -> None:
    assert taken(Memory(0, 64 * GB), "devstral-small-2:24b", "other:1b")[1].count("it fits the RAM") == 1


@pytest.mark.parametrize(
    ("memory", "models", "url"),
    [
        (Memory(48 * GB, 64 * GB), ("unheard-of:7b", "other:1b"), "http://127.0.0.1:11434"),
        (Memory(48 * GB, 64 * GB), ("gemma3:12b", "devstral:24b"), "http://127.0.0.1:11434"),
        (Memory(1 * GB, 1 * GB), ("devstral-small-2:24b", "llama3.3:70b"), "http://127.0.0.1:11434"),
        (Memory(48 * GB, 64 * GB), ("devstral-small-2:24b", "llama3.3:70b"), "http://192.0.2.1:11434"),
    ],
    ids=["unknown models", "no tools", "too little memory", "another machine"],
)
def test_nothing_is_taken_where_it_cannot_be_told(memory: Memory, models: tuple[str, ...], url: str) -> None:
    assert taken(memory, *models, url=url) == ("", "")
