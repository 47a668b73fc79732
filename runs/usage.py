"""What model calls used, added up from their events: for a run, for a visit of a node, for limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What some model calls used.

    Attributes:
        prompt_tokens, completion_tokens: as the server reported; an unreported call counts 0.
        cached_tokens: of the prompt's, those that the server had computed before; None = it told of no call.
        estimated_tokens: our estimate of what was not reported.
        prefill_tokens, prefill_s, decode_tokens, decode_s: of the calls whose times the server told; cached tokens
            that it told are left out.
        cost: None = no call had a price.
        kept: the sum of what calls kept of the request before (core.events.ModelCalled). kept_calls: how many tell.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    estimated_tokens: int = 0
    prefill_tokens: int = 0
    prefill_s: float = 0.0
    decode_tokens: int = 0
    decode_s: float = 0.0
    cost: float | None = None
    kept: float = 0.0
    kept_calls: int = 0

    @property
    def kept_share(self) -> float | None:
        """Mean share (0..1) of a request that stands unchanged at the front of the next; None = no two are known."""
        return self.kept / self.kept_calls if self.kept_calls else None

    @property
    def tokens(self) -> int:
        """What limits count: reported and estimated together."""
        return self.prompt_tokens + self.completion_tokens + self.estimated_tokens

    @property
    def prompt_per_s(self) -> float | None:
        """Tokens of the prompt that were read a second; None = the server told no times."""
        return self.prefill_tokens / self.prefill_s if self.prefill_tokens and self.prefill_s else None

    @property
    def completion_per_s(self) -> float | None:
        """Tokens of the reply that were written a second; None = the server told no times."""
        return self.decode_tokens / self.decode_s if self.decode_tokens and self.decode_s else None

    def plus(self, call: Mapping[str, Any]) -> ModelUse:
        """Return this with one more call, given as the data of its event; older ones lack fields."""
        prompt, completion = call.get("prompt_tokens"), call.get("completion_tokens")
        cached, cost, kept = call.get("cached_tokens"), call.get("cost"), call.get("kept")
        read, read_s = _timed((prompt or 0) - (cached or 0), call.get("prefill_s"))
        wrote, wrote_s = _timed(completion or 0, call.get("decode_s"))
        return ModelUse(
            calls=self.calls + 1,
            prompt_tokens=self.prompt_tokens + (prompt or 0),
            completion_tokens=self.completion_tokens + (completion or 0),
            cached_tokens=self.cached_tokens if cached is None else (self.cached_tokens or 0) + cached,
            estimated_tokens=self.estimated_tokens + call.get("estimated_tokens", 0),
            prefill_tokens=self.prefill_tokens + read,
            prefill_s=self.prefill_s + read_s,
            decode_tokens=self.decode_tokens + wrote,
            decode_s=self.decode_s + wrote_s,
            cost=self.cost if cost is None else (self.cost or 0.0) + cost,
            kept=self.kept + (kept or 0.0),
            kept_calls=self.kept_calls + (kept is not None),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what is shown of it, as JSON data; speeds are in tokens a second."""
        return {
            "model_calls": self.calls,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "kept_share": _rounded_down(self.kept_share),
            "completion_tokens": self.completion_tokens,
            "estimated_tokens": self.estimated_tokens,
            "prefill_s": round(self.prefill_s, 3),
            "decode_s": round(self.decode_s, 3),
            "prompt_per_s": _rounded(self.prompt_per_s, 1),
            "completion_per_s": _rounded(self.completion_per_s, 1),
            "cost": _rounded(self.cost, 6),
        }


def _timed(tokens: int, seconds: float | None) -> tuple[int, float]:
    """Return the tokens of a call with their time; nothing of either where one is not known."""
    return (tokens, seconds) if tokens > 0 and seconds is not None else (0, 0.0)


def _rounded_down(share: float | None) -> float | None:
    """Return a share to four digits; 1 only when nothing is missing."""
    return None if share is None else int(share * 10_000) / 10_000


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
