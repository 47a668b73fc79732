"""`flow trust`: shows what a repository would make active, and lets a person allow it file by file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..core.errors import UsageError
from .context import CliOptions
from .printing import print_items, visible
from .trust_asking import Listed, ask_each, diff, listed, shown

if TYPE_CHECKING:
    from ..configs.project_files import FileKind, ProjectFile
    from ..configs.trust import TrustStore


def trust(
    ctx: typer.Context,
    path: str | None = typer.Argument(
        None, metavar="[PATH]", help="A file, or a folder of them.", show_default=False
    ),
    list_: bool = typer.Option(False, "--list", help="Only list, never ask."),
    show: bool = typer.Option(False, "--show", help="Print contents, and what changed since it was trusted."),
    revoke: bool = typer.Option(False, "--revoke", help="Trust no more: PATH, or everything in this repository."),
) -> None:
    """Let files of this repository act: settings, graphs, Python code, agents, instructions, MCP servers.

    Without PATH it lists them, with git hooks, and asks for each at a terminal. Hooks of commits that are trusted run
    on the commits of flow. A file that changes must be trusted again. Nothing is trusted by --list and --show. Of
    Python code the files beside it that it imports are trusted with it, each by its own content.
    """
    from ..configs.dirs import find_dirs
    from ..configs.trust import trust_store
    from ..configs.workspace import find_workspace

    options: CliOptions = ctx.obj
    store = trust_store(find_dirs(options.env))
    workspace = find_workspace(options.directory)
    only_look = list_ or show
    wanted = None if path is None else options.directory / path
    if revoke:
        _revoke(store, wanted or workspace)
    files = _files(workspace, options.directory, wanted, revoke=revoke)
    if wanted is not None and not (only_look or revoke):
        for file in files:
            _trust(store, file, workspace)
    elif options.input_allowed and not (only_look or revoke or options.json):
        ask_each(store, [item for item in listed(store, files, workspace) if item.file.acts])
    _print(options, store, listed(store, files, workspace), show=show, quiet=wanted is not None and not only_look)


def _files(workspace: Path, start: Path, wanted: Path | None, *, revoke: bool) -> list[ProjectFile]:
    """Return the files that are meant: a PATH with what it imports, or what would become active in a folder."""
    from ..configs.project_files import ProjectFile, imported_beside

    if wanted is None:
        return _all(workspace, start)
    if not wanted.is_dir():
        if not wanted.exists() and not revoke:
            raise UsageError(f"There is no file {str(wanted)!r}.", hint="`flow trust` lists what there is to trust.")
        known = {file.path.resolve(): file for file in _all(workspace, start)}
        found = known.get(wanted.resolve()) or ProjectFile(wanted, _kind(wanted))
        # Trusted alone, Python code that imports files beside it would not run.
        return [found._replace(path=wanted), *imported_beside(wanted)]
    inside = {file.path.absolute(): file for file in (*_all(workspace, start), *_all(wanted.resolve(), wanted))}
    folder = wanted.resolve()
    files = [file for place, file in sorted(inside.items()) if place.is_relative_to(folder)]
    if not files and not revoke:
        raise UsageError(f"Nothing in {str(wanted)!r} would become active.", hint="Name the file itself.")
    return files


def _all(workspace: Path, start: Path) -> list[ProjectFile]:
    from ..configs.project_files import project_files
    from ..tools.hook_files import hook_files

    return [*project_files(workspace, start), *hook_files(workspace)]


def _kind(path: Path) -> FileKind:
    by_name: dict[str, FileKind] = {"config.toml": "settings", ".mcp.json": "mcp"}
    by_suffix: dict[str, FileKind] = {".py": "python", ".yaml": "graph", ".yml": "graph"}
    return by_name.get(path.name) or by_suffix.get(path.suffix, "instructions")


def _print(options: CliOptions, store: TrustStore, items: list[Listed], *, show: bool, quiet: bool) -> None:
    if options.json:
        facts = [item.facts() for item in items]
        if show:
            more = [{"content": item.content(), "diff": diff(store, item)} for item in items]
            facts = [{**fact, **text} for fact, text in zip(facts, more, strict=True)]
        print_items(facts, options.output)
    elif show:
        print("\n\n".join(shown(store, item) for item in items) or "There is nothing to show.")
    elif not quiet:
        _list(items)


def _list(items: list[Listed]) -> None:
    from ..configs.trust import trust_command
    from ..configs.workspace import find_workspace

    if not items:
        print("This folder brings nothing that would become active.")
        return
    for item in items:
        print(f"{item.state:8} {(item.found.sha256 or '-')[:12]:12} {item.line()}")
    left = [item.file.path for item in items if item.state in ("new", "changed") and item.file.acts]
    if left:
        command = trust_command(left[0] if len(left) == 1 else find_workspace(left[0].parent))
        print(
            f"Not trusted files are ignored. `flow trust --show` shows them; then: {visible(command)}",
            file=sys.stderr,
        )


def _trust(store: TrustStore, file: ProjectFile, workspace: Path) -> None:
    entry = store.trust(file.path)
    (item,) = listed(store, [file], workspace)
    print(f"trusted  {item.line()}, sha256 {entry.sha256[:12]}", file=sys.stderr)


def _revoke(store: TrustStore, wanted: Path) -> None:
    """Take back the trust in a file, or in all that is stored below a folder, whether it still exists or not."""
    inside = [Path(entry.path) for entry in store.entries() if Path(entry.path).is_relative_to(wanted.resolve())]
    for path in inside if wanted.is_dir() else [wanted]:
        done = "revoked" if store.revoke(path) else "was not trusted"
        print(f"{done}: {visible(str(path))}", file=sys.stderr)
