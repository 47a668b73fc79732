"""Secrets in what tools say and in what a model gives back: masked on the way out, put back into their own file.

Called by calls.py for every call, by the effect runner, and by the tools that write files.
"""

from __future__ import annotations

from dataclasses import replace

from ..core.effects import Command, Effect, FileWrite, Nothing, ToolResult
from ..core.errors import ToolError
from ..core.masking import SecretMask, UnknownPlaceholder, first_placeholder
from ..core.questions import Question
from ..core.texts import decode


def masked_effect(effect: Effect, secrets: SecretMask) -> Effect:
    """Return the effect with what is told of it masked; what it does stays."""
    if isinstance(effect, Nothing):
        return Nothing(masked_result(effect.result, secrets))
    if isinstance(effect, FileWrite):
        if (file := decode(effect.post)) is not None:
            # A diff shows pieces of it, in which a key may stand without its first line.
            secrets.learn(file.text, effect.path)
        return replace(effect, summary=secrets.mask(effect.summary), note=secrets.mask(effect.note))
    return effect


def masked_result(result: ToolResult, secrets: SecretMask) -> ToolResult:
    """Return the result as a model and the journal may hold it."""
    return replace(result, text=secrets.mask(result.text))


def masked_question(question: Question, secrets: SecretMask) -> Question:
    """Return the question as it is shown and stored."""
    return replace(question, text=secrets.mask(question.text), payload=secrets.mask_data(question.payload))


def restored(text: str, path: str, secrets: SecretMask, *contents: str) -> str:
    """Return a text for a file with the file's own secrets in place of their placeholders.

    Args:
        contents: what stands in the file now, and what the model was shown of it.

    Raises:
        ToolError: a placeholder stands for no secret of this file.
    """
    try:
        return secrets.restore(text, path, *contents)
    except UnknownPlaceholder as err:
        raise ToolError(f"{path} was not changed: {err}") from err


def refusal_of_placeholder(command: Command) -> str:
    """Return why a command is not run: it holds a placeholder, which is never expanded there; "" = it holds none.

    A commit may hold one: in a message it is a word like any other.
    """
    if command.category == "edit":
        return ""
    found = next(filter(None, map(first_placeholder, (*command.argv, *command.env.values()))), "")
    if not found:
        return ""
    return (
        f"{found} stands for a secret, and no command is given one. Let the program read it from its file or the"
        " environment."
    )
