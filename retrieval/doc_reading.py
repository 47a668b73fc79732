"""Reads documents, the risky formats in another process that may crash or stall. Called by the sync of documents."""

from __future__ import annotations

import json
from types import TracebackType

from .doc_blocks import Reading, Unreadable
from .doc_formats import Format, read_as
from .worker_process import WorkerEnded, WorkerProcess

TIMEOUT_S = 120.0
_USUAL_BYTES = 200_000
_USUAL_LINE_BYTES = 6_000
"""Of a text that people wrote. A larger one may take a pattern very long, so it is read in the other process too."""


class DocumentReader:
    """Reads one document after the other; to be used in a `with` block, since it may hold a process.

    Args:
        timeout_s: of clock time, that one document may take.
    """

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._worker = WorkerProcess(f"{__package__}.doc_worker", timeout_s)

    def __enter__(self) -> DocumentReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        self._worker.close()

    def read(self, form: Format, data: bytes) -> Reading:
        """Return what a document says.

        Raises:
            Unreadable: nothing of it can be used, or its reader crashed or took too long.
        """
        if not form.isolated and not _is_unusual(data):
            return read_as(form, data)
        try:
            answer = json.loads(self._worker.ask(form.name.encode() + b"\n" + data))
        except WorkerEnded as err:
            raise Unreadable(f"its reader {err}") from err
        if "unreadable" in answer:
            raise Unreadable(answer["unreadable"])
        return Reading.from_dict(answer)


def _is_unusual(data: bytes) -> bool:
    return len(data) > _USUAL_BYTES or max(map(len, data.split(b"\n"))) > _USUAL_LINE_BYTES
