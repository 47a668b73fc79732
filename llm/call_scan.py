"""Where in a reply's text calls stand: outside of thoughts, of quoted tool results and of examples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .call_block import Block
from .call_json import BrokenCall, read_value, skip_space
from .call_marks import marked_block, past_end_marks
from .call_python import python_calls
from .call_shapes import RawCall, Tools, calls_of
from .call_xml import tool_named_call

_THOUGHT_END = r"</think(?:ing)?>|</thought>|</reasoning>|\[/THINK\]"
_EVENT = re.compile(
    r"(?P<thought><think(?:ing)?>|<thought>|<reasoning>|\[THINK\]|<\|channel\|>analysis\b)"
    rf"|(?P<thought_end>{_THOUGHT_END})"
    r"|(?P<quoted><tool_(?:response|results?|output)>|<function_results?>|\[TOOL_RESULTS\]|<\|tool_response\|?>"
    r"|<examples?>|<!--)"
    r"|(?P<turn><\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|user\|>|\[INST\])"
    r"|^(?P<fence>[ ]{0,3}(?P<marks>`{3,}|~{3,})[ \t]*(?P<language>[\w+-]*)[^\n`]*$)"
    r"|(?P<mark><[a-zA-Z|｜][^>\n]{0,80}>|\[TOOL_[A-Z]+\]|functools\[|commentary\s+to=|Action:)"
    r"|^[ ]{0,3}(?P<line>[\[{]|[A-Za-z_][\w.]*(?:\(|\[ARGS\]))",
    re.MULTILINE,
)
_THOUGHT_CLOSE = re.compile(rf"{_THOUGHT_END}|<\|end\|>|(?=<\|start\|>)|(?=<\|channel\|>(?!analysis))")
_QUOTED_CLOSE = re.compile(
    r"</tool_(?:response|results?|output)>|</function_results?>|\[/TOOL_RESULTS\]|</examples?>|-->"
)
_CALL_LANGUAGES = ("tool_call", "tool_calls", "tool_code", "tool_use", "tool", "function_call", "function")
_DATA_LANGUAGES = ("", "json", "jsonc", "json5", "xml", "python", "py")
_BETWEEN = re.compile(r"[\s,;]*")
_LOOKS_LIKE_CALL = re.compile(
    r"""[\[{][\s\[{]{0,20}["'](?:name|tool\w*|tool_?[cC]alls|function\w*|action|recipient_name|type|id|calls|arguments"""
    r"""|parameters|args|input)["']\s*:"""
)
_MENTIONS_CALL = re.compile(r"""["'](?:arguments|parameters|args|tool_?calls|tool_input|action_input)["']\s*:""")
# Pieces of bare JSON that are looked into; each costs a walk to the end of the reply.
_MOST_TRIES = 20
# A special token may follow a sentence on its line; quoted in a sentence it follows a word.
_SENTENCE_END = ".!?:。！？：…"
_QUOTES = "`\"'「『“‘"
_INSIDE_LINE = re.compile(rf"[^\s{_QUOTES}][ ]*(?={_LOOKS_LIKE_CALL.pattern})")


@dataclass(frozen=True, slots=True)
class Group:
    """Calls that stand side by side in the visible part of a reply. `fault`: the first that was found, "" = none."""

    form: str
    start: int
    end: int
    calls: tuple[RawCall, ...]
    fault: str
    sure: bool


@dataclass(frozen=True, slots=True)
class Scanned:
    """What was found in a reply.

    Attributes:
        visible_from: where the reply begins, a thought before it apart.
        groups: in the order of the reply.
        thought_only: True when nothing but thoughts stands there.
        thought_call: True when a thought holds something that looks like a call.
        ends_with_call: True when the reply ends with a call that stands inside a line, after words.
    """

    visible_from: int
    groups: tuple[Group, ...]
    thought_only: bool
    thought_call: bool
    ends_with_call: bool


class Scanner:
    """One walk over a reply's text."""

    def __init__(self, text: str, tools: Tools) -> None:
        self._text = text
        self._tools = tools
        self._groups: list[Group] = []
        self._fresh = 0  # what follows this place counts as the beginning of a line
        self._visible_from = 0
        self._tries = 0
        self._hidden: list[tuple[int, int]] = []
        self._inside_line = False

    def scan(self) -> Scanned:
        place = 0
        while event := _EVENT.search(self._text, place):
            place = max(self._take(event), place + 1) if event.end() > place else place + 1
        hidden = "".join(self._text[start:end] for start, end in self._hidden)
        return Scanned(
            self._visible_from,
            tuple(self._groups),
            thought_only=not self._shown().strip(),
            thought_call=bool(_MENTIONS_CALL.search(hidden) or "<function=" in hidden or "<invoke" in hidden),
            ends_with_call=self._inside_line or self._json_ends_line(),
        )

    def _take(self, event: re.Match[str]) -> int:
        """Return where to go on after something was found."""
        kind = str(event.lastgroup) if event["fence"] is None else "fence"
        if kind in ("thought", "thought_end", "quoted") and self._text[event.start() - 1 : event.start()] == "`":
            return event.end()  # a tag that is talked about
        match kind:
            case "thought":
                return self._after(self._hide(event, _THOUGHT_CLOSE))
            case "thought_end":
                # Its opening stood in the prompt: all before it was thought, calls too.
                self._groups.clear()
                self._hidden.append((self._visible_from, event.end()))
                self._visible_from = self._fresh = event.end()
                return self._after(event.end())
            case "quoted":
                return self._after(self._hide(event, _QUOTED_CLOSE))
            case "turn":
                return self._end_turn(event)
            case "fence":
                return self._fence(event)
        start = event.start(kind)
        block = self._block(start, kind)
        return event.end() if block is None else self._group(start, block)

    def _hide(self, event: re.Match[str], close: re.Pattern[str]) -> int:
        """Skip a span; one that is never closed takes the rest."""
        closed = close.search(self._text, event.end())
        end = closed.end() if closed else len(self._text)
        self._hidden.append((event.start(), end))
        self._fresh = end
        return end

    def _end_turn(self, event: re.Match[str]) -> int:
        """Drop what a model goes on with as somebody else; the mark of its own turn may stand at the front."""
        if not self._shown(event.start()).strip():
            return event.end()
        self._hidden.append((event.start(), len(self._text)))
        return len(self._text)

    def _after(self, place: int) -> int:
        """Read what follows a hidden span on its own line."""
        start = skip_space(self._text, place)
        block = self._block(start, "line") if start < len(self._text) else None
        return place if block is None else self._group(start, block)

    def _block(self, start: int, kind: str) -> Block | None:
        before = self._text[max(self._text.rfind("\n", 0, start) + 1, self._fresh) : start]
        at_line_start = not before.strip(" ") and len(before) <= 3
        block = self._read(start) if kind == "mark" or at_line_start else None
        if block is None or at_line_start:
            return block
        if self._text[block.end :].strip() or before[-1] in _QUOTES or not block.calls:
            return None
        is_token = self._text[start] in "[<" and block.sure and block.form not in ("tag", "function", "invoke")
        if is_token and before.rstrip()[-1:] in _SENTENCE_END:
            return block
        self._inside_line = True
        return None

    def _json_ends_line(self) -> bool:
        shown = self._shown()
        found = None if self._groups else _INSIDE_LINE.search(shown)
        if found is None:
            return False
        block = _json_block("json", shown, found.end(), self._tools)
        return block is not None and bool(block.calls) and not shown[block.end :].strip()

    def _read(self, start: int) -> Block | None:
        text, tools = self._text, self._tools
        return marked_block(text, start, tools) or tool_named_call(text, start, tools) or self._bare(start)

    def _bare(self, start: int) -> Block | None:
        """Read JSON, or Python that fills the rest of the reply."""
        text = self._text
        if text[start] in "[{" and self._tries < _MOST_TRIES and self._may_be_call(start):
            self._tries += 1
            return _json_block("json", text, start, self._tools)
        name = re.match(r"\[?\s*(?:functions\.|default_api\.)?([A-Za-z_]\w*)\(", text[start : start + 80])
        if name is None or name[1] not in self._tools or self._shown(start).strip():
            return None
        try:
            return Block("python", len(text), python_calls(text[start:]), sure=False)
        except BrokenCall as err:
            return Block("python", len(text), fault=f"the call of {name[1]!r} cannot be used: {err}", sure=False)

    def _may_be_call(self, start: int) -> bool:
        head = self._text[start : start + 200]
        if _LOOKS_LIKE_CALL.match(head):
            return True
        keyed = re.match(r"""\{\s*["']([\w.-]+)["']\s*:""", head)
        return keyed is not None and keyed[1] in self._tools

    def _fence(self, event: re.Match[str]) -> int:
        """Read a fenced piece that holds calls and nothing else; any other is text and is skipped."""
        text = self._text
        closed = re.compile(rf"^[ ]{{0,3}}{event['marks'][0]}{{{len(event['marks'])},}}[ \t]*$", re.MULTILINE).search(
            text, event.end()
        )
        inner_end, end = (closed.start(), closed.end()) if closed else (len(text), len(text))
        language = event["language"].casefold()
        if language in (*_CALL_LANGUAGES, *_DATA_LANGUAGES):
            inner = text[event.end() : inner_end]
            block = _inside(inner, language, self._tools, alone=not self._shown(event.start()).strip())
            if block is not None:
                sure = language in _CALL_LANGUAGES
                return self._group(event.start(), Block("fenced", end, block.calls, block.fault, sure))
        self._fresh = end
        return end

    def _group(self, start: int, block: Block) -> int:
        """Keep the block with those that follow it at once; return where they end."""
        calls, fault, end = list(block.calls), block.fault, block.end
        while not fault:
            between = _BETWEEN.match(self._text, past_end_marks(self._text, end))
            place = between.end() if between else end
            further = self._read(place) if place < len(self._text) and block.form != "fenced" else None
            if further is None or further.sure != block.sure:
                break
            calls.extend(further.calls)
            fault, end = further.fault, further.end
        self._groups.append(Group(block.form, start, end, tuple(calls), fault, block.sure))
        self._fresh = end
        return end

    def _shown(self, end: int | None = None) -> str:
        """Return the visible text up to a place; None = to the end."""
        stop = len(self._text) if end is None else end
        return "".join(self._visible(self._visible_from, stop))

    def _visible(self, start: int, stop: int) -> Iterator[str]:
        for hidden_from, hidden_to in self._hidden:
            if hidden_to > start:
                yield self._text[start : min(hidden_from, stop)]
                start = max(start, hidden_to)
        yield self._text[start:stop]


def _inside(inner: str, language: str, tools: Tools, *, alone: bool) -> Block | None:
    """Return the calls of a fenced piece; None = it holds something else."""
    start = skip_space(inner, 0)
    if start == len(inner):
        return None
    if language in ("python", "py"):
        block = _python_inside(inner, tools) if alone else None
        return block if block and (block.fault or all(call.name in tools for call in block.calls)) else None
    if inner[start] in "{[" and (_LOOKS_LIKE_CALL.match(inner, start) or language in _CALL_LANGUAGES):
        block = _json_block("fenced", inner, start, tools)
    else:
        block = marked_block(inner, start, tools) or tool_named_call(inner, start, tools)
    if block is None:
        return _python_inside(inner, tools) if language in _CALL_LANGUAGES else None
    return block if block.fault or not inner[block.end :].strip() else None


def _python_inside(inner: str, tools: Tools) -> Block | None:
    try:
        calls = python_calls(inner)
    except BrokenCall as err:
        first = re.match(r"\s*(?:print\()?(?:[a-z_]+\.)?([A-Za-z_]\w*)\(", inner)
        meant = first is not None and first[1] in tools
        return Block("fenced", len(inner), fault=f"a tool call cannot be used: {err}") if meant else None
    return Block("fenced", len(inner), calls)


def _json_block(form: str, text: str, start: int, tools: Tools) -> Block | None:
    """Return the calls of JSON values that stand side by side; None = they are data."""
    calls: list[RawCall] = []
    place = end = start
    while text[place : place + 1] in ("{", "["):
        try:
            value, stop = read_value(text, place)
            found = calls_of(value, tools)
        except BrokenCall as err:
            meant = bool(calls) or _MENTIONS_CALL.search(text, place) is not None
            fault = f"a tool call cannot be used: {err}"
            return Block(form, len(text), fault=fault, sure=False) if meant else None
        if found is None:
            break
        calls.extend(found)
        end = past_end_marks(text, stop)
        between = _BETWEEN.match(text, end)
        place = between.end() if between else end
    return Block(form, end, tuple(calls), sure=False) if calls else None
