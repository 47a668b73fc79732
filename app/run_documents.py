"""The documents that a run retrieves from. What reads and searches documents is imported only where there are any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.ports import Embedder
from ..retrieval.doc_store import project_file, user_file
from .context import AppContext

if TYPE_CHECKING:
    from ..retrieval.doc_retriever import DocumentRetriever


def run_documents(
    context: AppContext,
    notify: Callable[[str], None],
    project: Path | None,
    embedding: Callable[[], Embedder | None],
) -> DocumentRetriever | None:
    """Return the retriever of the documents that a run may see; None = nothing was ever added.

    Args:
        project: the folder that the run was started in, where it works in another one; None = the workspace.
        embedding: gives the embedder.

    Raises:
        ConfigError, Denied: the embedder of the settings cannot be used.
    """
    files = (project_file(context.dirs.data, project or context.workspace), user_file(context.dirs.data))
    if not any(file.exists() for file in files):
        return None
    from .docs import document_retriever

    return document_retriever(context, notify, project, embedding)
