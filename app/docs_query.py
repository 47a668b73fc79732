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
        UsageError: no documents were ever added.
        FlowError: an index cannot be read, or the embedder of the settings cannot be used.
    """
    paths = [project_file(dirs.data, workspace), user_file(dirs.data)]
    stores = [store for store in map(DocumentStore, paths) if store.has_collections()]
    if not stores:
        raise UsageError("No documents are indexed for this project.", hint="Add some with: flow docs add PATH")
    if any(store.vectors.is_dir() for store in stores):
        from .docs import document_finder

        with document_finder(context(), notify) as finder:
            return finder.search(query, limit, within)
    return DocFinder(workspace, [Scope(store) for store in stores]).search(query, limit, within)
