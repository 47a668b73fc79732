"""`flow trust`: shows what a repository would make active, and lets a person allow it file by file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..core.errors import UsageError
from .context import CliOptions
from .printing import print_items, visible

if TYPE_CHECKING:
    from ..configs.trust import FileKind, ProjectFile, TrustStore

_MEANING: dict[FileKind, str] = {
    "settings": "settings (model server, models, test command)",
    "graph": "graph (agents and commands that run)",
    "python": "Python code (runs with your rights)",
    "instructions": "instructions (read by every model)",
    "mcp": "MCP servers (programs that are started)",
}


def trust(
    ctx: typer.Context,
    path: str | None = typer.Argument(
        None, metavar="[PATH]", help="A file, or a folder of them.", show_default=False
    ),
    list_: bool = typer.Option(False, "--list", help="Only list, never ask."),
    revoke: bool = typer.Option(False, "--revoke", help="Trust no more: PATH, or everything in this repository."),
) -> None:
    """Let files of this repository act: settings, graphs, Python code, instructions, MCP servers.

    Without PATH it lists them and asks for each at a terminal. A file that changes must be trusted again.
    """
    from ..configs.dirs import find_dirs
    from ..configs.trust import project_files, trust_store
    from ..configs.workspace import find_workspace

    options: CliOptions = ctx.obj
    store = trust_store(find_dirs(options.env))
    workspace = find_workspace(options.directory)
    files = project_files(workspace) if path is None else _named(options.directory / path, workspace, revoke=revoke)
    if revoke:
        _revoke(store, files)
    elif path is not None and not list_:
        for file in files:
            _trust(store, file)
    elif options.input_allowed and not list_ and not options.json:
        _ask(store, files)
    if options.json:
        print_items([_facts(store, file) for file in files], options.output)
    elif path is None or list_:
        _list(store, files, workspace)


def _named(path: Path, workspace: Path, *, revoke: bool) -> list[ProjectFile]:
    """Return the files that a PATH means: itself, or what would become active in a folder."""
    from ..configs.trust import ProjectFile, project_files

    if not path.is_dir():
        if not path.exists() and not revoke:
            raise UsageError(f"There is no file {str(path)!r}.", hint="`flow trust` lists what there is to trust.")
        return [ProjectFile(path, _kind(path))]
    inside = {file.path.resolve(): file for file in (*project_files(workspace), *project_files(path))}
    files = [file for place, file in sorted(inside.items()) if place.is_relative_to(path.resolve())]
    if not files:
        raise UsageError(f"Nothing in {str(path)!r} would become active.", hint="Name the file itself.")
    return files


def _kind(path: Path) -> FileKind:
    by_name: dict[str, FileKind] = {"config.toml": "settings", ".mcp.json": "mcp"}
    by_suffix: dict[str, FileKind] = {".py": "python", ".yaml": "graph", ".yml": "graph"}
    return by_name.get(path.name) or by_suffix.get(path.suffix, "instructions")


def _facts(store: TrustStore, file: ProjectFile) -> dict[str, str]:
    return {"path": str(file.path), "kind": file.kind, "state": store.state(file.path)}


def _list(store: TrustStore, files: list[ProjectFile], workspace: Path) -> None:
    from ..configs.trust import trust_command

    if not files:
        print(f"{workspace} brings nothing that would become active.")
        return
    for file in files:
        print(f"{store.state(file.path):8} {_shown(file)}")
    left = [file for file in files if store.state(file.path) != "trusted"]
    if left:
        command = trust_command(left[0].path if len(left) == 1 else workspace)
        print(f"Not trusted files are ignored. Look at them, then: {visible(command)}", file=sys.stderr)


def _shown(file: ProjectFile) -> str:
    return f"{visible(str(file.path))} - {_MEANING[file.kind]}"


def _trust(store: TrustStore, file: ProjectFile) -> None:
    entry = store.trust(file.path)
    print(f"trusted  {_shown(file)}, sha256 {entry.sha256[:12]}", file=sys.stderr)


def _revoke(store: TrustStore, files: list[ProjectFile]) -> None:
    for file in files:
        done = "revoked" if store.revoke(file.path) else "was not trusted"
        print(f"{done}: {visible(str(file.path))}", file=sys.stderr)


def _ask(store: TrustStore, files: list[ProjectFile]) -> None:
    """Ask for each file that is not trusted; what is trusted is the content that was there when it was asked for."""
    for file in files:
        if store.state(file.path) == "trusted":
            continue
        content = file.path.read_bytes()
        print(f"{_shown(file)}, {len(content)} bytes, {store.state(file.path)}", file=sys.stderr)
        while (answer := _answer("Trust it? [y]es / [N]o / [s]how: ")) == "s":
            print(visible(content.decode("utf-8", "replace")), file=sys.stderr)
        if answer == "y":
            store.trust_content(file.path, content)


def _answer(prompt: str) -> str:
    print(prompt, end="", file=sys.stderr, flush=True)
    # The end of input is a no.
    return sys.stdin.readline().strip().lower()[:1]
