"""What graphs written in Python keep in their state: only what a checkpoint gives back as it was. Imports langgraph.

Nothing is pickled, and no class is rebuilt but those that the serializer lists itself: messages of LangChain, dates
and the like.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import pathlib
import uuid
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_openai_messages
from langchain_core.messages.base import TextAccessor
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command, Interrupt, Overwrite, Send

from ..core.masking import SecretMask

_KEPT: frozenset[type] = frozenset(
    {type(None), bool, int, float, str, bytes, datetime.datetime, datetime.date, datetime.time, datetime.timedelta}
    | {decimal.Decimal, uuid.UUID, type(pathlib.Path())}
)
_KEYS: frozenset[type] = frozenset({str, int, float, bool, type(None)})


def state_serializer() -> JsonPlusSerializer:
    """Return what turns the values of a state into bytes and back."""
    # An explicit list, even an empty one, is what turns off the default that imports and calls whatever a row names.
    return JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=[])


_SERIALIZER = state_serializer()


def not_kept(value: Any, place: str = "") -> str:
    """Return what of a value would not come back from a checkpoint, as "PLACE: TYPE"; "" = all of it would."""
    kind = type(value)
    if kind in _KEPT:
        return ""
    if kind is dict:
        keys = (f"{place or 'a key'}: {type(key).__name__}" for key in value if type(key) not in _KEYS)
        return next(keys, "") or _first(not_kept(each, f"{place}.{key}".lstrip(".")) for key, each in value.items())
    if kind in (list, tuple, set, frozenset):
        return _first(not_kept(each, f"{place}[{number}]") for number, each in enumerate(value))
    if isinstance(value, BaseMessage):
        return not_kept({name: getattr(value, name) for name in ("additional_kwargs", "response_metadata")}, place)
    if isinstance(value, Send):
        return not_kept(value.arg, place)
    if isinstance(value, Command):
        return not_kept(value.update, place) or not_kept(value.goto, place)
    if isinstance(value, Overwrite):
        return not_kept(value.value, place)
    return f"{place or 'it'}: {kind.__name__}"


def _first(found: Any) -> str:
    return next((each for each in found if each), "")


def pack(value: Any) -> dict[str, str]:
    """Return a value of which `not_kept` says nothing as JSON data.

    Raises:
        TypeError, ValueError: a message holds something that cannot be kept.
    """
    kind, data = _SERIALIZER.dumps_typed(value)
    return {"type": kind, "data": base64.b64encode(data).decode("ascii")}


def unpack(data: Mapping[str, str]) -> Any:
    """Return the value that `pack` was given; a tuple comes back as a list."""
    return _SERIALIZER.loads_typed((data["type"], base64.b64decode(data["data"])))


def masked(value: Any, secrets: SecretMask) -> Any:
    """Return a value of a state without secrets in its texts, those of messages among them.

    The text of a message, which LangChain gives as a class of its own, becomes a plain one.
    """
    kind = type(value)
    if kind is str or kind is TextAccessor:
        return secrets.mask(str(value))
    if kind is dict:
        return {key: masked(each, secrets) for key, each in value.items()}
    if kind in (list, tuple):
        return kind(masked(each, secrets) for each in value)
    if isinstance(value, BaseMessage):
        told = {name: masked(getattr(value, name), secrets) for name in ("content", "additional_kwargs")}
        calls = {"tool_calls": masked(value.tool_calls, secrets)} if hasattr(value, "tool_calls") else {}
        return value.model_copy(update={**told, **calls})
    if isinstance(value, Command):
        return dataclasses.replace(value, update=masked(value.update, secrets), goto=masked(value.goto, secrets))
    if isinstance(value, Send):
        return Send(value.node, masked(value.arg, secrets))
    if isinstance(value, Interrupt):
        return Interrupt(value=masked(value.value, secrets), id=value.id)
    return value


def as_json(value: Any) -> Any:
    """Return a value of a state as JSON data: a message as {role, content, ...}."""
    from pydantic_core import to_jsonable_python

    if isinstance(value, BaseMessage):
        return convert_to_openai_messages(value)
    if isinstance(value, dict):
        return {str(key): as_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_json(each) for each in value]
    return to_jsonable_python(value, fallback=str)
