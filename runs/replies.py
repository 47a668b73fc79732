"""Model replies on disk the moment they are complete, so that a call is never paid for twice. Built by app/ around
every chat model of a run."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, replace
from typing import Any

from ..core.errors import ModelFault, ReplyCut, ReplyInvalid
from ..core.messages import CallKey, Message, ModelReply, ModelRequest, ToolCall, Usage
from ..core.ports import ChatModel, OnProgress
from .rows import to_json
from .store import RunStore

_FAULTS: dict[str, type[ModelFault]] = {"cut": ReplyCut, "invalid": ReplyInvalid}
"""Faults of a complete reply: it was paid for, and the step goes on from it."""


class Replies:
    """The replies of one run that no checkpoint holds yet.

    A reply is named by its call (agent, visit, turn) and is given again only to the very same request to the very
    same model. It goes when the same visit asks its next one, since that is asked from a checkpoint that holds it
    (where code asks, none does: ModelRequest.keeps_earlier), and with the end of the run. A run that failed starts
    without: what made it fail may have been the reply.
    """

    def __init__(self, store: RunStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id

    def of(self, model: ChatModel) -> ChatModel:
        """Return the model with every reply of it kept."""
        return _Kept(self, model)

    def find(self, key: CallKey, digest: str) -> dict[str, Any] | None:
        """Return what was kept for this very request; None = it was never answered."""
        rows = self._store.query(
            "SELECT body FROM reply WHERE run_id = ? AND agent = ? AND turn = ? AND request_sha = ?",
            (self._run_id, _agent(key), key.turn, digest),
        )
        return json.loads(rows[0]["body"]) if rows else None

    def is_told(self, key: CallKey) -> bool:
        """Return whether the kept call's event is in the run's table already."""
        found = self._store.query(
            "SELECT 1 FROM reply JOIN event ON event.run_id = reply.run_id AND event.seq > reply.after_seq"
            " WHERE reply.run_id = ? AND reply.agent = ? AND reply.turn = ? AND event.type = 'model_call'"
            " AND json_extract(event.data, '$.key') = ?",
            (self._run_id, _agent(key), key.turn, str(key)),
        )
        return bool(found)

    def keep(self, request: ModelRequest, digest: str, body: dict[str, Any]) -> None:
        """Store a complete reply; it is on disk when this returns. Earlier ones of the same visit go."""
        key, first = request.key, request.key.turn if request.keeps_earlier else 0
        with self._store.change() as db:
            db.execute(
                "DELETE FROM reply WHERE run_id = ? AND agent = ? AND turn BETWEEN ? AND ?",
                (self._run_id, _agent(key), first, key.turn),
            )
            db.execute(
                "INSERT INTO reply (run_id, agent, turn, request_sha, body, after_seq, at) VALUES (?, ?, ?, ?, ?,"
                " (SELECT coalesce(max(seq), 0) FROM event WHERE run_id = ?), ?)",
                (self._run_id, _agent(key), key.turn, digest, to_json(body), self._run_id, self._store.timestamp()),
            )

    def drop(self) -> None:
        """Forget all replies of the run: it ended, failed, or goes back to an earlier step."""
        with self._store.change() as db:
            db.execute("DELETE FROM reply WHERE run_id = ?", (self._run_id,))


class _Kept:
    """A chat model whose complete replies are kept (core.ports.ChatModel)."""

    def __init__(self, replies: Replies, model: ChatModel) -> None:
        self._replies = replies
        self._model = model
        self.name = model.name
        self.window = model.window

    async def complete(self, request: ModelRequest, on_progress: OnProgress) -> ModelReply:
        """Return the kept reply to this request, or ask the model and keep what it says.

        Raises:
            ModelFault: as the model raised it, now or before.
        """
        digest = request_digest(self.name, request)
        if (kept := self._replies.find(request.key, digest)) is not None:
            return _read(kept, told=self._replies.is_told(request.key))
        started = time.monotonic()
        try:
            reply = await self._model.complete(request, on_progress)
        except (ReplyCut, ReplyInvalid) as fault:
            self._replies.keep(request, digest, _written_fault(fault))
            raise
        reply = replace(reply, seconds=time.monotonic() - started)
        self._replies.keep(request, digest, _written(reply))
        return reply


def request_digest(model: str, request: ModelRequest) -> str:
    """Return the SHA-256 hex of everything a request says, the model's name with it.

    The output cap is left out: it follows what is left of a budget, and whatever it is, the reply is paid for.
    """
    said = {
        "model": model,
        "messages": [message.to_dict() for message in request.messages],
        "tools": [asdict(tool) for tool in request.tools],
        "schema": request.schema,
    }
    text = json.dumps(said)
    return hashlib.sha256(text.encode()).hexdigest()


def _agent(key: CallKey) -> str:
    return f"{key.node}#{key.visit}"


def _written(reply: ModelReply) -> dict[str, Any]:
    said = Message("assistant", reply.text, reply.calls, thinking=reply.thinking)
    return {**said.to_dict(), "model": reply.model, "usage": asdict(reply.usage), "seconds": reply.seconds}


def _written_fault(fault: ModelFault) -> dict[str, Any]:
    kind = "cut" if isinstance(fault, ReplyCut) else "invalid"
    usage = None if fault.usage is None else asdict(fault.usage)
    return {"fault": kind, "message": fault.message, "hint": fault.hint, "usage": usage}


def _read(kept: dict[str, Any], *, told: bool) -> ModelReply:
    usage = None if kept.get("usage") is None else Usage(**kept["usage"])
    if fault := kept.get("fault"):
        raise _FAULTS[fault](kept["message"], hint=kept["hint"], usage=None if told else usage)
    return ModelReply(
        text=kept["content"],
        calls=tuple(ToolCall.from_dict(call) for call in kept.get("calls", ())),
        thinking=kept.get("thinking", ""),
        model=kept["model"],
        usage=usage or Usage(),
        seconds=kept["seconds"],
        told=told,
    )
