"""The typed results that pass between planner, coder and reviewer."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Step(_Schema):
    """One step of a plan: small enough for one coder with a fresh context."""

    id: str = Field(min_length=1, max_length=40, pattern=r"^[\w.-]+$", description="short unique name")
    title: str = Field(min_length=1, description="one line")
    brief: str = Field(min_length=1, description="what to change and how to tell that it is done")
    files: list[str] = Field(default_factory=list, description="files to read or change")
    depends_on: list[str] = Field(default_factory=list, description="ids of earlier steps")


class Plan(_Schema):
    """A planner's answer: at least one step, ids unique, dependencies known and free of cycles."""

    title: str = Field(min_length=1, description="one line")
    steps: list[Step] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_dependencies(self) -> Plan:
        ids = [step.id for step in self.steps]
        if len(set(ids)) != len(ids):
            raise ValueError(f"step ids must be unique, got {ids}")
        for step in self.steps:
            if unknown := sorted(set(step.depends_on) - set(ids)):
                raise ValueError(f"step {step.id!r} depends on unknown steps {unknown}")
        order_steps([step.model_dump() for step in self.steps], "depends_on")
        return self


class Change(_Schema):
    """What one coder visit came to. `diff_ref` is the blob id of the unified diff, "" when nothing changed."""

    step: str
    files: list[str] = Field(default_factory=list)
    summary: str = ""
    diff_ref: str = ""


class Finding(_Schema):
    """One remark of a review. `line` is 1-indexed; 0 = the whole file."""

    file: str
    line: int = Field(default=0, ge=0)
    severity: Literal["error", "warning", "note"] = "error"
    text: str = Field(min_length=1)


class Review(_Schema):
    """A reviewer's answer over the real diff."""

    verdict: Literal["approve", "revise"]
    findings: list[Finding] = Field(default_factory=list)


class Answer(_Schema):
    """An answer from passages. `enough`: whether they held what was asked for."""

    text: str = Field(min_length=1)
    cites: list[str] = Field(default_factory=list, description="ids of the passages that the answer rests on")
    enough: bool = Field(description="whether the passages were enough to answer")


class Cite(_Schema):
    """A passage that an answer rests on. `passage` is its number as it was shown, from 1."""

    passage: int = Field(ge=1, description="number of the passage")
    quote: str = Field(min_length=1, description="a short piece of the passage, copied exactly")


class CitedAnswer(_Schema):
    """An answer from numbered passages. `enough`: whether they held what was asked for."""

    text: str = Field(description="the answer, each statement marked with its passage, like [2]; else empty")
    cites: list[Cite] = Field(default_factory=list, description="one for each number in the text")
    enough: bool = Field(description="whether the passages were enough to answer")


class Verdict(_Schema):
    """One judgement. `item` names what was judged, "" where that is known anyway."""

    item: str = Field(default="", description="id of what is judged")
    verdict: str = Field(min_length=1, description="the class it belongs to, a word or two")
    reason: str = Field(default="", description="why, in one line")


SCHEMAS: dict[str, type[BaseModel]] = {
    model.__name__: model for model in (Plan, Step, Change, Review, Finding, Answer, CitedAnswer, Verdict)
}
"""Schemas that a graph file may name."""


def order_steps(items: list[dict[str, object]], field: str) -> list[dict[str, object]]:
    """Return the items in dependency order; items that do not depend on each other keep their order.

    Args:
        items: objects with an `id` each.
        field: name of the key that lists the ids an item depends on; absent = none.

    Raises:
        ValueError: the dependencies form a cycle.
    """
    done: set[object] = set()
    left = list(items)
    ordered: list[dict[str, object]] = []
    known = {item["id"] for item in items}
    while left:
        ready = next((item for item in left if _needs(item, field, known) <= done), None)
        if ready is None:
            raise ValueError(f"the steps {[item['id'] for item in left]} depend on each other in a circle")
        left.remove(ready)
        done.add(ready["id"])
        ordered.append(ready)
    return ordered


def _needs(item: dict[str, object], field: str, known: set[object]) -> set[object]:
    needs = item.get(field, [])
    return set(needs) & known if isinstance(needs, (list, tuple)) else set()
