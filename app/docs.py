"""The documents of a project and of its user: added, kept in step with their files, searched, forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..core.errors import UsageError
from ..core.ports import Embedder
from ..llm.tokens import EstimatingCounter
from ..retrieval.doc_finder import DocFinder, Rerank
from ..retrieval.doc_formats import FORMATS
from ..retrieval.doc_index import CollectionFacts, DocumentIndex
from ..retrieval.doc_retriever import DocumentRetriever
from ..retrieval.doc_sources import default_name, find_documents, source_pattern
from ..retrieval.doc_store import project_file, user_file
from ..retrieval.doc_sync import OnDocument, SyncReport
from .context import AppContext

if TYPE_CHECKING:
    from ..graphs.spec import NodeSpec
    from ..retrieval.vectors import VectorIndex

ScopeName = Literal["project", "user"]
OnEmbedded = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class CollectionState:
    """A collection as `flow docs list` and `status` tell of it.

    Attributes:
        behind: documents that a sync would read or forget; None = that was not looked at.
        missing: sources that are not there now.
    """

    scope: ScopeName
    facts: CollectionFacts
    behind: int | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MeaningState:
    """Search by meaning: the model's id, "" = it is off, for the `reason`; texts that have no vector yet."""

    model: str
    reason: str = ""
    without_vector: int = 0


def scopes_of(context: AppContext, project: Path | None = None) -> dict[ScopeName, DocumentIndex]:
    """Return the indexes that a project may see: its own first.

    Args:
        project: the folder that a run was started in, where it works in another one; None = the workspace.
    """
    workspace = project or context.workspace
    return {
        "project": DocumentIndex(project_file(context.dirs.data, workspace), workspace),
        "user": DocumentIndex(user_file(context.dirs.data), None),
    }


def document_retriever(
    context: AppContext,
    notify: Callable[[str], None],
    project: Path | None = None,
    embedding: Callable[[], Embedder | None] | None = None,
) -> DocumentRetriever:
    """Return the retriever of the documents that a project may see; by meaning too when the settings name a model.

    Args:
        project: as for scopes_of.
        embedding: gives the embedder; None = a new one of the settings.

    Raises:
        ConfigError, Denied: the embedder of the settings cannot be used.
    """
    found = [index for index in scopes_of(context, project).values() if index.exists()]
    embedder = (embedding or partial(_embedder, context))() if found else None
    indexes = [(index, vectors_of(index, embedder, notify)) for index in found]
    rerank = _rerank(context) if embedder is not None else None
    return DocumentRetriever(project or context.workspace, indexes, EstimatingCounter(), notify=notify, rerank=rerank)


@contextmanager
def document_finder(context: AppContext, notify: Callable[[str], None]) -> Iterator[DocFinder]:
    """Yield what searches the documents of this project, by meaning too when the settings name a model.

    Raises:
        ConfigError, Denied: the embedder of the settings cannot be used.
    """
    retriever = document_retriever(context, notify)
    try:
        yield retriever.finder
    finally:
        retriever.close()


def add_documents(context: AppContext, paths: Sequence[str], name: str, scope: ScopeName, start: Path) -> str:
    """Add files, folders or patterns to a collection, which is made when there is none of the name; return the name.

    Nothing is read yet: `sync_documents` does that.

    Args:
        name: "" = that of the first path's folder.
        start: absolute folder that the paths are relative to.

    Raises:
        UsageError: a path names no document, or the name cannot be one.
    """
    patterns = [source_pattern(path, start) for path in paths]
    for given, pattern in zip(paths, patterns, strict=True):
        if not find_documents(pattern, context.workspace).documents:
            suffixes = " ".join(form.suffixes[0] for form in FORMATS)
            raise UsageError(f"There is no document in {given!r}.", hint=f"Documents are files like {suffixes}.")
    name = name or default_name(patterns[0])
    scopes_of(context)[scope].add(name, patterns)
    return name


def require_documents(context: AppContext, nodes: Iterable[NodeSpec], inputs: Mapping[str, Any]) -> None:
    """Refuse a run whose nodes require documents that are not there, before a model is asked.

    Raises:
        UsageError: nothing is indexed, or a node's filter has a word that is neither a collection nor a glob.
    """
    for node in nodes:
        if node.fields.get("required"):
            _require(context, _filter_of(node, inputs))


def _filter_of(node: NodeSpec, inputs: Mapping[str, Any]) -> list[str]:
    """Return what a retrieve node looks in, as far as the run's inputs tell it; [] = all, or that is not known."""
    from ..graphs.expressions import names_in_template, render  # late: `flow docs` has no use for Jinja

    template = node.fields["filter"]
    known = all(path[:1] == ("input",) for path in names_in_template(template))
    words = render(template, {"input": inputs}) if known else []
    return [word for word in words if isinstance(word, str)] if isinstance(words, list) else []


def _require(context: AppContext, within: Sequence[str]) -> None:
    known = [name for index in scopes_of(context).values() for name in index.names()]
    if not known:
        raise UsageError("No documents are indexed for this project.", hint="Add some with: flow docs add PATH")
    for word in within:
        if word not in known and not any(mark in word for mark in "*?[/."):
            close = get_close_matches(word, known, 1)
            near = f"Did you mean {close[0]!r}? " if close else ""
            raise UsageError(f"There is no collection {word!r}.", hint=f"{near}There is: {', '.join(known)}.")


def sync_documents(
    context: AppContext, names: Sequence[str], on_document: OnDocument | None = None
) -> dict[ScopeName, SyncReport]:
    """Bring collections in step with their files; return what was done in each scope that has any of them.

    Args:
        names: () = all that this project may see.

    Raises:
        UsageError: there is no collection of a name.
        FlowError: an index cannot be written.
    """
    return {
        scope: index.sync(found, on_document) for scope, (index, found) in _having(context, names).items() if found
    }


def embed_documents(context: AppContext, on_embedded: OnEmbedded, notify: Callable[[str], None]) -> int:
    """Compute the vectors that passages lack, where the settings name a model; return how many texts were embedded.

    Raises:
        ConfigError, Denied: the embedder cannot be used.
        ModelUnavailable, ModelFault: its server does not answer.
    """
    indexes = [index for index in scopes_of(context).values() if index.exists()]
    embedder = _embedder(context) if indexes else None
    done = 0
    for index in indexes:
        vectors = vectors_of(index, embedder, notify)
        if vectors is not None:
            try:
                done += vectors.sync(index, on_embedded)
            finally:
                vectors.close()
    return done


def remove_documents(context: AppContext, name: str, path: str, scope: ScopeName | None, start: Path) -> ScopeName:
    """Forget a collection, or one of its sources; return the scope it was in. The files are not touched.

    Args:
        path: of the source, as it was given to add; "" = the whole collection.
        scope: None = the project's, else the user's.

    Raises:
        UsageError: there is none such.
    """
    wanted = scopes_of(context)
    for each, index in wanted.items():
        if scope in (None, each) and name in index.names():
            patterns = [path, _pattern_or_path(path, start)] if path else [""]
            if any(index.remove(name, pattern) for pattern in patterns):
                if path:
                    index.sync([name])
                return each
            raise UsageError(
                f"{path!r} is no source of the collection {name!r}.", hint="`flow docs list` shows the sources."
            )
    raise _unknown(name, wanted)


def collection_states(context: AppContext, names: Sequence[str], *, look: bool) -> list[CollectionState]:
    """Return the collections that this project may see.

    Args:
        names: () = all.
        look: whether the files are compared with the index.

    Raises:
        UsageError: there is no collection of a name.
    """
    states = []
    for scope, (index, found) in _having(context, names).items():
        behind = index.behind() if look else {}
        for facts in index.facts():
            if facts.name in found:
                changed, missing = behind.get(facts.name, (None, []))
                states.append(CollectionState(scope, facts, changed, tuple(missing)))
    return states


def meaning_state(context: AppContext) -> MeaningState:
    """Return whether these documents are searched by meaning; no model is loaded for it."""
    from .embedding import choose_backend, make_embedder

    choice = choose_backend(context.settings, context.dirs)
    embedder = make_embedder(context.settings, choice)
    if embedder is None:
        return MeaningState("", choice.note or "no model: words alone are searched")
    indexes = [index for index in scopes_of(context).values() if index.exists()]
    vectors = [(index, vectors_of(index, embedder, lambda text: None)) for index in indexes]
    return MeaningState(embedder.id, "", sum(each.missing(index) for index, each in vectors if each is not None))


def _having(context: AppContext, names: Sequence[str]) -> dict[ScopeName, tuple[DocumentIndex, list[str]]]:
    """Return each scope's index with the wanted collections in it, in the order of their making."""
    scopes = scopes_of(context)
    known = {scope: index.names() for scope, index in scopes.items()}
    for name in names:
        if not any(name in found for found in known.values()):
            raise _unknown(name, scopes)
    return {
        scope: (index, [name for name in known[scope] if not names or name in names])
        for scope, index in scopes.items()
    }


def _unknown(name: str, scopes: dict[ScopeName, DocumentIndex]) -> UsageError:
    known = [name for index in scopes.values() for name in index.names()]
    hint = f"There is: {', '.join(known)}." if known else "Add documents with: flow docs add PATH"
    return UsageError(f"There is no collection {name!r}.", hint=hint)


def _pattern_or_path(path: str, start: Path) -> str:
    try:
        return source_pattern(path, start)
    except UsageError:  # its files are gone: it was stored under its absolute path
        return str(Path(start / path).absolute())


def _embedder(context: AppContext) -> Embedder | None:
    if context.settings.embed.backend == "none":
        return None
    from .embedding import embedder  # late: it takes the whole of what knows embedding models

    return embedder(context)


def _rerank(context: AppContext) -> Rerank | None:
    """Return what reranks where the settings say so; words alone are never reranked."""
    from ..retrieval.rerank import order
    from .embedding import reranker

    model = reranker(context)
    if model is None:
        return None
    return lambda query, texts: order(model, query, texts, context.settings.rerank.top)


def vectors_of(index: DocumentIndex, embedder: Embedder | None, notify: Callable[[str], None]) -> VectorIndex | None:
    """Return the vectors of an index; None = it is searched by words alone."""
    if embedder is None:
        return None
    from ..retrieval.vectors import VectorIndex

    return VectorIndex(index.store.vectors, embedder, notify=notify, what="documents", build_with="flow docs sync")
