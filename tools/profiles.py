"""Tool profiles: prompts/<profile>.toml says under which names one family of models is shown the tools.

A profile changes what a model reads and nothing else. app/tool_profiles.py picks it, core/tool_names.py applies it.
The texts of the tools follow the names by themselves; prompts/<tool>.<profile>.md replaces one.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..core.errors import ConfigError
from ..core.tool import ToolSpec
from ..core.tool_names import OWN_NAMES, ToolNames
from .near import did_you_mean, near_names
from .prompt_text import PROMPTS, description
from .registry import TOOLS

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
"""What every server takes as the name of a function."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _ShownTool(_Entry):
    name: str
    arguments: dict[str, str] = Field(default_factory=dict)


class Profile(_Entry):
    """One file.

    Attributes:
        families: of the catalogue (configs/models.toml); a model of one of them gets the profile.
        models: only those of them whose name holds one of these words; () = all.
        tools: by own name; what is left out keeps its own name.
    """

    families: tuple[str, ...] = Field(strict=False)
    models: tuple[str, ...] = Field(default=(), strict=False)
    tools: dict[str, _ShownTool]


@cache
def profiles(folder: Path = PROMPTS) -> Mapping[str, Profile]:
    """Return all profiles by name.

    Raises:
        ConfigError: a file is no profile, or two things would have one name.
    """
    return MappingProxyType({path.stem: _read(path) for path in sorted(folder.glob("*.toml"))})


def profile_of(name: str, families: Iterable[str]) -> str:
    """Return the profile of a model, the first that fits; "" = none does.

    Args:
        name: of the model, as the server lists it.
        families: it belongs to or comes from, by their names in the catalogue.
    """
    of_model = set(families)
    for profile, one in profiles().items():
        if of_model & set(one.families) and (not one.models or any(word in name.lower() for word in one.models)):
            return profile
    return ""


@cache
def tool_names(profile: str, folder: Path = PROMPTS) -> ToolNames:
    """Return the names of a profile; "" = everything is shown under its own name.

    Raises:
        ConfigError: there is no such profile, or it cannot be used.
    """
    if not profile:
        return OWN_NAMES
    known = profiles(folder)
    if profile not in known:
        near = did_you_mean(near_names(profile, known))
        raise ConfigError(
            f"models.tool_profile: there is no tool profile {profile!r}.{near}",
            hint=f"Set auto, none or one of: {', '.join(known)}.",
        )
    tools = known[profile].tools
    names = ToolNames(
        profile,
        {own: shown.name for own, shown in tools.items()},
        {own: shown.arguments for own, shown in tools.items() if shown.arguments},
    )
    return ToolNames(profile, names.tools, names.arguments, {own: description(own, names) for own in TOOLS})


def _read(path: Path) -> Profile:
    try:
        profile = Profile.model_validate(tomllib.loads(path.read_text("utf-8")))
    except tomllib.TOMLDecodeError as err:
        _refuse(path, f"it is no TOML: {err}")
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        _refuse(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    _check(profile, path)
    return profile


def _check(profile: Profile, path: Path) -> None:
    for own, shown in profile.tools.items():
        if own not in TOOLS:
            _refuse(path, f"there is no tool {own!r}.{did_you_mean(near_names(own, TOOLS))}")
        for name in (shown.name, *shown.arguments.values()):
            if not _NAME.fullmatch(name):
                _refuse(path, f"{own}: {name!r} is no name that servers take.")
        _check_arguments(TOOLS[own], shown.arguments, path)
    used = {own: profile.tools[own].name if own in profile.tools else own for own in TOOLS}
    if twice := _twice(used):
        _refuse(path, f"{twice} would be the name of two tools, {_owners(twice, used)}.")


def _check_arguments(spec: ToolSpec, shown: Mapping[str, str], path: Path) -> None:
    # From the model itself as well: an argument that the schema leaves out has a name all the same.
    levels = [set(spec.args.model_fields), *map(set, _levels(spec.args.model_json_schema()))]
    known = set().union(*levels)
    if unknown := next((own for own in shown if own not in known), ""):
        near = did_you_mean(near_names(unknown, known))
        _refuse(path, f"the tool {spec.name} has no argument {unknown!r}.{near}")
    for level in levels:
        used = {own: shown.get(own, own) for own in sorted(level)}
        if twice := _twice(used):
            _refuse(path, f"{spec.name}: {twice} would be the name of two arguments, {_owners(twice, used)}.")


def _levels(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield the arguments of every object in a schema."""
    if isinstance(schema, dict):
        if isinstance(found := schema.get("properties"), dict):
            yield found
        for value in schema.values():
            yield from _levels(value)


def _twice(used: Mapping[str, str]) -> str:
    name, count = Counter(used.values()).most_common(1)[0]
    return repr(name) if count > 1 else ""


def _owners(name: str, used: Mapping[str, str]) -> str:
    return " and ".join(own for own, shown in used.items() if repr(shown) == name)


def _refuse(path: Path, what: str) -> NoReturn:
    raise ConfigError(f"the tool profile {path.stem!r} ({path.name}) cannot be used: {what}")
