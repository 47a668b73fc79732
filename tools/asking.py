"""The answer to one question of a call, found among those that come back when the call goes on. For effects.py."""

from __future__ import annotations

from ..core.ports import Ask
from ..core.questions import Answer, Question

_MAX_STALE = 2
"""Answers to an earlier question that LangGraph may give first: the stored one, and a resume value given again."""


def answer_to(question: Question, ask: Ask) -> Answer:
    """Return the answer to this very question.

    A call that goes on after a question is asked again from its top, and what comes first then may be the answer to
    an earlier question of it (the approval before a recovery), or to one that showed something else (the file was
    changed before the answer came): such answers are passed over, and this question is put.

    Raises:
        ValueError: the answers are none of the choices.
    """
    for _ in range(_MAX_STALE + 1):
        answer = ask(question)
        if answer.choice in question.choices and answer.to in ("", question.digest()):
            return answer
    raise ValueError(f"{answer.choice!r} is no answer to a question with the choices {question.choices}")
