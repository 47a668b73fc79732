"""What a run keeps of its graph, and whether the graph's files still say the same. Used by app/run.py."""

from __future__ import annotations

import json
from typing import Any

from ..core.errors import GraphInvalid
from ..core.masking import SecretMask
from ..graphs.beside import MODULE, KeptFiles
from ..graphs.difference import differences, file_differences
from ..graphs.find import Loaded
from ..graphs.fingerprint import fingerprint
from ..graphs.read import read_text
from ..runs.store import RunRow

_FILES = "\n# The files beside them, as JSON:\n"


def check_graph(row: RunRow, loaded: Loaded) -> None:
    """Return when the graph is the one that the run began with.

    Raises:
        GraphInvalid: it is not; the message says what changed.
    """
    if fingerprint(loaded.spec, loaded.library) == row.fingerprint:
        return
    lines = "".join(f"\n  {line}" for line in _changes(row, loaded))
    raise GraphInvalid(
        f"The graph {row.graph!r} says something else than when run {row.id} began{':' if lines else '.'}{lines}",
        hint="Put it back, or go on at your own risk with --force-graph.",
    )


def _changes(row: RunRow, loaded: Loaded) -> list[str]:
    """Return what changed since the run began; [] when the text of then cannot be read any more."""
    text, _, files = row.graph_text.partition(_FILES)
    kept = json.loads(files) if files else {}
    if loaded.spec.code:
        return file_differences(kept, {key: file.text for key, file in loaded.spec.beside.items()})
    try:
        before = read_text(text, row.graph_source, KeptFiles(kept))
    except GraphInvalid:
        return []
    return differences(loaded.spec.name, before, {**loaded.library, loaded.spec.name: loaded.spec})


def graph_fields(loaded: Loaded, secrets: SecretMask) -> dict[str, Any]:
    """Return what a run's row keeps of the graph that it is driven by.

    The text holds all graph files, as documents, and behind them what lies beside them.
    """
    graphs = (loaded.spec, *loaded.library.values())
    sources = {spec.source.path: spec.source.text for spec in graphs if not spec.code}
    beside = {key: file.text for spec in graphs for key, file in spec.beside.items() if not key.startswith(MODULE)}
    files = _FILES + json.dumps(secrets.mask_data(beside), ensure_ascii=False) if beside else ""
    return {
        "graph_text": secrets.mask("\n---\n".join(sources.values())) + files,
        "fingerprint": fingerprint(loaded.spec, loaded.library),
    }
