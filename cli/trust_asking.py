"""Showing what a repository brings, and asking a person to trust it. Used by `flow trust` and `flow run`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .context import CliOptions
from .printing import visible

if TYPE_CHECKING:
    from ..configs.project_files import FileKind, ProjectFile
    from ..configs.trust import Examined, TrustStore

_MEANING: dict[FileKind, str] = {
    "settings": "settings (model server, models, test command)",
    "graph": "graph (agents and commands that run)",
    "python": "Python code (runs with your rights)",
    "agent": "agent (role, tools and model of a node)",
    "prompt": "prompt (the task of a node)",
    "instructions": "instructions (read by every model)",
    "mcp": "MCP servers (programs that are started)",
    "hook": "git hook, or a part of one (runs on commits of flow)",
}
_MAX_DIFF_LINES = 20_000
"""Of both texts together; comparing more could take minutes on lines that are chosen for it."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file with what was read of it. `link`: where it really lies, when a link leads there."""

    file: ProjectFile
    found: Examined
    link: Path | None

    @property
    def state(self) -> str:
        """trusted, changed, new, or unusable for what cannot act whatever is trusted."""
        return "unusable" if self.found.problem else self.found.state

    def line(self) -> str:
        """Return what it is, in one line."""
        link = f" -> {visible(str(self.link))}".replace("\n", "<U+000A>") if self.link is not None else ""
        name = visible(str(self.file.path)).replace("\n", "<U+000A>")
        problem = f": {self.found.problem}" if self.found.problem else ""
        meaning = _MEANING[self.file.kind] if self.file.acts else "git hook (not run by flow)"
        return f"{name}{link} - {meaning}{problem}"

    def facts(self) -> dict[str, Any]:
        """Return it as JSON data; `sha256`, `size_bytes` are null for what cannot be read."""
        content = self.found.content
        return {
            "path": str(self.file.path),
            "kind": self.file.kind,
            "state": self.state,
            "sha256": self.found.sha256 or None,
            "size_bytes": None if content is None else len(content),
            "link": None if self.link is None else str(self.link),
            "problem": self.found.problem or None,
        }

    def content(self) -> str:
        """Return the content with everything visible that would hide; "" when there is none."""
        return visible((self.found.content or b"").decode("utf-8", "replace"))


def listed(store: TrustStore, files: Sequence[ProjectFile], workspace: Path) -> list[Listed]:
    """Return the files, each read once."""
    from ..configs.project_files import link_target

    return [Listed(file, store.examine(file.path), link_target(file.path, workspace)) for file in files]


def shown(store: TrustStore, item: Listed) -> str:
    """Return a file's content and, for one that changed, how it differs from what was trusted."""
    head = f"{item.state:8} {item.line()}"
    if item.found.content is None:
        return head
    text = f"{head}\nsha256 {item.found.sha256}, {len(item.found.content)} bytes\n{item.content()}"
    difference = diff(store, item)
    return f"{text.rstrip()}\n\n{difference}" if difference else text.rstrip()


def diff(store: TrustStore, item: Listed) -> str:
    """Return how a changed file differs from what was trusted; "" for any other file."""
    from difflib import unified_diff

    if item.found.state != "changed" or item.found.content is None:
        return ""
    before = store.trusted_content(item.file.path)
    if before is None:
        return "It has changed since it was trusted; what was trusted was not kept."
    old, new = visible(before.decode("utf-8", "replace")).splitlines(), item.content().splitlines()
    if len(old) + len(new) > _MAX_DIFF_LINES:
        return "It has changed since it was trusted, and is too long to be compared."
    return "\n".join(unified_diff(old, new, "trusted", "now", lineterm=""))


def ask_each(store: TrustStore, items: Sequence[Listed]) -> None:
    """Ask for each file that is not trusted; what is trusted is the content that was there when it was asked for."""
    for item in items:
        content = item.found.content
        if content is None or item.state == "trusted":
            continue
        print(f"{item.line()}, {len(content)} bytes, {item.state}", file=sys.stderr)
        while (answer := _answer("Trust it? [y]es / [N]o / [s]how: ")) == "s":
            print(shown(store, item), file=sys.stderr)
        if answer == "y":
            store.trust_content(item.file.path, content)
        else:
            store.decline(item.file.path, content)


def ask_before_run(options: CliOptions, graph: str = "") -> None:
    """Ask a person, once for each content, about what the repository brings and is not trusted; without one, nothing.

    Hooks are left out: most runs commit nothing, and one that does says which of them did not run.

    Args:
        graph: what is to run; a file, as an absolute path, is asked about wherever in the workspace it lies.
    """
    if not options.input_allowed:
        return
    from ..configs.dirs import find_dirs
    from ..configs.project_files import graph_with_files, project_files
    from ..configs.trust import trust_store
    from ..configs.workspace import find_workspace

    store, workspace = trust_store(find_dirs(options.env)), find_workspace(options.directory)
    named = Path(graph.partition(".py:")[0] + ".py" if ".py:" in graph else graph)
    files = project_files(workspace, options.directory)
    files += graph_with_files(named, workspace) if named.is_absolute() else []
    once = list({file.path: file for file in files}.values())
    items = [item for item in listed(store, once, workspace) if _is_open(store, item)]
    if not items:
        return
    print("This repository brings what is not trusted and so does not act:", file=sys.stderr)
    for item in items:
        print(f"  {item.state:8} {item.line()}", file=sys.stderr)
    while (answer := _answer("Trust it? [y]es, all / [e]ach / [N]o / [s]how: ")) == "s":
        print("\n\n".join(shown(store, item) for item in items), file=sys.stderr)
    if answer == "e":
        ask_each(store, items)
        return
    for item in items:
        keep = store.trust_content if answer == "y" else store.decline
        keep(item.file.path, item.found.content or b"")
    if answer != "y":
        print("You are not asked again until it changes; `flow trust` lists it.", file=sys.stderr)


def _is_open(store: TrustStore, item: Listed) -> bool:
    content = item.found.content
    return content is not None and item.state != "trusted" and not store.was_declined(item.file.path, content)


def _answer(prompt: str) -> str:
    print(prompt, end="", file=sys.stderr, flush=True)
    # The end of input is a no.
    return sys.stdin.readline().strip().lower()[:1]
