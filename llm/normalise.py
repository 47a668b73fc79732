"""What may differ between a recorded request and its replay, made equal. Used by llm/cassette.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core.masking import SecretMask

WORKSPACE = "<workspace>"

_VOLATILE = (
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "<date>"),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"), "<clock>"),
    (re.compile(r"\b\d+(?:\.\d+)?\s?(?:ns|us|µs|ms|s|secs?|seconds?|minutes?)\b"), "<duration>"),
    (re.compile(r"\b0x[0-9a-fA-F]{6,16}\b"), "<address>"),
    # What is left of a budget depends on limits and on what runs side by side.
    (re.compile(r"\n\n<reminder>\nBudget: [^\n]*\n</reminder>|\nBudget: [^\n]*(?=\n</reminder>)"), ""),
    # With a digit somewhere: a word such as "defaced" is no id.
    (re.compile(r"\b(?=[a-f]*[0-9])[0-9a-f]{7,64}\b"), "<id>"),
)


class Normaliser:
    """Replaces paths, times and ids by placeholders, and masks secrets.

    Args:
        workspace: absolute path of the folder the run works in; None = paths stay.
        home: the user's home folder; None = it stays.
        secrets: the run's mask; None = one of its own.
    """

    def __init__(
        self, workspace: Path | None = None, home: Path | None = None, secrets: SecretMask | None = None
    ) -> None:
        self._workspace = workspace
        self.secrets = secrets or SecretMask()
        places = [(path, WORKSPACE) for path in _spellings(workspace)] + [
            (path, "<home>") for path in _spellings(home)
        ]
        # A workspace inside the home folder must be found first.
        self._places = [(_path_pattern(path), name) for path, name in sorted(places, key=lambda p: -len(p[0]))]

    def __call__(self, text: str) -> str:
        """Return the text as it is stored and compared."""
        text = self.secrets.mask(text)
        for pattern, name in self._places:
            text = pattern.sub(name, text)
        for pattern, name in _VOLATILE:
            text = pattern.sub(name, text)
        return text

    def storable(self, text: str) -> str:
        """Return a model's own text without secrets and without the workspace's path, else unchanged.

        A password that the model made up itself stays: a replay has to write the same.
        """
        text = self.secrets.mask_own(text)
        for pattern, name in self._places:
            if name == WORKSPACE:
                text = pattern.sub(name, text)
        return text

    def restored(self, text: str) -> str:
        """Return a stored text with this workspace's path put in again."""
        return text if self._workspace is None else text.replace(WORKSPACE, str(self._workspace))


def map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return JSON data with every text changed, keys of objects excepted."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: map_texts(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [map_texts(item, change) for item in value]
    return value


def _spellings(path: Path | None) -> set[str]:
    if path is None or str(path) in ("/", "."):
        return set()
    return {str(path), str(path.resolve())}


def _path_pattern(path: str) -> re.Pattern[str]:
    # Not "/w/app" in "/w/app2" or in "/w/app-old".
    return re.compile(re.escape(path) + r"(?![\w-])")
