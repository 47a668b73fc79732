"""The trust store: which files that a repository brings may act, by path and content hash. Also lists such files."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ..core.errors import ConfigError
from .dirs import Dirs, write_private

TrustState = Literal["trusted", "changed", "new"]
FileKind = Literal["settings", "graph", "python", "instructions", "mcp"]

_STORE_VERSION = 1
INSTRUCTIONS = ("AGENTS.md", "CLAUDE.md", ".agent.md", ".agent.local.md")
"""Files of a project that agents are told, once they are trusted."""


@dataclass(frozen=True, slots=True)
class TrustEntry:
    """One trusted file: absolute, resolved path and the SHA-256 hex of the content that was trusted."""

    path: str
    sha256: str


class ProjectFile(NamedTuple):
    """A file of a repository that becomes active once it is trusted."""

    path: Path
    kind: FileKind


class TrustStore:
    """Files a person trusts. A file whose content changed is not trusted until it is trusted again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> tuple[TrustEntry, ...]:
        """Return what is trusted, sorted by path.

        Raises:
            ConfigError: the store is damaged.
        """
        return tuple(TrustEntry(path, sha) for path, sha in sorted(self._read().items()))

    def is_trusted(self, file: Path) -> bool:
        """True when this very content of the file was trusted; False for a file that cannot be read."""
        return self.state(file) == "trusted"

    def state(self, file: Path) -> TrustState:
        """Return "trusted", "changed" (trusted once, with another content, or gone) or "new"."""
        known = self._read().get(_key(file))
        if known is None:
            return "new"
        try:
            return "trusted" if known == _sha256(file.read_bytes()) else "changed"
        except OSError:
            return "changed"

    def covers(self, file: Path, content: bytes) -> bool:
        """True when these bytes, just read from the file, are what was trusted."""
        return self._read().get(_key(file)) == _sha256(content)

    def trust(self, file: Path) -> TrustEntry:
        """Trust the file with its present content.

        Raises:
            ConfigError: the file cannot be read, or the store not written.
        """
        try:
            content = file.read_bytes()
        except OSError as err:
            raise ConfigError(
                f"{str(file)!r} cannot be trusted: {err.strerror}.", hint="Name a file that exists."
            ) from err
        return self.trust_content(file, content)

    def trust_content(self, file: Path, content: bytes) -> TrustEntry:
        """Trust the file with the content a person was shown, whatever stands in it by now.

        Raises:
            ConfigError: the store cannot be written.
        """
        entry = TrustEntry(_key(file), _sha256(content))
        self._write({**self._read(), entry.path: entry.sha256})
        return entry

    def revoke(self, file: Path) -> bool:
        """Trust the file no more; True when it was in the store. The file itself need not exist."""
        known = self._read()
        if known.pop(_key(file), None) is None:
            return False
        self._write(known)
        return True

    def _read(self) -> dict[str, str]:
        try:
            data = json.loads(self._path.read_bytes())
            if data["v"] != _STORE_VERSION:
                raise ValueError(f"version {data['v']!r}")
            known = {entry["path"]: entry["sha256"] for entry in data["files"]}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise ConfigError(
                f"The trust store {str(self._path)!r} cannot be read: {err}.",
                hint="Move it away and trust your files again with `flow trust`.",
            ) from err
        if not all(isinstance(text, str) for pair in known.items() for text in pair):
            raise ConfigError(
                f"The trust store {str(self._path)!r} holds something else than paths and hashes.",
                hint="Move it away and trust your files again with `flow trust`.",
            )
        return known

    def _write(self, known: dict[str, str]) -> None:
        entries = [asdict(TrustEntry(path, sha)) for path, sha in sorted(known.items())]
        text = json.dumps({"v": _STORE_VERSION, "files": entries}, ensure_ascii=True, indent=1)
        write_private(self._path, text.encode())


def trust_store(dirs: Dirs) -> TrustStore:
    """Return the user's trust store."""
    return TrustStore(dirs.data / "trust.json")


def project_files(workspace: Path) -> list[ProjectFile]:
    """Return what a repository brings that acts once it is trusted, sorted by path; only files that exist."""
    found = {file.path: file for file in _candidates(workspace) if file.path.is_file()}
    return [found[path] for path in sorted(found)]


def _candidates(workspace: Path) -> Iterator[ProjectFile]:
    own = workspace / ".flow"
    yield ProjectFile(own / "config.toml", "settings")
    yield ProjectFile(workspace / ".mcp.json", "mcp")
    for name in INSTRUCTIONS:
        yield ProjectFile(workspace / name, "instructions")
    if own.is_dir():
        for path in (own / "graphs").glob("*.yaml"):
            yield ProjectFile(path, "graph")
        for path in own.rglob("*.py"):
            yield ProjectFile(path, "python")


def trust_command(file: Path) -> str:
    """Return the command line that trusts a file, from any folder."""
    return f"flow trust {shlex.quote(os.path.abspath(file))}"


def _key(file: Path) -> str:
    return str(file.resolve())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
