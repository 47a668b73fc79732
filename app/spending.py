"""What a run may spend: its limits and the prices of its models, from graph, options and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..configs.model_settings import ModelSettings
from ..core.errors import UsageError
from ..core.prices import Price, Prices
from ..graphs.spec import Limits
from ..runs.limits import RunLimits
from ..runs.store import RunRow, RunStore

RUN_LIMITS = ("max_tokens", "max_time_s", "max_cost", "max_model_calls", "max_node_runs")
"""The limits that a run may be given when it is started or resumed, by their names among its options."""


def prices_of(models: ModelSettings) -> Prices:
    """Return the prices that are set."""
    return Prices({name: Price(each.prompt, each.completion, each.cached) for name, each in models.prices.items()})


def run_limits(models: ModelSettings, limits: Limits, row: RunRow, store: RunStore) -> RunLimits:
    """Return the limits of a run: those of its graph, but for what the run was started or resumed with."""
    options = row.options
    given = {
        "tokens": options.get("max_tokens"),
        "wall_s": options.get("max_time_s"),
        "model_calls": options.get("max_model_calls"),
        "node_runs": options.get("max_node_runs"),
    }
    limits = replace(limits, **{name: value for name, value in given.items() if value is not None})
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
