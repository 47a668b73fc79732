from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from flowloom.retrieval import doc_office
from flowloom.retrieval.doc_blocks import Unreadable
from flowloom.retrieval.doc_formats import format_named
from flowloom.retrieval.doc_reading import DocumentReader

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


@pytest.fixture(scope="module")
def reader() -> Iterator[DocumentReader]:
    with DocumentReader() as reader:
        yield reader


def refused(reader: DocumentReader, form: str, data: bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        reader.read(format_named(form), data)
    return str(caught.value)


def test_what_unpacks_to_far_more_is_refused(reader: DocumentReader, office: Any) -> None:
    size = doc_office.MAX_UNPACKED_BYTES + 1
    bomb = office.zipped({"word/document.xml": b"<a>" + b" " * size})
    assert len(bomb) < size // 500
    assert refused(reader, "docx", bomb) == "unpacks to more than 200 MB"


@pytest.mark.parametrize("form", ["docx", "pptx", "xlsx"])
def test_xml_with_a_dtd_is_refused_before_its_entities_are_read(
    reader: DocumentReader, office: Any, form: str
) -> None:
    main = {"docx": "word/document.xml", "pptx": "ppt/presentation.xml", "xlsx": "xl/workbook.xml"}[form]
    for dtd in ('<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>', "<!DOCTYPE a><a/>"):
        for encoding in ("utf-8", "utf-16"):
            data = office.zipped({main: f'<?xml version="1.0" encoding="{encoding}"?>{dtd}'.encode(encoding)})
            assert refused(reader, form, data) == "its XML has a DTD"


def test_relations_never_lead_out_of_the_file(reader: DocumentReader, office: Any) -> None:
    sheet = "file:///etc/passwd"
    data = office.xlsx({"one": ""})
    assert sheet not in str(data)
    assert refused(reader, "xlsx", data) == "no text in it"


@pytest.mark.parametrize(
    ("form", "data", "reason"),
    [
        ("docx", b"PK\x03\x04 nonsense", "damaged: not a zip file"),
        ("docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "protected by a password, or of a format before 2007"),
        ("pdf", b"%PDF-1.7 and nothing else", "damaged, or not a PDF"),
        ("pdf", b"", "damaged, or not a PDF"),
        ("notebook", b"{}", "not a notebook, or a damaged one"),
        ("notebook", b"[" * 100_000, "not a notebook, or a damaged one"),
        ("text", bytes(range(256)) * 10, "not text, whatever its name says"),
        ("html", bytes(range(256)) * 10, "not text, whatever its name says"),
        ("html", b"<div hidden>" * 5000, "nested deeper than any page is"),
        ("text", b" \n\n", "no text in it"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused_with_a_reason(
    reader: DocumentReader, form: str, data: bytes, reason: str
) -> None:
    assert refused(reader, form, data).startswith(reason)


def test_a_document_that_is_cut_off_is_refused(reader: DocumentReader, office: Any) -> None:
    whole = office.docx(office.word_paragraph("text"))
    assert refused(reader, "docx", whole[: len(whole) // 2]).startswith("damaged")
    broken = office.zipped({"word/document.xml": f"<w:document {_W}><w:body>"})
    assert refused(reader, "docx", broken) == "damaged: word/document.xml is not XML"


def test_deep_nesting_does_not_end_the_work(reader: DocumentReader, office: Any) -> None:
    deep = f"<w:document {_W}><w:body>" + "<w:sdt>" * 50_000 + "</w:sdt>" * 50_000 + "</w:body></w:document>"
    assert refused(reader, "docx", office.zipped({"word/document.xml": deep})) == "nested too deeply"
    good = office.docx(office.word_paragraph("still here"))
    assert reader.read(format_named("docx"), good).blocks[0].lines[0].text == "still here"


def test_a_crash_of_the_reader_is_a_reason_and_the_next_document_is_read(office: Any) -> None:
    good = office.docx(office.word_paragraph("still here"))
    with DocumentReader() as reader:
        before = children()
        reader.read(format_named("docx"), good)
        (child,) = children() - before
        os.kill(child, signal.SIGSEGV)
        assert "crashed (SIGSEGV)" in refused(reader, "docx", good)
        assert reader.read(format_named("docx"), good).blocks[0].lines[0].text == "still here"
    assert children() == before


@pytest.mark.parametrize("data", [b"|\n" + b" " * 7_000 + b"-x\n", b"# a line\n" * 30_000])
def test_a_text_that_no_person_wrote_is_read_in_the_other_process(data: bytes) -> None:
    with DocumentReader(timeout_s=0.0) as reader:
        assert "took more than 0 s" in refused(reader, "markdown", data)
        assert reader.read(format_named("markdown"), b"# A usual text\n").title == "A usual text"


def test_a_reader_that_takes_too_long_is_ended(office: Any) -> None:
    before = children()
    with DocumentReader(timeout_s=0.0) as reader:
        assert "took more than 0 s" in refused(reader, "docx", office.docx(""))
    assert children() == before


def children() -> set[int]:
    """Return the processes of readers that this one has."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"doc_worker" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
    return found
