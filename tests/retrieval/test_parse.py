from __future__ import annotations

import pytest

from flowloom.retrieval.languages import LANGUAGES, language_of
from flowloom.retrieval.parse import extractor_id, parse_definitions

SOURCES = {
    "python": "X = 1\n@dec\nclass A(B):\n    @property\n    async def m(self, x: int) -> str:\n        return 1\n",
    "javascript": "export class A { m(x) {} }\nconst f = (x) => 1;\nfunction g() {}\nexports.h = function () {};\n",
    "typescript": "export interface I { a(): void }\ntype T = string;\nabstract class C<U> { m(x: U) { throw x } }\n",
    "tsx": "export const Button = (props: Props) => <div>{props.x}</div>;\nfunction f() {}\n",
    "go": "package a\n\ntype S struct{ x int }\n\nfunc (s *S) M(x int) error { return nil }\n\nfunc F[T any]() {}\n",
    "rust": "pub struct S { x: i32 }\nimpl T for S { fn a(&self) {} }\ntrait T { fn b(); }\nmod m { fn g() {} }\n",
    "java": "public class A<T> extends B { public A(int x) {} @Override public void m(int x) {} enum K { X } }\n",
    "c": "#define M(x) x\nstruct S { int b; };\nint f(int a) { return 1; }\nchar *g(void) {}\nint p(int);\n",
    "cpp": "namespace n { class A { int m() { return 1; } }; }\nint A::k(int y) {}\ntemplate <class T> T f(T a) {}\n",
    "ruby": "module M\n  class A < B\n    def m(x)\n    end\n    def self.s\n    end\n  end\nend\n",
    "csharp": "namespace N { public class A : B { public int P { get; set; } public void M<T>(int x) { } } }\n",
    "php": "<?php\nclass B extends C { public function m($x) {} }\nfunction f() {}\n",
    "kotlin": 'class A(val x: Int) : B() {\n  fun m(y: Int): String {\n    return ""\n  }\n}\nfun f() = 1\n',
    "bash": "f() { echo 1; }\nfunction g { echo 2; }\nX=1\n",
}
NAMES = {
    "python": ["constant X", "class A", "method A.m"],
    "javascript": ["class A", "method A.m", "function f", "function g", "function h"],
    "typescript": ["interface I", "method I.a", "type T", "class C", "method C.m"],
    "tsx": ["function Button", "function f"],
    "go": ["struct S", "method M", "function F"],
    "rust": ["struct S", "impl S", "method S.a", "trait T", "method T.b", "module m", "function m.g"],
    "java": ["class A", "constructor A.A", "method A.m", "enum A.K"],
    "c": ["macro M", "struct S", "function f", "function g", "prototype p"],
    "cpp": ["namespace n", "class n.A", "method n.A.m", "method k", "function f"],
    "ruby": ["module M", "class M.A", "method M.A.m", "method M.A.s"],
    "csharp": ["namespace N", "class N.A", "property N.A.P", "method N.A.M"],
    "php": ["class B", "method B.m", "function f"],
    "kotlin": ["class A", "method A.m", "function f"],
    "bash": ["function f", "function g", "variable X"],
}


def test_every_language_is_tested() -> None:
    assert sorted(SOURCES) == sorted(LANGUAGES) == sorted(NAMES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_definitions_are_found_with_kind_and_place(language: str) -> None:
    parsed = parse_definitions(language, SOURCES[language])
    found = list(dict.fromkeys(f"{each.kind} {each.qualified_name}" for each in parsed.symbols))
    assert (found, parsed.problem) == (NAMES[language], "")


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
    assert extractor_id() == extractor_id()
