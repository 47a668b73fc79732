"""The mask of a run's secrets, and the ports that show files or changes with it in front of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from ..core.hits import Hit, Source
from ..core.masking import PLACEHOLDER, SecretMask
from ..core.ports import Changes, Owned, Retriever
from ..core.questions import Answer
from ..core.secret_forms import is_env_like, is_secret_name
from ..core.texts import decode
from ..runs.kept_secrets import KnownSecrets, keep_key, kept_key
from ..tools.host import scrubbed_env

MAX_FILE_BYTES = 200_000
MAX_FILES = 50
MAX_ENTRIES = 3_000
"""Names that are looked at for files with secrets: the workspace itself and the folders in it."""
_KEY_FILES = (".pem", ".key", ".p8", ".ppk", "id_rsa", "id_ed25519", "id_ecdsa", "id_dsa")
_ELSEWHERE = frozenset({".git", "node_modules", ".venv", "venv", "__pycache__"})


def make_mask(key: bytes, environ: Mapping[str, str], *folders: Path) -> SecretMask:
    """Return a mask that knows the secrets of the environment and of the workspace's own `.env` and key files.

    Args:
        key: the run's; b"" for a command that stores nothing.
        folders: absolute; where a run works, and where it was started.
    """
    mask = SecretMask(key, secret_values(environ))
    learn_files(mask, *folders)
    return mask


def state_mask(secrets: SecretMask) -> Callable[[Any], Any]:
    """Return what takes the secrets out of the values that graphs written in Python keep, messages among them."""
    from ..graphs.stored_state import masked  # late: it imports langgraph

    return lambda value: masked(value, secrets)


def learn_files(mask: SecretMask, *folders: Path) -> None:
    """Look through the `.env` and key files of these folders."""
    for path in [path for folder in dict.fromkeys(folders) for path in secret_files(folder)]:
        file = decode(_content(path))
        if file is not None:
            mask.learn(file.text, path.name)


def keep_mask(mask: SecretMask, blobs: Path) -> None:
    """Store what a resume needs to mask alike, now and as the run learns more.

    Args:
        blobs: folder of the run's blobs.

    Raises:
        FlowError: it cannot be stored; the same from a mask that learns something later.
    """
    keep_key(blobs, mask.key)
    mask.tell(KnownSecrets(blobs).add)


def kept_mask(blobs: Path, environ: Mapping[str, str], *folders: Path) -> SecretMask:
    """Return the mask of a run that goes on; see `make_mask` and `keep_mask`."""
    mask, known = make_mask(kept_key(blobs), environ), KnownSecrets(blobs)
    for value, kind in known.read():
        mask.note(value, kind)
    learn_files(mask, *folders)
    mask.tell(known.add)
    return mask


def secret_values(environ: Mapping[str, str]) -> list[str]:
    """Return the values of the variables that no command is given, paths and names left out."""
    kept = scrubbed_env(environ)
    hidden = {name: value for name, value in environ.items() if name not in kept}
    return [value for name, value in hidden.items() if is_secret_name(name) and not value.startswith(("/", "~", "."))]


def secret_files(folder: Path) -> list[Path]:
    """Return the files in a folder, and in the folders in it, that by their names hold secrets."""
    found: list[Path] = []
    for entry in islice(_entries(folder), MAX_ENTRIES):
        if is_env_like(entry.name) or entry.name.lower().endswith(_KEY_FILES):
            found.append(Path(entry.path))
    return sorted(found)[:MAX_FILES]


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    inner = []
    for entry in _scanned(folder):
        if entry.is_dir(follow_symlinks=False):
            inner.append(entry)
        else:
            yield entry
    for each in inner:
        if each.name not in _ELSEWHERE:
            yield from (entry for entry in _scanned(Path(each.path)) if entry.is_file(follow_symlinks=False))


def _scanned(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # not there or not readable: nothing of it can be shown either
        return []


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError:
        return b""


def masked_answer(answer: Answer | None, mask: SecretMask) -> Answer | None:
    """Return a person's answer as it may be stored and shown to a model."""
    if answer is None:
        return None
    return replace(
        answer,
        # Where any text is an answer, it stands in place of a choice.
        choice=mask.mask(answer.choice),
        reason=mask.mask(answer.reason),
        value=mask.mask_data(answer.value),
    )


class MaskedRetriever:
    """A retriever whose passages hold no secrets (core.ports.Retriever)."""

    def __init__(self, retriever: Retriever, mask: SecretMask, workspace: Path) -> None:
        self._retriever = retriever
        self._mask = mask
        self._workspace = workspace

    def retrieve(
        self, query: str, budget: int, sources: Sequence[Source], *, within: Sequence[str] = ()
    ) -> list[Hit]:
        """Return the hits with their texts masked."""
        # A placeholder's figures are another run's noise, which would order what is found in another way.
        hits = self._retriever.retrieve(PLACEHOLDER.sub(" ", query), budget, sources, within=within)
        for path in dict.fromkeys(hit.path for hit in hits):
            _learn_keys(self._mask, self._workspace, path)
        return [
            replace(hit, text=self._mask.mask(hit.text, hit.path), heading=self._mask.mask(hit.heading))
            for hit in hits
        ]


class MaskedChanges:
    """A run's changes whose diffs hold no secrets (core.ports.Changes)."""

    def __init__(self, changes: Changes, mask: SecretMask, workspace: Path) -> None:
        self._changes = changes
        self._mask = mask
        self._workspace = workspace

    def files(self) -> list[str]:
        return self._changes.files()

    def diff(self, files: Sequence[str] | None = None) -> str:
        """Return the diff with what it shows masked."""
        diff = self._changes.diff(files)
        for path in self._changes.files() if diff and files is None else files or ():
            _learn_keys(self._mask, self._workspace, path)
        return self._mask.mask(diff)

    def owned(self, files: Sequence[str] | None = None, agents: str | None = None) -> Owned:
        return self._changes.owned(files, agents)


def _learn_keys(mask: SecretMask, workspace: Path, path: str) -> None:
    """Look through a file with a private key or settings in it: a passage of it may not tell what it is a part of."""
    data = _content(workspace / path)
    if (b"PRIVATE KEY" in data or is_env_like(path)) and (file := decode(data)) is not None:
        mask.learn(file.text, path)
