"""Questions at the terminal, and answers given by `--answer`."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from ..core.errors import UsageError
from ..core.questions import Answer, Question
from .editor import DEFAULT, set_editor
from .printing import node_name, visible

Check = Callable[[Any], Any]
"""Returns an edited value as it is to be used; raises ValueError with what is wrong with it."""

_NOTE = "#! "
"""Begins the lines that tell in a draft what was wrong with it; they are no part of the text."""

EDIT = "edit"
"""The choice that opens the editor, where the question carries a value under this name in its payload."""


def ask_at_terminal(
    question: Question,
    *,
    stdin: TextIO,
    stderr: TextIO,
    color: bool = False,
    env: Mapping[str, str] | None = None,
    check: Check | None = None,
) -> Answer | None:
    """Return a person's answer; None when the input ended without one.

    A choice is given by its number, its name or the beginning of it; Enter takes the first. A reason may follow
    after a colon ("no: use the other module").

    Args:
        color: True where a diff may be coloured.
        env: names the editor by VISUAL or EDITOR; else it is vi. None = this process's own.
        check: looks at an edited value; None = by the schema that the question names.
    """
    editing = _Editing(question, check or _schema_check(question), os.environ if env is None else env)
    _show(question, stderr, color)
    while True:
        stderr.write("> ")
        stderr.flush()
        line = stdin.readline()
        if not line:
            stderr.write("\n")
            return None
        answer = read_answer(line, question.choices) if line.strip() else _default(question)
        if answer is None and not question.choices:
            stderr.write("Answer with a text.\n")
        elif answer is None:
            stderr.write(f"Answer with one of: {_choices_line(question)}\n")
        elif not editing.is_for(answer):
            return answer
        elif (problem := editing.run()) is None:
            return Answer(EDIT, editing.value, answer.reason)
        else:
            stderr.write(visible(problem) + f"\nNothing was taken over. {EDIT!r} opens your text again.\n")


def read_answer(text: str, choices: Sequence[str]) -> Answer | None:
    """Return the answer that a line of text gives, "CHOICE" or "CHOICE: reason"; None = no such choice.

    Where there are no choices, the whole line is the answer.
    """
    if not choices:
        return Answer(text.strip()) if text.strip() else None
    # An input method for Japanese types full-width digits, letters and colons.
    name, _, reason = text.replace("：", ":", 1).partition(":")
    name = unicodedata.normalize("NFKC", name).strip().casefold()
    if name.isdecimal() and 0 < int(name) <= len(choices):
        return Answer(choices[int(name) - 1], reason=reason.strip())
    exact = [choice for choice in choices if choice.casefold() == name]
    near = exact or [choice for choice in choices if name and choice.casefold().startswith(name)]
    return Answer(near[0], reason=reason.strip()) if len(near) == 1 else None


def _default(question: Question) -> Answer | None:
    return Answer(question.choices[0]) if question.choices else None


def parse_answer(text: str, open_questions: Sequence[Question]) -> tuple[Question, Answer]:
    """Return the question that a `--answer` text is for, and the answer.

    Args:
        text: "CHOICE" where one question is open, else "ID=CHOICE" with the id or a beginning of it; a reason may
            follow after a colon.

    Raises:
        UsageError: no such question or choice, or it is not clear which; the message lists the open ones.
    """
    if not open_questions:
        raise UsageError("The run has no open question.", hint="`flow resume` goes on without --answer.")
    question, given = _addressed(text, open_questions)
    answer = read_answer(given, question.choices)
    if answer is None:
        raise _refused(f"{given!r} is not a choice of question {question.id[:8]}", open_questions)
    if answer.choice == EDIT and EDIT in question.payload:
        raise UsageError(
            f"Question {question.id[:8]} cannot be answered with {EDIT!r} by --answer: it needs an editor.",
            hint="Run `flow resume` at a terminal and choose it there.",
        )
    return question, answer


def _addressed(text: str, questions: Sequence[Question]) -> tuple[Question, str]:
    name, equals, given = text.partition("=")
    name = name.strip()
    # "no: a = b" is an answer with a reason, not the name of a question.
    if equals and ":" not in name:
        found = [question for question in questions if name and question.id.startswith(name)]
        if len(found) == 1:
            return found[0], given
        raise _refused(f"{name!r} names {'several open questions' if found else 'no open question'}", questions)
    if len(questions) > 1:
        raise _refused(f"{len(questions)} questions are open and {text!r} does not say which it answers", questions)
    return questions[0], text


def _refused(what: str, questions: Sequence[Question]) -> UsageError:
    listed = "; ".join(
        f"{question.id[:8]} at {question.node!r}: {', '.join(question.choices) or 'any text'}"
        for question in questions
    )
    return UsageError(f"{what}. Open: {listed}.", hint="Write it as --answer ID=CHOICE.")


def _show(question: Question, stderr: TextIO, color: bool) -> None:
    heading = f"Question from {node_name(question.node)}" if question.node else "Question"
    stderr.write(f"\n{visible(heading)}\n")
    for line in visible(question.text).split("\n"):
        stderr.write(_coloured(line) + "\n" if color and "diff" in question.payload else line + "\n")
    if not question.choices:
        stderr.write("Your answer, in one line:\n")
        return
    enter = f"Enter: {visible(question.choices[0])}"
    # Only an approval's reason is read by somebody: by the model that wanted the call.
    reason = "; a reason may follow, like no: REASON" if question.kind == "approval" else ""
    stderr.write(f"{_choices_line(question)}  ({enter}{reason})\n")


def _choices_line(question: Question) -> str:
    return "  ".join(f"[{at}] {visible(choice)}" for at, choice in enumerate(question.choices, 1))


def _coloured(line: str) -> str:
    code = {"+": "32", "-": "31", "@": "36"}.get(line[:1])
    return f"\x1b[{code}m{line}\x1b[0m" if code else line


class _Editing:
    """The value of a question in a person's editor; a text that was not accepted is kept for the next try."""

    def __init__(self, question: Question, check: Check, env: Mapping[str, str]) -> None:
        self.value: Any = None
        self._question = question
        self._check = check
        self._env = env
        self._draft: str | None = None

    def is_for(self, answer: Answer) -> bool:
        return answer.choice == EDIT and EDIT in self._question.payload

    def run(self) -> str | None:
        """Open the editor and take the value over; return what went wrong, None = nothing.

        `value` stays None when the text was not changed.
        """
        original = to_yaml(self._question.payload[EDIT])
        try:
            editor = set_editor(self._env) or [DEFAULT]
        except UsageError as err:
            return f"{err.message} {err.hint}"
        edited = self._edit(self._draft if self._draft is not None else original, editor)
        if edited.text is not None:
            self._draft = edited.text
        if edited.problem:
            return edited.problem
        if self._draft is None or without_notes(self._draft) == original:
            self._draft = None
            return None
        try:
            self.value = self._check(from_yaml(self._draft))
        except ValueError as err:
            self._draft = _with_notes(str(err), self._draft)
            return f"That cannot be used: {err}"
        return None

    def _edit(self, text: str, editor: list[str]) -> _Edited:
        with tempfile.TemporaryDirectory(prefix="flow-edit-") as folder:
            path = Path(folder) / f"{self._question.payload.get('key') or 'value'}.yaml"
            path.write_text(text, "utf-8")
            try:
                code = subprocess.run([*editor, str(path)]).returncode
            except OSError:
                return _Edited(None, f"The editor {shlex.join(editor)!r} cannot be started: set VISUAL or EDITOR.")
            try:
                left = path.read_text("utf-8", errors="replace")
            except OSError as err:
                return _Edited(None, f"The editor {shlex.join(editor)!r} left no text: {err.strerror}.")
        return _Edited(left, f"The editor {shlex.join(editor)!r} ended with {code}." if code else "")


class _Edited(NamedTuple):
    """What an editor left: the text, None = none; what went wrong, "" = nothing."""

    text: str | None
    problem: str


def _with_notes(problem: str, text: str) -> str:
    """Return a draft with what is wrong with it on top, in place of what was told there before."""
    notes = ["This cannot be used:", *problem.splitlines(), "Leave the text as it was to change nothing."]
    return "".join(f"{_NOTE}{line}\n" for line in notes) + without_notes(text)


def without_notes(text: str) -> str:
    """Return a draft without the lines at its beginning that told what was wrong with it."""
    lines = text.splitlines(keepends=True)
    while lines and lines[0].startswith(_NOTE.rstrip()):
        del lines[0]
    return "".join(lines)


def to_yaml(value: Any) -> str:
    """Return JSON data as YAML for a person: texts of several lines as blocks, no folding."""
    text = _dump(_with_blocks(value))
    # A block cannot hold every text (carriage returns, for one); then quotes do.
    return text if from_yaml(text) == value else _dump(value)


def _dump(value: Any) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 100_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()


def from_yaml(text: str) -> Any:
    """Return the data of a YAML text. Raises: ValueError: it cannot be read."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as err:
        raise ValueError(" ".join(str(err).split())) from err


def _with_blocks(value: Any) -> Any:
    from ruamel.yaml.scalarstring import LiteralScalarString

    if isinstance(value, Mapping):
        return {name: _with_blocks(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_blocks(item) for item in value]
    return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value


def _schema_check(question: Question) -> Check:
    payload = question.payload

    def check(value: Any) -> Any:
        from ..nodes.values import fitted

        if value is None:
            raise ValueError("it is empty")
        return fitted(value, payload.get("schema"), payload.get("kind"))

    return check
