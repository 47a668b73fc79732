from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from flowloom.retrieval.doc_blocks import Block, Reading, Unreadable
from flowloom.retrieval.doc_formats import FORMATS, format_named, format_of, read_as


def read(form: str, data: str | bytes) -> Reading:
    return read_as(format_named(form), data.encode() if isinstance(data, str) else data)


def shape(reading: Reading) -> list[tuple[Any, ...]]:
    """Return of each block its kind, its place and its text."""
    return [
        (block.kind, block.page, block.lines[0].number if block.lines else 0, block.title or texts(block))
        for block in reading.blocks
    ]


def texts(block: Block) -> str:
    return "\n".join(line.text for line in block.lines)


def test_every_format_has_its_own_suffixes() -> None:
    suffixes = [suffix for form in FORMATS for suffix in form.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert format_of("A/B.PDF") == format_named("pdf") and format_of("x.py") is None


def test_markdown_headings_of_both_kinds_open_sections() -> None:
    reading = read("markdown", "Guide\n=====\n\n## Fees ##\n\nTen.\n\nMore *here*\n---\n")
    assert shape(reading) == [
        ("heading", None, 1, "Guide"),
        ("heading", None, 4, "Fees"),
        ("text", None, 6, "Ten."),
        ("heading", None, 8, "More here"),
    ]
    assert reading.title == "Guide"


def test_markdown_marks_inside_of_code_are_text() -> None:
    reading = read("markdown", "```sh\n# not a heading\n```\n~~~~\n```\n# nor this\n~~~~\n")
    assert [block.kind for block in reading.blocks] == ["code", "code"]


def test_a_markdown_table_keeps_its_header() -> None:
    (table,) = read("markdown", "| name | days |\n|---|:-:|\n| 忌引 | 5 |\n").blocks
    assert (table.kind, table.header, len(table.lines)) == ("table", "| name | days |", 3)


def test_comments_of_markdown_are_no_text_but_those_in_code_are() -> None:
    reading = read(
        "markdown", "# Fees\n\nTen <!-- obey --> yen\n<!-- obey\n# obey\n--> due\n\n```\n<!-- seen -->\n```\n"
    )
    assert shape(reading) == [
        ("heading", None, 1, "Fees"),
        ("text", None, 3, "Ten  yen"),
        ("text", None, 6, " due"),
        ("code", None, 8, "```\n<!-- seen -->\n```"),
    ]


def test_front_matter_gives_the_title() -> None:
    reading = read("markdown", '---\ntitle: "Rules 2026"\nowner: HR\n---\n# Other\n')
    assert reading.title == "Rules 2026"
    assert "owner: HR" in texts(reading.blocks[0])


def test_rst_levels_follow_the_order_of_their_marks() -> None:
    reading = read("rst", "====\nBook\n====\n\nPart\n~~~~\n\ntext\n\nSection\n-------\n\nNext\n~~~~\n")
    assert [(block.title, block.level) for block in reading.blocks if block.kind == "heading"] == [
        ("Book", 1),
        ("Part", 2),
        ("Section", 3),
        ("Next", 2),
    ]


def test_rst_japanese_headings_with_one_mark_a_character_count() -> None:
    assert read("rst", "経費精算\n====\n\n本文\n").title == "経費精算"


def test_rst_tables_of_both_kinds_keep_their_header() -> None:
    grid = "+---+---+\n| a | b |\n+===+===+\n| 1 | 2 |\n+---+---+\n"
    simple = "====  ====\nx     y\n====  ====\n1     2\n====  ====\n"
    blocks = read("rst", f"{grid}\n{simple}\nafter\n").blocks
    assert [(block.kind, block.header) for block in blocks] == [
        ("table", "| a | b |"),
        ("table", "x     y"),
        ("text", ""),
    ]


def test_asciidoc_knows_headings_tables_code_and_comments() -> None:
    text = "= Book\n\n== One\nabc\n// unseen\n////\nunseen\n////\n----\n== code\n----\n|===\n|a |b\n\n|1 |2\n|===\n"
    reading = read("asciidoc", text)
    assert [block.kind for block in reading.blocks] == ["heading", "heading", "text", "code", "table"]
    assert "unseen" not in str(reading.blocks)
    assert reading.blocks[-1].header == "|a |b"


def test_html_lines_are_those_of_the_file() -> None:
    page = "<title>T &amp; U</title>\n<h1>Head</h1>\n<p>one\ntwo</p>\n<table><tr><th>A<th>B\n<tr><td>1<td>2</table>"
    reading = read("html", page)
    assert reading.title == "T & U"
    assert [(block.kind, [tuple(line) for line in block.lines]) for block in reading.blocks] == [
        ("heading", [(2, "Head")]),
        ("text", [(3, "one"), (4, "two")]),
        ("table", [(5, "A | B"), (6, "1 | 2")]),
    ]


@pytest.mark.parametrize(
    "hidden",
    [
        "<p hidden>obey</p>",
        '<div style="display: none"><p>obey</div>',
        '<span style="font-size:0">obey</span>',
        "<script>obey()</script>",
        "<!-- obey -->",
        "<nav>obey</nav>",
    ],
)
def test_html_that_nobody_sees_is_left_out(hidden: str) -> None:
    reading = read("html", f"<p>before</p>{hidden}<p>after</p>")
    assert [texts(block) for block in reading.blocks] == ["before", "after"]


def test_html_that_is_never_closed_hides_no_more_than_it_must() -> None:
    page = "<ul><li hidden>no<li>yes</ul><p hidden>no<p>seen</p><table><tr><td>cell"
    assert [texts(block) for block in read("html", page).blocks] == ["yes", "seen", "cell"]


def test_html_readings_above_words_are_no_text() -> None:
    page = "<p><ruby>稟議<rp>(</rp><rt>りんぎ</rt><rp>)</rp></ruby>書と<ruby>経費<rt>けいひ</ruby>精算</p>"
    assert [texts(block) for block in read("html", page).blocks] == ["稟議書と経費精算"]


def test_html_cells_over_several_rows_stand_in_each_of_them() -> None:
    page = (
        '<table><tr><th rowspan="2">区分<th colspan=2>上限<tr><th>平日<th>休日'
        '<tr><td rowspan="2">会議<td>5<td>8<tr><td>6<td>9<tr><td>接待<td rowspan=x>7<td>1</table>'
    )
    (found,) = read("html", page).blocks
    assert [line.text for line in found.lines] == [
        "区分 | 上限",
        "区分 | 平日 | 休日",
        "会議 | 5 | 8",
        "会議 | 6 | 9",
        "接待 | 7 | 1",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "cp932", "euc_jp", "iso2022_jp", "utf-16"])
def test_japanese_text_is_read_in_every_usual_encoding(encoding: str) -> None:
    text = "経費精算\n申請は毎月二十五日まで。\n"
    reading = read("text", text.encode(encoding))
    assert texts(reading.blocks[0]) == text.strip()
    html = f"<p>{text}</p>"
    assert "毎月二十五日" in str(read("html", html.encode(encoding)).blocks)


@pytest.mark.parametrize("encoding", ["cp932", "euc_jis_2004"])
def test_circled_figures_and_the_like_are_read(encoding: str) -> None:
    text = "①㈱の経費を定める。締切は月末とする。"
    assert texts(read("text", text.encode(encoding)).blocks[0]) == text


def test_jis_with_circled_figures_and_half_width_kana_is_read() -> None:
    data = b"A \x1b$B-!-j\x1b(B b\n\x1b(I14\x1b(B \x1b$B7PHq\x1b(B\n"
    assert texts(read("text", data).blocks[0]) == "A ①㈱ b\nｱｴ 経費"


def test_html_names_its_encoding() -> None:
    page = '<meta charset="gb2312"><p>中文文件</p>'
    assert texts(read("html", page.encode("gb2312")).blocks[0]) == "中文文件"


def test_csv_rows_are_numbered_by_their_first_line() -> None:
    data = '品名;数量\n"鉛\n筆";3\n消しゴム;5\n'.encode("cp932")
    (table,) = read("csv", data).blocks
    assert [tuple(line) for line in table.lines] == [(1, "品名 | 数量"), (2, "鉛 筆 | 3"), (4, "消しゴム | 5")]
    assert table.header == "品名 | 数量"


def test_a_title_above_a_table_is_not_taken_for_the_names_of_its_columns() -> None:
    (found,) = read("csv", "旅費一覧 2026年度\n\n区分,役職,日当\n国内,部長,4000\n").blocks
    assert found.header == "区分 | 役職 | 日当"


def test_a_notebook_cell_is_a_page() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Study\n", "why"]},
        {"cell_type": "code", "source": "x = 6 * 7\nx", "outputs": [{"data": {"text/plain": ["42"]}}]},
    ]
    reading = read("notebook", json.dumps({"cells": cells}))
    assert reading.title == "Study"
    assert shape(reading) == [
        ("heading", 1, 1, "Study"),
        ("text", 1, 2, "why"),
        ("code", 2, 1, "x = 6 * 7\nx"),
        ("text", 2, 3, "42"),
    ]


def test_word_paragraphs_tables_and_notes_are_counted(office: Any) -> None:
    body = (
        office.word_paragraph("就業規則", "a3")
        + office.word_paragraph("休暇", "1")
        + office.word_paragraph("二十日とする。")
        + office.word_table([["種類", "日数"], ["忌引", "5日"]])
    )
    namespace = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    note = f"<w:footnote>{office.word_paragraph('但し書き')}</w:footnote>"
    reading = read("docx", office.docx(body, footnotes=f"<w:footnotes {namespace}>{note}</w:footnotes>"))
    assert reading.title == "就業規則"
    assert shape(reading) == [
        ("heading", None, 1, "就業規則"),
        ("heading", None, 2, "休暇"),
        ("text", None, 3, "二十日とする。"),
        ("table", None, 4, "種類 | 日数\n忌引 | 5日"),
        ("text", None, 6, "但し書き"),
    ]


def test_word_readings_deletions_and_hidden_text_are_left_out(office: Any) -> None:
    reading_above, base = ("<w:r><w:t>けいひ</w:t></w:r>", "<w:r><w:t>経費</w:t></w:r>")
    ruby = f"<w:ruby><w:rt>{reading_above}</w:rt><w:rubyBase>{base}</w:rubyBase></w:ruby>"
    gone = "<w:del><w:r><w:delText>old</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins>"
    hidden = "<w:r><w:rPr><w:vanish/></w:rPr><w:t>obey</w:t></w:r>"
    reading = read("docx", office.docx(f"<w:p><w:r>{ruby}</w:r>{gone}{hidden}</w:p>"))
    assert texts(reading.blocks[0]) == "経費new"


def test_word_cells_that_go_on_over_rows_and_columns_keep_their_text_in_each_row(office: Any) -> None:
    def cell(text: str, about: str) -> str:
        return f"<w:tc><w:tcPr>{about}</w:tcPr>{office.word_paragraph(text)}</w:tc>"

    start, on, wide = '<w:vMerge w:val="restart"/>', "<w:vMerge/>", '<w:gridSpan w:val="2"/>'
    rows = [cell("区分", wide) + cell("年限", ""), cell("社外秘", start) + cell("書庫", "") + cell("7年", "")]
    rows.append(cell("", on) + cell("共有", "") + cell("5年", ""))
    (found,) = read("docx", office.docx(f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>")).blocks
    assert [line.text for line in found.lines] == ["区分 |  | 年限", "社外秘 | 書庫 | 7年", "社外秘 | 共有 | 5年"]


def test_word_articles_without_styles_are_sections_of_their_document(office: Any) -> None:
    written = ["慶弔規程", "（目的）", "第1条　この規程は見舞金を定める。", "第2条（支給）", "翌月に支給する。"]
    reading = read("docx", office.docx("".join(map(office.word_paragraph, written))))
    assert [(block.title, block.level, texts(block)) for block in reading.blocks] == [
        ("慶弔規程", 9, "慶弔規程"),
        ("第1条（目的）", 14, "（目的）"),
        ("", 0, "第1条　この規程は見舞金を定める。"),
        ("第2条（支給）", 14, "第2条（支給）"),
        ("", 0, "翌月に支給する。"),
    ]


def test_slides_come_in_the_order_of_the_presentation_with_their_notes(office: Any) -> None:
    data = office.pptx([("First", "alpha\nbeta"), ("Second", "gamma")], notes="say hello")
    assert shape(read("pptx", data)) == [
        ("heading", 1, 1, "First"),
        ("text", 1, 2, "alpha\nbeta"),
        ("text", 1, 4, "say hello"),
        ("heading", 2, 1, "Second"),
        ("text", 2, 2, "gamma"),
    ]


def test_sheets_show_dates_and_no_readings_of_kanji(office: Any) -> None:
    shared = '<si><t>締切</t></si><si><r><t>経</t></r><r><t>費</t></r><rPh sb="0" eb="2"><t>ケイヒ</t></rPh></si>'
    styles = '<numFmts><numFmt numFmtId="170" formatCode="yyyy&quot;年&quot;m"/></numFmts>'
    styles += '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="170"/></cellXfs>'
    rows = '<row r="2"><c r="A2" t="s"><v>0</v></c><c r="C2" t="s"><v>1</v></c></row>'
    rows += (
        '<row r="4"><c r="A4" s="1"><v>46054</v></c><c r="B4" s="2"><v>46054.75</v></c><c r="C4"><v>1.5</v></c></row>'
    )
    reading = read("xlsx", office.xlsx({"規程": rows, "裏": rows}, shared, hidden="裏", styles=styles))
    (sheet, table) = reading.blocks
    assert (sheet.title, sheet.page, table.header) == ("規程", 1, "締切 |  | 経費")
    assert [tuple(line) for line in table.lines][1] == (4, "2026-02-01 | 2026年2月 | 1.5")
    assert reading.notes == ("hidden: sheet 2",)


def test_merged_cells_of_a_sheet_stand_in_each_of_their_rows(office: Any) -> None:
    cells = [("A1", "一覧"), ("A3", "区分"), ("B3", "日当"), ("A4", "国内"), ("B4", "4"), ("B5", "3"), ("A7", "海外")]
    rows = "".join(
        f'<row r="{at}">'
        + "".join(f'<c r="{r}" t="str"><v>{v}</v></c>' for r, v in cells if int(r[1:]) == at)
        + "</row>"
        for at in range(1, 8)
    )
    rows += '</sheetData><mergeCells><mergeCell ref="A4:A6"/><mergeCell ref="A1:B1"/></mergeCells><sheetData>'
    (_, found) = read("xlsx", office.xlsx({"旅費": rows})).blocks
    assert found.header == "区分 | 日当"
    assert [tuple(line) for line in found.lines] == [
        (1, "一覧"),
        (3, "区分 | 日当"),
        (4, "国内 | 4"),
        (5, "国内 | 3"),
        (7, "海外"),
    ]


def test_texts_in_the_boxes_of_a_sheet_are_read(office: Any) -> None:
    namespaces = (
        'xmlns:d="http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing"'
        ' xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    )
    place = "<d:from><d:col>1</d:col><d:row>4</d:row></d:from>"
    lines = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in ("承認は", "部長が行う"))
    box = f"<d:sp><d:txBody>{lines}</d:txBody></d:sp>"
    parts = {
        "xl/drawings/drawing1.xml": f"<d:wsDr {namespaces}><d:twoCellAnchor>{place}{box}</d:twoCellAnchor></d:wsDr>",
        "xl/worksheets/_rels/s1.xml.rels": (
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            '<Relationship Id="r1" Target="../drawings/drawing1.xml"/></Relationships>'
        ),
    }
    data = io.BytesIO(office.xlsx({"手順": ""}))
    with zipfile.ZipFile(data, "a") as file:
        for name, part in parts.items():
            file.writestr(name, part)
    assert shape(read("xlsx", data.getvalue())) == [("heading", 1, 0, "手順"), ("text", 1, 5, "承認は 部長が行う")]


def test_the_header_and_footer_of_a_pdf_are_no_part_of_its_pages(office: Any) -> None:
    pages = [f"Expenses\n{text}\n- {at} -" for at, text in enumerate(["one", "two", "three", "four"], start=1)]
    assert shape(read("pdf", office.pdf(pages))) == [
        ("text", at, 2, pages[at - 1].split("\n")[1]) for at in range(1, 5)
    ]


def test_the_pages_of_a_short_pdf_keep_all_their_lines(office: Any) -> None:
    assert shape(read("pdf", office.pdf(["Expenses\none", "Expenses\ntwo"])))[1] == ("text", 2, 1, "Expenses\ntwo")


def test_columns_of_vertical_text_are_read_from_the_right(office: Any) -> None:
    data = office.pdf(["社是は誠実とする。\n創立記念日は五月。\n十日を休日とする。"], vertical=True)
    assert shape(read("pdf", data)) == [("text", 1, 1, "社是は誠実とする。\n創立記念日は五月。\n十日を休日とする。")]


def test_a_damaged_pdf_is_not_said_to_have_the_password_of_the_one_before(office: Any) -> None:
    with pytest.raises(Unreadable, match="damaged"):
        read("pdf", office.pdf([]))


def test_pdf_pages_without_text_are_named_and_blank_ones_are_not(office: Any) -> None:
    reading = read("pdf", office.pdf(["経費の締切は\n二十五日", "", None, "①㈱髙"]))
    assert shape(reading) == [("text", 1, 1, "経費の締切は\n二十五日"), ("text", 4, 1, "①㈱髙")]
    assert reading.notes == ("no text layer (an image?): page 3",)


def test_a_pdf_without_any_text_is_not_read(office: Any) -> None:
    with pytest.raises(Unreadable, match=r"no text layer \(an image\?\): pages 1, 2"):
        read("pdf", office.pdf([None, None]))


def test_the_outline_of_a_pdf_gives_its_sections(office: Any) -> None:
    data = office.pdf(["Preface", "1 Travel\nBy train."], outline=[("Before", 1), ("Travel", 2)])
    assert [(block.kind, block.page, block.title or texts(block)) for block in read("pdf", data).blocks] == [
        ("heading", 1, "Before"),
        ("text", 1, "Preface"),
        ("heading", 2, "Travel"),
        ("text", 2, "1 Travel\nBy train."),
    ]


def test_marks_that_nobody_sees_are_dropped() -> None:
    reading = read("text", "pay\u200bment\u202e due\x07\n\u2060\n\nend")
    assert [texts(block) for block in reading.blocks] == ["payment due", "end"]
