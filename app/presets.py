"""Which of a server's models is taken when none is named: the one that this machine's memory holds best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..configs.catalog import load_catalog
from ..configs.model_settings import MAX_OWN_WINDOW, ModelSettings
from ..llm.server_info import ServerInfo
from ..llm.servers import on_this_machine
from .hardware import Memory, measure_memory
from .recommend import Recommendation, recommend

_FITS = {
    "gpu": "it fits the GPU",
    "smaller-window": "with a window of {window:,} tokens (models.num_ctx) it fits the GPU",
    "partly-cpu": "it fits GPU and RAM together, which is slow,",
    "cpu": "it fits the RAM",
}


@dataclass(frozen=True, slots=True)
class Preset:
    """A model that was taken, as the server names it; `why` is one line for a person."""

    name: str
    why: str


def best_installed(
    info: ServerInfo, models: ModelSettings, measure: Callable[[], Memory] = measure_memory
) -> Preset | None:
    """Return the best of the server's chat models that the policy allows; None = it cannot be told.

    It can be told of models of the catalogue on a server of this machine. One that takes no tools is never taken: a
    model that the catalogue does not know may well be better.

    Args:
        info: its models are those that the policy allows.
    """
    if not on_this_machine(info.url):
        return None
    window = models.num_ctx or MAX_OWN_WINDOW
    found = recommend(load_catalog(), measure(), window, models.denied_families, info.models)
    return next((_preset(one, info) for one in found if one.installed and one.tools and one.fit in _FITS), None)


def _preset(found: Recommendation, info: ServerInfo) -> Preset:
    catalog = load_catalog()
    name = next(name for name in info.models if catalog.find(name) is catalog.models[found.name])
    count = len(info.models) - len(info.embedders)
    fit = _FITS[found.fit].format(window=found.window)
    why = f"{name} was taken of {count}, for {fit} and takes tools. Name one for good in models.main."
    return Preset(name, f"No model is named: {why}")
