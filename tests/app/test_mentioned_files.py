from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from flowloom.app.mentioned_files import MAX_LISTED, Found, MentionedFiles
from flowloom.context.mentions import parse_mentions
from flowloom.core.hits import Hit, Source
from flowloom.core.tool import ToolContext
from flowloom.runs.blobs import BlobStore


class Nothing:
    def retrieve(
        self, query: str, budget: int, sources: Sequence[Source], *, within: Sequence[str] = ()
    ) -> list[Hit]:
        return []


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "work"
    (folder / "src").mkdir(parents=True)
    code = "class Cart:\n    def total(self):\n        return 1\n\n\ndef total():\n    return 2\n"
    (folder / "src/cart.py").write_text(code)
    (folder / "設計.md").write_bytes("合計\n".encode("cp932"))
    return folder


def find(work: Path, text: str, start: str = ".") -> Found | str:
    (mention,) = parse_mentions(text)
    context = ToolContext(work, BlobStore(work.parent / "blobs"), Nothing(), seen={})
    return MentionedFiles(context, start).find(mention)


def found(work: Path, text: str, start: str = ".") -> Found:
    given = find(work, text, start)
    assert isinstance(given, Found), given
    return given


def test_a_file_is_given_with_line_numbers_and_counts_as_seen(work: Path) -> None:
    given = found(work, "@src/cart.py")
    assert given.name == "src/cart.py"
    assert given.text.startswith("1|class Cart:\n2|    def total(self):")
    assert BlobStore(work.parent / "blobs").get(given.seen["src/cart.py"]) == (work / "src/cart.py").read_bytes()


def test_encodings_are_read_as_the_tool_reads_them(work: Path) -> None:
    assert found(work, "@設計.mdを読む").text == "1|合計\n(encoding: cp932)"


def test_a_method_and_a_function_of_one_name_are_told_apart(work: Path) -> None:
    assert found(work, "@src/cart.py#Cart.total").text.splitlines()[:2] == [
        "2|    def total(self):",
        "3|        return 1",
    ]
    assert "6|def total():" in found(work, "@src/cart.py#total").text
    assert "2|    def total(self):" in found(work, "@src/cart.py#total").text


def test_a_definition_that_is_not_there_is_told_with_a_near_one(work: Path) -> None:
    assert find(work, "@src/cart.py#totl") == (
        "src/cart.py has no definition 'totl' that is known. Did you mean 'total'?"
    )


def test_lines_behind_the_end_are_told(work: Path) -> None:
    assert "lies behind its end" in str(find(work, "@src/cart.py#L900"))


def test_a_folder_gives_its_files_and_what_they_define(work: Path) -> None:
    assert found(work, "@src").text == "src/cart.py: Cart, total"
    assert found(work, "@./", "src").name == "src/"


def test_a_large_folder_is_cut(work: Path) -> None:
    for number in range(MAX_LISTED + 5):
        (work / f"src/f{number:03}.txt").touch()
    lines = found(work, "@src/").text.splitlines()
    assert len(lines) == MAX_LISTED + 1 and lines[-1] == "[6 more files]"


def test_the_folder_that_a_person_works_in_comes_first(work: Path) -> None:
    (work / "cart.py").write_text("top\n")
    assert found(work, "@cart.py").name == "cart.py"
    assert found(work, "@cart.py", "src").name == "src/cart.py"
    assert found(work, "@../cart.py", "src").name == "cart.py"
    assert found(work, f"@{work}/cart.py", "src").name == "cart.py"


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../etc/passwd", "src/../../x.txt", "~/x.txt", "out.txt", "out/x.txt"]
)
def test_nothing_outside_of_the_workspace_is_read(work: Path, path: str) -> None:
    (work.parent / "x.txt").write_text("OUTSIDE")
    os.symlink(work.parent / "x.txt", work / "out.txt")
    os.symlink(work.parent, work / "out")
    given = find(work, f"@{path}")
    assert isinstance(given, str) and ("outside the workspace" in given or "~ is not expanded" in given)


def test_pipes_binary_files_and_git_s_own_folder_are_refused(work: Path) -> None:
    os.mkfifo(work / "pipe.txt")
    (work / "a.png").write_bytes(b"\x89PNG\0\0\1")
    (work / ".git").mkdir()
    assert "pipe" in str(find(work, "@pipe.txt"))
    assert "binary" in str(find(work, "@a.png"))
    assert isinstance(find(work, "@.git/"), str)


def test_what_an_ignore_file_denies_is_neither_read_nor_listed_nor_near(work: Path) -> None:
    (work / ".flowignore").write_text("*.key\nhidden/\n")
    (work / "src/deploy.key").write_text("K")
    (work / "hidden").mkdir()
    (work / "hidden/a.py").write_text("x = 1\n")
    assert "ignore file" in str(find(work, "@src/deploy.key"))
    assert "ignore file" in str(find(work, "@hidden/"))
    assert "deploy.key" not in found(work, "@src/").text
    assert "deploy.key" not in str(find(work, "@src/deploi.key.txt"))


@pytest.mark.parametrize("text", ["@property", "@types/node", "@angular/core", "@app.route", "@" + "a" * 5000])
def test_what_was_hardly_meant_is_passed_over(work: Path, text: str) -> None:
    assert find(work, text) == ""
