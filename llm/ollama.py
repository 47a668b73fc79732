"""The ChatModel over Ollama's /api/chat. Built by app/, called by nodes/."""

from __future__ import annotations

import asyncio
from typing import Any, Unpack

from ..core.messages import ModelRequest
from ..core.ports import OnProgress
from .ollama_wire import OllamaExchange, request_body
from .wire_chat import ChatOptions, WireChat


class OllamaChat(WireChat):
    """One model on one Ollama server at one window size; a core.ports.ChatModel.

    Every request carries the same `num_ctx`, for another one would make the server load the model again, and none
    would let it cut the prompt silently.

    Args:
        keep_alive: how long the server keeps the model loaded, as Ollama writes durations.
        loading: is done when the model, which is being loaded meanwhile, is ready; None = nothing is known of that.
        options: as for every chat model.

    Raises:
        ModelUnavailable: the URL is no http or https address.
    """

    def __init__(
        self,
        *,
        keep_alive: str = "10m",
        loading: asyncio.Future[None] | None = None,
        **options: Unpack[ChatOptions],
    ) -> None:
        super().__init__("ollama", options["url"], options)
        self._keep_alive = keep_alive
        self._loading = loading

    def _wire_body(self, request: ModelRequest) -> dict[str, Any]:
        return request_body(
            request,
            model=self.name,
            window=self.window,
            grammar=self._grammar,
            temperature=self._temperature,
            think=self._think,
            keep_alive=self._keep_alive,
        )

    def _exchange(self, body: dict[str, Any], headers: dict[str, str]) -> OllamaExchange:
        return OllamaExchange(body, headers)

    def _tell_waiting(self, on_progress: OnProgress) -> None:
        if self._loading is None or self._loading.done():
            super()._tell_waiting(on_progress)
        else:
            on_progress("loading model", 0)
            # No reply begins before the model is loaded.
            self._loading.add_done_callback(lambda _: on_progress("waiting for model", 0))
