import pytest

from flowloom.tools.edit_placeholder import elisions, is_elision, parts_between, placeholder_in


@pytest.mark.parametrize(
    "line",
    [
        "...",
        "    …",
        "# ...",
        "// ... rest of the code ...",
        "    /* ... existing code ... */",
        "{/* ... */}",
        "<!-- ... unchanged ... -->",
        "-- rest of the statements",
        "# (rest of the function remains the same)",
        "# existing code here",
        "[... previous methods omitted for brevity ...]",
        "... rest of the file unchanged ...",
        "(* … *)",
        "; ... other tests ...",
    ],
)
def test_a_line_that_stands_for_code_is_an_elision(line: str) -> None:
    assert is_elision(line)


@pytest.mark.parametrize(
    "line",
    [
        "# ... 省略 ...",
        "// 以下省略",
        "# 既存のコード",
        "    # 残りの処理はそのまま",
        "// （中略）",
        "<!-- 変更なし -->",
        "/* 以下同様 */",
        "# ここは前と同じ",
        "... 省略 ...",
    ],
)
def test_a_japanese_line_that_stands_for_code_is_an_elision(line: str) -> None:
    assert is_elision(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x = 1",
        "print(*args, ...)",
        "const all = { ...rest }",
        "def f(self) -> None: ...",
        "# keep the rest of the bytes for the next read of the socket",
        "# return existing",
        "# wait for the lock...",
        "# rest = items[1:]",
        "// the same key in two tables",
        "# 省略可能な引数は、呼び出し側で既定値に置き換えてから渡す必要があります。",
        "# 設定を読み込む",
        "return unchanged",
    ],
)
def test_code_and_remarks_that_say_something_are_no_elisions(line: str) -> None:
    assert not is_elision(line)


def test_a_line_that_only_the_replacement_leaves_out_is_a_placeholder() -> None:
    new = ["def f():", "    # ... rest of the code ...", "    return 2"]
    assert placeholder_in(new, ["def f():", "    return 1"], set()) == "# ... rest of the code ..."


def test_a_line_that_the_quote_has_too_is_no_placeholder() -> None:
    assert placeholder_in(["    # ...", "x = 2"], ["# ...", "x = 1"], set()) == ""


def test_a_remark_of_the_file_itself_is_no_placeholder() -> None:
    assert placeholder_in(["# rest of the code"], ["x = 1"], {"# rest of the code"}) == ""


def test_dots_are_a_placeholder_even_where_the_file_has_some() -> None:
    assert placeholder_in(["x = 1", "..."], ["x = 1"], {"..."}) == "..."


def test_a_word_that_ends_a_comment_of_several_lines_is_no_placeholder() -> None:
    assert placeholder_in(["# Puts the bytes back where they were", "# before", "x = 1"], ["x = 1"], set()) == ""
    assert placeholder_in(["y = 1", "# before", "x = 1"], ["x = 1"], set()) == "# before"


@pytest.mark.parametrize(
    "new",
    [
        ["def f(self) -> int:", "    ..."],
        ["async def f(self) -> int:  # stub", "    ...", "", "def g(self) -> int:", "    ..."],
        ["class Reader(Protocol):", "    def read(", "        self,", "    ) -> bytes:", "        ..."],
        ["class Reader(Protocol):", '    """Reads."""', "    ..."],
        ["except OSError:", "    # nothing to do", "    ..."],
    ],
)
def test_dots_as_the_body_of_a_python_block_are_code(new: list[str]) -> None:
    assert placeholder_in(new, ["x = 1"], set()) == ""


@pytest.mark.parametrize(
    "new",
    [
        ["def f():", "    x = 1", "    ..."],
        ["def f():", "    ...", "    return 1"],
        ["...", "def f():", "    pass"],
        ["function f() {", "    ...", "}"],
    ],
)
def test_dots_beside_other_statements_are_a_placeholder(new: list[str]) -> None:
    assert placeholder_in(new, ["x = 1"], set()) == "..."


def test_a_text_is_parted_at_its_elisions() -> None:
    lines = ["# ...", "a", "b", "    ...", "c"]
    assert parts_between(lines) == [[], ["a", "b"], ["c"]]
    assert elisions(lines) == ["# ...", "..."]


def test_a_text_without_elisions_is_one_part() -> None:
    assert (parts_between(["a"]), elisions(["a"])) == ([["a"]], [])
