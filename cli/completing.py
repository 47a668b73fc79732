"""What can stand at the cursor of a command line: commands, options, graphs with their inputs, runs.

Called at every press of Tab, so nothing heavy is imported, no setting is read and no server asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from .context import GLOBAL_OPTIONS, OUTPUTS


class Candidate(NamedTuple):
    """One word that fits, and what it means; a value that ends with "=" goes on behind it."""

    value: str
    help: str = ""


class Place(NamedTuple):
    """Where a command line was begun."""

    directory: Path
    env: Mapping[str, str]


_MODES = ("plan", "ask", "auto-edit", "auto")
_SHELLS = ("bash", "zsh", "fish")
_GRAPH_ARGUMENTS = frozenset({"run", "graphs show", "graphs validate", "graphs draw", "graphs test", "graphs export"})
_RUN_ARGUMENTS = frozenset({"resume", "runs show", "runs tail", "runs rm", "undo"})
_GRAPH_OPTIONS = frozenset({"--graph", "-g", "--from"})
_WORDS: Mapping[str, tuple[str, ...]] = {
    "--mode": _MODES,
    "-o": OUTPUTS,
    "--as": ("ascii", "svg", "mermaid"),
}
_WORD_ARGUMENTS: Mapping[str, tuple[str, ...]] = {"completion": _SHELLS}

_NAME = re.compile(r"""^name:[ \t]*["']?([\w][\w.-]*)["']?[ \t]*(?:#.*)?$""", re.MULTILINE)
_DESCRIPTION = re.compile(r"^description:[ \t]*(.+)$", re.MULTILINE)
_MAX_BYTES = 200_000
_SHOWN_RUNS = 20


def candidates(table: TyperGroup, words: Sequence[str], place: Place) -> list[Candidate]:
    """Return what fits at the end of the words behind `flow`, of which the last one is begun; it may be "".

    [] where nothing is known, such as for the name of a file.
    """
    done, current = list(words[:-1]), words[-1] if words else ""
    command, name, rest = _command(table, done)
    found = _for_value(rest, place)
    if found is None:
        found = _for_word(command, name, rest, current, place)
    return [each for each in found if each.value.startswith(current)]


def _command(table: TyperGroup, done: Sequence[str]) -> tuple[Any, str, list[str]]:
    """Return the command that the words name, its name, and the words behind it."""
    command: Any = table
    context = typer.Context(table, info_name="flow")
    names: list[str] = []
    rest: list[str] = []
    waiting = list(done)
    while waiting:
        word = waiting.pop(0)
        if word.startswith("-") or not isinstance(command, TyperGroup):
            rest.append(word)
            if not names and word in ("-C", "-c", "-o") and waiting:
                rest.append(waiting.pop(0))
        else:
            inner = command.get_command(context, word)
            if inner is None:
                return command, " ".join(names), [*rest, word]
            context, command = typer.Context(inner, parent=context, info_name=word), inner
            names.append(word)
    return command, " ".join(names), rest


def _for_value(rest: Sequence[str], place: Place) -> Iterator[Candidate] | None:
    """Return what fits behind an option that takes a value; None = the word before is none."""
    before = rest[-1] if rest else ""
    if before in _GRAPH_OPTIONS:
        return _graphs(place)
    if before in _WORDS:
        return (Candidate(word) for word in _WORDS[before])
    return None


def _for_word(command: Any, name: str, rest: Sequence[str], current: str, place: Place) -> Iterator[Candidate]:
    if isinstance(command, TyperGroup):
        context = typer.Context(command)
        for inner in command.list_commands(context):
            yield Candidate(inner, _first_line(command.get_command(context, inner)) if name else _help_of(inner))
    arguments = [word for word in rest if not word.startswith("-")]
    if current.startswith("-"):
        yield from _options(command)
        if name == "run" and arguments:
            yield from _inputs(arguments[0], place)
    elif name in _GRAPH_ARGUMENTS and (not arguments or name in ("graphs validate", "graphs test")):
        yield from _python_graphs(current, place) if ".py:" in current else _graphs(place)
    elif name in _RUN_ARGUMENTS and (not arguments or name == "runs rm"):
        yield from _runs(place)
    elif name in _WORD_ARGUMENTS and not arguments:
        yield from (Candidate(word) for word in _WORD_ARGUMENTS[name])


def _help_of(name: str) -> str:
    # The table's own line, so that not every module is imported for `flow <Tab>`.
    from .app import COMMANDS

    return next(entry.help for entry in COMMANDS if entry.name == name)


def _first_line(command: Any) -> str:
    return (command.help or "").strip().partition("\n")[0]


def _options(command: Any) -> Iterator[Candidate]:
    for param in getattr(command, "params", ()):
        for form in (*param.opts, *getattr(param, "secondary_opts", ())):
            if form.startswith("--"):
                yield Candidate(form, getattr(param, "help", "") or "")
    for form, meaning in (*GLOBAL_OPTIONS, ("--help", "Show help and end.")):
        yield Candidate(form.split()[0], meaning)


def _graphs(place: Place) -> Iterator[Candidate]:
    """Yield the graphs that files name, the project's first; told by their text, which is not read as a graph."""
    seen = set()
    for text, _ in _graph_texts(place):
        about = _DESCRIPTION.findall(text)
        for at, name in enumerate(_NAME.findall(text)):
            if name not in seen:
                seen.add(name)
                yield Candidate(name, about[at].strip("\"' ") if at < len(about) else "")


def _graph_texts(place: Place) -> Iterator[tuple[str, Path]]:
    from ..configs.dirs import find_dirs
    from ..configs.workspace import find_workspace

    folders = (
        find_workspace(place.directory) / ".flow" / "graphs",
        find_dirs(place.env).config / "graphs",
        Path(__file__).parents[1] / "graphs" / "builtin",
    )
    for folder in folders:
        for path in sorted(folder.glob("*.y*ml")):
            if path.is_file():
                yield _text_of(path), path


def _inputs(graph: str, place: Place) -> Iterator[Candidate]:
    """Yield the inputs of a graph as options."""
    for name, given in _declared(graph, place):
        option, told = name.replace("_", "-"), str(given.get("description") or "")
        if given.get("type") == "bool":
            yield Candidate(f"--{option}", told)
            yield Candidate(f"--no-{option}", told)
        else:
            yield Candidate(f"--{option}=", told)


def _python_graphs(current: str, place: Place) -> Iterator[Candidate]:
    """Yield the graphs of a Python file that the word names; the file is not run."""
    from ..graphs.python_words import graph_names

    file = current.rpartition(":")[0]
    for name in graph_names(_text_of(place.directory / Path(file).expanduser())):
        yield Candidate(f"{file}:{name}")


def _text_of(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(_MAX_BYTES).decode("utf-8-sig", "replace")


def _declared(graph: str, place: Place) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if ".py:" in graph:
        from ..graphs.python_words import graph_inputs

        file, _, attribute = graph.rpartition(":")
        yield from graph_inputs(_text_of(place.directory / Path(file).expanduser()), attribute).items()
        return
    from ..graphs.tree import parse

    texts: Iterator[tuple[str, Path]] = _graph_texts(place)
    path = place.directory / Path(graph).expanduser()
    is_path = "/" in graph or graph.endswith((".yaml", ".yml"))
    if is_path and path.is_file():
        texts = iter([(_text_of(path), path)])
    for text, found in texts:
        if not is_path and graph not in _NAME.findall(text):
            continue
        for tree in parse(text, str(found), []):
            said = tree.plain()
            if isinstance(said, dict) and (is_path or said.get("name") == graph):
                inputs = said.get("input")
                declared = inputs.items() if isinstance(inputs, dict) else ()
                yield from ((name, given) for name, given in declared if isinstance(given, dict))
                return


def _runs(place: Place) -> Iterator[Candidate]:
    from ..configs.dirs import find_dirs
    from ..configs.workspace import find_workspace
    from ..runs.store import RunStore

    path = find_dirs(place.env).data / "runs.db"
    yield Candidate("last", "the newest run of this workspace")
    if path.exists():
        with RunStore(path) as store:
            for row in store.list_runs(find_workspace(place.directory), _SHOWN_RUNS):
                yield Candidate(row.id, f"{row.graph}: {row.title}")
