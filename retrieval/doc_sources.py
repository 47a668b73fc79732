"""Which documents a source names: a file, a folder, or a pattern of paths. Called by the sync of documents."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..core.errors import UsageError
from ..core.texts import composed
from .doc_denied import DeniedPaths
from .doc_formats import FORMATS, TEXT, UNREAD, format_of
from .files import OWN_REPOSITORY, Skipped, list_files

MAX_DOCUMENTS = 200_000
"""Of one source; one with more is most likely a mistake (a home folder, a disk)."""
_MAX_BYTES = max(form.max_bytes for form in FORMATS)
_OPEN_MARK = "~$"
"""Begins the name of the file that Word keeps beside an open document."""
_TAKEN_FOR_CODE = frozenset({"vendor", "third_party"})
"""Folders that are left out as other people's code, and may hold documents all the same."""
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A file that a source names.

    Attributes:
        path: absolute.
        format: name of its format; "" = it cannot be read, for the `problem`.
    """

    path: str
    size: int
    mtime_ns: int
    format: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FoundDocuments:
    """The documents of a source by path. `missing`: its folder or file is not there, as with a drive taken off."""

    documents: tuple[FoundDocument, ...]
    missing: bool = False


def source_pattern(given: str, start: Path) -> str:
    """Return a source as it is stored: the absolute path, with the pattern behind it if it has one.

    Args:
        given: what a person typed, relative to `start` or from "~".

    Raises:
        UsageError: nothing is there that could be a document.
    """
    path = start / os.path.expanduser(given)
    if not path.exists():
        path = Path(_as_written(os.path.abspath(path)))
    base, pattern = _split(str(path)) if not path.exists() else (str(path), "")
    base = os.path.realpath(base)
    if not os.path.exists(base):
        raise UsageError(
            f"There is no file or folder {given!r}.", hint="Name one, or quote a pattern: 'docs/**/*.md'."
        )
    if os.path.isfile(base) and not pattern and (help_ := UNREAD.get(PurePath(base).suffix.lower())):
        raise UsageError(f"Files like {given!r} cannot be read.", hint=f"Try this: {help_}.")
    if not (os.path.isdir(base) or os.path.isfile(base)):
        raise UsageError(f"{given!r} is neither a file nor a folder.")
    return os.path.join(base, pattern) if pattern else base


def _as_written(path: str) -> str:
    """Return the path under which a file lies whose name is the same to the eye; the path as it is if there is none.

    Names that come from macOS have voiced kana and accents as two characters each, and nobody types them so.
    """
    parts = PurePath(path).parts
    found = parts[0]
    for part in parts[1:]:
        if not os.path.lexists(os.path.join(found, part)) and not part.isascii():
            try:
                part = next((each for each in sorted(os.listdir(found)) if composed(each) == composed(part)), part)
            except OSError:
                return path
        found = os.path.join(found, part)
    return found


def _split(pattern: str) -> tuple[str, str]:
    """Return the folder in front of the first part with a wildcard, and the rest."""
    parts = PurePath(pattern).parts
    at = next((at for at, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
    return str(PurePath(*parts[:at])), "/".join(parts[at:])


def default_name(pattern: str) -> str:
    """Return the name of a collection for a source: that of its folder, or of a file without its suffix."""
    base = Path(pattern if os.path.exists(pattern) else _split(pattern)[0])
    return composed((base.stem if base.is_file() else base.name) or "docs")


def find_documents(pattern: str, workspace: Path | None) -> FoundDocuments:
    """Return what a source names now.

    In a folder these are the files whose suffix is a document's; what .gitignore or a denial file names is left out,
    links are not followed. A file that is named itself is taken whatever its suffix.

    Args:
        workspace: whose denial files count as well; None = no project's.

    Raises:
        UsageError: a denial file cannot be used, or there are far too many files.
    """
    base, rest = (pattern, "") if os.path.exists(pattern) else _split(pattern)
    if not os.path.exists(base) or (not rest and not (os.path.isdir(base) or os.path.isfile(base))):
        return FoundDocuments((), missing=True)
    found = _in_folder(Path(base), rest) if os.path.isdir(base) else _single(Path(base))
    documents = sorted(_allowed(found, workspace), key=lambda each: each.path)
    if len(documents) > MAX_DOCUMENTS:
        raise UsageError(
            f"{pattern!r} names more than {MAX_DOCUMENTS:,} documents.", hint="Name a folder or a pattern with fewer."
        )
    return FoundDocuments(tuple(documents))


def _single(path: Path) -> Iterator[FoundDocument]:
    info = path.stat()
    form = format_of(path.name) or TEXT
    yield _document(str(path), info.st_size, info.st_mtime_ns, form.name, form.max_bytes)


def _in_folder(base: Path, rest: str) -> Iterator[FoundDocument]:
    listing = list_files(base, max_file_bytes=_MAX_BYTES, max_files=MAX_DOCUMENTS * 10)
    fits = _pattern(rest)
    for file in listing.files:
        if fits(file.path) and not PurePath(file.path).name.startswith(_OPEN_MARK):
            path, form = str(base / file.path), format_of(file.path)
            if form is not None:
                yield _document(path, file.size, file.mtime_ns, form.name, form.max_bytes)
            elif help_ := UNREAD.get(PurePath(path).suffix.lower()):
                yield FoundDocument(path, file.size, file.mtime_ns, "", f"this format is not read: {help_}")
    for skipped in listing.skipped:
        if not fits(skipped.path):
            continue
        if skipped.path.endswith("/"):
            if PurePath(skipped.path).name in _TAKEN_FOR_CODE or skipped.reason == OWN_REPOSITORY:
                reason = f"{skipped.reason}: add it by itself"
                yield FoundDocument(f"{base / skipped.path}{os.sep}", 0, 0, "", reason)
        elif format_of(skipped.path) is not None and not _is_elsewhere(base, skipped):
            reason = skipped.reason.replace("the workspace", "the folder")
            yield FoundDocument(str(base / skipped.path), 0, 0, "", reason)


def _is_elsewhere(base: Path, skipped: Skipped) -> bool:
    """Tell whether a skipped file is a link whose target is found at its own place."""
    return "within the workspace" in skipped.reason and os.path.islink(base / skipped.path)


def _document(path: str, size: int, mtime_ns: int, form: str, max_bytes: int) -> FoundDocument:
    if size > max_bytes:
        return FoundDocument(path, size, mtime_ns, "", f"larger than {max_bytes // 1_000_000} MB")
    return FoundDocument(path, size, mtime_ns, form)


def _pattern(rest: str) -> Callable[[str], bool]:
    """Return what tells whether a path below the folder fits the pattern; "" fits all."""
    if not rest:
        return lambda path: True
    from pathspec import GitIgnoreSpec  # late: a plain folder needs none

    spec = GitIgnoreSpec.from_lines([f"/{composed(rest)}"])
    return lambda path: spec.match_file(composed(path))


def _allowed(found: Iterable[FoundDocument], workspace: Path | None) -> Iterator[FoundDocument]:
    """Yield the documents; one that the project denies is named with the reason alone."""
    denied = None if workspace is None else DeniedPaths(workspace)
    for each in found:
        reason = denied.reason(each.path) if denied is not None else ""
        yield FoundDocument(each.path, each.size, each.mtime_ns, "", reason) if reason else each
