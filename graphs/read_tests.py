"""Reading the `tests` of a graph file. Called by read.py."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import isabs, normpath

from .fields import Fields, Path, Reading, read_expr
from .keys import TEST_KEYS
from .spec import GraphTest
from .tree import Tree

SETTINGS = ("verify", "check")
"""The settings that a test may give its graph."""


def read_tests(fields: Fields) -> tuple[GraphTest, ...]:
    """Return the tests of a graph, () = it has none; each has a name of its own."""
    if "tests" not in fields:
        return ()
    tests: list[GraphTest] = []
    for at, item in enumerate(fields.reading.items(fields.entries["tests"].tree, "'tests'")):
        test = _read_test(fields.reading, item, ("tests", at))
        if test.name and test.name in {other.name for other in tests}:
            place = fields.reading.positions["tests", at, "name"]
            fields.reading.fault(place, f"a second test of the name {test.name!r}")
        tests.append(test)
    return tuple(tests)


def _read_test(reading: Reading, tree: Tree, path: Path) -> GraphTest:
    one = reading.fields(tree, "a test", TEST_KEYS)
    if isinstance(tree.value, dict):
        one.need("name")
    return GraphTest(
        name=one.word("name", "a text that is not empty"),
        input=one.mapping("input"),
        replay=_file(one, "replay"),
        answers=dict(_answers(one)),
        files=_file(one, "files"),
        documents=one.words("documents") or (),
        settings=_settings(one),
        mode=one.one_of("mode", TEST_KEYS["mode"].options, "auto-edit"),
        exit=one.count("exit", least=0) or 0,
        expect=tuple(
            read_expr(reading, item, "an expectation")
            for item in (reading.items(one.entries["expect"].tree, "'expect'") if "expect" in one else ())
        ),
        path=path,
    )


def _file(one: Fields, key: str) -> str:
    """Return a path beside the graph's file; "" when absent."""
    name = one.word(key, "a path beside the graph's file")
    if name and (isabs(name) or normpath(name).startswith("..")):
        one.wrong(key, "a path beside the graph's file, or below it")
        return ""
    return name


def _answers(one: Fields) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the answers by node, one for each time that it asks; the last one counts for all further times."""
    for node, value in one.mapping("answers").items():
        given = value if isinstance(value, list) else [value]
        if given and all(isinstance(answer, str) for answer in given):
            yield node, tuple(given)
        else:
            place = one.entries["answers"].tree.value[node].tree.at
            one.reading.fault(place, f"the answer of {node!r} must be a choice, or a list of them")


def _settings(one: Fields) -> dict[str, object]:
    given = one.mapping("settings")
    for name in given:
        if name not in SETTINGS:
            one.reading.fault(one.place("settings"), f"a test can set {' and '.join(SETTINGS)}, not {name!r}")
    return {name: value for name, value in given.items() if name in SETTINGS}
