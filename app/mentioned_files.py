"""What a mention of a file, of lines or a definition in it, or of a folder gives; read as read_file reads."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..context.mentions import Mention, Reading
from ..core.effects import Nothing, Spans, ToolResult
from ..core.errors import ToolError
from ..core.texts import decode
from ..core.tool import ToolContext
from ..retrieval.languages import language_of
from ..retrieval.parse import Symbol, parse_definitions
from ..tools.listing import HIDDEN_FOLDERS, list_files
from ..tools.near import did_you_mean, near_files, near_names
from ..tools.paths import read_inside, refuse_denied, relative_path, resolve_inside
from ..tools.read_file import Args, plan

MAX_LINES = 5_000
MAX_PARSED_BYTES = 1_000_000
"""Longer files are not parsed: it would take over a second."""
MAX_LISTED = 200
MAX_OUTLINED = 60
MAX_OUTLINED_BYTES = 200_000
MAX_NAMES = 12
"""Definitions that the outline of one file names."""
MAX_BODIES = 3
"""Definitions of one name that a mention gives."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a mention names.

    Attributes:
        name: as the person and the model are to know it.
        seen, keep_end, spans: as in context.attached.Attachment.
    """

    name: str
    text: str
    seen: dict[str, str] = field(default_factory=dict)
    keep_end: bool = False
    spans: dict[str, Spans] = field(default_factory=dict)


class _Place(NamedTuple):
    """A file or folder that exists, by the reading that names it."""

    reading: Reading
    resolved: Path
    relative: str


class MentionedFiles:
    """Finds the files of one workspace.

    Args:
        start: the folder that the person works in, relative to the workspace: paths are looked for there first.
    """

    def __init__(self, ctx: ToolContext, start: str = ".") -> None:
        self._ctx = ctx
        self._start = start

    def find(self, mention: Mention) -> Found | str:
        """Return what the mention names, or in a sentence why it gives nothing; "" = it was hardly meant as one."""
        try:
            place = self._place(mention)
            if place is None:
                return self._missing(mention)
            if place.resolved.is_dir():
                return self._folder(place)
            return self._file(place)
        except ToolError as err:
            return str(err) if mention.is_clear else ""
        except OSError as err:
            return f"it cannot be read: {err.strerror}."

    def _place(self, mention: Mention) -> _Place | None:
        """Return the longest reading that exists.

        Raises:
            ToolError: none does, and one of them leaves the workspace.
        """
        refusal: ToolError | None = None
        for reading in mention.readings:
            for path in self._paths(reading.path):
                try:
                    resolved = resolve_inside(self._ctx.workspace, path)
                except ToolError as err:
                    refusal = refusal or err
                    continue
                if resolved.exists():
                    return _Place(reading, resolved, relative_path(self._ctx.workspace, resolved))
        if refusal is not None:
            raise refusal
        return None

    def _paths(self, path: str) -> Iterator[str]:
        if self._start != "." and not path.startswith(("/", "~")):
            yield posixpath.join(self._start, path)
        yield path

    def _missing(self, mention: Mention) -> str:
        if not mention.is_clear:
            return ""
        # The last reading is the name alone, without the words that may follow it.
        wanted = mention.readings[0] if mention.quoted else mention.readings[-1]
        near = near_files(self._ctx.workspace, posixpath.normpath(wanted.path))
        if not near and _is_package(wanted.path):
            return ""
        return f"there is no such file or folder.{did_you_mean(near)}"

    def _file(self, place: _Place) -> Found:
        reading, relative = place.reading, place.relative
        refuse_denied(self._ctx.workspace, relative)
        if reading.symbol:
            return self._definition(relative, reading.symbol)
        if not reading.first:
            return _found(relative, [self._lines(relative, 1, MAX_LINES)])
        name = f"{relative}#L{reading.first}-{reading.last}"
        return _found(name, [self._lines(relative, reading.first, reading.last)])

    def _lines(self, relative: str, first: int, last: int) -> ToolResult:
        limit = max(1, min(last - first + 1, MAX_LINES))
        effect = plan(Args(path=relative, offset=first, limit=limit), self._ctx)
        if not isinstance(effect, Nothing):
            raise TypeError("read_file only reads")
        return effect.result

    def _definition(self, relative: str, symbol: str) -> Found:
        symbols = self._symbols(relative, MAX_PARSED_BYTES)
        wanted = symbol.replace("::", ".")
        bodies = [each for each in symbols if wanted in (each.name, each.qualified_name)]
        bodies = bodies or [each for each in symbols if each.qualified_name.endswith(f".{wanted}")]
        if not bodies:
            near = did_you_mean(near_names(wanted, dict.fromkeys(each.qualified_name for each in symbols)))
            raise ToolError(f"{relative} has no definition {symbol!r} that is known.{near}")
        pieces = [self._lines(relative, each.start_line, each.end_line) for each in bodies[:MAX_BODIES]]
        return _found(f"{relative}#{symbol}", pieces)

    def _symbols(self, relative: str, max_bytes: int) -> Sequence[Symbol]:
        """Return the definitions of a file; none of one that is gone, binary or in no known language.

        Raises:
            ToolError: it is larger than `max_bytes`.
        """
        file = decode(read_inside(self._ctx.workspace, relative, max_bytes) or b"")
        if file is None:
            return ()
        text = file.text.replace("\r\n", "\n")
        return parse_definitions(language_of(relative, text), text).symbols

    def _folder(self, place: _Place) -> Found:
        workspace, relative = self._ctx.workspace, place.relative
        name = "./" if relative == "." else f"{relative}/"
        if not HIDDEN_FOLDERS.isdisjoint(relative.split("/")):
            raise ToolError(f"{name!r} is not for agents.")
        refuse_denied(workspace, relative)
        refuse_denied(workspace, f"{relative}/")
        files = list_files(workspace, relative)
        if not files:
            raise ToolError(f"{name!r} holds no files that may be listed.")
        lines = [
            f"{path}{self._outline(path) if at < MAX_OUTLINED else ''}" for at, path in enumerate(files[:MAX_LISTED])
        ]
        more = [f"[{len(files) - MAX_LISTED} more files]"] if len(files) > MAX_LISTED else []
        return Found(name, self._ctx.secrets.mask("\n".join([*lines, *more])))

    def _outline(self, path: str) -> str:
        """Return what a file defines at its top, to stand behind its name; "" = nothing that is known."""
        if not language_of(path):
            return ""
        try:
            symbols = self._symbols(path, MAX_OUTLINED_BYTES)
        except (ToolError, OSError):
            return ""  # it is listed all the same
        names = list(dict.fromkeys(each.name for each in symbols if not each.parent))
        more = ", ..." if len(names) > MAX_NAMES else ""
        return f": {', '.join(names[:MAX_NAMES])}{more}" if names else ""


def _found(name: str, pieces: Sequence[ToolResult]) -> Found:
    """Return pieces of one file as what a mention names."""
    seen = {path: sha for piece in pieces for path, sha in piece.seen.items()}
    spans = {path: tuple(span for piece in pieces for span in piece.spans.get(path, ())) for path in seen}
    return Found(name, "\n\n".join(piece.text for piece in pieces), seen, spans=spans)


def _is_package(path: str) -> bool:
    """Tell whether a path that is nowhere looks like the name of a package: `types/node` of `@types/node`."""
    scope, _, name = path.partition("/")
    return bool(scope and name) and "/" not in name and "." not in scope and not language_of(name)
