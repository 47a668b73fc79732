from __future__ import annotations

from typing import Any

import pytest

from flowloom.core.errors import UsageError
from flowloom.graphs.input_words import GivenWords, read_words
from flowloom.graphs.read import read_text
from flowloom.graphs.spec import GraphSpec


def graph(inputs: str) -> GraphSpec:
    text = f"flow: 1\nname: g\ninput: {inputs}\nnodes: {{s: {{type: set, value: {{}}}}}}\nedges: [[START, s, END]]\n"
    return read_text(text, "g.yaml")["g"]


OPTIONS = "{approve_plan: {type: bool}, no_cache: {type: bool}, task: {type: string}}"


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["--no-approve-plan"], {"approve_plan": False}),
        (["--approve-plan"], {"approve_plan": True}),
        (["--approve-plan=off"], {"approve_plan": "off"}),
        (["--task=a=b c"], {"task": "a=b c"}),
        (["--task="], {"task": ""}),
        (["--task", "a b"], {"task": "a b"}),
        (["--task", "-5"], {"task": "-5"}),
        (["--no-cache"], {"no_cache": True}),
        (["--no-no-cache"], {"no_cache": False}),
        (["--task=a", "--task", "b"], {"task": "b"}),
        ([], {}),
    ],
)
def test_option_words_become_inputs(words: list[str], given: Any) -> None:
    assert read_words(graph(OPTIONS), words) == GivenWords(given, ())


@pytest.mark.parametrize(
    "words",
    [["do it", "--approve-plan"], ["--approve-plan", "do it"], ["do it", "--no-approve-plan", "--approve-plan"]],
)
def test_plain_words_may_stand_before_and_after_options(words: list[str]) -> None:
    assert read_words(graph(OPTIONS), words) == GivenWords({"approve_plan": True}, ("do it",))


def test_a_text_that_begins_with_a_dash_is_no_option() -> None:
    assert read_words(graph(OPTIONS), ["- mend a\n- mend b", "-"]).plain == ("- mend a\n- mend b", "-")


@pytest.mark.parametrize("word", ["--aprove-plan", "--no-task", "-x", "--", "--=3"])
def test_word_that_is_no_option_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="does not know") as refused:
        read_words(graph(OPTIONS), [word])
    assert "--[no-]approve-plan" in refused.value.hint and "--task=VALUE" in refused.value.hint


@pytest.mark.parametrize("words", [["--task"], ["--task", "--no-cache"]])
def test_option_without_its_value_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"The option --task of g needs a value\. Write it as --task=VALUE\."):
        read_words(graph(OPTIONS), words)


@pytest.mark.parametrize(
    ("word", "meant"),
    [("--aprove-plan", "--approve-plan"), ("--no-aprove-plan", "--no-approve-plan"), ("--max-token", "--max-tokens")],
)
def test_unknown_option_has_a_near_name(word: str, meant: str) -> None:
    with pytest.raises(UsageError, match=rf"did you mean '{meant}'\?"):
        read_words(graph(OPTIONS), [word], ["--max-tokens", "-m"])
