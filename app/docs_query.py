"""`flow docs query`: one question to the documents, without settings where no model could take part in the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..configs.dirs import Dirs
from ..core.errors import UsageError
from ..retrieval.doc_finder import DocFinder, DocHit, Scope
from ..retrieval.doc_store import DocumentStore, project_file, user_file

if TYPE_CHECKING:
    from .context import AppContext


def find_passages(
    workspace: Path,
    dirs: Dirs,
    query: str,
    limit: int,
    within: Sequence[str],
    context: Callable[[], AppContext],
    notify: Callable[[str], None],
) -> list[DocHit]:
    """Return the passages that answer a query best.

    Args:
        within: names of collections or globs of paths; () = all.
        context: asked only where vectors were computed once.

    Raises:
        UsageError: no documents were ever added, or a name is neither a collection's nor a pattern of paths.
        FlowError: an index cannot be read, or the embedder of the settings cannot be used.
    """
    paths = [project_file(dirs.data, workspace), user_file(dirs.data)]
    stores = [store for store in map(DocumentStore, paths) if store.collections()]
    if not stores:
        raise UsageError("No documents are indexed for this project.", hint="Add some with: flow docs add PATH")
    _check_names(within, stores)
    if any(store.vectors.is_dir() for store in stores):
        from .docs import document_finder

        with document_finder(context(), notify) as finder:
            return finder.search(query, limit, within)
    return DocFinder(workspace, [Scope(store) for store in stores]).search(query, limit, within)


def _check_names(within: Sequence[str], stores: Sequence[DocumentStore]) -> None:
    known = [name for store in stores for name in store.collections()]
    for name in within:
        if name not in known and not any(char in name for char in "*?[/."):
            raise UsageError(f"There is no collection {name!r}.", hint=f"There is: {', '.join(known)}.")
