"""From settings to chat models: probing the server, choosing a model for each role, one window for each model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..configs.settings import ROLES, Settings
from ..core.errors import UsageError
from ..core.ports import ChatModel
from ..llm.cassette import Cassette, Recorder
from ..llm.normalise import Normaliser
from ..llm.ollama_server import OllamaServer
from ..llm.probe import ServerInfo, choose_model, choose_window, describe_model, probe_server

if TYPE_CHECKING:
    from ..llm.ollama import OllamaChat

_ROLE_OF_TYPE = {"agent": "main", "llm": "main"}
"""Node types that are no role of the settings."""


class ModelPool:
    """The chat models of one run, each made once; closed at its end."""

    def __init__(self, settings: Settings, info: ServerInfo, named: Mapping[str, str]) -> None:
        self._settings = settings
        self._info = info
        self._named = dict(named)
        self._models: dict[str, OllamaChat] = {}

    @property
    def names(self) -> dict[str, str]:
        """Model by role, as chosen."""
        return dict(self._named)

    def model(self, wanted: str) -> ChatModel:
        """Return the model of a role, or of an exact tag.

        Raises:
            ModelUnavailable: the server does not have that tag.
        """
        role = _ROLE_OF_TYPE.get(wanted, wanted)
        name = self._named.get(role) or choose_model(self._info, wanted)
        return self._models[name]

    def add(self, name: str, model: OllamaChat) -> None:
        self._models[name] = model

    async def aclose(self) -> None:
        for model in self._models.values():
            await model.aclose()


async def connect(
    settings: Settings, tags: tuple[str, ...], recorder: Recorder | None, *, tag_calls: bool = False
) -> ModelPool:
    """Return the models of a run, after the server and every model were found to be there.

    Args:
        tags: exact tags that the graph itself names.
        tag_calls: True when a cassette answers, which needs to know which call it is.

    Raises:
        ModelUnavailable: no server, or a model is missing.
    """
    server = settings.server
    info = await probe_server(server.url, server.connect_timeout_s)
    named = {role: choose_model(info, settings.models.for_role(role)) for role in ROLES}
    # After the probe: importing the client takes most of a second, and a dead server is told without it.
    from ..llm.ollama import OllamaChat

    pool = ModelPool(settings, info, named)
    for name in dict.fromkeys([*named.values(), *(choose_model(info, tag) for tag in tags)]):
        details = await describe_model(server.url, name, server.connect_timeout_s)
        pool.add(
            name,
            OllamaChat(
                url=server.url,
                model=name,
                window=choose_window(settings.models.num_ctx, details.context_length),
                temperature=settings.models.temperature,
                keep_alive=settings.models.keep_alive,
                think=settings.models.think,
                connect_timeout_s=server.connect_timeout_s,
                first_token_timeout_s=server.first_token_timeout_s,
                stall_timeout_s=server.stall_timeout_s,
                retry_patience_s=server.retry_patience_s,
                recorder=recorder,
                tag_calls=tag_calls,
            ),
        )
    return pool


def model_flags(choices: Mapping[str, str]) -> dict[str, str]:
    """Return `-m` choices as settings; "main" stands for every role that names none.

    Raises:
        UsageError: a role that does not exist.
    """
    for role in choices:
        if role not in ROLES:
            raise UsageError(f"-m: there is no role {role!r}.", hint=f"Roles: {', '.join(ROLES)}.")
    return {f"models.{role}": name for role, name in choices.items()}


@contextmanager
def replay_server(path: Path, workspace: Path) -> Iterator[OllamaServer]:
    """Give a server on this machine's loopback that answers from a cassette, as one model for all roles.

    Raises:
        UsageError: the cassette cannot be read or holds nothing.
    """
    cassette = Cassette.load(path)
    if not cassette.keys:
        raise UsageError(f"the cassette {str(path)!r} is empty.", hint="Record one with `--record FILE`.")
    answers = cassette.answers(normaliser(workspace))
    with OllamaServer(answers, models=cassette.models[:1] or ("replay:latest",)) as server:
        yield server


def normaliser(workspace: Path) -> Normaliser:
    """Return what makes a recording independent of this machine's folders and of the time."""
    return Normaliser(workspace, Path.home())
