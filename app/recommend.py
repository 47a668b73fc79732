"""Which models of the catalogue fit this machine: weights, key-value cache and a reserve against measured memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from ..configs.catalog import Catalog, CatalogModel, load_catalog
from ..configs.model_settings import MAX_OWN_WINDOW, ModelSettings
from ..llm.capabilities import SMALLEST_WINDOW
from ..llm.policy import denied_family, lineage
from .hardware import Memory

RESERVE_BYTES = 1_500_000_000
"""For the server's compute buffers and the desktop: llama.cpp takes 0.5 to 1.5 GB beside weights and cache."""

Fit = Literal["gpu", "smaller-window", "partly-cpu", "cpu", "too-large", "unknown"]

_ORDER: tuple[Fit, ...] = ("gpu", "smaller-window", "partly-cpu", "cpu", "unknown", "too-large")


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One model of the catalogue against this machine's memory.

    Attributes:
        fit: "gpu" = all of it at the wanted window; "smaller-window" = all of it at `window`; "partly-cpu" = GPU and
            RAM together hold it, slowly; "cpu" = there is no GPU and the RAM holds it; "unknown" = its size is.
        window: tokens it fits with; the wanted ones where it does not fit or its size is unknown.
        need_bytes: weights, cache at `window` and reserve; None = unknown.
        tools: None = unknown.
        installed: the server has it.
    """

    name: str
    fit: Fit
    window: int
    need_bytes: int | None
    family: str
    origin: str
    quantisation: str
    tools: bool | None
    installed: bool


def recommend(
    catalog: Catalog,
    memory: Memory,
    window: int,
    denied: Sequence[str],
    installed: Sequence[str] = (),
    others: Mapping[str, CatalogModel] = MappingProxyType({}),
) -> list[Recommendation]:
    """Return the chat models that the policy allows, the most suitable first: by fit, tools, then size.

    Args:
        window: tokens wanted; a model made for fewer is counted with those.
        denied: families that are left out.
        installed: names that the server lists.
        others: models that are judged beside those of the catalogue.
    """
    found = []
    for name, model in {**catalog.models, **others}.items():
        if model.role != "chat" or denied_family(catalog, name, "", denied):
            continue
        wanted = min(window, model.context or window)
        fit, fitting = _fit(model, memory, wanted)
        found.append(
            Recommendation(
                name=name,
                fit=fit,
                window=fitting,
                need_bytes=need_bytes(model, fitting),
                family=model.family,
                origin=lineage(catalog, name).origin,
                quantisation=model.quantisation,
                tools=model.tools,
                installed=any(tag in installed for tag in (name, *model.aliases)),
            )
        )
    return sorted(found, key=_suitability)


def _suitability(one: Recommendation) -> tuple[int, bool, int, str]:
    need = one.need_bytes or 0
    # The larger the better, as long as it is fast: what is partly on the CPU is the slower the larger it is.
    return _ORDER.index(one.fit), one.tools is not True, need if one.fit == "partly-cpu" else -need, one.name


def fit_notice(name: str, settings: ModelSettings, memory: Memory) -> str:
    """Return one line about a model of the catalogue that this machine holds badly or not at all; "" = it is fine."""
    catalog, window = load_catalog(), settings.num_ctx or MAX_OWN_WINDOW
    known = catalog.find(name)
    if known is None or known.role != "chat":
        return ""
    found = next((one for one in recommend(catalog, memory, window, ()) if catalog.models[one.name] is known), None)
    if found is None or found.need_bytes is None:
        return ""
    needs = f"{name} needs {found.need_bytes / 1e9:.1f} GB at a window of {found.window:,} tokens"
    match found.fit:
        case "too-large":
            has = f"{(memory.gpu + memory.ram) / 1e9:.1f} GB on the GPU and beside it"
            return f"{needs}, and this machine has {has}. `flow models recommend` lists what fits."
        case "partly-cpu":
            return (
                f"{needs}, and the GPU has {memory.gpu / 1e9:.1f} GB: it will be slow. See `flow models recommend`."
            )
        case "smaller-window":
            return f"{name} fits the GPU with a window of {found.window:,} tokens: set models.num_ctx to that."
        case _:
            return ""


def need_bytes(model: CatalogModel, window: int) -> int | None:
    """Return the memory that a model takes with a window; None = its size is not known."""
    if model.weights_bytes is None or model.kv_bytes_per_token is None:
        return None
    return model.weights_bytes + model.kv_fixed_bytes + model.kv_bytes_per_token * window + RESERVE_BYTES


def _fit(model: CatalogModel, memory: Memory, window: int) -> tuple[Fit, int]:
    need = need_bytes(model, window)
    if need is None or model.kv_bytes_per_token is None:
        return "unknown", window
    if not memory.gpu:
        return ("cpu", window) if need <= memory.ram else ("too-large", window)
    if need <= memory.gpu:
        return "gpu", window
    # In whole thousands of tokens (1,024), as windows are usually given.
    fitting = window - -(-(need - memory.gpu) // model.kv_bytes_per_token)
    fitting -= fitting % 1024
    if fitting >= SMALLEST_WINDOW:
        return "smaller-window", fitting
    return ("partly-cpu", window) if need <= memory.gpu + memory.ram else ("too-large", window)
