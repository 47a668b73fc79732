"""Reading a node's `retry`. Called by read_nodes.py."""

from __future__ import annotations

from .faults import listed, near
from .fields import Fields, is_identifier
from .keys import RETRY_KEYS
from .spec import RETRY_BACKOFF_S, RETRY_DEFAULT, RETRY_KINDS, Retry


def read_retry(fields: Fields) -> Retry | None:
    """Return when a failed visit is tried again; None when the node does not say so."""
    if "retry" not in fields:
        return None
    inner = fields.reading.fields(fields.entries["retry"].tree, "'retry'", RETRY_KEYS)
    inner.need("max_attempts")
    kinds = inner.words("retry_on")
    for index, kind in enumerate(kinds or ()):
        if kind not in RETRY_KINDS and not _is_exception(kind):
            at = fields.reading.positions.get((*fields.path, "retry", "retry_on", index), inner.place("retry_on"))
            known = f"{listed(RETRY_KINDS)} or a Python exception"
            fields.reading.fault(at, f"'retry_on' names {known}, not {kind!r}{near(kind, RETRY_KINDS)}")
    return Retry(
        max_attempts=inner.count("max_attempts") or 1,
        backoff_s=inner.duration("backoff") or RETRY_BACKOFF_S,
        on=RETRY_DEFAULT if kinds is None else kinds,
    )


def _is_exception(name: str) -> bool:
    return is_identifier(name.rpartition(".")[2]) and name.rpartition(".")[2][:1].isupper()
