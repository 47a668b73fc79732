"""Writing a new graph file: from a template or as a copy of a known graph, with a schema for editors beside it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from ..configs.dirs import make_private
from ..core.errors import UsageError
from ..graphs.fields import is_name
from ..graphs.find import PROJECT_FOLDER, Loaded
from ..graphs.json_schema import TITLE, graph_schema
from ..graphs.spec import GraphSpec
from .context import AppContext

SCHEMA_FILE = "graph.schema.json"
MODELINE = "# yaml-language-server: $schema="
"""Begins the line by which editors find the schema of a YAML file."""

_DOCUMENT = re.compile(r"^---(?:\s|$)")
_TESTS = re.compile(r"^tests:[^\n]*\n(?:(?:[ \t#-][^\n]*)?\n)*", re.MULTILINE)


class NewGraph(NamedTuple):
    """The file that was written; `beside`: files that the copied graph names and that were not copied."""

    path: Path
    beside: tuple[str, ...]


def write_new_graph(context: AppContext, name: str, source: Loaded | None, *, for_user: bool) -> NewGraph:
    """Write a graph of this name and return its file; nothing is ever overwritten.

    As it is written it is trusted: it says nothing but what the user could run already.

    Args:
        source: the graph to copy; None = the template.
        for_user: True = into the user's own folder, for all projects; False = into this project's.

    Raises:
        UsageError: the name cannot be one, there is such a file, or the graph is no YAML.
    """
    if source is not None and source.spec.code:
        raise UsageError(f"{source.spec.name} is written in Python.", hint="Copy its file and change that.")
    if not is_name(name):
        raise UsageError(f"{name!r} cannot name a graph.", hint="Use letters, digits, '_', '-' and '.'.")
    folder = _folder(context, for_user=for_user)
    path = folder / f"{name}.yaml"
    same = source is not None and source.file is not None and source.file.parent == folder
    text = f"{MODELINE}{SCHEMA_FILE}\n{_text(name, source, with_tests=same)}"
    try:
        _write_new(path, text)
    except FileExistsError as err:
        raise UsageError(f"There is {str(path)!r} already.", hint="Choose another name, or edit that file.") from err
    except OSError as err:
        raise UsageError(f"{str(path)!r} cannot be written: {err.strerror}.") from err
    context.trust.trust_content(path, text.encode())
    write_schema(folder / SCHEMA_FILE)
    beside = {} if source is None or same else source.spec.beside
    return NewGraph(path, tuple(file.shown for file in beside.values() if file.path is not None))


def write_schema(path: Path) -> bool:
    """Write the JSON Schema of graph files; return False when it stands there as it is now.

    Raises:
        UsageError: something else is there, or it cannot be written.
    """
    text = schema_text()
    try:
        if path.is_symlink():
            raise UsageError(f"{str(path)!r} is a link.", hint="Name a file.")
        before = path.read_text("utf-8", errors="replace") if path.exists() else None
        if before == text:
            return False
        if before is not None and f'"title": "{TITLE}"' not in before:
            raise UsageError(f"{str(path)!r} holds something else.", hint="Name a new file.")
        path.write_text(text, "utf-8")
    except OSError as err:
        raise UsageError(f"{str(path)!r} cannot be written: {err.strerror}.") from err
    return True


def schema_text() -> str:
    """Return the JSON Schema of graph files as text."""
    return json.dumps(graph_schema(), indent=1) + "\n"


def _folder(context: AppContext, *, for_user: bool) -> Path:
    if for_user:
        return make_private(context.dirs.config / "graphs")
    folder = context.workspace / PROJECT_FOLDER
    # A repository could lead there by a link.
    if not folder.resolve().is_relative_to(context.workspace.resolve()):
        raise UsageError(f"{PROJECT_FOLDER} leads out of this repository.", hint="Remove the link, or use --user.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise UsageError(f"{PROJECT_FOLDER} cannot be made: {err.strerror}.") from err
    return folder


def _write_new(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as file:
        file.write(text)


def _text(name: str, source: Loaded | None, *, with_tests: bool) -> str:
    if source is None:
        return (
            files(f"{__package__.partition('.')[0]}.graphs")
            .joinpath("template.yaml")
            .read_text("utf-8")
            .replace("NAME", name)
        )
    below = (spec for spec in source.library.values() if spec.source.path == source.spec.source.path)
    specs = {name: source.spec, **{spec.name: spec for spec in below}}
    documents = [document(spec, each) for each, spec in specs.items()]
    if not with_tests:
        # Recorded answers and sample files stay where they are, and without them every test would fail.
        documents = [_without_tests(text) for text in documents]
    return "---\n".join(documents)


def _without_tests(text: str) -> str:
    return _TESTS.sub("", text).rstrip("\n") + "\n"


def document(spec: GraphSpec, name: str) -> str:
    """Return the text of a graph's own document, under another name."""
    lines = spec.source.text.removeprefix("\ufeff").splitlines(keepends=True)
    at = spec.at("name")
    before = [number for number in range(at.line - 1) if _DOCUMENT.match(lines[number])]
    start = before[-1] + 1 if before else 0
    end = next((n for n in range(at.line, len(lines)) if _DOCUMENT.match(lines[n])), len(lines))
    line = lines[at.line - 1]
    old = re.compile(rf"""(["']?){re.escape(spec.name)}\1""")
    lines[at.line - 1] = line[: at.column - 1] + old.sub(lambda _: name, line[at.column - 1 :], count=1)
    return "".join(_without_modeline(lines[start:end])).strip("\n") + "\n"


def _without_modeline(lines: list[str]) -> Iterator[str]:
    return (line for line in lines if not line.startswith(MODELINE))
