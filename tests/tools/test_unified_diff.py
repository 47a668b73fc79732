import pytest

from flowloom.core.errors import ToolError
from flowloom.tools.planned_edit import Edit
from flowloom.tools.unified_diff import read_hunks


def refusal(patch: str) -> str:
    with pytest.raises(ToolError) as refused:
        read_hunks(patch)
    return str(refused.value)


def test_each_hunk_is_one_edit_with_the_line_it_names() -> None:
    patch = "--- a/x.py\n+++ b/x.py\n@@ -3,3 +3,3 @@ def f():\n a\n-b\n+B\n c\n@@ -40,1 +40,2 @@\n d\n+e\n"
    assert read_hunks(patch) == [Edit("a\nb\nc\n", "a\nB\nc\n", 3), Edit("d\n", "d\ne\n", 40)]


@pytest.mark.parametrize("header", ["@@", "@@ @@", "@@ ... @@", "@@ def f():"])
def test_a_header_without_numbers_names_no_line(header: str) -> None:
    assert read_hunks(f"{header}\n a\n-b\n") == [Edit("a\nb\n", "a\n", None)]


def test_wrong_counts_do_not_matter() -> None:
    assert read_hunks("@@ -1,99 +1,2 @@\n a\n-b\n+c\n+d\n") == [Edit("a\nb\n", "a\nc\nd\n", 1)]


def test_what_git_writes_before_the_hunks_is_passed_over() -> None:
    patch = "diff --git a/x b/x\nindex 1..2 100644\nold mode 100644\n\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
    assert read_hunks(patch) == [Edit("a\n", "b\n", 1)]


def test_an_empty_line_is_an_empty_line_of_context() -> None:
    assert read_hunks("@@\n a\n\n-b\n+c\n\n\n") == [Edit("a\n\nb\n", "a\n\nc\n", None)]


def test_a_patch_with_crlf_and_a_fence_is_read_the_same() -> None:
    assert read_hunks("```diff\r\n@@\r\n-a\r\n+b\r\n```\r\n") == [Edit("a\n", "b\n", None)]


def test_the_remark_on_a_missing_final_newline_is_no_line() -> None:
    patch = "@@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"
    assert read_hunks(patch) == [Edit("a\n", "b\n", None)]


def test_a_hunk_may_delete_all_its_lines() -> None:
    assert read_hunks("@@\n-a\n-b\n") == [Edit("a\nb\n", "", None)]


def test_removed_and_added_lines_may_look_like_headers_of_files() -> None:
    assert read_hunks("@@\n--- a\n+++ b\n") == [Edit("-- a\n", "++ b\n", None)]


def test_a_patch_without_hunks_is_refused_with_an_example() -> None:
    assert "'@@ -12,3 +12,4 @@'" in refusal("--- a/x\n+++ b/x\n")


def test_several_files_are_refused() -> None:
    patch = "--- a/x\n+++ b/x\n@@\n-a\n+b\n--- a/y\n+++ b/y\n@@\n-c\n+d\n"
    assert "one call for each file" in refusal(patch)


def test_a_hunk_that_quotes_nothing_is_refused_by_its_number() -> None:
    assert "hunk 2 has no line of the file" in refusal("@@\n-a\n@@\n+b\n")


def test_a_line_that_belongs_to_no_diff_is_refused_by_its_number() -> None:
    assert "line 3 of the patch, 'b'" in refusal("@@\n a\nb\n")


def test_text_before_the_first_hunk_is_refused() -> None:
    assert "line 1 of the patch, 'Here is the patch:'" in refusal("Here is the patch:\n@@\n-a\n+b\n")
