"""One model call as it is counted: what the server reported, what it did not, and what broke on the way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

from ..core.errors import FlowError, ModelFault, ReplyCut
from ..core.events import ModelCalled, Phase
from ..core.messages import CallKey, Usage
from ..core.ports import OnProgress
from ..core.prices import Price

CallFault = Literal["", "cut", "invalid", "broken"]


@dataclass(slots=True)
class CallUnderWay:
    """A model call, from its request on.

    Attributes:
        price: of the model; None = it has none.
        prompt_tokens: our estimate of the request.
        pieces: pieces of the reply that the attempt under way has brought, about a token each.
        broken: those of earlier attempts, which broke; one that brought none cost nothing.
    """

    key: CallKey
    model: str
    price: Price | None
    prompt_tokens: int
    on_progress: OnProgress
    pieces: int = 0
    broken: list[int] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def __call__(self, phase: Phase, amount: int, fault: str = "") -> None:
        """Take a sign of life (core.ports.OnProgress): after pieces of a reply, another phase is a new attempt's."""
        if phase == "generating":
            self.pieces = amount
        else:
            self.break_off()
        self.on_progress(phase, amount, fault)

    def break_off(self) -> None:
        """Take the attempt under way for broken."""
        if self.pieces:
            self.broken.append(self.pieces)
            self.pieces = 0

    def told(
        self,
        usage: Usage | None,
        *,
        written: int = 0,
        model: str = "",
        seconds: float | None = None,
        fault: CallFault = "",
    ) -> ModelCalled:
        """Return the call's event.

        Args:
            usage: what the server reported; None = no attempt came to its end.
            written: our estimate of the reply in tokens.
            model: as the server names it; "" = as it was asked for.
            seconds: that the call took; None = until now.
        """
        reported = usage or Usage()
        prompt = self.prompt_tokens if reported.prompt_tokens is None else reported.prompt_tokens
        completion = written if reported.completion_tokens is None else reported.completion_tokens
        if usage is None:
            prompt = completion = 0
        prompt += len(self.broken) * self.prompt_tokens
        completion += sum(self.broken)
        known = (reported.prompt_tokens or 0) + (reported.completion_tokens or 0)
        return ModelCalled(
            key=str(self.key),
            model=model or self.model,
            seconds=time.monotonic() - self.started if seconds is None else seconds,
            prompt_tokens=reported.prompt_tokens,
            completion_tokens=reported.completion_tokens,
            cached_tokens=reported.cached_tokens,
            prefill_s=reported.prefill_s,
            decode_s=reported.decode_s,
            estimated_tokens=prompt + completion - known,
            cost=None if self.price is None else self.price.of(prompt, completion, reported.cached_tokens or 0),
            fault=fault,
        )

    def told_fault(self, err: FlowError) -> ModelCalled | None:
        """Return the event of a call that brought no usable reply; None = it wrote nothing, as far as known."""
        if isinstance(err, ModelFault):
            fault: CallFault = "cut" if isinstance(err, ReplyCut) else "invalid"
            known = err.usage is not None or self.broken
            return self.told(err.usage, written=self.pieces, fault=fault) if known else None
        self.break_off()
        return self.told(None, fault="broken") if self.broken else None
