"""The lines of a cassette file as they are stored, and reading them. Used by cassette.py."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..core.errors import UsageError

Messages = list[dict[str, Any]]
Wire = Literal["ollama", "openai"]
"""Over which API the calls were made; what is stored has the form of Ollama's, whichever it was."""


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Key(Line):
    node: str
    visit: int = 1
    turn: int = 0


class StoredCall(Line):
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class ShortReply(Line):
    """A reply as a person writes it."""

    text: str = ""
    calls: list[StoredCall] = Field(default_factory=list)
    thinking: str = ""


class Record(Line):
    """One line of a cassette.

    `kept` messages of the node visit's record before this one stand unchanged in front of `messages`, so that a file
    grows with the conversation and not with its square. `digest` is of all of them; None = not compared.
    `paths`: the reply held the workspace's path, now a placeholder. `wire`: the API that a replay speaks. `profile`:
    the tool profile whose names the calls have; "" = they have our own. `window`: tokens of the model's window, 0 =
    not told. `ratio`: tokens that the model was taken to count for one that is estimated.
    """

    v: Literal[1]
    key: Key
    digest: str | None
    reply: list[dict[str, Any]] | ShortReply
    model: str = ""
    kept: int = Field(default=0, ge=0)
    messages: Messages = Field(default_factory=list)
    tools: list[str] = Field(default_factory=list)
    schema_: Any = Field(default=None, alias="schema")
    paths: bool = False
    wire: Wire = "ollama"
    profile: str = ""
    window: int = 0
    ratio: float = Field(default=1.0, ge=1)


class CountRecord(Line):
    """A line that keeps what the server's tokenizer counted for a request before it was made, or was not."""

    v: Literal[1]
    key: Key
    digest: str
    counted: int


class PlacesRecord(Line):
    """A line that keeps which model worked for each role and tag, of a run that had more than one."""

    v: Literal[1]
    places: dict[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """A record with its conversation put together."""

    record: Record
    messages: Messages


class Lines(NamedTuple):
    """What a cassette holds, in the order of the file."""

    calls: list[Entry]
    counts: list[CountRecord]
    places: list[PlacesRecord]


def parse_lines(data: bytes, path: Path) -> Lines:
    """Return the lines of a file, each call with its whole conversation.

    Raises:
        UsageError: a line is none; the message names file and line.
    """
    found = Lines([], [], [])
    last: dict[tuple[str, int], Messages] = {}
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        if _has(line, "counted"):
            found.counts.append(_parse(CountRecord, line, where))
            continue
        if _has(line, "places"):
            found.places.append(_parse(PlacesRecord, line, where))
            continue
        record = _parse(Record, line, where)
        visit = record.key.node, record.key.visit
        before = last.get(visit, [])
        if record.kept > len(before):
            raise UsageError(f"{where}: keeps {record.kept} messages of {len(before)}; a line before is missing.")
        last[visit] = before[: record.kept] + record.messages
        found.calls.append(Entry(record, last[visit]))
    return found


def _has(line: bytes, key: str) -> bool:
    """Return whether a line is an object with that key on top."""
    if f'"{key}"'.encode() not in line:
        return False
    try:
        data = json.loads(line)
    except ValueError:
        return False
    return isinstance(data, dict) and key in data


AnyLine = TypeVar("AnyLine", bound=Line)


def _parse(kind: type[AnyLine], line: bytes, where: str) -> AnyLine:
    try:
        return kind.model_validate_json(line)
    except ValidationError as err:
        first = err.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"{where}: not a recorded call: {f'{place}: ' if place else ''}{first['msg']}.") from err
