"""Prompt files: loading, and filling them strictly. Used by context/assemble and by the roles in nodes/."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from string import Template


@cache
def load_prompt(package: str, name: str) -> str:
    """Return the text of `prompts/<name>.md` in one of our packages ("context", "nodes"), stripped."""
    root = __package__.rsplit(".", 1)[0]
    return files(f"{root}.{package}").joinpath("prompts", f"{name}.md").read_text("utf-8").strip()


def slots(text: str) -> set[str]:
    """Return the names that the text has a place for, each as `$name`."""
    return set(Template(text).get_identifiers())


def fill(text: str, **values: str) -> str:
    """Return the text with every `$name` replaced.

    Raises:
        KeyError: the text uses a name that was not given, or a name was given that it does not use.
    """
    template = Template(text)
    if unused := set(values) - slots(text):
        raise KeyError(f"the prompt does not use {sorted(unused)}")
    return template.substitute(values)
