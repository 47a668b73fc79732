"""The dotted keys of the settings: which exist, what they hold, which are near a wrong one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, get_origin

from pydantic import BaseModel

from .settings import Settings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


def setting_fields() -> dict[str, FieldInfo]:
    """Return every setting by dotted key, in the order of the tree; tables themselves are not in it."""
    return dict(_walk(Settings, ""))


def _walk(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _walk(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def setting_tables() -> tuple[str, ...]:
    """Return the names of the tables ("models", "server", ...)."""
    return tuple(dict.fromkeys(key.split(".")[0] for key in setting_fields() if "." in key))


def holds_plain_text(field: FieldInfo) -> bool:
    """True when a setting takes text and nothing else, so that a bare `12` or `true` is meant as text."""
    return field.annotation is str or get_origin(field.annotation) is Literal


def near_keys(key: str) -> list[str]:
    """Return up to three existing keys that a wrong one may have meant, likeliest first; [] when none is near."""
    known = [*setting_fields(), *setting_tables()]
    near = get_close_matches(key.lower(), known, n=3, cutoff=0.7)
    last = key.lower().rpartition(".")[2]
    # A right name in the wrong table: `models.verify`, or `main` without its table.
    near += [name for name in known if name.rpartition(".")[2] == last]
    if not near:
        endings = {name.rpartition(".")[2]: name for name in known}
        near = [endings[ending] for ending in get_close_matches(last, endings, n=3, cutoff=0.7)]
    return list(dict.fromkeys(near))[:3]


def near_hint(key: str) -> str:
    """Return "Did you mean ...?" for a wrong key, or where all keys are listed when none is near."""
    if near := near_keys(key):
        return f"Did you mean {' or '.join(near)}?"
    return "`flow config explain` lists every setting."


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested tables as dotted keys; a table that is one setting (permissions) stays whole."""
    flat: dict[str, Any] = {}
    whole = {key for key, field in setting_fields().items() if get_origin(field.annotation) is dict}
    for name, value in values.items():
        if isinstance(value, Mapping) and f"{prefix}{name}" not in whole:
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted keys as nested tables; a key below one that is a value already replaces that value."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *tables, name = key.split(".")
        table = nested
        for part in tables:
            inner = table.get(part)
            if not isinstance(inner, dict):
                inner = table[part] = {}
            table = inner
        table[name] = value
    return nested


def value_at(settings: Settings, key: str) -> Any:
    """Return the value of an existing dotted key; a table is returned as its model."""
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value
