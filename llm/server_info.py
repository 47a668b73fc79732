"""What is known of a server and its models before anything is asked of a model."""

from __future__ import annotations

from dataclasses import dataclass

from .roles import RoleGrammar
from .servers import ServerKind


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One model as its server lists it.

    Attributes:
        family: architecture, "" = not said.
        digest: names the weights, "" = not said.
        size_bytes: of the weights; None = not said.
        quantisation: such as "Q4_K_M", "" = not said.
        window: tokens that the server gives a request; None = not said, or asked with each request.
        capabilities: such as "tools"; None = not said.
        grammar: what the chat template wants of the order of roles, "" = not said.
    """

    name: str
    family: str = ""
    digest: str = ""
    size_bytes: int | None = None
    quantisation: str = ""
    window: int | None = None
    capabilities: frozenset[str] | None = None
    grammar: RoleGrammar = ""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server that answered.

    Attributes:
        version: "" = not said.
        models: names with their tags, as the server lists them.
        embedders: those of them that only embed, as far as the listing tells.
        listed: the models once more, with all that the listing says.
    """

    url: str
    version: str
    models: tuple[str, ...]
    embedders: tuple[str, ...] = ()
    kind: ServerKind = "ollama"
    listed: tuple[ListedModel, ...] = ()

    def listing(self, name: str) -> ListedModel:
        """Return what the listing says of a model; nothing but its name when it is not listed."""
        return next((model for model in self.listed if model.name == name), ListedModel(name))


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """What a server says of one model.

    Attributes:
        context_length: tokens the model was made for or, where the server was started with a window, that window;
            None = not said.
        capabilities: such as "completion", "tools", "thinking"; empty = not said (an old server).
        family: architecture, "" = not said.
        grammar: what the chat template wants of the order of roles, "" = not said.
        kv_bytes_per_token: of the key-value cache in 16 bits; None = not said. Layers that look back over a sliding
            window count like the others, so it may be less.
    """

    name: str
    context_length: int | None
    capabilities: frozenset[str]
    family: str
    grammar: RoleGrammar = ""
    kv_bytes_per_token: int | None = None
