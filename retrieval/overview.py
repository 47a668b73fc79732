"""What a workspace consists of, told without a model: its languages, and its top folders with a line each.

Asked by `flow init`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from .languages import language_name, language_of

MAX_FOLDERS = 30
_MAX_SUBFOLDERS = 6
_MAX_KINDS = 3
_OTHER = {
    **dict.fromkeys((".md", ".rst", ".txt", ".adoc"), "text"),
    **dict.fromkeys((".toml", ".yaml", ".yml", ".json", ".ini", ".cfg", ".xml"), "data and settings"),
    **dict.fromkeys((".html", ".css"), "web pages"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".svg", ".ico", ".webp"), "images"),
}
_NO_LANGUAGE = frozenset({"text", "data and settings", "images", ""})
_PLAIN = re.compile(r"[\w.@+-]{1,60}")
"""Names that are told; a longer or odder one is passed over, since it could be a text of its own."""


def languages(paths: Iterable[str]) -> list[str]:
    """Return the languages of these files, that of most files first; those of less than a fiftieth are left out."""
    counts = Counter(kind for path in paths if (kind := _kind(path)) not in _NO_LANGUAGE)
    total = sum(counts.values())
    return [name for name, number in _by_number(counts) if number * 50 >= total]


def layout(paths: Iterable[str]) -> list[str]:
    """Return a line for each top folder, by name: what kind of files it holds and which folders.

    Hidden folders are left out. At most MAX_FOLDERS, then a line with how many more there are.
    """
    inside: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in map(PurePosixPath, paths):
        top = path.parts[0]
        if len(path.parts) > 1 and not top.startswith(".") and _PLAIN.fullmatch(top):
            inside[top].append(path)
    lines = [_folder_line(name, inside[name]) for name in sorted(inside)]
    more = len(lines) - MAX_FOLDERS
    return [*lines[:MAX_FOLDERS], *([f"and {more} more folders"] if more > 0 else [])]


def _folder_line(name: str, paths: Sequence[PurePosixPath]) -> str:
    kinds = [kind for kind, _ in _by_number(Counter(_kind(path.as_posix()) for path in paths)) if kind]
    inner = sorted({path.parts[1] for path in paths if len(path.parts) > 2 and _PLAIN.fullmatch(path.parts[1])})
    shown = ", ".join(f"{folder}/" for folder in inner[:_MAX_SUBFOLDERS])
    more = f" and {len(inner) - _MAX_SUBFOLDERS} more" if len(inner) > _MAX_SUBFOLDERS else ""
    return f"`{name}/`: {', '.join(kinds[:_MAX_KINDS]) or 'other files'}" + (f" ({shown}{more})" if inner else "")


def _kind(path: str) -> str:
    language = language_of(path)
    return language_name(language) if language else _OTHER.get(PurePosixPath(path).suffix.lower(), "")


def _by_number(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))
