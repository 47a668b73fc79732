"""Words of a shell line that name files: whether they stay in the workspace and are no secrets. Reads links only."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .shell_words import Word

HARMLESS_DEVICES = frozenset({"/dev/null", "/dev/stdin"})
_GLOB = re.compile(r"[*?\[]")
_SECRET = re.compile(
    r"\.env(?:rc|\..*)?|\.netrc|\.npmrc|\.pypirc|\.pgpass|\.htpasswd|\.git-credentials|\.(?:ssh|aws|gnupg|kube|azure)"
    r"|id_(?:rsa|dsa|ecdsa|ed25519)[^.]*|.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx)|(?:.*[._-])?credentials(?:\..*)?"
    r"|secrets?(?:\.(?:ya?ml|json|toml|ini|txt|env))?|service[-_]account.*\.json|\.docker",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(r".*\.(?:example|sample|template|dist|defaults?|pub)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PathFault:
    """Why a word is not a path that may be read unasked; `outside` = it leaves the workspace."""

    reason: str
    outside: bool


def path_fault(word: Word, folders: Sequence[str], workspace: Path | None) -> PathFault | None:
    """Return what is wrong with a word as a path; None = nothing.

    Args:
        folders: workspace-relative folders the command may run in; the path has to be right in all of them.
        workspace: absolute, resolved; None = links are not looked at, and every absolute path is outside.
    """
    for text in _candidates(word.text):
        if text in HARMLESS_DEVICES:
            continue
        if word.tilde or text.startswith("~"):
            return PathFault(f"{word.text} is in the home folder", outside=True)
        if any(not _is_inside(text, folder, workspace) for folder in folders):
            return PathFault(f"{word.text} is outside the workspace", outside=True)
        if reason := _secret(text, word.glob):
            return PathFault(f"{word.text} {reason}", outside=False)
    return None


def _candidates(text: str) -> Iterator[str]:
    yield text
    if "=" in text:
        yield text.partition("=")[2]
    if "://" in text:
        yield "/" + text.partition("://")[2].lstrip("/")


def _is_inside(text: str, folder: str, workspace: Path | None) -> bool:
    if workspace is None:
        if text.startswith("/"):
            return False
        joined = posixpath.normpath(posixpath.join(folder, text))
        return joined != ".." and not joined.startswith("../")
    parts = (text if text.startswith("/") else posixpath.join(str(workspace), folder, text)).split("/")
    # A pattern may stand for any name, but ".." in it or after it would lead up from an unknown place.
    place = next((place for place, part in enumerate(parts) if _GLOB.search(part)), len(parts))
    if ".." in parts[place:]:
        return False
    resolved = Path(os.path.realpath("/".join(parts[:place]) or "/"))
    if any(os.path.islink(part) for part in (resolved, *resolved.parents)):
        return False  # a link in a circle: the rest of the path was not resolved
    lexical = posixpath.normpath("/".join(parts[:place]) or "/")
    return resolved.is_relative_to(workspace) and Path(lexical).is_relative_to(workspace)


def _secret(text: str, glob: bool) -> str:
    # HEAD:.env and --file=.env too.
    parts = [part for part in re.split("[/:=]", text) if part not in ("", ".", "..")]
    for part in parts:
        if glob and part.startswith(".") and _GLOB.search(part):
            return "may stand for hidden files"
        name = _GLOB.sub("", part) if glob else part
        if _SECRET.fullmatch(name) and not _EXAMPLE.fullmatch(name):
            return "may hold secrets"
    if parts[-2:] == [".git", "config"]:
        return "may hold secrets"
    return ""
