from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest
from pydantic import ValidationError

from flowloom.configs.keys import flatten, setting_fields
from flowloom.configs.model_settings import ModelSettings
from flowloom.configs.settings import Settings

DEFAULT_TOML = (files("flowloom.configs") / "default.toml").read_text("utf-8")


def test_default_toml_says_what_the_code_says() -> None:
    assert Settings.model_validate(tomllib.loads(DEFAULT_TOML)) == Settings()


def test_default_toml_shows_every_setting_at_least_as_a_comment() -> None:
    written = flatten(tomllib.loads(DEFAULT_TOML))
    absent = [key for key in setting_fields() if key not in written]
    assert absent == [key for key, field in setting_fields().items() if field.default is None]
    assert [key for key in absent if f"# {key.rpartition('.')[2]} = " not in DEFAULT_TOML] == []


def test_commented_examples_of_default_toml_are_valid() -> None:
    lines = [line.removeprefix("# ") if " = " in line else line for line in DEFAULT_TOML.splitlines()]
    examples = tomllib.loads("\n".join(line for line in lines if not line.startswith("# ")))
    assert Settings.model_validate(examples).models.think is False


def test_every_setting_is_described() -> None:
    assert [key for key, field in setting_fields().items() if not field.description] == []


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().mode = "auto"


def test_a_role_without_a_model_takes_main() -> None:
    models = ModelSettings(main="devstral", light="gemma3")
    assert [models.for_role(role) for role in ("main", "coder", "light")] == ["devstral", "devstral", "gemma3"]


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(ValueError, match="pilot"):
        ModelSettings().for_role("pilot")
