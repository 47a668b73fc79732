from __future__ import annotations

from typing import Any

import pytest

from flowloom.graphs.expressions import (
    ExpressionFailed,
    ExpressionInvalid,
    evaluate,
    names_in_template,
    names_used,
    render,
    render_text,
)

STEPS = [{"id": "a"}, {"id": "b"}]
NAMES: dict[str, Any] = {
    "input": {"task": "直す {{ state.plan }}", "n": 3, "flag": False},
    "state": {
        "plan": {"title": "T", "items": [1], "keys": "k", "steps": [{"id": "a"}, {"id": "b"}]},
        "checked": None,
    },
    "output": {"exit_code": 0},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("output.exit_code == 0", True),
        ("state.plan.items", [1]),
        ("state.plan.keys", "k"),
        ("state['plan'].title ~ '!'", "T!"),
        ("state.plan.steps[1].id", "b"),
        ("state.plan.steps[-1].id", "b"),
        ("state.plan.steps[0:1]", [{"id": "a"}]),
        ("input.n * 2 + 1 > 6 and not input.flag", True),
        ("'yes' if input.flag else 'no'", "no"),
        ("'T' in state.plan.title", True),
        ("state.plan.steps | length", 2),
        ("state.plan.gone | default([])", []),
        ("state.plan.gone is defined", False),
        ("state.checked is none", True),
        ("{'a': (1, none, 1.5)}", {"a": [1, None, 1.5]}),
        ("state.plan.steps | first", {"id": "a"}),
        ("[] | last", None),
        ("['a', 1] | join('-')", "a-1"),
    ],
)
def test_an_expression_has_its_value(text: str, value: Any) -> None:
    assert evaluate(text, NAMES) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sate.plan", "'sate' is not known here (did you mean 'state'?)"),
        ("state.plna", "there is no 'plna' (did you mean 'plan'?); there are: checked, plan"),
        ("state.plan.values", "there is no 'values'"),
        ("state.gone.deeper", "there is no 'gone'"),
        ("[state.gone]", "there is no 'gone'"),
        ("state.gone or 1", "there is no 'gone'"),
        ("state.checked.text", "there is no 'text' in an empty value (nothing was written to it yet)"),
        ("state.plan.steps[9]", "there is no item 9 in a list of 2"),
        ("input.n.real", "there is no 'real' in a number"),
        ("input.task.format", "there is no 'format' in a text"),
        ("input.n < 'a'", "not supported between"),
        ("1 / 0", "division by zero"),
        ("input.n | tail", "this takes a text or a command's result, not a number"),
    ],
)
def test_what_has_no_value_is_told_with_the_expression(text: str, message: str) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(text, NAMES)
    assert str(caught.value).startswith(f"the expression {text!r} has no value: ")
    assert message in str(caught.value)
    assert caught.value.exit_code == 1


ESCAPES = [
    "''.__class__",
    "''['__class__']",
    "input.__class__.__mro__",
    "state['__init__']",
    "self",
    "self.__init__",
    "lipsum",
    "cycler",
    "environment",
    "context",
    "loop",
    "caller",
    "undefined",
    "state.plan.pop",
    "'a' * 999999999",
    "[1] * 999999999",
    "'%999999999d' % 1",
    "'%s' % input",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_nothing_but_json_data_can_be_reached(text: str) -> None:
    with pytest.raises(ExpressionFailed):
        evaluate(text, NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an expression is missing"),
        ("1 if", "unexpected end"),
        ("a = 2", "did not expect '=' (write == to compare)"),
        ("{{ state.plan }}", "stands here bare, without {{ }}: 'state.plan'"),
        ("state.plan.title.upper()", "cannot be called"),
        ("range(10)", "cannot be called"),
        ("().__class__.__bases__[0].__subclasses__()", "cannot be called"),
        ("2 ** 9 ** 9", "** is not part of expressions"),
        ("state | attr('__class__')", "unknown filter 'attr'"),
        ("state | map('x')", "unknown filter 'map'"),
        ("state.plan | plan_txt", "unknown filter 'plan_txt' (did you mean 'plan_text'?)"),
        ("1 is odd", "unknown test 'odd'"),
        ("'a' if input.flag", "needs an else"),
        ("1e999", "a number that is too large"),
        ("(" * 900 + "1" + ")" * 900, "nested too deeply"),
        ("-" * 1900 + "1", "nested too deeply"),
        ("not " * 100 + "1", "nested too deeply"),
        ("1 + " * 600 + "1", "more than 2000 characters"),
    ],
)
def test_what_the_language_does_not_have_is_refused(text: str, message: str) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        evaluate(text, NAMES)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        ("{{ input.n }}", 3),
        ("  {{ state.plan.steps }}\n", STEPS),
        ("{{ state.checked }}", None),
        ("n = {{ input.n }}, {{ input.flag }}{{ state.checked }}.", "n = 3, false."),
        ("日本 {{ state.plan.items }}", "日本 [1]"),
        ("{{ '{{' }} and }} {b}", "{{ and }} {b}"),
        ({"a": ["{{ input.n }}", 1], "b": None}, {"a": [3, 1], "b": None}),
        (5, 5),
    ],
)
def test_a_template_is_filled(template: Any, value: Any) -> None:
    assert render(template, NAMES) == value


def test_values_are_never_rendered_again() -> None:
    assert render("{{ input.task }}", NAMES) == "直す {{ state.plan }}"
    assert render("Do: {{ input.task }}", NAMES) == "Do: 直す {{ state.plan }}"


def test_render_text_gives_a_text_for_any_value() -> None:
    assert render_text("{{ state.plan.steps }}", NAMES) == '[{"id": "a"}, {"id": "b"}]'
    assert render_text("{{ state.checked }}", NAMES) == ""


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% if input.n %}x{% endif %}", "statements ({% %}) are not part of graph files"),
        ("{% for x in y %}", "statements ({% %}) are not part of graph files"),
        ("{% include '/etc/passwd' %}", "statements ({% %}) are not part of graph files"),
        ("{{", "unexpected end"),
        ("{{ a b }}", "got 'b'"),
        ("{{ input.n() }}", "cannot be called"),
        ("x {# never closed", "comment"),
        ("{{ " + "[" * 900 + " }}", "nested too deeply"),
    ],
)
def test_a_template_of_another_kind_is_refused(template: str, message: str) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        render(template, NAMES)
    assert message in str(caught.value)


def test_names_come_with_the_keys_behind_them() -> None:
    used = names_used("state.plan['x'].y[0].z == input.a and (foo.bar | tail(output.q))")
    assert used == {("state", "plan", "x", "y"), ("input", "a"), ("foo", "bar"), ("output", "q")}


def test_names_of_a_template_are_found_at_any_depth() -> None:
    assert names_in_template({"a": ["{{ x.y }} {{ z }}", 1]}) == {("x", "y"), ("z",)}


def test_the_text_of_a_template_line_keeps_its_last_line_end() -> None:
    assert render("a {{ input.n }}\n", NAMES) == "a 3\n"
