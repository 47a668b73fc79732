"""Questions to a person: human nodes, tool approvals and conflicts are one stored kind of thing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

QuestionKind = Literal["human", "approval", "recovery", "interrupt"]
"""Who asks: a human node, a tool call, one that a kill cut short, or a graph written in Python."""


@dataclass(frozen=True, slots=True)
class Question:
    """One open question of a run.

    Attributes:
        id: given when it is stored; "" before. Any unique prefix of it names it.
        node: path of the node that asks.
        text: what the person reads above the choices.
        choices: the answers that are accepted, the first being the default at a terminal; () = any text is.
        payload: JSON data that goes with it (the effect, a diff, the value to edit).
        headless: the answer taken when nobody can be asked; None = the run waits (exit 4).
    """

    kind: QuestionKind
    node: str
    text: str
    choices: tuple[str, ...]
    payload: dict[str, Any] = field(default_factory=dict)
    headless: str | None = None
    id: str = ""

    def digest(self) -> str:
        """Return a SHA-256 hex of what a person is shown, so that an answer can be held to it."""
        shown = [self.kind, self.node, self.text, self.choices, self.payload]
        return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "node": self.node,
            "text": self.text,
            "choices": list(self.choices),
            "payload": self.payload,
            "headless": self.headless,
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Question:
        return Question(
            id=data.get("id", ""),
            kind=data["kind"],
            node=data["node"],
            text=data["text"],
            choices=tuple(data["choices"]),
            payload=data["payload"],
            headless=data["headless"],
        )


AnsweredBy = Literal["person", "headless"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: one of the choices, and a value where the question edits one (None = unedited).

    `reason` is what a person added for the model; `by` tells a person's answer from the question's own headless one.
    `to` is the digest of the question that was shown; "" = not known.
    """

    choice: str
    value: Any = None
    reason: str = ""
    by: AnsweredBy = "person"
    to: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"choice": self.choice, "value": self.value, "reason": self.reason, "by": self.by, "to": self.to}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Answer:
        return Answer(
            data["choice"],
            data.get("value"),
            data.get("reason", ""),
            data.get("by", "person"),
            data.get("to", ""),
        )


def given_back(question: Question, answer: Answer) -> Any:
    """Return what the code that asked gets: the answer as JSON data with the question's digest.

    Code that asked by LangGraph's own interrupt gets what it would get there: the answer's value, else the choice,
    else the text, read as JSON where it is JSON.
    """
    if question.kind != "interrupt":
        return {**answer.to_dict(), "to": question.digest()}
    if answer.value is not None:
        return answer.value
    if question.choices:
        return answer.choice
    try:
        return json.loads(answer.choice)
    except ValueError:
        return answer.choice
