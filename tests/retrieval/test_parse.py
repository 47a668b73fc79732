from __future__ import annotations

import pytest

from flowloom.retrieval.grammars import extractor_id
from flowloom.retrieval.languages import language_of
from flowloom.retrieval.parse import parse_definitions

SOURCES = {
    "python": "X = 1\n@dec\nclass A(B):\n    @property\n    async def m(self, x: int) -> str:\n        return 1\n",
    "tsx": "export const Button = (props: Props) => <div>{props.x}</div>;\nfunction f() {}\n",
    "go": "package a\n\ntype S struct{ x int }\n\nfunc (s *S) M(x int) error { return nil }\n\nfunc F[T any]() {}\n",
    "java": "public class A<T> extends B { public A(int x) {} @Override public void m(int x) {} enum K { X } }\n",
    "c": "#define M(x) x\nstruct S { int b; };\nint f(int a) { return 1; }\nchar *g(void) {}\nint p(int);\n",
}


def test_a_decorated_definition_spans_its_decorator_and_is_placed_at_its_name() -> None:
    _, whole, method = parse_definitions("python", SOURCES["python"]).symbols
    assert (whole.start_line, whole.line, whole.end_line) == (2, 3, 6)
    assert (method.start_line, method.line, method.end_line) == (4, 5, 6)


@pytest.mark.parametrize(
    ("language", "source", "signature"),
    [
        ("python", "def f(\n    a,\n    b: int = 1,\n) -> str:\n    pass\n", "def f( a, b: int = 1, ) -> str"),
        ("typescript", SOURCES["tsx"].split("<")[0] + "1;\n", "export const Button = (props: Props)"),
        (
            "typescript",
            "const f = async (x: number): Promise<void> => {};\n",
            "const f = async (x: number): Promise<void>",
        ),
        ("go", SOURCES["go"], "type S struct{ x int }"),
        ("java", SOURCES["java"], "public class A<T> extends B"),
        ("c", SOURCES["c"], "#define M(x) x"),
    ],
)
def test_a_signature_is_one_line_up_to_the_body(language: str, source: str, signature: str) -> None:
    assert parse_definitions(language, source).symbols[0].signature == signature


def test_a_long_signature_is_cut() -> None:
    signature = parse_definitions("python", f"def f({', '.join(f'argument_{at}' for at in range(99))}): pass\n")
    assert len(signature.symbols[0].signature) == 160
    assert signature.symbols[0].signature.endswith("…")


def test_a_function_within_a_function_is_local() -> None:
    symbols = parse_definitions("python", "def outer():\n    def inner():\n        pass\n").symbols
    assert [(each.kind, each.qualified_name) for each in symbols] == [("function", "outer"), ("local", "outer.inner")]


def test_japanese_names_and_text_keep_their_lines() -> None:
    symbols = parse_definitions("python", "# 注釈です\n説明 = '日本語'\ndef 計算(値):\n    return 値\n").symbols
    assert [(each.name, each.line) for each in symbols] == [("説明", 2), ("計算", 3)]


def test_what_is_no_code_has_no_definitions() -> None:
    assert parse_definitions("", "def f(): pass").symbols == ()
    assert parse_definitions("python", "").symbols == ()


def test_a_broken_file_gives_what_can_be_read() -> None:
    parsed = parse_definitions("python", "def f():\n    pass\n\nclass (((\n\ndef g():\n    pass\n")
    assert "f" in [each.name for each in parsed.symbols]
    assert parsed.problem == ""


def test_a_file_that_is_no_code_at_all_is_reported() -> None:
    assert parse_definitions("go", "}}} not go at all {{{ ((").problem == "does not parse as go"


def test_half_a_megabyte_of_brackets_ends_soon() -> None:
    assert parse_definitions("python", "a(b[{" * 100_000).problem != ""


@pytest.mark.parametrize(
    ("path", "text", "language"),
    [
        ("a/b.py", "", "python"),
        ("X.TSX", "", "tsx"),
        ("a.h", "int f(void);", "c"),
        ("a.h", "#pragma once\nclass A;", "cpp"),
        ("run", "#!/usr/bin/env python3\n", "python"),
        ("run", "#!/bin/bash -e\n", "bash"),
        ("Rakefile", "", "ruby"),
        ("a.cob", "x", ""),
        ("README.md", "#!/bin/sh", ""),
        ("LICENSE", "text", ""),
    ],
)
def test_a_language_is_told_by_name_or_first_line(path: str, text: str, language: str) -> None:
    assert language_of(path, text) == language


def test_the_extractor_has_a_stable_id() -> None:
    assert extractor_id.__wrapped__() == extractor_id()
