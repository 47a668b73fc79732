"""Each language against its file in languages/: the expected definitions, references and imports, line by line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from flowloom.retrieval.grammars import definitions_query, references_query
from flowloom.retrieval.languages import CHECKED_LANGUAGES, LANGUAGES, language_name, language_of
from flowloom.retrieval.parse import parse_code, parse_definitions
from flowloom.retrieval.syntax_errors import syntax_errors

FOLDER = Path(__file__).parent / "languages"


def _case(language: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{language}.toml").read_text("utf-8"))


def test_every_language_has_a_case_and_there_are_enough() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(LANGUAGES)
    assert len({language_name(each) or each for each in LANGUAGES if _case(each)["definitions"].strip()}) >= 30
    assert len({language_name(each) or each for each in LANGUAGES if _case(each)["references"].strip()}) >= 20


@pytest.mark.parametrize("language", LANGUAGES)
def test_definitions_references_and_imports_are_found(language: str) -> None:
    case = _case(language)
    parsed = parse_code(language, case["source"])
    definitions = [
        f"{each.start_line}-{each.end_line} {each.kind} {each.qualified_name} | {each.signature}"
        for each in parsed.symbols
    ]
    references: dict[int, list[str]] = {}
    for each in parsed.references:
        references.setdefault(each.line, []).append(f"{each.kind} {each.name}")
    assert definitions == case["definitions"].splitlines()
    assert [f"{line}: {', '.join(of)}" for line, of in references.items()] == case["references"].splitlines()
    assert [f"{each.line}: {each.text}" for each in parsed.imports] == case["imports"].splitlines()
    assert parsed.problem == ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_language_is_told_by_the_name_of_the_file(language: str) -> None:
    case = _case(language)
    assert language_of(case["path"], case["source"]) == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_of_another_kind_does_no_harm(language: str) -> None:
    for text in ("", "\n", "}}}((( not it )))\0", "日本語の文章。\n" * 3, "a" * 3000, "((((" * 400):
        parse_code(language, text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_queries_fit_the_grammar(language: str) -> None:
    assert definitions_query(language).pattern_count > 0
    assert references_query(language).pattern_count > 0


def test_the_definitions_alone_are_those_of_the_whole() -> None:
    source = _case("python")["source"]
    whole = parse_code("python", source)
    alone = parse_definitions("python", source)
    assert (alone.symbols, alone.references, alone.imports) == (whole.symbols, [], ())


@pytest.mark.parametrize(
    ("path", "text", "language"),
    [
        ("a.m", "@interface A\n@end\n", "objc"),
        ("a.m", "x = [1 2 3];\n", ""),
        ("a.h", "#import <A.h>\n", "objc"),
        ("deps.d", "main.o: main.c util.h\n", ""),
        ("a.d", "module a;\n", "d"),
        ("program.cob", "", ""),
        ("GNUmakefile", "", "make"),
        ("run", "#!/usr/bin/env perl\n", "perl"),
    ],
)
def test_a_suffix_of_several_languages_is_told_by_the_text(path: str, text: str, language: str) -> None:
    assert language_of(path, text) == language


def test_grammars_that_are_no_judge_of_errors_tell_none() -> None:
    assert {"python", "bash", "go"} <= CHECKED_LANGUAGES
    assert syntax_errors("perl", "sub {{{") == []
    assert syntax_errors("go", "func {{{") != []


def test_what_stands_outside_of_scripts_is_no_code() -> None:
    source = '<template>f(x)</template>\n<script lang="ts">\nexport function g(): void { h() }\n</script>\n'
    parsed = parse_code("vue", source)
    assert [(each.name, each.line) for each in parsed.symbols] == [("g", 3)]
    assert [each.name for each in parsed.references] == ["h"]
