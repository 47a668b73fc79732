"""Putting a question to a person from inside a graph."""

from __future__ import annotations

from ..core.questions import Answer, Question


def ask_person(question: Question) -> Answer:
    """Return the answer to a question, or stop the graph here until it is answered.

    LangGraph runs the asking node again from its top once there is an answer.
    """
    from langgraph.types import interrupt

    return Answer.from_dict(interrupt(question.to_dict()))
