"""Whether the next request fits the model's window: a server would cut a longer one silently, from the front."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from ..core.errors import LimitReached, NoRoom
from ..core.messages import ModelRequest
from ..core.ports import ChatModel, TokenCounter
from ..llm.tokens import count_request

_TRUSTED_SHARE = 0.5
"""A reported count below this share of the estimate leaves out what the server had cached, and is not used."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the server counted for an earlier request of the conversation: its tokens; its number of messages.

    `model` is the one that counted: another one has another tokenizer. "" = any.
    """

    tokens: int
    messages: int
    model: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "messages": self.messages, "model": self.model}

    @staticmethod
    def from_dict(data: dict[str, Any] | None, model: str) -> Measured | None:
        """Return what a checkpoint kept; None when the server reported no count of this model yet."""
        if data is None or data.get("model", "") not in ("", model):
            return None
        return Measured(data["tokens"], data["messages"], data.get("model", ""))


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many tokens a model counts for one that is estimated, at least 1; another model has another tokenizer."""

    tokens: float
    model: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any] | None, model: str) -> Ratio | None:
        """Return what a checkpoint kept; None when it is of another model."""
        return Ratio(**data) if data is not None and data["model"] == model else None


@dataclass(frozen=True, slots=True)
class Granted:
    """The window that a server turned out to have in the middle of a conversation, when it refused a request.

    Attributes:
        tokens: of that window, by our count.
        instead_of: tokens of the window that its model was to have; with another one nothing is known.
    """

    tokens: int
    instead_of: int
    model: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def after(err: NoRoom, model: ChatModel, planned: int) -> Granted:
        """Return what is known after a refusal.

        Args:
            planned: tokens of the refused request with its longest answer, by our count. By that count the window is
                smaller, whatever the server says of it.
        """
        return Granted(min(planned - 1, err.window or planned), model.window, model.name)


def window_of(model: ChatModel, granted: dict[str, Any] | None) -> int:
    """Return the tokens of a model's window for this conversation.

    Args:
        granted: what a checkpoint keeps of a Granted; None = no request was refused.
    """
    if granted is None or (granted["instead_of"], granted["model"]) != (model.window, model.name):
        return model.window
    return int(granted["tokens"])


SMALL_WINDOW = 32_768
"""Tokens of a window below which the parts of a request are made smaller with it."""


def fitted_cap(max_tokens: int, window: int) -> int:
    """Return the output cap in a window: in a small one no more than a fifth of it.

    In 8k that leaves room for 4,000 new tokens between two compactions, where a quarter is taken from the start.
    """
    return max_tokens if window >= SMALL_WINDOW else min(max_tokens, window // 5)


def share_in(window: int) -> float:
    """Return the share of its budget that each part of a first message gets in a window: 1 unless it is small."""
    return min(1.0, window / SMALL_WINDOW)


def prompt_tokens(request: ModelRequest, counter: TokenCounter, measured: Measured | None, ratio: float = 1.0) -> int:
    """Return the tokens of the request, never below what the model will count.

    Args:
        measured: of an earlier request that this one only appends to; its exact count replaces the estimate of that
            part. None = all of it is estimated.
        ratio: tokens that the model counts for one that is estimated; at least 1.
    """
    estimate = _estimate(request, counter)
    if measured is None:
        return math.ceil(estimate * ratio)
    grown = count_request(request.messages[measured.messages :], (), counter)
    if measured.tokens < (estimate - grown) * _TRUSTED_SHARE:
        return math.ceil(estimate * ratio)
    return measured.tokens + math.ceil(grown * ratio)


def learned_ratio(request: ModelRequest, counter: TokenCounter, counted: int, before: float) -> float:
    """Return the ratio for the next requests: never below the one before, and so that this count was not above it."""
    return max(before, counted / max(_estimate(request, counter), 1))


def _estimate(request: ModelRequest, counter: TokenCounter) -> int:
    return count_request(request.messages, request.tools or request.described, counter)


def require_room(label: str, model: str, window: int, request: ModelRequest, tokens: int) -> None:
    """Return when prompt and answer fit the window together.

    Raises:
        LimitReached: they do not; the run can be resumed with a larger window.
    """
    if tokens + request.max_tokens <= window:
        return
    raise LimitReached(
        f"{label}: the next request needs about {tokens:,} tokens and up to {request.max_tokens:,} for its answer, "
        f"but the window of {model!r} holds {window:,}.",
        hint="Resume with a larger one (-c models.num_ctx=N), a shorter answer (-c models.max_tokens=N), "
        "or make the steps smaller.",
    )
