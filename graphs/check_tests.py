"""Checks of the tests in a graph file: are there the inputs, people and choices they name. Called by validate.py."""

from __future__ import annotations

from collections.abc import Iterator

from .faults import Fault, listed, near
from .spec import GraphSpec, GraphTest


def check_tests(spec: GraphSpec) -> Iterator[Fault]:
    """Yield what is wrong with the tests, their expressions apart."""
    for test in spec.tests:
        for name in test.input:
            if name not in spec.inputs:
                message = f"there is no input {name!r}{near(name, spec.inputs)}; there are: {listed(spec.inputs)}"
                yield spec.fault((*test.path, "input", name), message)
        yield from _check_answers(spec, test)


def _check_answers(spec: GraphSpec, test: GraphTest) -> Iterator[Fault]:
    people = {node.name: node for node in spec.nodes.values() if node.type == "human"}
    for name, answers in test.answers.items():
        place = (*test.path, "answers", name)
        if name not in people:
            # A graph below may have such a node; its own tests say what it asks.
            if not any(node.type == "graph" for node in spec.nodes.values()):
                yield spec.fault(place, f"no person is asked by {name!r}{near(name, people)}; by: {listed(people)}")
            continue
        choices = people[name].fields["choices"]
        for answer in answers:
            if answer not in choices:
                message = f"{answer!r} is no choice of {name!r}{near(answer, choices)}; there are: {listed(choices)}"
                yield spec.fault(place, message)
