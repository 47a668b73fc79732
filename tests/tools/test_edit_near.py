from flowloom.tools.edit_match import FileIndex
from flowloom.tools.edit_near import MAX_LINE_CHARS, MAX_SHOWN_LINES, near_regions, shown_region, word_diff

LOAD = ["def load(path):", "    with open(path) as file:", "        return file.read()"]
SAVE = ["def save(path, text):", "    with open(path, 'w') as file:", "        file.write(text)"]


def test_the_region_most_like_the_quote_comes_first() -> None:
    index = FileIndex([*SAVE, "", "import os", "", *LOAD])
    assert near_regions(index, ["def load(name):", *LOAD[1:]])[0] == 6


def test_regions_do_not_overlap_and_are_few() -> None:
    index = FileIndex([*LOAD, "", *LOAD, "", *LOAD])
    assert near_regions(index, ["def load(name):", *LOAD[1:]]) == [0, 4]


def test_a_much_worse_region_is_not_shown_beside_a_good_one() -> None:
    index = FileIndex([*LOAD, "", LOAD[0], "    global total", "    total += 1"])
    assert near_regions(index, ["def load(name):", *LOAD[1:]]) == [0]


def test_a_quote_like_nothing_in_the_file_has_no_region() -> None:
    assert near_regions(FileIndex(LOAD), ["zzzz qqqq", "1234"]) == []
    assert near_regions(FileIndex([]), LOAD) == []


def test_a_region_at_the_end_of_the_file_may_be_shorter_than_the_quote() -> None:
    index = FileIndex(LOAD)
    quote = [*LOAD[1:], "", "def more():"]
    assert near_regions(index, quote) == [1]
    assert shown_region(index, quote, 1) == "2|    with open(path) as file:\n3|        return file.read()"


def test_a_region_shows_line_numbers_and_what_the_quote_says_instead() -> None:
    assert shown_region(FileIndex(["import os", *LOAD]), ["def load(name):", LOAD[1]], 1) == (
        "2|def load(path):\n  ~ def load([-path-]{+name+}):\n3|    with open(path) as file:"
    )


def test_a_long_region_is_cut() -> None:
    lines = [f"value_{number} = {number}" for number in range(500)]
    quote = [line + "0" for line in lines]
    shown = shown_region(FileIndex(lines), quote, 0).split("\n")
    assert len(shown) == MAX_SHOWN_LINES
    assert shown[-2].startswith(f"{MAX_SHOWN_LINES // 2}|")


def test_a_long_line_is_cut() -> None:
    shown = shown_region(FileIndex(["a " * 1_000]), ["b " * 1_000], 0).split("\n")[0]
    assert shown == "1|" + ("a " * 1_000)[:MAX_LINE_CHARS]


def test_a_word_diff_marks_what_either_side_has_alone() -> None:
    assert word_diff("    return read(path, 1)", "    return load(path)") == "return [-read-]{+load+}(path[-, 1-])"


def test_a_word_diff_of_japanese_marks_the_word() -> None:
    assert word_diff("# 名前：太郎", "# 名前：花子") == "# 名前：[-太郎-]{+花子+}"


def test_blanks_that_differ_are_told_in_words() -> None:
    assert (
        word_diff("\tx", "    x")
        == r"only blanks at its ends differ: the file has '\t' before, the quote '    ' before"
    )
    assert (
        word_diff("x  ", "x")
        == "only blanks at its ends differ: the file has '' before and '  ' after, the quote '' before"
    )
