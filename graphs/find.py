"""Where graphs are found: a file, the project, the user's folder, the shipped ones. Called by app/.

What a repository brings is read only when its file is trusted. Every graph that comes back was checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..configs.trust import trust_command
from ..core.errors import Denied, GraphInvalid, UsageError
from .beside import FilesOnDisk, NotBeside
from .faults import Fault, Position, invalid, listed, near
from .python_graph import read_python_graph, split_ref
from .read import file_data, read_data
from .spec import GraphSpec, NodeSpec, graph_nodes
from .tree import MAX_BYTES
from .validate import require_valid

PROJECT_FOLDER = ".flow/graphs"
PROJECT_AGENTS = ".flow/agents"
SHIPPED_FOLDER = Path(__file__).parent / "builtin"
SHIPPED_AGENTS = Path(__file__).parent / "agents"
_OWN_CODE = Path(__file__).parents[1]
AGENTS = "agents"
"""The folder of presets beside a graph's file, and in the user's configuration folder."""

Origin = Literal["project", "user", "shipped", "file"]
IsTrusted = Callable[[Path, bytes], bool]
"""Tells whether these bytes, just read from the file, are trusted; they and no others are used then."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checked graph. `library`: every graph below it, by name; `file`: where it was read, None = from no file."""

    spec: GraphSpec
    library: dict[str, GraphSpec]
    file: Path | None = None

    @property
    def nodes(self) -> list[NodeSpec]:
        """The nodes of the graph and of every graph below it."""
        return [node for spec in (self.spec, *self.library.values()) for node in spec.nodes.values()]

    @property
    def file_nodes(self) -> list[NodeSpec]:
        """Those of graph files, which see the settings; graphs in Python do not."""
        specs = (spec for spec in (self.spec, *self.library.values()) if not spec.code)
        return [node for spec in specs for node in spec.nodes.values()]


@dataclass(frozen=True, slots=True)
class GraphEntry:
    """One graph that can be asked for by name.

    Attributes:
        path: as messages show it.
        fault: the first line of what is wrong with its file, "" when it reads well; then `name` is the file's.
        trusted: False for a file of the repository that was not read, since it is not trusted; `name` is the file's.
        spec: what was read, not checked yet; None = nothing could be.
    """

    name: str
    description: str
    path: str
    origin: Origin
    fault: str = ""
    trusted: bool = True
    spec: GraphSpec | None = None


def find_graph(
    name_or_path: str,
    *,
    workspace: Path,
    user_dir: Path,
    is_trusted: IsTrusted,
    tools: Collection[str] | None = None,
    settings: Collection[str] | None = None,
) -> Loaded:
    """Return a graph, checked, with the graphs it runs.

    Args:
        name_or_path: a name, or a file (it has a folder or ends with .yaml or .yml; relative to the workspace), whose
            first graph is meant, or "FILE.py:NAME" for a graph written in Python.
        user_dir: the user's own graphs; need not exist. Their presets lie in the folder "agents" beside it.
        is_trusted: asked about every file that lies in the workspace.
        tools, settings: known names, see `validate.check`; None = not checked.

    Raises:
        UsageError: no such graph or file.
        GraphInvalid: it cannot be run; one line per fault.
        Denied: the file belongs to the repository and is not trusted.
    """
    finder = _Finder(workspace.absolute(), user_dir, is_trusted)
    file, specs = finder.located(name_or_path)
    return _checked(finder, file, specs[0], tools, settings)


def find_graphs(
    name_or_path: str,
    *,
    workspace: Path,
    user_dir: Path,
    is_trusted: IsTrusted,
    tools: Collection[str] | None = None,
    settings: Collection[str] | None = None,
) -> list[Loaded]:
    """Return the graph of a name, or every graph of a file in its order; otherwise like `find_graph`.

    Raises:
        GraphInvalid: with the faults of all graphs of the file.
    """
    finder = _Finder(workspace.absolute(), user_dir, is_trusted)
    file, specs = finder.located(name_or_path)
    found, faults = [], []
    for spec in specs:
        try:
            found.append(_checked(finder, file, spec, tools, settings))
        except GraphInvalid as err:
            faults += err.message.splitlines()
    if faults:
        raise GraphInvalid("\n".join(dict.fromkeys(faults)))
    return found


def _checked(
    finder: _Finder,
    file: _File,
    spec: GraphSpec,
    tools: Collection[str] | None,
    settings: Collection[str] | None,
) -> Loaded:
    library, known = finder.library(file, spec)
    require_valid(spec, library, tools=tools, settings=settings, graphs=known)
    return Loaded(spec, library, file.path)


def list_graphs(*, workspace: Path, user_dir: Path, is_trusted: IsTrusted) -> list[GraphEntry]:
    """Return the graphs that can be asked for by name, sorted, and behind them the files that are not trusted.

    A project's graph hides the user's of that name, which hides the shipped one. A broken file stands in the list.
    """
    finder = _Finder(workspace.absolute(), user_dir, is_trusted)
    found: dict[str, GraphEntry] = {}
    unread: list[GraphEntry] = []
    for file in finder.named_files():
        if finder.may_read(file):
            for entry in finder.entries(file):
                found.setdefault(entry.name, entry)
        else:
            unread.append(GraphEntry(file.path.stem, "", finder.shown(file.path), file.origin, trusted=False))
    return [*(found[name] for name in sorted(found)), *unread]


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    origin: Origin


@dataclass(slots=True)
class _Finder:
    """One search. `graphs` and `contents`: what was read so far, by file; no file is read twice."""

    workspace: Path
    user_dir: Path
    is_trusted: IsTrusted
    graphs: dict[Path, dict[str, GraphSpec]] = field(default_factory=dict)
    contents: dict[Path, bytes] = field(default_factory=dict)

    def located(self, name_or_path: str) -> tuple[_File, list[GraphSpec]]:
        """Return a graph by its name with its file, or all graphs of a file.

        Raises:
            FlowError: as `find_graph`.
        """
        if (ref := split_ref(name_or_path)) is not None:
            file = _File(self._existing(ref[0]), "file")
            return file, [self.python(file, ref[1])]
        if not _is_path(name_or_path):
            file, spec = self.by_name(name_or_path)
            return file, [spec]
        file = _File(self._existing(name_or_path), "file")
        return file, list(self.read(file).values())

    def _existing(self, path: str) -> Path:
        found = self.workspace / Path(path).expanduser()
        if not found.is_file():
            raise UsageError(
                f"There is no graph file {path!r}.",
                hint="Check the path; shipped graphs go by their name, such as plan-and-code.",
            )
        return found

    def python(self, file: _File, attribute: str) -> GraphSpec:
        """Return the graph of a name in a Python file, which is run for it."""
        name = f"{file.path.name}:{attribute}"
        graphs = self.graphs.setdefault(file.path, {})
        if name not in graphs:
            beside = self._beside(file)
            graphs[name] = read_python_graph(beside.read(file.path.name), attribute, name, beside)
        return graphs[name]

    def by_name(self, name: str) -> tuple[_File, GraphSpec]:
        for file in self.named_files():
            if (spec := self._declared(file, name)) is not None:
                return file, spec
        names = [entry.name for file in self.named_files() if self.may_read(file) for entry in self.entries(file)]
        raise UsageError(
            f"There is no graph {name!r}{near(name, names)}.",
            hint=f"Known graphs: {listed(set(names))}.{self._untrusted_hint()}",
        )

    def library(self, file: _File, spec: GraphSpec) -> tuple[dict[str, GraphSpec], set[str]]:
        """Return every graph below one, and the names that could be meant by a wrong one.

        Raises:
            GraphInvalid: one name means two graphs.
        """
        found: dict[str, tuple[_File, GraphSpec]] = {spec.name: (file, spec)}
        known: set[str] = set()
        waiting = [(file, spec)]
        while waiting:
            above, graph = waiting.pop()
            for node in graph_nodes(graph):
                name = node.fields["graph"]
                below = self._below(above, name) if name else None
                if below is None:
                    known |= {*self.graphs[above.path], *self._shipped_names()} if name else set()
                elif name not in found:
                    found[name] = below
                    waiting.append(below)
                elif found[name][0].path != below[0].path:
                    raise invalid([_two_meanings(graph, node.name, name, found[name][1], below[1])])
        return {name: below for name, (_, below) in found.items() if name != spec.name}, known

    def _shipped_names(self) -> set[str]:
        return {entry.name for file in _files(SHIPPED_FOLDER, "shipped") for entry in self.entries(file)}

    def _below(self, above: _File, name: str) -> tuple[_File, GraphSpec] | None:
        """Return the graph that a node means: same file, then same folder, then shipped; None when there is none."""
        if name in self.graphs[above.path]:
            return above, self.graphs[above.path][name]
        if (ref := split_ref(name)) is not None:
            file = _File(above.path.parent / ref[0], above.origin)
            return (file, self.python(file, ref[1])) if file.path.is_file() else None
        for file in (*_files(above.path.parent, above.origin), *_files(SHIPPED_FOLDER, "shipped")):
            if file.path != above.path and (spec := self._declared(file, name)) is not None:
                return file, spec
        return None

    def _declared(self, file: _File, name: str) -> GraphSpec | None:
        """Return the graph of that name from a file; a file that does not say the name is not read as a graph."""
        if file.path not in self.graphs and not self._mentions(file, name):
            return None
        return self.read(file).get(name)

    def read(self, file: _File) -> dict[str, GraphSpec]:
        if file.path not in self.graphs:
            self._require_trusted(file)
            self.graphs[file.path] = read_data(self._content(file), self.shown(file.path), self._beside(file))
        return self.graphs[file.path]

    def _beside(self, file: _File) -> FilesOnDisk[Origin]:
        """Return what gives the files that a graph's file names; see beside.py."""
        agents: list[tuple[Path, Origin]] = [
            (file.path.parent / AGENTS, file.origin),
            (self.workspace / PROJECT_AGENTS, "project"),
            (self.user_dir.parent / AGENTS, "user"),
            (SHIPPED_AGENTS, "shipped"),
        ]
        return FilesOnDisk((file.path.parent, file.origin), agents, self._open_beside, self._open_module)

    def _open_beside(self, path: Path, origin: Origin) -> tuple[str, str]:
        file, shown = _File(path, origin), self.shown(path)
        if not path.is_file():
            raise NotBeside(f"there is no file {shown!r}")
        self._require_trusted(file)
        data = self._content(file)
        if len(data) > MAX_BYTES:
            raise NotBeside(f"{shown!r} is larger than {MAX_BYTES} bytes")
        try:
            return shown, data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise NotBeside(f"{shown!r} is not UTF-8 text") from None

    def _open_module(self, path: Path) -> tuple[str, str]:
        # What a person installed acts already, and so does flow itself, wherever it lies; a module of the repository
        # only when it is trusted.
        acts = "site-packages" in path.parts or path.is_relative_to(_OWN_CODE)
        return self._open_beside(path, "user" if acts else "file")

    def _content(self, file: _File) -> bytes:
        if file.path not in self.contents:
            self.contents[file.path] = file_data(file.path, self.shown(file.path))
        return self.contents[file.path]

    def _mentions(self, file: _File, name: str) -> bool:
        """Return whether a file seems to declare the name: saves parsing, and faults of files nobody asked for."""
        pattern = rf"""(?:^|[{{,])\s*["']?name["']?\s*:\s*["']?{re.escape(name)}["']?\s*(?:[,}}#]|$)"""
        try:
            text = self._content(file).decode("utf-8", "replace")
        except GraphInvalid:
            return False
        return re.search(pattern, text, re.MULTILINE) is not None

    def entries(self, file: _File) -> list[GraphEntry]:
        shown = self.shown(file.path)
        try:
            graphs = self.read(file)
        except (GraphInvalid, Denied) as err:
            return [GraphEntry(file.path.stem, "", shown, file.origin, err.message.splitlines()[0])]
        return [GraphEntry(spec.name, spec.description, shown, file.origin, spec=spec) for spec in graphs.values()]

    def _require_trusted(self, file: _File) -> None:
        if not self.may_read(file):
            raise Denied(
                f"{self.shown(file.path)} belongs to this repository and is not trusted.",
                hint=f"Look at it, then run `{trust_command(file.path)}`.",
            )

    def may_read(self, file: _File) -> bool:
        if file.origin in ("user", "shipped") or file.path.parent.resolve() == SHIPPED_FOLDER.resolve():
            return True
        places = (file.path, file.path.resolve())
        inside = any(place.is_relative_to(root) for place in places for root in self._roots())
        if not inside and file.origin != "project":
            return True
        try:
            return self.is_trusted(file.path, self._content(file))
        except GraphInvalid:
            return False  # it cannot be read, so nobody can have looked at it

    def named_files(self) -> Iterator[_File]:
        yield from _files(self.workspace / PROJECT_FOLDER, "project")
        yield from _files(self.user_dir, "user")
        yield from _files(SHIPPED_FOLDER, "shipped")

    def shown(self, path: Path) -> str:
        for root in self._roots():
            if path.is_relative_to(root):
                return path.relative_to(root).as_posix()
        return str(path)

    def _roots(self) -> tuple[Path, Path]:
        return self.workspace, self.workspace.resolve()

    def _untrusted_hint(self) -> str:
        count = sum(not self.may_read(file) for file in _files(self.workspace / PROJECT_FOLDER, "project"))
        return f" {count} more in {PROJECT_FOLDER} are not trusted; see `flow trust`." if count else ""


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or text.endswith((".yaml", ".yml"))


def _files(folder: Path, origin: Origin) -> list[_File]:
    if not folder.is_dir():
        return []
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())
    return [_File(path, origin) for path in paths]


def _two_meanings(graph: GraphSpec, node: str, name: str, first: GraphSpec, second: GraphSpec) -> Fault:
    paths = f"{first.source.path} and {second.source.path}"
    at: Position = graph.at("nodes", node, "graph")
    return Fault(graph.source.path, at, f"graph {name!r} means two graphs in one run, of {paths}; rename one of them")
