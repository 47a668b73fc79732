"""Gemma's own form: call:read_file{path:<|"|>a.py<|"|>,limit:20}, with bare names and strings between tokens."""

from __future__ import annotations

import json
import re
from typing import Any

from .call_json import BrokenCall, skip_space

_OPEN = re.compile(r"call:(?P<name>[A-Za-z_][\w.:/-]*)\s*(?=\{)")
_KEY = re.compile(r"\s*(?:\"([\w.-]+)\"|<\|\"\|>([\w.-]+)<\|\"\|>|([\w.-]+))\s*:\s*")
_QUOTE = '<|"|>'
_BARE = re.compile(r"[\w./+-]+")
_WORDS = {"true": True, "false": False, "null": None}
_CUT = "it ends before it is complete"


def gemma_call(text: str, start: int) -> tuple[str, dict[str, Any], int] | None:
    """Return name, arguments and end of the call at a place; None = there is none.

    Raises:
        BrokenCall: it is not whole.
    """
    opened = _OPEN.match(text, start)
    if opened is None:
        return None
    try:
        args, end = _object(text, opened.end())
    except BrokenCall as err:
        raise BrokenCall(f"the call of {opened['name']!r} cannot be used: {err}") from err
    except RecursionError as err:
        raise BrokenCall("it is nested too deeply") from err
    return opened["name"], args, end


def _object(text: str, start: int) -> tuple[dict[str, Any], int]:
    told: dict[str, Any] = {}
    place = skip_space(text, start + 1)
    while text[place : place + 1] != "}":
        key = _KEY.match(text, place)
        if key is None:
            raise BrokenCall(_CUT if place >= len(text) else "a name is missing in it")
        name = key[1] or key[2] or key[3]
        if name in told:
            raise BrokenCall(f"the argument {name!r} is given twice")
        told[name], place = _value(text, key.end())
        place = _next(text, place, "}")
    return told, place + 1


def _list(text: str, start: int) -> tuple[list[Any], int]:
    told: list[Any] = []
    place = skip_space(text, start + 1)
    while text[place : place + 1] != "]":
        value, place = _value(text, place)
        told.append(value)
        place = _next(text, place, "]")
    return told, place + 1


def _next(text: str, place: int, closer: str) -> int:
    place = skip_space(text, place)
    if text[place : place + 1] == ",":
        return skip_space(text, place + 1)
    if text[place : place + 1] != closer:
        raise BrokenCall(_CUT if place >= len(text) else "a comma is missing in it")
    return place


def _value(text: str, place: int) -> tuple[Any, int]:
    if text.startswith(_QUOTE, place):
        end = text.find(_QUOTE, place + len(_QUOTE))
        if end < 0:
            raise BrokenCall(_CUT)
        return text[place + len(_QUOTE) : end], end + len(_QUOTE)
    match text[place : place + 1]:
        case "{":
            return _object(text, place)
        case "[":
            return _list(text, place)
        case '"':
            return _string(text, place)
    bare = _BARE.match(text, place)
    if bare is None:
        raise BrokenCall(_CUT if place >= len(text) else "a text in it needs quotation marks")
    return _plain(bare[0]), bare.end()


def _string(text: str, place: int) -> tuple[Any, int]:
    try:
        return json.JSONDecoder(strict=False).raw_decode(text, place)
    except ValueError as err:
        raise BrokenCall(_CUT) from err


def _plain(word: str) -> Any:
    if word in _WORDS:
        return _WORDS[word]
    try:
        return json.loads(word)
    except ValueError:
        return word
