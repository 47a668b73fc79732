"""Recorded model calls: a JSONL file written during a run, answered from again in a replay.

app/ gives a Recorder to the chat model, or puts a loaded Cassette behind the in-package server.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ..core.errors import UsageError
from ..core.masking import first_placeholder
from ..core.messages import CallKey
from .answers import Answer, Answers, Call, ChatRequest, Fault, RawReply, Reply
from .cassette_lines import CountRecord, Key, Lines, Messages, PlacesRecord, Record, ShortReply, Wire, parse_lines
from .http_client import CALL_HEADER
from .normalise import Normaliser, map_texts
from .secret_names import numbered, renaming

CASSETTE_VERSION = 1
MISMATCH_STATUS = 409
_LINE_STARTS = (b'{"v": 1, "key": ', b'{"v": 1, "places": ')


class Recorder:
    """Appends every finished model call to a cassette; a call is on disk when `record` returns.

    An existing file is continued, as after a resume; a torn last line, left by a kill, is cut off. Of two records of
    one key the later counts. Calls may come from several threads.

    Args:
        path: the file, made with mode 0600.

    Raises:
        UsageError: the file cannot be written or holds something else than a cassette.
    """

    def __init__(self, path: Path, *, normalise: Normaliser) -> None:
        self._path = path
        self._normalise = normalise
        self._lock = threading.Lock()
        self._last: dict[tuple[str, int], Messages] = {}
        for entry in _read_for_appending(path).calls:
            key = entry.record.key
            self._last[key.node, key.visit] = entry.messages

    def record(
        self, key: CallKey, body: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], wire: Wire = "ollama"
    ) -> None:
        """Append one call.

        Args:
            body: the chat request as it was sent, in the form of Ollama's API; `profile`, `window` and `ratio` beside
                it are kept too.
            parts: the parts of the reply's stream, in that form.
        """
        messages = comparable(body.get("messages") or [], self._normalise)
        with self._lock:
            before = self._last.get((key.node, key.visit), [])
            kept = _common(before, messages)
            line = self._line(key, body, parts, messages, kept)
            self._append(line if wire == "ollama" else {**line, "wire": wire})
            self._last[key.node, key.visit] = messages

    def record_count(self, key: CallKey, messages: Sequence[Mapping[str, Any]], counted: int) -> None:
        """Append what the server's tokenizer counted for a request.

        Args:
            messages: of the request, in the form of Ollama's API.
        """
        stored = CountRecord(
            v=1, key=_stored_key(key), digest=digest(comparable(messages, self._normalise)), counted=counted
        )
        with self._lock:
            self._append(stored.model_dump())

    def record_places(self, places: Mapping[str, str]) -> None:
        """Append which model works for each role and tag of the run, where that is more than one."""
        if len(set(places.values())) > 1:
            with self._lock:
                self._append(PlacesRecord(v=1, places=dict(places)).model_dump())

    def _line(
        self,
        key: CallKey,
        body: Mapping[str, Any],
        parts: Sequence[Mapping[str, Any]],
        messages: Messages,
        kept: int,
    ) -> dict[str, Any]:
        reply = storable_parts(parts, self._normalise)
        line: dict[str, Any] = {
            "v": CASSETTE_VERSION,
            "key": _stored_key(key).model_dump(),
            "model": body.get("model", ""),
            "digest": digest(messages),
            "kept": kept,
            "messages": messages[kept:],
            "tools": [tool["function"]["name"] for tool in body.get("tools") or ()],
            "reply": reply,
        }
        if body.get("format"):
            line["schema"] = body["format"]
        if body.get("profile"):
            line["profile"] = body["profile"]
        if body.get("window"):
            line |= {"window": body["window"], "ratio": body["ratio"]}
        if reply != storable_parts(parts, Normaliser(secrets=self._normalise.secrets)):
            line["paths"] = True
        return line

    def _append(self, line: Mapping[str, Any]) -> None:
        data = (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
        with open(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


class Cassette:
    """Recorded calls, found by their key."""

    def __init__(self, lines: Lines) -> None:
        self._entries = {_key(entry.record.key): entry for entry in lines.calls}
        self._counts = {(_key(line.key), line.digest): line.counted for line in lines.counts}
        self._places = [line.places for line in lines.places]

    @staticmethod
    def load(path: Path) -> Cassette:
        """Return the calls of a file.

        Raises:
            UsageError: it cannot be read, or a line is no record; the message names file and line.
        """
        if not path.is_file():
            raise UsageError(f"there is no cassette {str(path)!r}.", hint="Record one with `--record FILE`.")
        return Cassette(_read(path))

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the recorded calls, in the order of the file."""
        return tuple(self._entries)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the recorded models, in the order of the file; hand-written records name none."""
        return tuple(dict.fromkeys(e.record.model for e in self._entries.values() if e.record.model))

    @property
    def wire(self) -> Wire:
        """The API that the recorded model was called over; that of the first call when they differ."""
        return next((entry.record.wire for entry in self._entries.values()), "ollama")

    @property
    def places(self) -> Mapping[str, str]:
        """Model by role and tag; {} = one model did all, or which did what changed in the course of the run."""
        if not self._places or any(other != self._places[0] for other in self._places):
            return {}
        return self._places[0] if set(self.models) <= set(self._places[0].values()) else {}

    def window(self, model: str = "") -> int:
        """Return the tokens of the window that a model's calls were made in, the smallest one when they differ.

        Args:
            model: "" = that of any.

        Returns:
            0 = not told.
        """
        return min((record.window for record in self._of(model) if record.window), default=0)

    def ratio(self, model: str = "") -> float:
        """Return the tokens that a model was taken to count for one that is estimated; 1 also means not told."""
        return max((record.ratio for record in self._of(model)), default=1.0)

    def _of(self, model: str) -> list[Record]:
        return [entry.record for entry in self._entries.values() if model in ("", entry.record.model)]

    @property
    def profiles(self) -> dict[str, str]:
        """Tool profile by key, of the calls that had one."""
        return {key: entry.record.profile for key, entry in self._entries.items() if entry.record.profile}

    def answers(self, normalise: Normaliser) -> Answers:
        """Return answers for the in-package server.

        A request names its call in the header X-Flow-Call (OllamaChat's `tag_calls`), so the order of the requests
        does not matter and a call asked twice is answered twice. A request that is not the recorded one, or was not
        recorded, gets HTTP 409 with a text for the person.

        Args:
            normalise: built for the workspace of the replay.
        """

        def answer(request: ChatRequest) -> Answer:
            key = unquote(request.headers.get(CALL_HEADER, ""))
            entry = self._entries.get(key)
            if entry is None:
                return Fault("http", status=MISMATCH_STATUS, text=self._unknown(key))
            if entry.record.digest is not None:
                now = comparable(request.messages, normalise)
                if digest(now) != entry.record.digest:
                    difference = first_difference(numbered(entry.messages), numbered(now))
                    text = f"call {key!r} is not the recorded one: {difference}"
                    return Fault("http", status=MISMATCH_STATUS, text=text)
                return _answer(entry.record, normalise, renaming(entry.messages, now))
            return _answer(entry.record, normalise, str)

        return answer

    def counted(self, key: CallKey, messages: Sequence[Mapping[str, Any]], normalise: Normaliser) -> int | None:
        """Return what a tokenizer counted for this request when it was recorded; None = it was not asked.

        Args:
            messages: in the form of Ollama's API.
        """
        return self._counts.get((str(key), digest(comparable(messages, normalise)))) if self._counts else None

    def _unknown(self, key: str) -> str:
        if not key:
            return "the request does not say which call of the run it is, so nothing can be replayed"
        near = get_close_matches(key, self._entries, n=3, cutoff=0.3) or list(self._entries)[:3]
        nearest = (
            f"; the nearest recorded ones are {', '.join(map(repr, near))}" if near else "; the cassette is empty"
        )
        return f"call {key!r} was not recorded{nearest}"


def _stored_key(key: CallKey) -> Key:
    return Key(node=key.node, visit=key.visit, turn=key.turn)


def _key(stored: Key) -> str:
    return str(CallKey(stored.node, stored.visit, stored.turn))


def comparable(messages: Sequence[Mapping[str, Any]], normalise: Normaliser) -> Messages:
    """Return the messages of a wire request as they are stored and compared: normalised, without system text."""
    return [_comparable(message, normalise) for message in messages if message.get("role") != "system"]


def digest(messages: Messages) -> str:
    """Return the SHA-256 hex of comparable messages, the same for two runs whose placeholders of secrets differ."""
    return hashlib.sha256(json.dumps(numbered(messages), sort_keys=True).encode()).hexdigest()


def first_difference(recorded: Messages, now: Messages) -> str:
    """Return in one line where two conversations first differ; messages and lines count from 1, system text apart."""
    for number, (old, new) in enumerate(zip_longest(recorded, now), start=1):
        if old == new:
            continue
        if old is None:
            return f"message {number} ({new['role']}) is new: {_shown(new)}"
        if new is None:
            return f"message {number} ({old['role']}) is missing: {_shown(old)}"
        if old["role"] != new["role"]:
            return f"message {number} was a {old['role']} message and is a {new['role']} message now: {_shown(new)}"
        return f"message {number} ({new['role']}), {_line_difference(_text(old), _text(new))}"
    return "the recorded digest does not belong to the recorded messages"


def storable_parts(parts: Sequence[Mapping[str, Any]], normalise: Normaliser) -> list[dict[str, Any]]:
    """Return a reply's parts without secrets and workspace paths.

    Both, and a secret's placeholder, can lie across several parts; then the text is stored whole, in front.
    """
    stored: list[dict[str, Any]] = map_texts(parts, normalise.storable)
    whole = {name: _joined(parts, name) for name in ("content", "thinking")}
    safe = {name: normalise.storable(text) for name, text in whole.items()}
    if all(safe[name] == _joined(stored, name) and not first_placeholder(safe[name]) for name in whole):
        return stored
    front = {"message": {"role": "assistant", **{name: text for name, text in safe.items() if text}}, "done": False}
    return [front, *(_without_text(part) for part in stored)]


def _without_text(part: dict[str, Any]) -> dict[str, Any]:
    message = {name: value for name, value in (part.get("message") or {}).items() if name != "thinking"}
    return {**part, "message": {**message, "content": ""}}


def _joined(parts: Sequence[Mapping[str, Any]], name: str) -> str:
    return "".join((part.get("message") or {}).get(name) or "" for part in parts)


def _comparable(message: Mapping[str, Any], normalise: Normaliser) -> dict[str, Any]:
    shown: dict[str, Any] = {"role": message["role"], "content": normalise(message.get("content") or "")}
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    if calls:
        shown["calls"] = [{"name": c["name"], "arguments": map_texts(c["arguments"], normalise)} for c in calls]
    if name := message.get("tool_name"):
        shown["tool_name"] = name
    return shown


def _answer(record: Record, normalise: Normaliser, rename: Callable[[str], str]) -> Answer:
    if isinstance(record.reply, ShortReply):
        calls = [Call(call.name, call.arguments) for call in record.reply.calls]
        return Reply(text=record.reply.text, calls=calls, thinking=record.reply.thinking)
    reply = map_texts(record.reply, rename)
    return RawReply(map_texts(reply, normalise.restored) if record.paths else reply)


def _read(path: Path) -> Lines:
    try:
        return parse_lines(path.read_bytes(), path)
    except OSError as err:
        raise UsageError(f"cannot read the cassette {str(path)!r}: {err.strerror}.") from err


def _read_for_appending(path: Path) -> Lines:
    """Return what the file holds, having made it with mode 0600 when missing and cut off a torn last line.

    Nothing is cut from a file that is no cassette.
    """
    try:
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            data = file.read()
            whole = data.rfind(b"\n") + 1
            torn = data[whole:]
            if not any(torn.startswith(start) or start.startswith(torn) for start in _LINE_STARTS):
                raise UsageError(f"{path}: not a cassette, so nothing is recorded to it.")
            lines = parse_lines(data[:whole], path)
            file.truncate(whole)
            return lines
    except OSError as err:
        raise UsageError(f"cannot record to {str(path)!r}: {err.strerror}.") from err


def _common(before: Sequence[object], after: Sequence[object]) -> int:
    count = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        count += 1
    return count


def _text(message: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in message.items() if name not in ("role", "content")}
    tail = json.dumps(rest, ensure_ascii=False, sort_keys=True) if rest else ""
    return f"{message['content']}\n{tail}" if tail else str(message["content"])


def _line_difference(old: str, new: str) -> str:
    pairs = zip_longest(old.split("\n"), new.split("\n"))
    for number, (before, after) in enumerate(pairs, start=1):
        if before != after:
            return f"line {number}: recorded {_around(before, after)}, now {_around(after, before)}"
    return "differs in its calls"


def _around(line: str | None, other: str | None) -> str:
    """Return a line cut to the place where it differs from another; "nothing" for None."""
    if line is None:
        return "nothing"
    place = _common(line, other or "")
    start = max(0, place - 30)
    cut = line[start : place + 70]
    return repr(("..." if start else "") + cut + ("..." if start + len(cut) < len(line) else ""))


def _shown(message: Mapping[str, Any]) -> str:
    text = _text(message).replace("\n", " ")
    return repr(text[:100] + ("..." if len(text) > 100 else ""))
