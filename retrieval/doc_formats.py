"""The formats of documents: which file is which, what reads it, how large it may be. A new format is a row here."""

from __future__ import annotations

from importlib import import_module
from pathlib import PurePath
from typing import NamedTuple

from .doc_blocks import Reader, Reading

_MB = 1_000_000


class Format(NamedTuple):
    """A format of documents.

    Attributes:
        module: of this folder; its `read` is a doc_blocks.Reader.
        isolated: read in a process of its own, since a broken or hostile file may crash, stall or bloat its reader.
    """

    name: str
    module: str
    suffixes: tuple[str, ...]
    max_bytes: int
    isolated: bool = False


FORMATS = (
    Format("markdown", "doc_markdown", (".md", ".markdown", ".mdown", ".mkd", ".mdx", ".qmd", ".rmd"), 20 * _MB),
    Format("text", "doc_text", (".txt", ".text", ".org"), 20 * _MB),
    Format("rst", "doc_rst", (".rst", ".rest"), 20 * _MB),
    Format("asciidoc", "doc_asciidoc", (".adoc", ".asciidoc", ".asc"), 20 * _MB),
    Format("html", "doc_html", (".html", ".htm", ".xhtml"), 20 * _MB, isolated=True),
    Format("pdf", "doc_pdf", (".pdf",), 300 * _MB, isolated=True),
    Format("docx", "doc_docx", (".docx", ".docm", ".dotx", ".dotm"), 100 * _MB, isolated=True),
    Format("pptx", "doc_pptx", (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx"), 300 * _MB, isolated=True),
    Format("xlsx", "doc_xlsx", (".xlsx", ".xlsm", ".xltx", ".xltm"), 100 * _MB, isolated=True),
    Format("csv", "doc_csv", (".csv", ".tsv"), 20 * _MB),
    Format("notebook", "doc_notebook", (".ipynb",), 50 * _MB, isolated=True),
)
TEXT = next(each for each in FORMATS if each.name == "text")
"""What a file is read as that a person names and whose suffix says nothing."""
_BY_SUFFIX = {suffix: each for each in FORMATS for suffix in each.suffixes}
_BY_NAME = {each.name: each for each in FORMATS}

UNREAD = {
    ".doc": "save it as .docx",
    ".ppt": "save it as .pptx",
    ".xls": "save it as .xlsx",
    ".xlsb": "save it as .xlsx",
    ".odt": "save it as .docx",
    ".ods": "save it as .xlsx",
    ".odp": "save it as .pptx",
    ".rtf": "save it as .docx",
    ".epub": "save it as .html or .pdf",
    ".pages": "save it as .docx",
    ".numbers": "save it as .xlsx",
    ".key": "save it as .pptx",
    ".jtd": "save it as .docx",
    ".xdw": "save it as .pdf",
    ".xbd": "save it as .pdf",
    ".xps": "save it as .pdf",
    ".oxps": "save it as .pdf",
    ".vsdx": "save it as .pdf",
    ".vsd": "save it as .pdf",
    ".eml": "save it as .txt",
    ".msg": "save it as .txt",
    ".mht": "save it as .html",
    ".mhtml": "save it as .html",
}
"""Documents by their suffix that no reader is for, and what helps: they are reported, not passed over."""


def format_of(path: str) -> Format | None:
    """Return the format of a file by its name; None = it is not taken for a document."""
    return _BY_SUFFIX.get(PurePath(path).suffix.lower())


def format_named(name: str) -> Format:
    """Return a format by its name.

    Raises:
        KeyError: there is none.
    """
    return _BY_NAME[name]


def read_as(form: Format, data: bytes) -> Reading:
    """Return what a document says, without characters that nobody sees; in this process.

    Raises:
        Unreadable: nothing of it can be used.
    """
    reader: Reader = import_module(f".{form.module}", __package__).read
    return reader(data).cleaned()
