"""Reads models.toml: what is publicly known of models and of the families they come from."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Family(_Entry):
    """Who made a family of models; see models.toml for what the lists hold."""

    maker: str
    origin: str
    names: tuple[str, ...] = Field(strict=False)
    architectures: tuple[str, ...] = Field(default=(), strict=False)
    borrowed: tuple[str, ...] = Field(default=(), strict=False)


class CatalogModel(_Entry):
    """What is publicly known of one model; None and "" = unknown.

    Attributes:
        base: family of the model it was trained on from, "" = none.
        context: tokens it was made for.
        kv_bytes_per_token, kv_fixed_bytes: size of the key-value cache, a token and in all, in 16 bits.
        tools: whether its own chat template offers tools.
    """

    family: str
    base: str = ""
    role: Literal["chat", "embed", "rerank"] = "chat"
    aliases: tuple[str, ...] = Field(default=(), strict=False)
    context: int | None = None
    quantisation: str = ""
    weights_bytes: int | None = None
    kv_bytes_per_token: int | None = None
    kv_fixed_bytes: int = 0
    tools: bool | None = None
    role_grammar: Literal["", "mistral", "llama", "gemma"] = ""


class Catalog(_Entry):
    """Families by name, and models by tag in the order of the file."""

    families: dict[str, Family]
    models: dict[str, CatalogModel]

    def find(self, name: str) -> CatalogModel | None:
        """Return what is known of a tag, or of an alias of it; None = nothing.

        Only the exact tag counts: another quantisation or size of the same name is another model.
        """
        if name in self.models:
            return self.models[name]
        return next((model for model in self.models.values() if name in model.aliases), None)


@cache
def load_catalog() -> Catalog:
    """Return the built-in catalogue."""
    path = Path(__file__).with_name("models.toml")
    return Catalog.model_validate(tomllib.loads(path.read_text("utf-8")))
