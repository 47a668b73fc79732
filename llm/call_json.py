"""JSON and Python values as models write them in calls: strict first, then only repairs that have one outcome."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

_SPACE = re.compile(r"\s*")
_INVALID_ESCAPE = re.compile(r'\\(?:[^"\\/bfnrtu]|u(?![0-9a-fA-F]{4}))')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_TRAILING_COMMA = re.compile(r",(?=\s*[}\]])")
_RAW_STRING = re.compile(r"""(?<![\w"'])[rR]["']""")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'(?:[^\\]|\\.)*?\'\'\'|"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', re.DOTALL
)
_MOST_CLOSERS = 2
_CLOSER = {"{": "}", "[": "]"}

_CONSTANTS = {"true": True, "false": False, "null": None}


class BrokenCall(Exception):
    """Something that was meant as a call and cannot be read in one way. The text is for the model."""


def read_value(text: str, start: int) -> tuple[Any, int]:
    """Return the object or list that starts at a place, and where it ends.

    Mended are only line ends inside strings, commas before a closing bracket, backslashes that are no escape, and
    Python's quotes and constants.

    Raises:
        BrokenCall: it is not whole, or could be read in more than one way.
    """
    try:
        return _decoder().raw_decode(text, start)
    except ValueError as err:
        strict = err
    except RecursionError as err:
        raise BrokenCall("its JSON is nested too deeply") from err
    for quotes, read in (('"', _mended_json), ("\"'", python_value)):
        end = _end(text, start, quotes)
        if end is not None:
            try:
                return read(text[start:end]), end
            except (BrokenCall, ValueError, RecursionError):
                continue
    raise BrokenCall(_json_fault(strict, text, start)) from strict


def read_closed(text: str, start: int, end: int) -> Any:
    """Return the object between two marks of a reply; up to two brackets may be missing at its very end.

    The second mark shows that the model had finished, so the brackets that are open can only belong there.

    Raises:
        BrokenCall: anything else is wrong with it.
    """
    body = text[start:end].rstrip()
    open_brackets = list(_open_brackets(body))
    if not body.endswith("}") or not 0 < len(open_brackets) <= _MOST_CLOSERS:
        raise BrokenCall("its JSON is not complete")
    value, used = read_value(body + "".join(_CLOSER[bracket] for bracket in reversed(open_brackets)), 0)
    if used < len(body):
        raise BrokenCall("its JSON is not complete")
    return value


def read_object(text: str) -> dict[str, Any]:
    """Return arguments that came as JSON text; {} for an empty text.

    Raises:
        BrokenCall: it is not one whole object.
    """
    if not text.strip():
        return {}
    start = skip_space(text, 0)
    if text[start] not in "{[":
        raise BrokenCall("its arguments must be one JSON object")
    value, end = read_value(text, start)
    if not isinstance(value, dict) or text[end:].strip():
        raise BrokenCall("its arguments must be one JSON object")
    return value


def python_value(text: str) -> Any:
    """Return the value of a Python literal; `true`, `false` and `null` are understood.

    Raises:
        BrokenCall: it is no literal.
    """
    return literal(parse_python(text.strip(), "eval").body)


def parse_python(text: str, mode: str) -> Any:
    """Return a Python syntax tree of "eval" or "exec"; nothing is run.

    Raises:
        BrokenCall: it is no Python, or one of its strings mixes escapes with bare backslashes.
    """
    if not _RAW_STRING.search(text) and _mixed_escapes(text):
        raise BrokenCall("a backslash in it must be doubled")
    if _strings_touch(text):
        raise BrokenCall("a quotation mark inside a text must be escaped")
    try:
        # Python warns of the bare backslashes of a regular expression, which mean what they show.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, mode=mode)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as err:
        raise BrokenCall("it cannot be read as a call") from err


def literal(node: ast.AST) -> Any:
    """Return what a syntax tree says as plain JSON data.

    Raises:
        BrokenCall: it is more than a literal, for example a variable or an f-string.
    """
    match node:
        case ast.Constant(value=str() | bool() | int() | float() | None):
            return node.value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [literal(item) for item in items]
        case ast.Dict():
            keys = [None if key is None else literal(key) for key in node.keys]
            names = [key for key in keys if isinstance(key, str)]
            if len(names) < len(keys):
                raise BrokenCall("the names in its arguments must be text")
            return _object(list(zip(names, map(literal, node.values), strict=True)))
    raise BrokenCall("its arguments must be plain values, not code")


def skip_space(text: str, start: int) -> int:
    """Return the place of the next character that is no white space."""
    found = _SPACE.match(text, start)
    return found.end() if found else start


def _decoder() -> json.JSONDecoder:
    # Not strict about line ends and tabs inside strings: they can mean nothing else.
    return json.JSONDecoder(strict=False, object_pairs_hook=_object, parse_constant=_refuse)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, value in pairs:
        if name in told and told[name] != value:
            raise BrokenCall(f"the argument {name!r} is given twice")
        told[name] = value
    return told


def _refuse(name: str) -> NoReturn:
    raise BrokenCall(f"{name} is no JSON value")


def _mended_json(text: str) -> Any:
    strings = _outside_and_strings(text)
    mended = "".join(_mended_string(part) if quoted else _TRAILING_COMMA.sub("", part) for quoted, part in strings)
    value, end = _decoder().raw_decode(mended)
    if end != len(mended):
        raise BrokenCall("its JSON is not complete")
    return value


def _mended_string(text: str) -> str:
    if not _INVALID_ESCAPE.search(text):
        return text
    if _mixed_escapes(text):
        # Beside a bare backslash, is `\n` of "C:\new\dir" a line end? Only the model knows.
        raise BrokenCall("a backslash in a JSON string must be doubled")
    return _ESCAPE.sub(lambda found: found[0] if found[1] in '"\\/' else f"\\\\{found[1]}", text)


def _mixed_escapes(text: str) -> bool:
    escapes = [found[1] for found in _ESCAPE.finditer(text)]
    return bool(_INVALID_ESCAPE.search(text)) and any(char in "abfnrtuvxN01234567" for char in escapes)


def _outside_and_strings(text: str) -> Iterator[tuple[bool, str]]:
    """Yield the text in pieces, True for those in double quotes."""
    piece, quoted, escaped = "", False, False
    for char in text:
        if not quoted and char == '"':
            yield False, piece
            piece, quoted = char, True
        elif quoted and char == '"' and not escaped:
            yield True, piece + char
            piece, quoted = "", False
        else:
            piece += char
        escaped = quoted and char == "\\" and not escaped
    yield quoted, piece


def _end(text: str, start: int, quotes: str) -> int | None:
    """Return where the brackets that open at a place are all closed again; None = never."""
    depth = 0
    for place, char in _outside(text, start, quotes):
        if char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
            if depth == 0:
                return place + 1
    return None


def _strings_touch(text: str) -> bool:
    """Return whether one string stands right behind another, as an unescaped quotation mark inside one makes it seem.

    Python would join the two and lose the mark.
    """
    place, closed = 0, False
    while place < len(text):
        found = _STRING.match(text, place)
        if found is None:
            closed = closed and text[place].isspace()
            place += 1
        elif closed:
            return True
        else:
            place, closed = found.end(), True
    return False


def _open_brackets(text: str) -> Iterator[str]:
    stack: list[str] = []
    for _, char in _outside(text, 0, '"'):
        if char in "{[":
            stack.append(char)
        elif char in "}]" and (not stack or _CLOSER[stack.pop()] != char):
            return
    yield from stack


def _outside(text: str, start: int, quotes: str) -> Iterator[tuple[int, str]]:
    """Yield the characters that stand outside of strings, with their places."""
    inside = ""
    place = start
    while place < len(text):
        char = text[place]
        if inside and char == "\\":
            place += 1
        elif inside and char == inside:
            inside = ""
        elif not inside and char in quotes:
            inside = char
        elif not inside:
            yield place, char
        place += 1


def _json_fault(err: ValueError, text: str, start: int) -> str:
    if _end(text, start, '"') is None:
        return "its JSON is not complete"
    if isinstance(err, json.JSONDecodeError):
        line = text.count("\n", start, err.pos) + 1
        near = text[max(start, err.pos - 20) : err.pos + 20]
        return f"its JSON cannot be read: {err.msg} in line {line}, near {near!r}"
    return f"its JSON cannot be read: {err}"
