"""Puts the settings together from all their sources; called once per command, by cli/ and app/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError
from .answers import answers_file
from .dirs import Dirs
from .keys import nest, setting_fields
from .layers import Layer, read_environment, read_file_layer, read_flags, read_overrides
from .project_files import read_project_file
from .server_url import ollama_host_url
from .settings import Settings
from .trust import TrustStore, trust_command

PROJECT_CONFIG = Path(".flow") / "config.toml"
USER_CONFIG = "config.toml"


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
            # Rules of all layers count together, so that one of a project does not drop those of the user.
            values[key] = {**values.get(key, {}), **value} if isinstance(value, dict) else value
        origins.update(dict.fromkeys(layer.values, layer.name))
        places.update(layer.places)
    _fill_server_url(values, origins, places, env)
    values["embed.path"] = _expand_home(values["embed.path"], env)
    return Loaded(Settings.model_validate(nest(values)), origins, places, notices)


def _project_layer(workspace: Path, trust: TrustStore) -> tuple[Layer, tuple[str, ...]]:
    path = workspace / PROJECT_CONFIG
    nothing = Layer("project", {}, {})
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
    return read_file_layer("project", path, content), ()


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
