from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from flowloom.core.hits import Hit
from flowloom.retrieval.by_source import BySource
from flowloom.retrieval.code_retriever import CodeRetriever
from flowloom.retrieval.doc_finder import DocFinder, DocHit, Scope
from flowloom.retrieval.doc_index import DocumentIndex
from flowloom.retrieval.doc_retriever import DocumentRetriever
from flowloom.retrieval.vectors import VectorIndex

MakeIndex = Callable[..., DocumentIndex]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def make_documents(tmp_path: Path, project: Path) -> MakeIndex:
    """Return a function that writes documents, makes an index of them, and returns it."""

    def make(files: dict[str, str | bytes], name: str = "kb", folder: Path = project) -> DocumentIndex:
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
            os.utime(target, (time.time() - 60, time.time() - 60))
        index = DocumentIndex(tmp_path / f"{name}.sqlite3", project)
        index.add(name, [str(folder)])
        index.sync()
        return index

    return make


def search(project: Path, *indexes: DocumentIndex, query: str, **options: Any) -> list[DocHit]:
    return DocFinder(project, [Scope(index.store) for index in indexes]).search(query, 5, **options)


def place(hit: Hit) -> tuple[str, int | None, int, int]:
    return hit.path, hit.page, hit.start_line, hit.end_line


def filler(subject: str) -> str:
    return f"{subject}について、関係のない説明が続きます。" * 3


def test_every_planted_fact_is_found_at_its_place(project: Path, make_documents: MakeIndex, office: Any) -> None:
    word = office.word_paragraph
    body = word("就業規則", "a3") + word("休暇", "1") + word(filler("休暇")) + word("勤続表彰の休暇は七日間とする。")
    rows = "".join(
        f'<row r="{at}"><c r="A{at}" t="inlineStr"><is><t>{text}</t></is></c></row>'
        for at, text in enumerate(["備品", "机", "電動昇降机は総務課へ"], start=1)
    )
    cells = [
        {"cell_type": "markdown", "source": filler("解析")},
        {"cell_type": "markdown", "source": "# 結論\n\n平均遅延は四十二ミリ秒だった。"},
    ]
    make_facts: dict[str, str | bytes] = {
        "handbook.md": f"# 手引き\n\n{filler('経費')}\n\n## 出張\n\n日当は一日三千円を支給する。\n",
        "memo-sjis.txt": f"{filler('会議')}\n\n駐車場の予約は受付の内線七番へ。\n".encode("cp932"),
        "memo-jis.txt": f"{filler('会議')}\n\n防災訓練は毎年九月一日に行う。\n".encode("iso2022_jp"),
        "old-euc.html": f"<h1>案内</h1>\n<p>{filler('案内')}</p>\n<p>図書室は平日の十九時に閉まる。</p>\n".encode(
            "euc_jp"
        ),
        "notes-utf16.txt": f"{filler('採用')}\r\n\r\n採用面接は三回までとする。\r\n".encode("utf-16"),
        "manual.rst": "Manual\n======\n\nReset\n-----\n\nHold the amber button for nine seconds.\n",
        "guide.adoc": "= Guide\n\n== Cooling\n\nThe compressor tolerates minus eighteen degrees.\n",
        "rules.docx": office.docx(body),
        "talk.pptx": office.pptx([("Intro", "welcome"), ("Roadmap", "The zeppelin release ships in October.")]),
        "stock.xlsx": office.xlsx({"一覧": rows}),
        "prices.csv": "商品,価格\n鉛筆,百円\n万年筆,九千八百円\n".encode("cp932"),
        "study.ipynb": json.dumps({"cells": cells}),
        "contract.pdf": office.pdf(["表紙", "前文です。", "違約金は契約額の二割と\nする。"]),
    }
    index = make_documents(make_facts)
    wanted = {
        "日当はいくらか": ("handbook.md", None, 5, 7),
        "駐車場の予約": ("memo-sjis.txt", None, 1, 3),
        "防災訓練の日": ("memo-jis.txt", None, 1, 3),
        "図書室が閉まる時間": ("old-euc.html", None, 1, 3),
        "採用面接の回数": ("notes-utf16.txt", None, 1, 3),
        "how long to hold the amber button": ("manual.rst", None, 4, 7),
        "compressor temperature": ("guide.adoc", None, 3, 5),
        "勤続表彰": ("rules.docx", None, 2, 4),
        "when does zeppelin ship": ("talk.pptx", 2, 1, 2),
        "電動昇降机": ("stock.xlsx", 1, 1, 3),
        "万年筆の価格": ("prices.csv", None, 1, 3),
        "平均遅延": ("study.ipynb", 2, 1, 3),
        "違約金は二割とする": ("contract.pdf", 3, 1, 2),
    }
    assert index.facts()[0].unread == ()
    assert len(index.facts()[0].formats) >= 8
    assert {query: place(search(project, index, query=query)[0].hit) for query in wanted} == wanted


def test_words_that_a_line_break_cuts_are_found(project: Path, make_documents: MakeIndex) -> None:
    index = make_documents({"a.txt": "この規程は経費精\n算について定める。\n", "b.txt": "An infor-\nmation desk.\n"})
    assert [each.hit.path for each in search(project, index, query="精算")] == ["a.txt"]
    assert [each.hit.path for each in search(project, index, query="information")] == ["b.txt"]


def test_a_word_of_the_title_counts_more_than_one_of_the_text(project: Path, make_documents: MakeIndex) -> None:
    index = make_documents(
        {"a.md": "# 旅費\n\n金額の表です。\n", "b.md": "# 食堂\n\n旅費の話はここでしない。旅費は別の規程。\n"}
    )
    assert [each.hit.path for each in search(project, index, query="旅費")] == ["a.md", "b.md"]


def test_a_document_is_found_by_its_file_name(project: Path, make_documents: MakeIndex) -> None:
    index = make_documents({"travel_policy-2026.txt": "金額の表\n", "other.txt": "policy\n"})
    assert search(project, index, query="travel policy")[0].hit.path == "travel_policy-2026.txt"


def test_a_hit_of_a_changed_file_is_stale(project: Path, make_documents: MakeIndex) -> None:
    index = make_documents({"a.md": "alpha beta\n"})
    assert [each.hit.stale for each in search(project, index, query="alpha")] == [False]
    (project / "a.md").write_text("gamma delta epsilon\n")
    assert [each.hit.stale for each in search(project, index, query="alpha")] == [True]
    stamp = (project / "a.md").stat().st_mtime
    (project / "a.md").write_text("alpha beta\n")
    os.utime(project / "a.md", (stamp, stamp))
    assert [each.hit.stale for each in search(project, index, query="alpha")] == [False]


def test_files_that_are_gone_leave_their_places_to_others(project: Path, make_documents: MakeIndex) -> None:
    index = make_documents({f"gone{at}.md": "# alpha\n\nalpha\n" for at in range(40)} | {"kept.md": "some alpha\n"})
    for at in range(40):
        (project / f"gone{at}.md").unlink()
    assert [each.hit.path for each in search(project, index, query="alpha")] == ["kept.md"]


def test_the_same_question_has_the_same_answer(project: Path, make_documents: MakeIndex) -> None:
    index = make_documents({f"{at}.md": f"alpha number {at}\n" for at in range(20)})
    answers = {json.dumps([each.hit.id for each in search(project, index, query="alpha")]) for _ in range(3)}
    assert len(answers) == 1


@pytest.mark.parametrize("query", ["", "  ", "?!", '"', "a AND", "NEAR(", "*", "x" * 5000, "\0", "経" * 300])
def test_no_question_is_an_error(project: Path, make_documents: MakeIndex, query: str) -> None:
    index = make_documents({"greek.md": "alpha\n"})
    assert search(project, index, query=query) == []


def test_an_answer_keeps_to_paths_or_collections(project: Path, make_documents: MakeIndex) -> None:
    index = make_documents({"docs/a.md": "alpha\n", "docs/sub/b.txt": "alpha\n", "c.md": "alpha\n"})
    index.add("top", [str(project / "c.md")])
    index.sync()

    def within(*words: str) -> set[str]:
        return {each.hit.path for each in search(project, index, query="alpha", within=words)}

    assert within("docs/**") == {"docs/a.md", "docs/sub/b.txt"}
    assert within("*.txt", "top") == {"docs/sub/b.txt", "c.md"}
    assert within("nothing") == set()


def test_the_best_of_two_scopes_comes_first(project: Path, make_documents: MakeIndex, tmp_path: Path) -> None:
    many = {f"w{at}.md": f"# 百科{at}\n\n{filler('歴史の日数')}\n" for at in range(60)}
    own = make_documents({"rules.md": "# 休暇\n\n忌引の日数は五日とする。\n"})
    shared = make_documents(many | {"special.md": "梅雨の説明\n"}, "wiki", tmp_path / "elsewhere")
    assert search(project, own, shared, query="忌引の日数")[0].hit.path == "rules.md"
    first = search(project, own, shared, query="梅雨とは")[0]
    assert (first.hit.path, first.collection) == (str(tmp_path / "elsewhere" / "special.md"), "wiki")
    scores = [each.hit.score for each in search(project, own, shared, query="歴史の日数")]
    assert scores == sorted(scores, reverse=True)


@pytest.fixture
def vectors(tmp_path: Path, embedder: Any) -> Iterator[VectorIndex]:
    index = VectorIndex(tmp_path / "vectors", embedder, what="documents", build_with="flow docs sync")
    yield index
    index.close()


def test_words_and_meaning_are_fused(
    project: Path, make_documents: MakeIndex, vectors: VectorIndex, embedder: Any, counter: Any
) -> None:
    index = make_documents({"a.md": "alpha beta\n", "b.md": "gamma delta\n"})
    assert vectors.sync(index) == 2
    finder = DocFinder(project, [Scope(index.store, lambda query, limit: vectors.rank(index, query, limit))])
    first, second = finder.search("alpha", 5)
    assert (first.hit.path, first.lexical_rank, first.dense_rank) == ("a.md", 1, 1)
    assert (second.hit.path, second.lexical_rank, second.dense_rank) == ("b.md", None, 2)


def test_moved_text_is_not_embedded_again(
    project: Path, make_documents: MakeIndex, vectors: VectorIndex, embedder: Any
) -> None:
    index = make_documents({"a.md": "# Title\n\nalpha\n", "b.md": "beta\n"})
    vectors.sync(index)
    embedder.passages.clear()
    (project / "a.md").rename(project / "moved.md")
    (project / "b.md").write_text("beta\n\n# New\n\ngamma\n")
    index.sync()
    vectors.sync(index)
    assert embedder.passages == ["New\n# New\n\ngamma"]


def test_a_retriever_keeps_to_its_budget(project: Path, make_documents: MakeIndex, counter: Any) -> None:
    index = make_documents({f"{at}.md": f"alpha {'word ' * 80}{at}\n" for at in range(9)})
    retriever = DocumentRetriever(project, [(index, None)], counter)
    hits = retriever.retrieve("alpha", 500, ("docs",))
    assert hits and sum(counter.count(f"{hit.text}\n") for hit in hits) <= 500
    assert retriever.retrieve("alpha", 0, ("docs",)) == []
    assert retriever.retrieve("alpha", 500, ("code", "map")) == []
    assert [hit.path for hit in retriever.retrieve("alpha", 500, ("docs",), within=["3.md"])] == ["3.md"]


def test_a_run_reads_small_changes_before_it_asks(project: Path, make_documents: MakeIndex, counter: Any) -> None:
    index = make_documents({"a.md": "alpha\n"})
    (project / "b.md").write_text("alpha new\n")
    retriever = DocumentRetriever(project, [(index, None)], counter)
    retriever.prepare()
    assert [hit.path for hit in retriever.retrieve("new", 500, ("docs",))] == ["b.md"]


def test_a_broken_index_is_told_once_and_ends_no_run(
    project: Path, make_documents: MakeIndex, counter: Any, notices: list[str]
) -> None:
    index = make_documents({"a.md": "alpha\n"})
    index.store.path.write_bytes(b"no database" * 1000)
    retriever = DocumentRetriever(project, [(index, None)], counter, notify=notices.append)
    retriever.prepare()
    assert retriever.retrieve("alpha", 500, ("docs",)) == []
    assert retriever.retrieve("alpha", 500, ("docs",)) == []
    assert len(notices) == 2 and all("cannot be used" in notice for notice in notices)


def test_in_a_large_index_a_word_that_stands_everywhere_finds_nothing_beside_a_rare_one(
    project: Path, make_documents: MakeIndex
) -> None:
    index = make_documents({"a.md": "common zeppelin\n"})
    with index.store.connect() as db:
        db.execute("BEGIN")
        rows = [(at, f"text {at}", f"sha{at}") for at in range(10, 12_010)]
        db.executemany("INSERT INTO chunks VALUES (?, 1, 1, 1, NULL, '', ?, ?)", rows)
        db.executemany(
            "INSERT INTO words (rowid, title, heading, body) VALUES (?, '', '', 'common')", [row[:1] for row in rows]
        )
        db.execute("COMMIT")
    assert [each.hit.text for each in search(project, index, query="common zeppelin")] == ["common zeppelin"]
    assert len(search(project, index, query="common")) == 5


def test_a_reranker_has_the_last_word(project: Path, make_documents: MakeIndex) -> None:
    index = make_documents({"a.md": "alpha alpha alpha\n", "b.md": "alpha beta\n"})
    finder = DocFinder(project, [Scope(index.store)], rerank=lambda query, texts: list(range(len(texts)))[::-1])
    assert [each.hit.path for each in finder.search("alpha", 1)] == ["b.md"]


class OnlyCode:
    """Code that has one hit, whatever is asked."""

    def __init__(self) -> None:
        self.budgets: list[int] = []

    def retrieve(self, query: str, budget: int, sources: Any, *, within: Any = ()) -> list[Hit]:
        self.budgets.append(budget)
        return [Hit("c", "c.py", 1, 1, None, "", "code", 1.0, "code", "")]


def test_each_source_is_asked_for_its_own(project: Path, make_documents: MakeIndex, counter: Any) -> None:
    index, code = make_documents({"a.md": "alpha\n"}), OnlyCode()
    both = BySource(cast(CodeRetriever, code), DocumentRetriever(project, [(index, None)], counter))
    assert [hit.source for hit in both.retrieve("alpha", 900, ("docs", "code"))] == ["docs", "code"]
    assert [hit.source for hit in both.retrieve("alpha", 900, ("docs",))] == ["docs"]
    assert [hit.source for hit in both.retrieve("alpha", 900, ("code", "map"))] == ["code"]
    assert code.budgets == [600, 900]


def test_where_there_are_no_documents_only_code_is_found_within_its_share() -> None:
    both = BySource(cast(CodeRetriever, code := OnlyCode()), None)
    assert both.retrieve("alpha", 900, ("docs",)) == []
    assert [hit.source for hit in both.retrieve("alpha", 900, ("docs", "code"))] == ["code"]
    assert code.budgets == [600]
