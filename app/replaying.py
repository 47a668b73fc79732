"""Recording a run to a cassette, and a server that answers from one. Used by app/run.py when a run is told to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..core.errors import UsageError
from ..core.masking import SecretMask
from ..core.messages import ModelRequest
from ..llm.cassette import Cassette, Recorder
from ..llm.loopback import LoopbackServer
from ..llm.normalise import Normaliser
from ..llm.ollama_server import OllamaServer
from ..llm.openai_server import OpenAIServer
from ..llm.openai_wire import plain_messages
from ..llm.probe import LARGEST_DEFAULT_WINDOW
from .model_pool import Recorded, Told


class Replay(NamedTuple):
    """A server that answers from a cassette, and what else there was of the run that was recorded."""

    server: LoopbackServer
    recorded: Recorded


@contextmanager
def replay_server(path: Path, workspace: Path, secrets: SecretMask) -> Iterator[Replay]:
    """Give a server on this machine's loopback that answers from a cassette, as the models that were recorded.

    It speaks the API that the recorded model was called over.

    Raises:
        UsageError: the cassette cannot be read or holds nothing.
    """
    cassette = Cassette.load(path)
    if not cassette.keys:
        raise UsageError(f"the cassette {str(path)!r} is empty.", hint="Record one with `--record FILE`.")
    normalise = _normaliser(workspace, secrets)
    answers = cassette.answers(normalise)
    places = cassette.places
    models = tuple(dict.fromkeys(places.values())) or cassette.models[:1] or ("replay:latest",)
    window = cassette.window() or LARGEST_DEFAULT_WINDOW
    server: LoopbackServer = OllamaServer(answers, models=models, context_length=window)
    if cassette.wire == "openai":
        server = OpenAIServer(answers, models=models, context_length=window)

    def counted(request: ModelRequest) -> int | None:
        return cassette.counted(request.key, plain_messages(request.messages), normalise)

    with server:
        told = {name: Told(cassette.window(name), cassette.ratio(name)) for name in (places and models) or ()}
        told[""] = Told(cassette.window(), cassette.ratio())
        yield Replay(server, Recorded(cassette.profiles, told, places, counted))


def recorder(path: Path, workspace: Path, secrets: SecretMask) -> Recorder:
    """Return what appends a run's model calls to a cassette.

    Raises:
        UsageError: as `Recorder`.
    """
    return Recorder(path, normalise=_normaliser(workspace, secrets))


def _normaliser(workspace: Path, secrets: SecretMask) -> Normaliser:
    """Return what makes a recording independent of this machine's folders and of the time."""
    return Normaliser(workspace, Path.home(), secrets)
