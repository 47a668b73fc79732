"""Content-addressed bytes of one run: files before and after edits, long outputs, diffs. Used wherever `Blobs` is."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..configs.dirs import make_private, replace_private
from ..core.errors import FlowError


class BlobStore:
    """Implements the port `Blobs` in a folder: `ab/cdef...` holds the bytes whose SHA-256 is `abcdef...`.

    Args:
        folder: made, for the owner only, when the first bytes are stored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> str:
        """Return the SHA-256 hex under which the bytes are stored; they are on disk when it returns.

        Raises:
            FlowError: they cannot be written.
        """
        sha = hashlib.sha256(data).hexdigest()
        target = self.path(sha)
        try:
            # Compared, not only looked for: what a crash or a damaged disk left under that name is written anew.
            if target.is_file() and target.read_bytes() == data:
                return sha
            make_private(target.parent)
            replace_private(target, data)
        except OSError as err:
            raise FlowError(
                f"{len(data)} bytes cannot be stored in {str(target.parent)!r}: {err.strerror}.",
                hint="Free space or mend its permissions, then resume the run.",
            ) from err
        return sha

    def get(self, sha: str) -> bytes:
        """Return the bytes stored under this name.

        Raises:
            KeyError: not stored.
            FlowError: what is stored is damaged or cannot be read.
        """
        path = self.path(sha)
        try:
            data = path.read_bytes()
        except FileNotFoundError as err:
            raise KeyError(sha) from err
        except OSError as err:
            raise FlowError(f"The stored bytes {str(path)!r} cannot be read: {err.strerror}.") from err
        if hashlib.sha256(data).hexdigest() != sha:
            raise FlowError(
                f"The stored bytes {str(path)!r} are damaged: their hash is not their name.",
                hint="Check the disk; what needed them cannot be restored from here.",
            )
        return data

    def path(self, sha: str) -> Path:
        """Return where the bytes lie, stored or not.

        Raises:
            KeyError: no SHA-256 in hex, so nothing can be stored under it.
        """
        if len(sha) != 64 or not set(sha) <= set("0123456789abcdef"):
            raise KeyError(sha)
        return self._folder / sha[:2] / sha[2:]
