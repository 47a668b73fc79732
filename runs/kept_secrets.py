"""The key of a run's placeholders and the secrets that it knows: beside its blobs, for the owner only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from ..configs.dirs import make_private, replace_private
from ..core.errors import FlowError
from ..core.masking import ENVIRONMENT, KEY_BYTES

_NAME = "secrets.key"
_KNOWN = "secrets.known"


def new_key() -> bytes:
    """Return a key for a run that is about to be created."""
    return os.urandom(KEY_BYTES)


def keep_key(folder: Path, key: bytes) -> None:
    """Store the key in the folder of the run's blobs, so that a resume gives the same placeholders.

    Raises:
        FlowError: it cannot be written.
    """
    try:
        make_private(folder)
        replace_private(folder / _NAME, key)
    except OSError as err:
        raise FlowError(f"The key {str(folder / _NAME)!r} cannot be stored: {err.strerror}.") from err


def kept_key(folder: Path) -> bytes:
    """Return the run's key; a new one, stored, for a run that has none.

    Raises:
        FlowError: it cannot be read or written.
    """
    try:
        key = (folder / _NAME).read_bytes()
    except FileNotFoundError:
        key = b""
    except OSError as err:
        raise FlowError(f"The key {str(folder / _NAME)!r} cannot be read: {err.strerror}.") from err
    if len(key) != KEY_BYTES:
        # A run of an earlier version, or one whose first process was killed before it stored its key.
        keep_key(folder, key := new_key())
    return key


class KnownSecrets:
    """What a run found to be a secret in one place and masks everywhere.

    It is kept since after a kill a text is masked, and a question put, that has to be the same as before, and nobody
    reads again the file that told it. The values of the environment are not kept.

    Args:
        folder: of the run's blobs, made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _KNOWN
        self._kept: set[str] = set()

    def read(self) -> Iterator[tuple[str, str]]:
        """Yield each secret and its kind.

        Raises:
            FlowError: they cannot be read.
        """
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        except OSError as err:
            raise FlowError(f"{str(self._path)!r} cannot be read: {err.strerror}.") from err
        for line in lines[:-1]:  # what follows the last line's end was cut off by a kill
            value, kind = json.loads(line)
            self._kept.add(value)
            yield value, kind

    def add(self, value: str, kind: str) -> None:
        """Keep one more.

        Raises:
            FlowError: it cannot be stored.
        """
        if kind == ENVIRONMENT or value in self._kept:
            return
        self._kept.add(value)
        try:
            make_private(self._path.parent)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with open(descriptor, "ab") as file:
                file.write(json.dumps([value, kind]).encode() + b"\n")
        except OSError as err:
            raise FlowError(
                f"{str(self._path)!r} cannot be written: {err.strerror}.", hint="Free space, then resume the run."
            ) from err
