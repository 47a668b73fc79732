"""What a run may spend: its limits and the prices of its models, from graph, options and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..configs.settings import ModelSettings
from ..core.errors import UsageError
from ..core.prices import Price, Prices
from ..graphs.spec import Limits
from ..runs.limits import RunLimits
from ..runs.store import RunRow, RunStore


def prices_of(models: ModelSettings) -> Prices:
    """Return the prices that are set."""
    return Prices({name: Price(each.prompt, each.completion, each.cached) for name, each in models.prices.items()})


def run_limits(models: ModelSettings, limits: Limits, row: RunRow, store: RunStore) -> RunLimits:
    """Return the limits of a run: those of its graph, but for what the run was started or resumed with."""
    options = row.options
    tokens, wall_s = options.get("max_tokens"), options.get("max_time_s")
    limits = replace(
        limits,
        tokens=limits.tokens if tokens is None else tokens,
        wall_s=limits.wall_s if wall_s is None else wall_s,
    )
    return RunLimits(store, row.id, limits, prices=prices_of(models), max_cost=options.get("max_cost"))


def require_prices(models: ModelSettings, options: Mapping[str, Any], names: Iterable[str]) -> None:
    """Check that a run whose cost is limited knows what its models cost.

    Args:
        names: of the models that it has; those that could take over are looked at too.

    Raises:
        UsageError: one has no price.
    """
    if options.get("max_cost") is None:
        return
    prices = prices_of(models)
    for name in (*names, *models.all_fallbacks()):
        if prices.of(name) is None:
            raise UsageError(
                f"--max-cost: the model {name!r} has no price.",
                hint="Set one in models.prices; 0 for a model that costs nothing.",
            )
