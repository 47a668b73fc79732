"""Puts the settings together from all their sources; called once per command, by cli/ and app/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..core.errors import ConfigError
from .answers import answers_file
from .dirs import Dirs
from .keys import nest, setting_fields
from .layers import Layer, read_environment, read_file_layer, read_flags, read_overrides
from .project_files import read_project_file
from .rules import STRICTNESS
from .server_url import ollama_host_url
from .settings import Settings
from .trust import TrustStore, trust_command

PROJECT_CONFIG = Path(".flow") / "config.toml"
USER_CONFIG = "config.toml"

_PROJECT: Final = "project"
_PERSONAL = frozenset({"memory.user_dir"})
"""What no project sets, trusted or not: it would say which files of its user are sent to a model."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings of one command.

    Attributes:
        settings: `server.url` is filled in from OLLAMA_HOST; nothing else is derived.
        origins: dotted key -> name of the source that won: built-in, user, answers, project, environment, -c or flag.
        places: dotted key -> the file, variable or text it stands in; "" for an option of the command.
        notices: what a person should know, one line each.
    """

    settings: Settings
    origins: Mapping[str, str]
    places: Mapping[str, str]
    notices: tuple[str, ...]


def load_settings(
    workspace: Path,
    dirs: Dirs,
    env: Mapping[str, str],
    overrides: Sequence[str],
    flags: Mapping[str, Any],
    trust: TrustStore,
) -> Loaded:
    """Return the settings: flags win over overrides, then FLOW_* variables, the trusted project file, the answers a
    person gave for this workspace, the user's file, and what is built in.

    Args:
        overrides: `-c` texts, "key=value".
        flags: dotted key -> value of the command's own options; None = not given.

    Raises:
        ConfigError: an unknown key, a wrong type or a file that cannot be read, whichever comes first.
    """
    project, notices = _project_layer(workspace, trust)
    layers = [
        read_file_layer("built-in", Path(__file__).with_name("default.toml")),
        read_file_layer("user", dirs.config / USER_CONFIG),
        read_file_layer("answers", answers_file(dirs, workspace)),
        project,
        read_environment(env),
        read_overrides(overrides),
        read_flags(flags),
    ]
    values: dict[str, Any] = {}
    origins: dict[str, str] = dict.fromkeys(setting_fields(), "built-in")
    places: dict[str, str] = dict.fromkeys(origins, "")
    for layer in layers:
        for key, value in layer.values.items():
            values[key] = _joined(key, values.get(key, {}), layer) if isinstance(value, dict) else value
        origins.update(dict.fromkeys(layer.values, layer.name))
        places.update(layer.places)
    _fill_server_url(values, origins, places, env)
    for key in ("embed.path", "rerank.path"):
        values[key] = _expand_home(values[key], env)
    return Loaded(Settings.model_validate(nest(values)), origins, places, notices)


def _joined(key: str, earlier: Mapping[str, Any], layer: Layer) -> dict[str, Any]:
    """Return a table of several layers: the entries of all count together, of one entry the later layer's value.

    A project makes a rule about commands only stricter than the person's own one of the same text.
    """
    table = layer.values[key]
    joined = {**earlier, **table}
    if key == "permissions" and layer.name == _PROJECT:
        for rule in earlier.keys() & table.keys():
            known = [value for value in (earlier[rule], table[rule]) if value in STRICTNESS]
            joined[rule] = max(known, key=STRICTNESS.index) if len(known) == 2 else table[rule]
    return joined


def _project_layer(workspace: Path, trust: TrustStore) -> tuple[Layer, tuple[str, ...]]:
    path = workspace / PROJECT_CONFIG
    nothing = Layer(_PROJECT, {}, {})
    try:
        # One read: what is checked against the store is what is used.
        content = read_project_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return nothing, ()
    except OSError as err:
        text = f"{path}: the project's settings cannot be read: {err.strerror or err}."
        if trust.knows(path):
            raise ConfigError(text, hint=f"Mend it, or: {trust_command(path)} --revoke") from err
        # What nobody trusted must not be able to stop a command either.
        return nothing, (f"{text} It was ignored.",)
    if not trust.covers(path, content):
        notice = f"{path} is not trusted and was ignored. Look at it, then: {trust_command(path)}"
        return nothing, (notice,)
    return _without_personal(read_file_layer(_PROJECT, path, content), path)


def _without_personal(layer: Layer, path: Path) -> tuple[Layer, tuple[str, ...]]:
    personal = sorted(layer.values.keys() & _PERSONAL)
    if not personal:
        return layer, ()
    values = {key: value for key, value in layer.values.items() if key not in _PERSONAL}
    places = {key: place for key, place in layer.places.items() if key not in _PERSONAL}
    notice = f"{path}: {', '.join(personal)} cannot be set by a project and was ignored."
    return Layer(layer.name, values, places), (notice,)


def _fill_server_url(
    values: dict[str, Any], origins: dict[str, str], places: dict[str, str], env: Mapping[str, str]
) -> None:
    if values["server.url"]:
        return
    if host := env.get("OLLAMA_HOST", "").strip():
        values["server.url"] = ollama_host_url(host)
        origins["server.url"], places["server.url"] = "environment", "OLLAMA_HOST"


def _expand_home(path: str, env: Mapping[str, str]) -> str:
    if path == "~" or path.startswith("~/"):
        return str(Path(env["HOME"]) / path[2:]) if env.get("HOME") else str(Path(path).expanduser())
    return path
