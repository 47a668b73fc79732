"""Single sources of settings (a TOML file, the environment, -c, options), each read and checked by itself."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from ..core.errors import ConfigError
from .keys import flatten, holds_plain_text, near_hint, nest, setting_fields, setting_tables
from .settings import Settings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_PlaceOf = Callable[[str], str]

LayerName = Literal["built-in", "user", "answers", "project", "environment", "-c", "flag"]

ENV_PREFIX = "FLOW_"
NOT_SETTINGS = frozenset({"FLOW_HOME"})
"""Variables with our prefix that are no settings."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One source: `values` by dotted key, all known and of the right type; `places` names the file, variable or
    text that each of them stands in."""

    name: LayerName
    values: Mapping[str, Any]
    places: Mapping[str, str]


def read_file_layer(name: LayerName, path: Path, content: bytes | None = None) -> Layer:
    """Return the layer in a TOML file; a file that does not exist gives an empty one.

    Args:
        content: its bytes when they were read already.

    Raises:
        ConfigError: unreadable, not TOML, an unknown key or a wrong type; file, line and key are named.
    """
    if content is None:
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return Layer(name, {}, {})
        except OSError as err:
            raise ConfigError(f"{path}: the settings cannot be read: {err.strerror}.") from err
    text = _decode(path, content)
    values = _parse(path, text)
    _check(values, lambda key: f"{path}:{line}" if (line := _line_of(key, text)) else str(path))
    flat = flatten(values)
    return Layer(name, flat, dict.fromkeys(flat, str(path)))


def read_environment(env: Mapping[str, str]) -> Layer:
    """Return the layer of FLOW_* variables; FLOW_MODELS__MAIN is models.main.

    Raises:
        ConfigError: a variable that is no setting, or a value of the wrong type.
    """
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for variable in sorted(env):
        if not variable.startswith(ENV_PREFIX) or variable in NOT_SETTINGS:
            continue
        key = variable.removeprefix(ENV_PREFIX).lower().replace("__", ".")
        found = _read_one(key, env[variable], variable)
        values.update(found)
        places.update(dict.fromkeys(found, variable))
    return Layer("environment", values, places)


def read_overrides(texts: Sequence[str]) -> Layer:
    """Return the layer of `-c key=value` texts; of two for one key the later counts.

    Raises:
        ConfigError: no "=", an unknown key or a wrong type.
    """
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(
                f"-c {text!r} sets nothing.", hint="Write it as -c key=value, e.g. -c models.num_ctx=16384."
            )
        found = _read_one(key.strip(), value.strip(), f"-c {text}")
        values.update(found)
        places.update(dict.fromkeys(found, f"-c {text}"))
    return Layer("-c", values, places)


def read_flags(flags: Mapping[str, Any]) -> Layer:
    """Return the layer of a command's own options; a value of None was not given.

    Raises:
        ConfigError: an unknown key or a wrong type.
    """
    values = {key: value for key, value in flags.items() if value is not None}
    _check(nest(values), lambda _: "options")
    return Layer("flag", values, dict.fromkeys(values, ""))


def _read_one(key: str, text: str, place: str) -> dict[str, Any]:
    field = setting_fields().get(key)
    value = _read_value(text, plain=field is not None and holds_plain_text(field))
    if key in setting_tables() and isinstance(value, dict):
        value_tree: dict[str, Any] = {key: value}
    else:
        value_tree = nest({key: value})
    _check(value_tree, lambda _: place)
    return flatten(value_tree)


def _read_value(text: str, *, plain: bool) -> Any:
    """Return a TOML value, or the text itself where it is none; `plain` takes only a quoted text as TOML."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    if parsed.keys() != {"value"} or (plain and not isinstance(parsed["value"], str)):
        return text
    return parsed["value"]


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = content.count(b"\n", 0, err.start) + 1
        raise ConfigError(f"{path}:{line}: the settings are not UTF-8 text.", hint="Save the file as UTF-8.") from err


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        message = str(err)
        position = re.search(r" \(at line (\d+), column (\d+)\)$", message)
        line, column = position.groups() if position else (str(text.count("\n") + 1), "1")
        reason = re.sub(r" \(at [^()]*\)$", "", message)
        raise ConfigError(
            f"{path}:{line}:{column}: not valid TOML: {reason}.", hint="Texts stand in quotes, tables in [brackets]."
        ) from err


def _check(values: dict[str, Any], place_of: _PlaceOf) -> None:
    try:
        Settings.model_validate(values)
    except ValidationError as err:
        raise _explain(err, place_of) from err


def _explain(err: ValidationError, place_of: _PlaceOf) -> ConfigError:
    """Return the first fault as one line; of a union all its ways are told together."""
    faults = err.errors(include_url=False, include_context=False)
    first = faults[0]
    key = _key_of(first)
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{place_of(key)}: unknown setting {key!r}.", hint=near_hint(key))
    if first["type"] in ("model_type", "model_attributes_type"):
        example = next(name for name in setting_fields() if name.startswith(f"{key}."))
        return ConfigError(
            f"{place_of(key)}: {key} is a table of settings, not a value ({first['input']!r}).",
            hint=f"Set one of its keys, e.g. {example}.",
        )
    reasons = dict.fromkeys(_reason(fault) for fault in faults if _key_of(fault) == key)
    return ConfigError(
        f"{place_of(key)}: {key} = {first['input']!r} cannot be used: {', or '.join(reasons)}.",
        hint=f"{setting_fields()[key].description}",
    )


def _reason(fault: ErrorDetails) -> str:
    message = fault["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _key_of(fault: ErrorDetails) -> str:
    """Return the dotted key of a fault, without the parts pydantic adds for the ways of a union or a list's index."""
    parts = [str(part) for part in fault["loc"]]
    known = setting_fields()
    for end in range(len(parts), 0, -1):
        if (key := ".".join(parts[:end])) in known:
            return key
    return ".".join(parts)


def _line_of(key: str, text: str) -> int | None:
    """Return the 1-indexed line on which a key of valid TOML is set; None when it cannot be told.

    A key is set by the first line whose prefix of the file parses and holds it; the statement starts after the last
    shorter prefix that parses without it. This is exact where a scan for `key =` would be fooled by quoted keys,
    tables and texts over several lines.
    """
    lines = text.splitlines(keepends=True)
    start = 0
    for end in range(1, len(lines) + 1):
        try:
            values = tomllib.loads("".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        if _holds(values, key):
            return start + 1
        start = end
    return None


def _holds(values: Mapping[str, Any], key: str) -> bool:
    table: Any = values
    for part in key.split("."):
        if not isinstance(table, Mapping) or part not in table:
            return False
        table = table[part]
    return True
