"""A graph's inputs as words of a command line: `--name=value`, `--name value`, `--flag`, `--no-flag`, plain text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from ..core.errors import UsageError
from .faults import near
from .spec import GraphSpec


class GivenWords(NamedTuple):
    """What the words of a command line gave: inputs by name, and in their order the words that are no options."""

    inputs: dict[str, Any]
    plain: tuple[str, ...]


def read_words(spec: GraphSpec, words: Sequence[str], own_options: Collection[str] = ()) -> GivenWords:
    """Return what the words give. Of an option that is given twice the later one counts.

    Args:
        own_options: the command's own options, which a wrong one may have meant.

    Raises:
        UsageError: an option that the graph does not have, or one without its value.
    """
    options = {f"--{name.replace('_', '-')}": name for name in spec.inputs}
    given: dict[str, Any] = {}
    plain: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        option, equals, value = word.partition("=")
        if not word.startswith("-") or word == "-" or " " in option:
            # A text of several words that begins with a dash is no option.
            plain.append(word)
        elif option in options and equals:
            given[options[option]] = value
        elif (switched := _switch(spec, options, option)) and not equals:
            given[switched[0]] = switched[1]
        elif option in options and waiting and waiting[0] not in options:
            given[options[option]] = waiting.pop(0)
        else:
            _refuse(spec, word, options, own_options)
    return GivenWords(given, tuple(plain))


def _switch(spec: GraphSpec, options: Mapping[str, str], option: str) -> tuple[str, bool] | None:
    """Return the input that `--flag` or `--no-flag` means, with its value; None = there is none."""
    for form, value in ((option, True), (f"--{option.removeprefix('--no-')}", False)):
        name = options.get(form, "")
        if name in spec.inputs and spec.inputs[name].type == "bool" and (value or option.startswith("--no-")):
            return name, value
    return None


def _refuse(spec: GraphSpec, word: str, options: Mapping[str, str], own_options: Collection[str]) -> NoReturn:
    option = word.partition("=")[0]
    if option in options and spec.inputs[options[option]].type != "bool":
        raise UsageError(f"The option {option} of {spec.name} needs a value.", hint=f"Write it as {option}=VALUE.")
    forms = [f"--[no-]{o[2:]}" if spec.inputs[name].type == "bool" else f"{o}=VALUE" for o, name in options.items()]
    hint = near(option, [*options, *(f"--no-{o[2:]}" for o in options), *own_options])
    raise UsageError(
        f"`flow run {spec.to_run}` does not know {word!r}{hint}.",
        hint=f"Its inputs: {' '.join(forms) or 'none'}. See: flow run {spec.to_run} --help",
    )
