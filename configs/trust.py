"""The trust store: which files that a repository brings may act, by path and content hash."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..core.errors import ConfigError
from .dirs import Dirs, write_private
from .project_files import read_project_file

TrustState = Literal["trusted", "changed", "new"]

_STORE_VERSION = 1


@dataclass(frozen=True, slots=True)
class TrustEntry:
    """One trusted file: absolute path and the SHA-256 hex of the content that was trusted."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Examined:
    """A file as it was read once, and what the store says of these very bytes.

    Attributes:
        content: None = it cannot be used, so it does not act whatever is trusted.
        problem: why it cannot be used; "" = it can.
    """

    state: TrustState
    content: bytes | None
    problem: str = ""

    @property
    def sha256(self) -> str:
        """The hash of the content; "" = there is none."""
        return "" if self.content is None else content_hash(self.content)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is stored: hashes by path, of trusted contents and of those that a person was asked about and declined."""

    trusted: Mapping[str, str]
    declined: Mapping[str, str]


class TrustStore:
    """Files a person trusts. A file whose content changed is not trusted until it is trusted again.

    The trusted contents lie beside the store, so that a later change can be shown as a difference.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._contents = path.with_name("trusted")

    def entries(self) -> tuple[TrustEntry, ...]:
        """Return what is trusted, sorted by path.

        Raises:
            ConfigError: the store is damaged.
        """
        return tuple(TrustEntry(path, sha) for path, sha in sorted(self._read().trusted.items()))

    def examine(self, file: Path) -> Examined:
        """Return a file's content, read once, and whether it is "trusted", "changed" (trusted once, with another
        content, or gone) or "new".

        Raises:
            ConfigError: the store is damaged.
        """
        known = self._read().trusted.get(_key(file))
        try:
            content = read_project_file(file)
        except OSError as err:
            return Examined("new" if known is None else "changed", None, err.strerror or str(err))
        if known is None:
            return Examined("new", content)
        return Examined("trusted" if known == content_hash(content) else "changed", content)

    def state(self, file: Path) -> TrustState:
        """Return what `examine` says; for showing only, since the file may be another one when it is read again."""
        return self.examine(file).state

    def covers(self, file: Path, content: bytes) -> bool:
        """True when these bytes, just read from the file, are what was trusted."""
        return self._read().trusted.get(_key(file)) == content_hash(content)

    def trusted_hash(self, file: Path) -> str:
        """Return the SHA-256 hex of the content that is trusted; "" = none is."""
        return self._read().trusted.get(_key(file), "")

    def knows(self, file: Path) -> bool:
        """True when the file was trusted once, with whatever content."""
        return _key(file) in self._read().trusted

    def trust(self, file: Path) -> TrustEntry:
        """Trust the file with its present content.

        Raises:
            ConfigError: the file cannot be used, or the store not written.
        """
        try:
            content = read_project_file(file)
        except OSError as err:
            raise ConfigError(
                f"{str(file)!r} cannot be trusted: {err.strerror or err}.", hint="Name a file that can be read."
            ) from err
        return self.trust_content(file, content)

    def trust_content(self, file: Path, content: bytes) -> TrustEntry:
        """Trust the file with the content a person was shown, whatever stands in it by now.

        Raises:
            ConfigError: the store cannot be written.
        """
        entry = TrustEntry(_key(file), content_hash(content))
        known = self._read()
        write_private(self._contents / entry.sha256, content)
        self._write({**known.trusted, entry.path: entry.sha256}, _without(known.declined, entry.path))
        return entry

    def trusted_content(self, file: Path) -> bytes | None:
        """Return the content that was trusted; None = none was, or it was not kept."""
        sha = self._read().trusted.get(_key(file))
        try:
            content = (self._contents / sha).read_bytes() if sha else None
        except OSError:
            return None
        return content if content is not None and content_hash(content) == sha else None

    def revoke(self, file: Path) -> bool:
        """Trust the file no more; True when it was in the store. The file itself need not exist."""
        known, key = self._read(), _key(file)
        if key not in known.trusted and key not in known.declined:
            return False
        self._write(_without(known.trusted, key), _without(known.declined, key))
        return key in known.trusted

    def decline(self, file: Path, content: bytes) -> None:
        """Keep in mind that a person was asked about this content and did not want it.

        Raises:
            ConfigError: the store cannot be written.
        """
        known = self._read()
        self._write(known.trusted, {**known.declined, _key(file): content_hash(content)})

    def was_declined(self, file: Path, content: bytes) -> bool:
        """True when a person did not want these very bytes."""
        return self._read().declined.get(_key(file)) == content_hash(content)

    def _read(self) -> _Known:
        try:
            data = json.loads(self._path.read_bytes())
            if data["v"] != _STORE_VERSION:
                raise ValueError(f"version {data['v']!r}")
            known = _Known(_hashes(data["files"]), _hashes(data.get("declined", [])))
        except (FileNotFoundError, NotADirectoryError):
            return _Known({}, {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
            raise ConfigError(
                f"The trust store {str(self._path)!r} cannot be read: {err}.",
                hint="Move it away and trust your files again with `flow trust`.",
            ) from err
        return known

    def _write(self, trusted: Mapping[str, str], declined: Mapping[str, str]) -> None:
        data = {"v": _STORE_VERSION, "files": _entries(trusted), "declined": _entries(declined)}
        write_private(self._path, json.dumps(data, ensure_ascii=True, indent=1).encode())
        # What nobody trusts any more is not kept: it may hold a secret.
        wanted = set(trusted.values())
        for path in self._contents.glob("[0-9a-f]*"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)


def trust_store(dirs: Dirs) -> TrustStore:
    """Return the user's trust store."""
    return TrustStore(dirs.data / "trust.json")


def trust_command(file: Path) -> str:
    """Return the command line that trusts a file, from any folder."""
    return f"flow trust {shlex.quote(os.path.abspath(file))}"


def content_hash(content: bytes) -> str:
    """Return the SHA-256 of a content in hex."""
    return hashlib.sha256(content).hexdigest()


def _key(file: Path) -> str:
    """Return the name of a file in the store: its own place in its repository, not the place that a link leads to.

    Otherwise a repository could link to a file that was trusted as a part of another one.
    """
    path = Path(os.path.abspath(file))
    root = next((folder for folder in path.parents if (folder / ".git").exists()), path.parent)
    return str(root.resolve() / path.relative_to(root))


def _hashes(entries: list[dict[str, Any]]) -> dict[str, str]:
    """Raises: ValueError: something else than paths and hashes."""
    known = {entry["path"]: entry["sha256"] for entry in entries}
    if not all(isinstance(text, str) for pair in known.items() for text in pair):
        raise ValueError("it holds something else than paths and hashes")
    return known


def _entries(known: Mapping[str, str]) -> list[dict[str, str]]:
    return [asdict(TrustEntry(path, sha)) for path, sha in sorted(known.items())]


def _without(known: Mapping[str, str], key: str) -> dict[str, str]:
    return {path: sha for path, sha in known.items() if path != key}
