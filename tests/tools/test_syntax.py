import pytest

from flowloom.tools.syntax import new_errors

BROKEN = {
    "a.py": ("x = 1\n", "x = (1\n"),
    "a.ts": ("const x: number = 1;\n", "const x: number = ;\n"),
    "a.go": ("package a\nfunc f() {}\n", "package a\nfunc f( {}\n"),
    "a.rs": ("fn f() {}\n", "fn f() {\n"),
    "A.java": ("class A { void f() {} }\n", "class A { void f( {} }\n"),
    "a.c": ("int f(void) { return 1; }\n", "int f(void) { return 1; \n"),
    "a.sh": ("if true; then echo; fi\n", "if true; then echo; \n"),
}


@pytest.mark.parametrize("path", BROKEN)
def test_an_error_that_the_edit_made_is_told(path: str) -> None:
    before, after = BROKEN[path]
    assert new_errors(path, before, before) == ""
    assert "can not parse it now" in new_errors(path, before, after)


def test_at_most_three_places_are_shown() -> None:
    after = "".join(f"def f{number}(:\n    pass\n\n\n" for number in range(12))
    told = new_errors("a.py", "x = 1\n", after)
    assert told.count("|") <= 3


def test_a_text_that_had_as_many_errors_is_let_be() -> None:
    before = "x = @@@\ny = 1\n"
    assert new_errors("a.py", before, before.replace("y = 1", "y = 2")) == ""


def test_text_in_no_language_has_no_errors() -> None:
    assert new_errors("a.txt", "", "((((") == ""


def test_a_huge_text_is_not_parsed() -> None:
    assert new_errors("a.py", "", "(" * 1_000_001) == ""
