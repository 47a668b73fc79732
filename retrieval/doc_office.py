"""What the readers of Word, PowerPoint and Excel files share: a bounded zip file, and XML without a DTD."""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from types import TracebackType
from xml.etree import ElementTree as ET

from .doc_blocks import Unreadable

MAX_UNPACKED_BYTES = 200_000_000
"""Of all parts that are read of one file. Their tree takes about ten times as much memory."""
MAX_PARTS = 20_000
_PIECE_BYTES = 1 << 20
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_RELATIONS = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"


class _Tree(ET.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse a DTD before its entities are read: office files have none, and it could name other files."""
        raise Unreadable("its XML has a DTD")


class OfficeFile:
    """The parts of an office file; what is unpacked of it is counted.

    Raises:
        Unreadable: it is no such file, protected by a password, or of the binary formats before 2007.
    """

    def __init__(self, data: bytes) -> None:
        if data.startswith(_OLE):
            raise Unreadable("protected by a password, or of a format before 2007: save it anew")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as err:
            raise Unreadable("damaged: not a zip file") from err
        if len(self._zip.infolist()) > MAX_PARTS:
            raise Unreadable(f"more than {MAX_PARTS:,} parts in it")
        self._left = MAX_UNPACKED_BYTES
        self._names = {name.lower(): name for name in self._zip.namelist()}

    def __enter__(self) -> OfficeFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        self._zip.close()

    def xml(self, name: str) -> ET.Element | None:
        """Return the root of a part's XML; None = there is no such part.

        Raises:
            Unreadable: the part is damaged, too large or has a DTD.
        """
        parser = ET.XMLParser(target=_Tree())
        found = False
        try:
            for piece in self._pieces(name):
                found = True
                parser.feed(piece)
            return parser.close() if found else None
        except ET.ParseError as err:
            raise Unreadable(f"damaged: {name} is not XML") from err

    def relations(self, name: str) -> dict[str, str]:
        """Return the parts that a part refers to, name by id; targets outside of the file are left out."""
        folder, base = posixpath.split(name)
        root = self.xml(f"{folder}/_rels/{base}.rels")
        found: dict[str, str] = {}
        for each in () if root is None else root.iter(_RELATIONS):
            if each.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, each.get("Target", "")))
                found[each.get("Id", "")] = target.lstrip("/")
        return found

    def _pieces(self, name: str) -> Iterator[bytes]:
        """Yield a part's bytes; the size that the file itself states is not relied on."""
        real = self._names.get(name.lower())
        if real is None:
            return
        try:
            with self._zip.open(real) as part:
                while piece := part.read(_PIECE_BYTES):
                    self._left -= len(piece)
                    if self._left < 0:
                        raise Unreadable(f"unpacks to more than {MAX_UNPACKED_BYTES // 1_000_000:,} MB")
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as err:
            raise Unreadable(f"damaged: {name} cannot be unpacked") from err


def core_title(file: OfficeFile) -> str:
    """Return the title among the file's properties; "" = none."""
    root = file.xml("docProps/core.xml")
    return "" if root is None else root.findtext("{http://purl.org/dc/elements/1.1/}title") or ""
