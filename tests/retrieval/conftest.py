"""Fixtures of the retrieval tests: folders of files, a token counter and an embedder behind their ports."""

from __future__ import annotations

import hashlib
import io
import math
import os
import subprocess
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from flowloom.retrieval.code_index import CodeIndex
from flowloom.retrieval.code_retriever import CodeRetriever
from flowloom.retrieval.tokenise import query_terms


class CharCounter:
    """One token for each three bytes: longer text never counts less."""

    def count(self, text: str) -> int:
        return -(-len(text.encode()) // 3)


class HashEmbedder:
    """Texts that share words are near; remembers what it was given."""

    def __init__(self, name: str = "hash-64", dimension: int = 64) -> None:
        self.id = name
        self.dimension = dimension
        self.passages: list[str] = []

    def embed_query(self, text: str) -> list[float]:
        numbers = [0.0] * self.dimension
        for term in query_terms(text):
            numbers[int(hashlib.sha256(term.encode()).hexdigest(), 16) % self.dimension] += 1.0
        numbers[0] += 0.01
        length = math.sqrt(sum(number * number for number in numbers))
        return [number / length for number in numbers]

    def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
        self.passages += texts
        return [self.embed_query(text) for text in texts]


MakeTree = Callable[[Mapping[str, str | bytes]], Path]


def write_tree(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    """Return a function that writes files into a plain folder and returns it."""

    def make(files: Mapping[str, str | bytes]) -> Path:
        (tmp_path / "tree").mkdir(exist_ok=True)
        return write_tree(tmp_path / "tree", files)

    return make


@pytest.fixture
def git_init() -> Callable[[Path], None]:
    def init(folder: Path) -> None:
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)

    return init


@pytest.fixture
def age() -> Callable[[Path], None]:
    """Return a function that makes all files of a folder a minute old, so that their time stamps are beyond doubt."""

    def make_old(folder: Path) -> None:
        then = time.time() - 60
        for path in folder.rglob("*"):
            if path.is_file() and ".git" not in path.parts:
                os.utime(path, (then, then))

    return make_old


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def counter() -> CharCounter:
    return CharCounter()


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def make_embedder() -> Callable[[str, int], HashEmbedder]:
    return HashEmbedder


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def make_index(cache_dir: Path, notices: list[str]) -> Callable[[Path], CodeIndex]:
    return lambda workspace: CodeIndex(workspace, cache_dir, notify=notices.append)


@pytest.fixture
def make_retriever(cache_dir: Path, counter: CharCounter, notices: list[str]) -> Callable[[Path], CodeRetriever]:
    return lambda workspace: CodeRetriever(workspace, cache_dir, counter, notify=notices.append)


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    """Return a zip file of these parts."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return held.getvalue()


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
_A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
_P = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
_S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_RELATIONS = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'


def relations(targets: Sequence[str]) -> str:
    """Return the relations of a part, with the ids r1, r2 and so on."""
    each = "".join(f'<Relationship Id="r{at}" Target="{target}"/>' for at, target in enumerate(targets, start=1))
    return f"<Relationships {_RELATIONS}>{each}</Relationships>"


class OfficeFiles:
    """Makes small office files and PDF the way the programs do, as far as a reader looks."""

    zipped = staticmethod(zipped)

    def word_paragraph(self, text: str, style: str = "") -> str:
        about = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
        return f"<w:p>{about}<w:r><w:t>{text}</w:t></w:r></w:p>"

    def word_table(self, rows: Sequence[Sequence[str]]) -> str:
        cells = ["".join(f"<w:tc>{self.word_paragraph(cell)}</w:tc>" for cell in row) for row in rows]
        return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"

    def docx(self, body: str, **parts: str | bytes) -> bytes:
        """Return a Word file with the styles "1" (heading 1), "2" (heading 2) and "a3" (Title)."""
        names = {"1": "heading 1", "2": "heading 2", "a3": "Title"}
        styles = "".join(
            f'<w:style w:styleId="{key}"><w:name w:val="{name}"/></w:style>' for key, name in names.items()
        )
        document = f"<w:document {_W}><w:body>{body}</w:body></w:document>"
        more = {f"word/{name}.xml": part for name, part in parts.items()}
        return zipped(
            {"word/document.xml": document, "word/styles.xml": f"<w:styles {_W}>{styles}</w:styles>", **more}
        )

    def pptx(self, slides: Sequence[tuple[str, str]], notes: str = "") -> bytes:
        """Return a presentation of these titles and texts, stored in reverse order; notes are those of the first."""
        parts: dict[str, str | bytes] = {}
        names = [f"slides/slide{len(slides) - at}.xml" for at in range(len(slides))]
        for (title, text), name in zip(slides, names, strict=True):
            shapes = self._shape("title", title) + self._shape("body", text) + self._shape("sldNum", "99")
            parts[f"ppt/{name}"] = f"<p:sld {_P} {_A}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
        if notes:
            first = names[0].rpartition("/")[2]
            parts[f"ppt/slides/_rels/{first}.rels"] = relations(["../notesSlides/notesSlide1.xml"])
            shape = self._shape("body", notes)
            parts["ppt/notesSlides/notesSlide1.xml"] = f"<p:notes {_P} {_A}><p:cSld>{shape}</p:cSld></p:notes>"
        ids = "".join(f'<p:sldId id="{255 + at}" r:id="r{at}"/>' for at in range(1, len(slides) + 1))
        parts["ppt/presentation.xml"] = f"<p:presentation {_P} {_R}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>"
        parts["ppt/_rels/presentation.xml.rels"] = relations(names)
        return zipped(parts)

    def _shape(self, kind: str, text: str) -> str:
        lines = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
        about = f'<p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>'
        return f"<p:sp>{about}<p:txBody>{lines}</p:txBody></p:sp>"

    def xlsx(self, sheets: Mapping[str, str], shared: str = "", hidden: str = "", styles: str = "") -> bytes:
        """Return a workbook; a sheet is its rows as XML, `shared` the items of the shared texts."""
        names = list(sheets)
        listed = "".join(
            f'<sheet name="{name}" r:id="r{at}"{" state=" + chr(34) + "hidden" + chr(34) if name == hidden else ""}/>'
            for at, name in enumerate(names, start=1)
        )
        parts: dict[str, str | bytes] = {
            "xl/workbook.xml": f"<workbook {_S} {_R}><sheets>{listed}</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": relations([f"worksheets/s{at}.xml" for at in range(1, len(names) + 1)]),
            "xl/sharedStrings.xml": f"<sst {_S}>{shared}</sst>",
            "xl/styles.xml": f"<styleSheet {_S}>{styles}</styleSheet>",
        }
        for at, name in enumerate(names, start=1):
            parts[f"xl/worksheets/s{at}.xml"] = f"<worksheet {_S}><sheetData>{sheets[name]}</sheetData></worksheet>"
        return zipped(parts)

    def pdf(
        self, pages: Sequence[str | None], outline: Sequence[tuple[str, int]] = (), *, vertical: bool = False
    ) -> bytes:
        """Return a PDF; a page is its text, "" for a blank one, None for one with a drawing and no text.

        Args:
            outline: titles with the page that they lead to, 1-indexed.
            vertical: whether its lines are columns, the first one at the right.
        """
        coding = "UCS2-V" if vertical else "UTF16-H"
        font = f"/Type/Font/Subtype/Type0/BaseFont/HeiseiMin-W3/Encoding/UniJIS-{coding}/DescendantFonts[4 0 R]"
        inner = (
            "/Type/Font/Subtype/CIDFontType0/BaseFont/HeiseiMin-W3/DW 1000/CIDSystemInfo<</Registry(Adobe)"
            "/Ordering(Japan1)/Supplement 6>>/FontDescriptor<</Type/FontDescriptor/FontName/HeiseiMin-W3/Flags 4"
            "/FontBBox[0 -200 1000 900]/ItalicAngle 0/Ascent 800/Descent -200/CapHeight 700/StemV 80>>"
        )
        objects = ["", "", f"<<{font}>>", f"<<{inner}>>"]
        kids = []
        for page in pages:
            drawn = "q 100 0 0 100 50 50 cm 0 0 1 1 re f Q" if page is None else self._page(page, vertical)
            objects.append(f"<</Length {len(drawn)}>>\nstream\n{drawn}\nendstream")
            about = "/Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>"
            objects.append(f"<<{about}/Contents {len(objects)} 0 R>>")
            kids.append(f"{len(objects)} 0 R")
        objects[0] = "<</Type/Catalog/Pages 2 0 R>>"
        objects[1] = f"<</Type/Pages/Kids[{' '.join(kids)}]/Count {len(kids)}>>"
        if outline:
            root = len(objects) + 1
            objects[0] = f"<</Type/Catalog/Pages 2 0 R/Outlines {root} 0 R>>"
            objects.append(f"<</Type/Outlines/First {root + 1} 0 R/Last {root + len(outline)} 0 R>>")
            for at, (title, page_number) in enumerate(outline, start=1):
                following = f"/Next {root + at + 1} 0 R" if at < len(outline) else ""
                coded = (b"\xfe\xff" + title.encode("utf-16-be")).hex()
                place = f"/Parent {root} 0 R/Dest[{kids[page_number - 1]} /Fit]{following}"
                objects.append(f"<</Title <{coded}>{place}>>")
        return self._assembled(objects)

    def _page(self, text: str, vertical: bool) -> str:
        if vertical:
            columns = [line.encode("utf-16-be").hex() for line in text.split("\n")]
            drawn = [f"1 0 0 1 {500 - 30 * at} 700 Tm <{each}> Tj" for at, each in enumerate(columns)]
            return f"BT /F1 12 Tf {' '.join(drawn)} ET"
        lines = " ".join(f"<{line.encode('utf-16-be').hex()}> Tj T*" for line in text.split("\n"))
        return f"BT /F1 12 Tf 72 720 Td 16 TL {lines} ET" if text else ""

    def _assembled(self, objects: Sequence[str]) -> bytes:
        out, places = b"%PDF-1.4\n", []
        for number, each in enumerate(objects, start=1):
            places.append(len(out))
            out += f"{number} 0 obj\n{each}\nendobj\n".encode()
        table = "".join(f"{place:010} 00000 n \n" for place in places)
        head = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
        tail = f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(out)}\n%%EOF"
        return out + (head + tail).encode()


@pytest.fixture
def office() -> OfficeFiles:
    return OfficeFiles()
