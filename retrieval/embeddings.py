"""What embedding models were trained to be given: the records of embedding_models.toml. Used by every back end.

A back end is a module `embed_*` with a class behind the port `Embedder`; the libraries of one are loaded with its
first text, never when it is made.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from ..core.errors import ConfigError

Pooling = Literal["mean", "cls", "last"]
WeightsKind = Literal["int8", "fp32", "torch"]


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """One record; the fields are explained in embedding_models.toml.

    Attributes:
        dimension: None = not known before its first vector.
        hub: repositories of its weights by kind.
    """

    name: str
    query_prefix: str
    passage_prefix: str
    pooling: Pooling = "mean"
    dimension: int | None = None
    window: int = 512
    short: str = ""
    names: tuple[str, ...] = ()
    hub: tuple[tuple[WeightsKind, str], ...] = ()

    def repository(self, kind: WeightsKind) -> str:
        """Return where weights of this kind are published; "" = nowhere that is known."""
        return dict(self.hub).get(kind, "")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the settings say of a model in place of its record; None = nothing."""

    query_prefix: str | None = None
    passage_prefix: str | None = None
    pooling: Pooling | None = None

    def given(self) -> dict[str, str]:
        """Return the fields that are said."""
        fields = {name: getattr(self, name) for name in ("query_prefix", "passage_prefix", "pooling")}
        return {name: value for name, value in fields.items() if value is not None}


_KINDS: tuple[WeightsKind, ...] = ("int8", "fp32", "torch")


@cache
def embedding_models() -> tuple[EmbeddingModel, ...]:
    """Return every record, in the order of the file."""
    entries = tomllib.loads(Path(__file__).with_name("embedding_models.toml").read_text("utf-8"))
    return tuple(_read(name, entry) for name, entry in entries.items())


def find_model(name: str, overrides: Overrides | None = None) -> EmbeddingModel:
    """Return the record of a model, with what the settings say in place of it.

    An owner in front of the name ("intfloat/...") and a tag behind it (":latest") do not matter. A model without a
    record is known by both of its prefixes.

    Raises:
        ConfigError: the model has no record, so its prefixes are not known.
    """
    said = (overrides or Overrides()).given()
    found = known_model(name)
    if found is not None:
        return replace(found, **said)  # type: ignore[arg-type]  # the names are those of fields of these types
    if {"query_prefix", "passage_prefix"} <= said.keys():
        return EmbeddingModel(_plain(name), **said)  # type: ignore[arg-type]
    known = ", ".join(model.name for model in embedding_models())
    raise ConfigError(
        f"the embedding model {name!r} is not known.",
        hint=f"Set embed.model to one of: {known}; or say what it was trained with in embed.query_prefix and "
        'embed.passage_prefix ("" = nothing).',
    )


def known_model(name: str) -> EmbeddingModel | None:
    """Return the record of a model under any of its names; None = there is none."""
    wanted = _plain(name)
    for model in embedding_models():
        if wanted in {model.name, model.short, *(_plain(other) for other in model.names)} - {""}:
            return model
    return None


def _plain(name: str) -> str:
    return name.rsplit("/", 1)[-1].partition(":")[0].lower()


def _read(name: str, entry: Mapping[str, str | int | Sequence[str]]) -> EmbeddingModel:
    hub = tuple((kind, str(entry[f"hub_{kind}"])) for kind in _KINDS if f"hub_{kind}" in entry)
    fields = {key: value for key, value in entry.items() if not key.startswith("hub_") and key != "names"}
    names = entry.get("names", ())
    return EmbeddingModel(
        name,
        **fields,  # type: ignore[arg-type]  # the file is ours; a test reads all of it
        names=tuple(names) if not isinstance(names, str | int) else (),
        hub=hub,
    )
