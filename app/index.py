"""The code index of a workspace for `flow index`: building it, what it holds, deleting it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..retrieval.code_index import RefreshReport
from ..retrieval.code_snapshot import CodeSnapshot
from ..retrieval.code_update import OnIndexed
from ..retrieval.languages import language_name
from ..retrieval.vectors import OnEmbedded
from .compose import code_retriever, index_file
from .context import AppContext


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """What building came to. `embedded`: passages that got a vector; `seconds`: of clock time."""

    path: Path
    report: RefreshReport
    embedded: int
    seconds: float


@dataclass(frozen=True, slots=True)
class IndexState:
    """What an index holds.

    Attributes:
        report: what it holds, with the changes since then that a build would take in.
        languages: files by the language's name; "" = no code, or in no language that is parsed.
        size: bytes on disk; 0 = there is no index yet.
        vectors_missing: passages without a vector; None = none are asked for.
    """

    path: Path
    report: RefreshReport
    languages: dict[str, int]
    definitions: int
    size: int
    vectors_missing: int | None


def build_index(
    context: AppContext,
    notify: Callable[[str], None],
    on_indexed: OnIndexed | None = None,
    on_embedded: OnEmbedded | None = None,
) -> BuiltIndex:
    """Bring the workspace's index up to date, with the vectors when the settings name an embedder.

    Raises:
        FlowError: the index cannot be written, or the embedder cannot be used.
    """
    began = time.monotonic()
    retriever = code_retriever(context, notify)
    try:
        report = retriever.index.refresh(on_indexed)
        embedded = retriever.embed(on_embedded)
        return BuiltIndex(retriever.index.path, report, embedded, time.monotonic() - began)
    finally:
        retriever.close()


def index_state(context: AppContext, notify: Callable[[str], None]) -> IndexState | None:
    """Return what the workspace's index holds; None = there is none.

    Raises:
        FlowError: it cannot be read.
    """
    retriever = code_retriever(context, notify)
    try:
        index = retriever.index
        if not index.path.exists():
            return None
        size = index.size()
        counts = index.read(CodeSnapshot.languages)
        languages: dict[str, int] = {}
        for language, count in counts.items():
            name = language_name(language) or language if language else ""
            languages[name] = languages.get(name, 0) + count
        definitions = index.read(CodeSnapshot.count_definitions)
        return IndexState(index.path, index.status(), languages, definitions, size, retriever.vectors_missing())
    finally:
        retriever.close()


def clean_index(context: AppContext, *, everything: bool) -> tuple[int, int]:
    """Delete the workspace's index, or those of all workspaces; return how many files went and their bytes.

    A process that uses one at that moment makes a new one.
    """
    folder = context.dirs.cache / "index"
    if everything:
        found = [path for path in folder.glob("*") if not path.is_symlink()]
    else:
        stem = index_file(context, context.workspace).stem
        found = [path for path in folder.glob(f"{stem}.*") if not path.is_symlink()]
    files, size = 0, 0
    for path in found:
        inside = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
        files += len(inside)
        size += sum(each.stat().st_size for each in inside)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(FileNotFoundError):
                path.unlink()
    return files, size
