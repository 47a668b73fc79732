"""What tokens cost, for those whose server counts them: the setting models.prices, as nodes and limits read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PER = 1_000_000
"""Tokens that a price is for."""
_ANY = "*"


@dataclass(frozen=True, slots=True)
class Price:
    """Prices of a million tokens, in one currency.

    Attributes:
        cached: of those of the prompt that the server had computed before; None = as the others.
    """

    prompt: float
    completion: float
    cached: float | None = None

    def of(self, prompt: int, completion: int, cached: int = 0) -> float:
        """Return what so many tokens cost; `cached` are some of `prompt`."""
        cached_price = self.prompt if self.cached is None else self.cached
        return ((prompt - cached) * self.prompt + cached * cached_price + completion * self.completion) / PER


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by model; "*" stands for every model that is not named."""

    by_model: Mapping[str, Price] = field(default_factory=dict)

    def of(self, model: str) -> Price | None:
        """Return a model's price; None = it has none."""
        for name in (model, model.removesuffix(":latest"), _ANY):
            if name in self.by_model:
                return self.by_model[name]
        return None
