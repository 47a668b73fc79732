"""Calls behind the marks and special tokens of model families: which marks there are, and what stands behind them."""

from __future__ import annotations

import re

from .call_block import Block, broken
from .call_gemma import gemma_call
from .call_json import BrokenCall, read_closed, read_value, skip_space
from .call_python import python_calls
from .call_shapes import RawCall, Tools, calls_of
from .call_xml import arg_pairs, marked_call, tool_named_call

# What a family puts before a call. Sources: the chat templates of Hermes and Qwen (<tool_call>), Granite and Phi
# (<|tool_call|>, functools), Gemma (<|tool_call>), LFM2 (<|tool_call_start|>), Nemotron (<TOOLCALL>), Mistral
# ([TOOL_CALLS]), Llama (<|python_tag|>, <|python_start|>), LM Studio ([TOOL_REQUEST]), Anthropic (<function_calls>).
_MARK = re.compile(
    r"<(?:[a-z]+:)?(?:tool_calls?|toolcall|function_calls?|tool_use|tools?)>|<TOOLCALL>|<\|tool_calls?\|>|<\|tool_call>"
    r"|<\|tool_call_start\|>|<\|python_(?:tag|start)\|>|\[TOOL_CALLS?\]|\[TOOL_REQUEST\]|functools(?=\s*\[)"
)
_END_MARK = re.compile(
    r"\s*(?:```)?\s*(?:</(?:[a-z]+:)?(?:tool_calls?|toolcall|function_calls?|tool_use|tools?|function)>|</TOOLCALL>"
    r"|<\|/tool_calls?\|>|<tool_call\|>|<\|tool_call_end\|>|<\|python_end\|>|\[/TOOL_CALLS?\]|\[END_TOOL_REQUEST\]"
    r"|<\|(?:eom_id|eot_id|im_end|end|call|eos)\|>|</s>|<end_of_turn>)"
)
_ANY_END = re.compile(r"</|<\||<tool_call\||\[/|\[END_")
_NAME = r"(?P<name>[A-Za-z_][\w.:/-]*)"
_NAMED_JSON = re.compile(rf"{_NAME}\s*(?:\[CALL_ID\]\s*[\w-]*\s*)?(?:\[ARGS\])?\s*(?=\{{)")
_NAMED_PAIRS = re.compile(rf"{_NAME}\s*(?=<arg_key>)")
_ARGS_MARK = re.compile(rf"{_NAME}\[ARGS\]\s*(?=\{{)")
_CALL = re.compile(r"call:(?=[A-Za-z_][\w.]*\()")
_PYTHON = re.compile(r"\[?\s*[A-Za-z_][\w.]*\(")
_FENCE = re.compile(r"```\w*[ \t]*\n?")
_MOST_MARKS = 2
_BETWEEN = re.compile(r"[\s,;]*")

# DeepSeek writes its tokens with a wide bar and a low block; both are also seen in ASCII.
_BAR, _LOW = "[|｜]", "[_▁]"
_TOKENS = re.compile(
    rf"(?:<{_BAR}tool{_LOW}calls{_LOW}(?:section{_LOW})?begin{_BAR}>\s*)?<{_BAR}tool{_LOW}call{_LOW}begin{_BAR}>\s*"
    rf"(?:function<{_BAR}tool{_LOW}sep{_BAR}>)?(?P<name>[\w.:/-]+)\s*"
    rf"(?:<{_BAR}tool{_LOW}sep{_BAR}>|<\|tool_call_argument_begin\|>|\n)\s*(?:```json\s*)?(?=\{{)"
)
_TOKENS_END = re.compile(
    rf"\s*(?:```)?\s*(?:<{_BAR}tool{_LOW}call{_LOW}end{_BAR}>)?"
    rf"\s*(?:<{_BAR}tool{_LOW}calls{_LOW}(?:section{_LOW})?end{_BAR}>)?"
)
# OpenAI's Harmony, with its tokens or with only their text left.
_HARMONY = re.compile(
    r"(?:<\|start\|>assistant)?(?:<\|channel\|>)?commentary\s+to=(?P<name>functions[._][\w.:-]+)\s*"
    r"(?:<\|constrain\|>)?\s*(?:json)?\s*(?:<\|message\|>)?\s*(?=\{)"
)
_REACT = re.compile(r"Action:[ \t]*`?(?P<name>[\w.-]+)`?[ \t]*\n+\s*Action[ _]Input:\s*(?:```(?:json)?\s*)?(?=\{)")


def marked_block(text: str, start: int, tools: Tools) -> Block | None:
    """Return the calls behind a mark at a place; None = no mark stands there, or no call behind it."""
    if block := marked_call(text, start, tools):
        return block
    for form, pattern in (("tokens", _TOKENS), ("harmony", _HARMONY), ("react", _REACT), ("mistral", _ARGS_MARK)):
        if found := pattern.match(text, start):
            return _named_json(form, text, found)
    mark = _MARK.match(text, start)
    return None if mark is None else _behind(text, mark, tools, depth=0)


def past_end_marks(text: str, place: int) -> int:
    """Return the place behind the closing marks that stand at a place."""
    while found := _END_MARK.match(text, place):
        place = found.end()
    return place


def _behind(text: str, mark: re.Match[str], tools: Tools, *, depth: int) -> Block | None:
    form = _form(mark[0])
    place = skip_space(text, mark.end())
    if fence := _FENCE.match(text, place):
        place = skip_space(text, fence.end())
    if (inner := _MARK.match(text, place)) and form != "mistral":
        return _behind(text, inner, tools, depth=depth + 1) if depth < _MOST_MARKS else None
    if block := marked_call(text, place, tools) or tool_named_call(text, place, tools):
        return Block(form, past_end_marks(text, block.end), block.calls, block.fault)
    if block := _gemma(text, place):
        return block
    if _PYTHON.match(text, place):
        return _python(form, text, place)
    if text[place : place + 1] in ("{", "["):
        return _json(form, text, place, tools, certain=mark[0] not in ("<tool>", "<tools>"))
    if found := _NAMED_JSON.match(text, place):
        return _named_json(form, text, found)
    found = _NAMED_PAIRS.match(text, place)
    return None if found is None else _pairs(form, text, found)


def _form(mark: str) -> str:
    if "TOOL_CALL" in mark:
        return "mistral"
    if "python" in mark:
        return "llama"
    return "mark" if mark.startswith(("<|", "[", "func")) else "tag"


def _json(form: str, text: str, place: int, tools: Tools, *, certain: bool) -> Block | None:
    """Read one JSON value after the other, as far as they stand side by side.

    Not `certain`: the mark may stand before data as well; then None.
    """
    calls: list[RawCall] = []
    while True:
        try:
            value, end = _value(text, place)
            found = calls_of(value, tools)
        except BrokenCall as err:
            return broken(form, text, f"a tool call cannot be used: {err}")
        if found is None:
            return broken(form, text, 'a tool call needs "name" and "arguments"') if certain else None
        calls.extend(found)
        between = _BETWEEN.match(text, end)
        place = between.end() if between else end
        if text[place : place + 1] != "{":
            return Block(form, past_end_marks(text, end), tuple(calls))


def _value(text: str, place: int) -> tuple[object, int]:
    try:
        value, end = read_value(text, place)
    except BrokenCall:
        closed = _END_MARK.search(text, place)
        if closed is None:
            raise
        return read_closed(text, place, closed.start()), closed.start()
    # One bracket too many, right before the closing mark, changes nothing.
    extra = re.compile(r"\s*[}\]]{1,2}(?=\s*(?:</|<\||\[/|\[END|\Z))").match(text, end)
    return value, extra.end() if extra else end


def _named_json(form: str, text: str, found: re.Match[str]) -> Block:
    try:
        args, end = read_value(text, found.end())
        if not isinstance(args, dict):
            raise BrokenCall("its arguments must be one JSON object")
    except BrokenCall as err:
        return broken(form, text, f"the call of {found['name']!r} cannot be used: {err}")
    closed = _TOKENS_END.match(text, end) if form == "tokens" else None
    end = closed.end() if closed else past_end_marks(text, end)
    return Block(form, end, (RawCall(found["name"], args),))


def _gemma(text: str, place: int) -> Block | None:
    if found := _CALL.match(text, place):
        return _python("gemma", text, found.end())
    try:
        call = gemma_call(text, place)
    except BrokenCall as err:
        return broken("gemma", text, err)
    if call is None:
        return None
    name, args, end = call
    return Block("gemma", past_end_marks(text, end), (RawCall(name, args),))


def _python(form: str, text: str, place: int) -> Block:
    """Read Python up to the closing mark: the first that leaves something readable, for a string may hold one too."""
    ends = [found.start() for found in _ANY_END.finditer(text, place)]
    fault: BrokenCall | None = None
    for end in [*ends[:8], len(text)]:
        try:
            return Block(form, past_end_marks(text, end), python_calls(text[place:end].rstrip("`; \n")))
        except BrokenCall as err:
            fault = fault or err
    return broken(form, text, f"a tool call cannot be used: {fault}")


def _pairs(form: str, text: str, found: re.Match[str]) -> Block:
    closed = _END_MARK.search(text, found.end())
    args = None if closed is None else arg_pairs(text, found.end(), closed.start())
    if closed is None or args is None:
        return broken(form, text, f"the call of {found['name']!r} cannot be used: it is not complete")
    return Block(form, past_end_marks(text, closed.start()), (RawCall(found["name"], dict(args)),))
