"""What a model's reply asks for: calls that may run, a correction to send, or text. One pure function.

Native calls count first. Of a model whose calls come back as text, every usual form is read, and nothing is guessed:
what could be a quotation, an example, a thought or a cut call never runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.call_args import coerced, missing, only_match, renamed
from ..core.messages import ModelReply, ToolCall, ToolDef
from .call_scan import Group, Scanned, Scanner
from .call_shapes import RawCall, Tools
from .tools_in_text import final_answer
from .whole_reply import tool_call

_PREFIX = re.compile(r"^(?:functions?|tools?|default_api)[.:/]|^functions_", re.IGNORECASE)
_INDEX = re.compile(r"[:_]\d+$")
_TOKEN = re.compile(r"<\|.*$", re.DOTALL)
# Words before JSON at the end of a reply that make an example of it.
_EXAMPLE = re.compile(
    r"\b(?:example|e\.g\.|for instance|such as|syntax|following format)\b|\blooks? like\b|\blike this\b"
    r"|\b(?:would|could|might|can) (?:be|call|look|run|send|use|write)\b|例えば|たとえば|例[:：]|のように|次のような",
    re.IGNORECASE,
)
_SHORTEST_QUOTE = 20
_DOUBT = (
    "it holds what looks like a tool call inside other text. To call a tool, send the call and nothing after it; "
    "to answer, use words only."
)


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls that may run, in their order, with what the model said before them.

    Attributes:
        form: how they were written: "native", "tag", "json" and so on.
    """

    calls: tuple[ToolCall, ...]
    text: str = ""
    form: str = "native"


@dataclass(frozen=True, slots=True)
class Retry:
    """Nothing may run. `fault` tells the model what was wrong and is the only thing it is told."""

    fault: str
    form: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """An answer in words."""

    text: str


Reading = Calls | Retry | Text


class _Unusable(Exception):
    """A call that cannot run; the text is for the model."""


def read_reply(
    reply: ModelReply,
    tools: Sequence[ToolDef],
    *,
    turn: int = 0,
    cut: bool = False,
    read_before: Iterable[str] = (),
) -> Reading:
    """Return what a reply asks for; the same reply gives the same reading.

    A call of the text has an offered name and every required argument, or nothing of the reply runs. A native call
    keeps a name that is not offered: its refusal has a place of its own, the tool's result. A call that only repeats
    the one before it counts once.

    Args:
        tools: what was offered; () = a text is only text.
        turn: of the request; the ids of the calls are made of it: "t3.0".
        cut: True when the output limit ended the reply.
        read_before: files and tool results the conversation shows; a call that stands in one word for word is a
            quotation.

    Source: the faults collected in tests/llm/replies.jsonl, each with where it was reported.
    """
    if cut:
        return Retry("it was cut at its output limit, so nothing of it ran.")
    offered = {tool.name: tool for tool in tools}
    if reply.calls:
        return Calls(_told([_native(call, offered) for call in reply.calls], turn), reply.text)
    if not offered or not reply.text.strip():
        return Text(reply.text)
    if (answer := final_answer(reply.text)) is not None:
        return Text(answer)
    scanned = Scanner(reply.text, offered).scan()
    return _judge(reply.text, scanned, offered, turn, tuple(read_before))


def resolve_name(name: str, offered: Iterable[str]) -> str | None:
    """Return the offered tool a name means; None = none, or more than one could be meant.

    Understood are `functions.` before it, an index such as `:0` behind it, tokens of a template that stuck to it, and
    another use of case and punctuation.
    """
    names = tuple(offered)
    if name in names:
        return name
    bare = _TOKEN.sub("", name).strip().strip("`\"'")
    for shown in (bare, _PREFIX.sub("", bare), _INDEX.sub("", _PREFIX.sub("", bare))):
        if found := only_match(shown, names):
            return found
    return None


def _judge(text: str, scanned: Scanned, tools: Tools, turn: int, read_before: tuple[str, ...]) -> Reading:
    if scanned.thought_only and scanned.thought_call:
        return Retry("its tool call stands inside your thoughts. Send the call after them.", "thought")
    group = next((group for group in scanned.groups if group.sure), None)
    if group is None:
        group, doubt = _unsure(text, scanned, tools)
        if group is None and doubt is None and scanned.ends_with_call:
            doubt = Retry(_DOUBT)
        if group is None or doubt is not None:
            return doubt or Text(text)
    elif _is_example(text, scanned, group):
        return Retry(_DOUBT, group.form)
    if group.fault:
        return Retry(f"{group.fault}.", group.form)
    if any(_quotes(before, text[group.start : group.end]) for before in read_before):
        return Retry(
            "its tool call stands word for word in a text you were given, so it counts as a quotation. "
            "If you mean it, write it in other words or in another order.",
            group.form,
        )
    try:
        calls = [_checked(call, tools) for call in group.calls]
    except _Unusable as fault:
        return Retry(str(fault), group.form)
    return Calls(_told(calls, turn), text[scanned.visible_from : group.start].strip(), group.form)


def _unsure(text: str, scanned: Scanned, tools: Tools) -> tuple[Group | None, Retry | None]:
    """Return the calls written in a form that examples have too: only when they end the reply and none is before."""
    groups = [group for group in scanned.groups if group.fault or _known(group, tools)]
    whole = _is_whole(text, scanned)
    if not groups:
        # An unknown name makes a call of data only when there is nothing else.
        return (scanned.groups[0] if whole else None), None
    last = groups[-1]
    clear = len(groups) == 1 and not text[last.end :].strip() and not _is_example(text, scanned, last)
    if clear and (not last.fault or whole or _known_inside(text[last.start :], tools)):
        return last, None
    if all(group.fault for group in groups):
        return None, None
    return last, Retry(_DOUBT, last.form)


def _is_example(text: str, scanned: Scanned, group: Group) -> bool:
    """Return whether the line before says so."""
    lead = text[scanned.visible_from : group.start].rstrip().rpartition("\n")[2]
    return _EXAMPLE.search(lead) is not None


def _is_whole(text: str, scanned: Scanned) -> bool:
    if len(scanned.groups) != 1:
        return False
    (group,) = scanned.groups
    return not (text[scanned.visible_from : group.start] + text[group.end :]).strip()


def _known(group: Group, tools: Tools) -> bool:
    return any(resolve_name(call.name, tools) for call in group.calls)


def _known_inside(text: str, tools: Tools) -> bool:
    return any(re.search(rf"\b{re.escape(name)}\b", text) for name in tools)


def _quotes(before: str, block: str) -> bool:
    block = block.strip()
    return len(block) >= _SHORTEST_QUOTE and block in before


def _native(call: ToolCall, tools: Tools) -> tuple[str, dict[str, Any]]:
    name = resolve_name(call.name, tools)
    if name is None:
        return call.name, call.args
    return name, _in_our_words(call.args, tools[name])


def _checked(call: RawCall, tools: Tools) -> tuple[str, dict[str, Any]]:
    name = resolve_name(call.name, tools)
    if name is None:
        raise _Unusable(f"there is no tool {call.name!r}. Tools: {', '.join(tools)}.")
    tool = tools[name]
    args = _in_our_words(_with_names(call, tool), tool)
    if lacking := missing(args, tool.parameters):
        listed = ", ".join(repr(argument) for argument in lacking)
        word = "argument" if len(lacking) == 1 else "arguments"
        raise _Unusable(f"the call of {name!r} lacks the {word} {listed}.")
    return name, args


def _in_our_words(args: dict[str, Any], tool: ToolDef) -> dict[str, Any]:
    return coerced(renamed(args, tool.parameters), tool.parameters)


def _with_names(call: RawCall, tool: ToolDef) -> dict[str, Any]:
    """Return the arguments by name; one without a name can only be the one that is required."""
    if not call.positional:
        return call.args
    required: list[str] = tool.parameters.get("required") or []
    if len(call.positional) == 1 and len(required) == 1 and required[0] not in renamed(call.args, tool.parameters):
        return {required[0]: call.positional[0], **call.args}
    shown = f": {tool.name}({required[0]}=...)" if required else ""
    raise _Unusable(f"the arguments of {tool.name!r} need their names{shown}.")


def _told(calls: Sequence[tuple[str, dict[str, Any]]], turn: int) -> tuple[ToolCall, ...]:
    once = [call for place, call in enumerate(calls) if place == 0 or call != calls[place - 1]]
    return tuple(tool_call(turn, place, name, args) for place, (name, args) in enumerate(once))
