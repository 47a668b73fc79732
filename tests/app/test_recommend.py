from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from flowloom.app.hardware import Memory, measure_memory
from flowloom.app.recommend import RESERVE_BYTES, Recommendation, fit_notice, need_bytes, recommend
from flowloom.configs.catalog import CatalogModel, load_catalog
from flowloom.configs.settings import Settings

CATALOG = load_catalog()
GB = 1_000_000_000
DENIED = Settings().models.denied_families


def fits(memory: Memory, window: int = 32768) -> dict[str, Recommendation]:
    return {one.name: one for one in recommend(CATALOG, memory, window, DENIED)}


def test_need_is_weights_cache_and_reserve() -> None:
    model = CATALOG.models["llama3.3:70b"]
    assert need_bytes(model, 8192) == 43_000_000_000 + 80 * 8 * 128 * 4 * 8192 + RESERVE_BYTES
    gemma = CATALOG.models["gemma3:27b"]
    # Ten of 62 layers look back over the whole window, 52 over 1,024 tokens.
    assert need_bytes(gemma, 32768) == 17_000_000_000 + 16 * 128 * 4 * (10 * 32768 + 52 * 1024) + RESERVE_BYTES


@pytest.mark.parametrize(
    ("gpu_gb", "expected"),
    [
        (8, {"llama3.3:70b": "too-large", "devstral-small-2:24b": "too-large", "gemma3:12b": "too-large"}),
        (24, {"llama3.3:70b": "too-large", "devstral-small-2:24b": "gpu", "gemma3:27b": "gpu", "gemma3:12b": "gpu"}),
        (48, {"llama3.3:70b": "smaller-window", "devstral-small-2:24b": "gpu"}),
        (64, {"llama3.3:70b": "gpu"}),
    ],
)
def test_fit_follows_the_memory(gpu_gb: int, expected: dict[str, str]) -> None:
    found = fits(Memory(gpu_gb * GB, 0))
    assert {name: found[name].fit for name in expected} == expected


def test_window_that_just_fits_is_found() -> None:
    found = fits(Memory(48 * GB, 0))["llama3.3:70b"]
    model = CATALOG.models["llama3.3:70b"]
    assert (found.window, found.window % 1024) == (10240, 0)
    assert (need_bytes(model, found.window) or 0) <= 48 * GB < (need_bytes(model, found.window + 1024) or 0)


def test_ram_takes_what_the_gpu_cannot() -> None:
    assert fits(Memory(8 * GB, 32 * GB))["devstral-small-2:24b"].fit == "partly-cpu"
    assert fits(Memory(0, 32 * GB))["devstral-small-2:24b"].fit == "cpu"
    assert fits(Memory(0, 8 * GB))["devstral-small-2:24b"].fit == "too-large"


def test_unknown_size_is_shown_as_unknown() -> None:
    found = fits(Memory(80 * GB, 0))["starcoder2:15b"]
    assert (found.fit, found.need_bytes, found.window) == ("unknown", None, 16384)


def test_best_fit_with_tools_comes_first_and_embedders_are_left_out() -> None:
    names = [one.name for one in recommend(CATALOG, Memory(24 * GB, 0), 32768, DENIED)]
    assert names[0] == "devstral-small-2:24b"
    assert not any("e5" in name or "nomic" in name for name in names)


def test_of_what_is_partly_on_the_cpu_the_smallest_comes_first() -> None:
    found = recommend(CATALOG, Memory(8 * GB, 64 * GB), 32768, DENIED)
    partly = [one.need_bytes for one in found if one.fit == "partly-cpu" and one.tools is not True]
    assert len(partly) > 1 and partly == sorted(partly, key=lambda need: need or 0)


def test_models_that_only_the_server_knows_are_judged_too() -> None:
    own = CatalogModel(family="phi", context=16384, weights_bytes=9 * GB, kv_bytes_per_token=200_000)
    others = {"phi4:14b": own, "odd:1b": CatalogModel(family="unknown")}
    found = recommend(CATALOG, Memory(13 * GB, 0), 32768, DENIED, ["phi4:14b", "odd:1b"], others)
    judged = {one.name: one for one in found if one.installed}
    assert (judged["phi4:14b"].fit, judged["odd:1b"].fit) == ("smaller-window", "unknown")
    assert judged["phi4:14b"].need_bytes == need_bytes(own, judged["phi4:14b"].window)
    assert (judged["phi4:14b"].need_bytes or 0) <= 13 * GB


@pytest.mark.parametrize(
    ("name", "memory", "told"),
    [
        (
            "llama3.3:70b",
            Memory(8 * GB, 24 * GB),
            "llama3.3:70b needs 55.2 GB at a window of 32,768 tokens, and this",
        ),
        ("gemma3:27b", Memory(8 * GB, 24 * GB), "the GPU has 8.0 GB: it will be slow"),
        ("llama3.3:70b", Memory(48 * GB, 0), "fits the GPU with a window of 10,240 tokens: set models.num_ctx"),
        ("gemma3:27b", Memory(48 * GB, 0), ""),
        ("starcoder2:15b", Memory(0, 0), ""),
        ("nomic-embed-text:latest", Memory(0, 0), ""),
        ("company:7b", Memory(0, 0), ""),
    ],
)
def test_a_model_that_the_machine_holds_badly_is_told_before_it_is_downloaded(
    name: str, memory: Memory, told: str
) -> None:
    notice = fit_notice(name, Settings().models, memory)
    assert told in notice and bool(told) is bool(notice)


def test_policy_leaves_families_out_and_the_server_is_looked_at() -> None:
    found = recommend(CATALOG, Memory(24 * GB, 0), 32768, ["mistral"], ["google/gemma-3-27b-it"])
    assert "devstral-small-2:24b" not in [one.name for one in found]
    assert [one.name for one in found if one.installed] == ["gemma3:27b"]


def programs(**outputs: str) -> object:
    def run(argv: Sequence[str]) -> str:
        return outputs.get(argv[0].replace("-", "_"), "")

    return run


def meminfo(tmp_path: Path, kib: int = 32_000_000) -> Path:
    path = tmp_path / "meminfo"
    path.write_text(f"MemTotal:       65000000 kB\nMemAvailable:   {kib} kB\n")
    return path


def test_nvidia_cards_are_added_up(tmp_path: Path) -> None:
    run = programs(nvidia_smi="NVIDIA GeForce RTX 4090, 24564\nNVIDIA GeForce RTX 3090, 24576\n")
    found = measure_memory(run, "linux", meminfo(tmp_path))  # type: ignore[arg-type]  # a test's own function
    assert found.gpu == (24564 + 24576) * 1024**2
    assert found.ram == 32_000_000 * 1024
    assert found.gpus[0] == "NVIDIA GeForce RTX 4090, 25.8 GB"


def test_amd_cards_are_found(tmp_path: Path) -> None:
    run = programs(rocm_smi='{"card0": {"VRAM Total Memory (B)": "17163091968", "VRAM Total Used Memory (B)": "1"}}')
    found = measure_memory(run, "linux", meminfo(tmp_path))  # type: ignore[arg-type]  # a test's own function
    assert (found.gpu, found.gpus) == (17163091968, ("AMD card0, 17.2 GB",))


def test_unified_memory_of_a_mac_counts_once_and_not_whole(tmp_path: Path) -> None:
    found = measure_memory(programs(sysctl="38654705664\n"), "darwin", meminfo(tmp_path))  # type: ignore[arg-type]
    assert (found.gpu, found.ram) == (int(38654705664 * 0.7), 0)


@pytest.mark.parametrize("output", ["", "no devices were found", "{", "[]"])
def test_machine_without_a_gpu_has_its_ram(tmp_path: Path, output: str) -> None:
    run = programs(nvidia_smi=output, rocm_smi=output)
    found = measure_memory(run, "linux", meminfo(tmp_path))  # type: ignore[arg-type]  # a test's own function
    assert (found.gpu, found.gpus, found.ram > 0) == (0, (), True)


def test_unreadable_system_leaves_everything_open(tmp_path: Path) -> None:
    assert measure_memory(programs(), "linux", tmp_path / "none") == Memory(0, 0)  # type: ignore[arg-type]
