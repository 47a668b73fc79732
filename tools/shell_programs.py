"""The table of programs (shell_programs.toml), and whether a command of a program in it only reads."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from .shell_words import Word


@dataclass(frozen=True, slots=True)
class Program:
    """A program that only reads; see shell_programs.toml for what each field means."""

    deny: tuple[str, ...] = ()
    values: str = ""
    takes: tuple[str, ...] = ()
    text: int = 0
    unless: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    operands: int | None = None
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """The whole table: `read` by name of the program; the lists as in the file."""

    read: Mapping[str, Program]
    version: Mapping[str, Sequence[str]]
    prefix: Mapping[str, Sequence[str]]
    display: Mapping[str, Sequence[str]]
    interactive: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a command of a known program does.

    Attributes:
        fault: why it may do more than read; "" = it only reads, as far as `paths` and `inner` do.
        paths: the words of it that name files or folders.
        texts: the words of it that are text; the name of a file outside the workspace is not taken for one.
        inner: commands that it runs in turn; they have to be judged like any other.
        script: a shell line that it runs in turn; None = none.
        hides: True when what it runs cannot be told.
    """

    fault: str = ""
    paths: tuple[Word, ...] = ()
    texts: tuple[Word, ...] = ()
    inner: tuple[tuple[Word, ...], ...] = ()
    script: str | None = None
    hides: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command: `name` is "-o" or "--output"; `value` None = it has none, or a word of its own."""

    name: str
    value: Word | None = None


UNCERTAIN = Option("--")
"""Stands where "--" may be the value of an option or the end of the options."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """A command's words after the program, told apart; `ended` holds the operands after "--"."""

    options: tuple[Option, ...]
    operands: tuple[Word, ...]
    ended: tuple[Word, ...] = ()


@cache
def table() -> Table:
    """Return the table; it is read once."""
    data = tomllib.loads((files(__package__) / "shell_programs.toml").read_text("utf-8"))
    read = data["read"]
    programs = {name: Program() for name in read.pop("plain")} | {
        name: Program(text=-1) for name in read.pop("words")
    }
    programs |= {name: _program(entry, read) for name, entry in read.items()}
    return Table(programs, data["version"], data["prefix"], data["display"], data["interactive"])


def _program(entry: Mapping[str, Any], entries: Mapping[str, Any]) -> Program:
    entry = entries[entry["like"]] if "like" in entry else entry
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()
    }
    return Program(**fields)


def split_arguments(words: Sequence[Word], program: Program) -> Arguments:
    """Return options and operands as GNU programs read them: options may follow operands, "--" ends them.

    Where it is not certain what an option takes, both readings are covered: a word that looks like an option is never
    taken for a value, and "--" where a value could stand gives an option UNCERTAIN.
    """
    options: list[Option] = []
    operands: list[Word] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.text == "--":
            return Arguments(tuple(options), tuple(operands), tuple(rest))
        if word.text.startswith("--"):
            name, equals, value = word.text.partition("=")
            options.append(Option(name, _part(word, value) if equals else None))
            takes = not equals and name in program.takes
        elif word.text.startswith("-") and len(word.text) > 1:
            options.extend(_letters(word, program))
            takes = options[-1].name[1:] in program.values and options[-1].value is None
        else:
            operands.append(word)
            continue
        if takes and rest and rest[0].text == "--":
            options.append(UNCERTAIN)
        elif takes and rest and not rest[0].text.startswith("-"):
            options[-1] = Option(options[-1].name, rest.pop(0))
    return Arguments(tuple(options), tuple(operands))


def _letters(word: Word, program: Program) -> Iterator[Option]:
    letters = word.text[1:]
    for place, letter in enumerate(letters):
        attached = letters[place + 1 :]
        if letter in program.values:
            yield Option(f"-{letter}", _part(word, attached) if attached else None)
            return
        yield Option(f"-{letter}")


def _part(word: Word, text: str) -> Word:
    return Word(text, text, word.start, word.end, word.variable, word.plain, word.glob, tilde=text.startswith("~"))


def denied_option(options: Sequence[Option], program: Program) -> str:
    """Return the first option that is denied, also when it is abbreviated; "" = none is."""
    for option in options:
        may_be_short = option.name.startswith("--") and option.name not in program.takes
        if option.name in program.deny or (
            may_be_short and any(name.startswith(option.name) for name in program.deny)
        ):
            return option.name
    return ""


def paths_and_texts(arguments: Arguments, program: Program) -> tuple[tuple[Word, ...], tuple[Word, ...]]:
    """Return the words of a command that name files, and its operands that are text (a pattern to search for)."""
    operands = [*arguments.operands, *arguments.ended]
    names = {option.name for option in arguments.options}
    skipped = 0 if names & set(program.unless) else program.text
    if skipped < 0:
        skipped = len(operands)
    values = [option.value for option in arguments.options if option.name not in program.texts]
    return (*operands[skipped:], *(value for value in values if value is not None)), tuple(operands[:skipped])


def hidden_option(words: Sequence[Word]) -> bool:
    """Tell whether a word may reach a program as an option without looking like one: by a file name or a variable, or
    behind a "--" that may not end the options."""
    place = next((place for place, word in enumerate(words) if word.text == "--"), len(words))
    before, after = words[:place], words[place + 1 :]
    if any(word.may_be_option and not word.fixed for word in before):
        return True
    is_certain = not before or not before[-1].text.startswith("-")
    return any(word.text.startswith("-") or (word.may_be_option and not is_certain) for word in after)


def read_fault(words: Sequence[Word], program: Program, arguments: Arguments) -> str:
    """Return why a command of a program that reads may do more than that; "" = it only reads."""
    name = words[0].text
    if option := denied_option(arguments.options, program):
        return f"{name} {option} does more than read"
    if program.deny and hidden_option(words[1:]):
        return f"{name} may get an option from a file name or variable"
    if program.text >= 0 and any(not option.name.lstrip("-")[:1].isalnum() for option in arguments.options):
        return f"{name} has an option that is not known"
    operands = [*arguments.operands, *arguments.ended]
    if program.only and (not operands or operands[0].text not in program.only):
        return f"{name} {operands[0].text if operands else ''}".strip() + " is not known to only read"
    # Some of them take what stands behind an operand for a further one.
    behind = words[words.index(operands[0]) + 1 :] if operands else ()
    is_open = any(not word.fixed for word in operands) or any(word.text.startswith("-") for word in behind)
    if program.operands is not None and (len(operands) > program.operands or is_open):
        return f"{name} writes to its last operand"
    return ""


def program_name(word: Word) -> str:
    """Return a program's name without the folders that only the system writes to."""
    return word.text.removeprefix("/usr").removeprefix("/bin/") if word.text.startswith(_FOLDERS) else word.text


_FOLDERS = ("/bin/", "/usr/bin/")
