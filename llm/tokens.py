"""Token counting without a tokenizer: estimates that stay above what a model counts. Every budget uses them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache

from ..core.messages import Message, ToolDef
from ..core.ports import TokenCounter

# What a chat template adds around one message and around the list of tools; generous for every family looked at.
MESSAGE_OVERHEAD = 8
TOOLS_OVERHEAD = 40

# The pieces a byte-pair tokenizer splits a text into first. The two lookaheads tell what the piece may merge with.
_PIECE = re.compile(
    r"([A-Za-z]+)"
    r"|([0-9]+)"
    r"|([^\S\r\n]*[\r\n]+)"
    r"|([^\S\r\n]+)(?=([0-9])?)"
    r"|([!-/:-@\[-`{-~]+)(?=([A-Za-z])?)"
    r"|([^\x00-\x7f]+)"
    r"|([\x00-\x1f\x7f])"
)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_RUN = re.compile(r"(.)\1*", re.DOTALL)

# The costs below are means over Python, JavaScript, Markdown, JSON and Japanese texts counted with cl100k; this
# factor carries them past cl100k x 1.1 in the worst samples of ordinary text (figures: tests/llm/test_tokens.py).
_SAFETY = 1.25

_LONG = 256
"""Characters of a text above which its count is remembered."""
_REMEMBERED = 2048


class EstimatingCounter:
    """A TokenCounter for any model: at least 1.1 x what tiktoken's cl100k counts on prose, code, Japanese and base64.

    On ordinary code and prose it lands about 1.2 to 1.5 times above cl100k. Long lists of rare names or of rare
    characters can cost a model more than it says.
    """

    def count(self, text: str) -> int:
        """Return the estimated number of tokens; 0 for an empty text."""
        return _long_text_tokens(text) if len(text) > _LONG else _text_tokens(text)


def _text_tokens(text: str) -> int:
    return int(sum(map(_piece_cost, _PIECE.findall(text))) * _SAFETY) + 2 if text else 0


# A conversation is counted again at every turn, and all but its end was counted before.
_long_text_tokens = lru_cache(_REMEMBERED)(_text_tokens)


def count_request(messages: Sequence[Message], tools: Sequence[ToolDef], counter: TokenCounter) -> int:
    """Return the tokens of a whole prompt: contents, calls, tool definitions and what the chat template adds."""
    total = sum(_count_message(message, counter) for message in messages)
    if tools:
        total += TOOLS_OVERHEAD + sum(
            counter.count(json.dumps(tool_json(tool), ensure_ascii=False)) for tool in tools
        )
    return total


def tool_json(tool: ToolDef) -> dict[str, object]:
    """Return a tool as it goes over the wire."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _count_message(message: Message, counter: TokenCounter) -> int:
    total = MESSAGE_OVERHEAD + counter.count(message.content) + counter.count(message.tool_name)
    for call in message.calls:
        total += MESSAGE_OVERHEAD + counter.count(json.dumps({call.name: call.args}, ensure_ascii=False))
    return total


def _piece_cost(piece: tuple[str, ...]) -> float:
    word, digits, line, space, space_digit, mark, mark_word, wide, _control = piece
    if word:
        return _word_cost(word)
    if space:
        return _space_cost(space, bool(space_digit))
    if mark:
        return _mark_cost(mark, bool(mark_word))
    if digits:
        return (len(digits) + 2) // 3
    if line:
        return _line_cost(line)
    if wide:
        return sum(map(_wide_cost, wide))
    return 1.0


def _space_cost(space: str, before_digit: bool) -> float:
    if len(space) == 1 and not before_digit:
        return 0.03  # it belongs to the word that follows
    if space.count(" ") == len(space):
        return 0.95 + len(space) // 80
    return sum(0.95 + len(run[0]) // 16 for run in _RUN.finditer(space))


def _line_cost(line: str) -> float:
    if len(line) == 1:
        return 0.7
    space = line.rstrip("\r\n")
    ends = len(line) - len(space)
    # Runs of CRLF are hardly in any vocabulary, runs of LF are.
    cost = 0.7 + (ends - 1) * (0.14 if "\r" in line else 0.07)
    return cost if len(space) <= 1 else cost + 0.5 + _space_cost(space, False)


@lru_cache(65536)
def _word_cost(word: str) -> float:
    length = len(word)
    if length <= 2:
        return 1.0
    if word.islower() or word[1:].islower():
        if length <= 7:
            return 1.05
        return 1.13 + (length - 8) * 0.06 if length <= 12 else 1.4 + (length - 12) * 0.35
    if word.isupper():
        return max(1.0, length * 0.4)
    parts = _PART.findall(word)
    if len(parts) > 2 and length < 3.2 * len(parts):
        return length * 0.8  # capitals without a rhythm: base64, not camelCase
    return max(1.0, sum(_camel_cost(part) for part in parts))


def _camel_cost(part: str) -> float:
    if len(part) > 1 and part[1].isupper():
        return max(1.0, len(part) * 0.5)
    return 0.85 if len(part) <= 7 else 0.9 + (len(part) - 7) * 0.2


def _mark_cost(mark: str, joined: bool) -> float:
    length = len(mark)
    if length == 1:
        return 0.55 if joined else 0.95
    if mark.count(mark[0]) == length:
        return 1.0 + length // 24
    return (0.9 if length == 2 else 1 + (length - 2) * 0.42) + (0.0 if joined else 0.1)


@lru_cache(65536)
def _wide_cost(char: str) -> float:
    """Return the cost of one character outside ASCII."""
    code = ord(char)
    if 0x4E00 <= code < 0xA000:
        return _kanji_cost(char)
    for end, cost in _WIDE_COSTS:
        if code < end:
            return cost
    return 3.0


def _kanji_cost(char: str) -> float:
    # JIS level 1 (lead bytes below 0x98) holds the kanji of daily use, which tokenizers know; the rest fall to bytes.
    encoded = char.encode("cp932", "ignore")
    if not encoded:
        return 2.5
    return 1.5 if encoded[0] < 0x98 else 2.3


# (first code point beyond the range, tokens a character): controls, Latin, Cyrillic to Arabic, symbols, CJK marks,
# hiragana, katakana, rare ideographs, hangul, private use, half and full width; emoji and all beyond fall to 3 bytes.
_WIDE_COSTS = (
    (0xA0, 2.0),
    (0x250, 0.9),
    (0x700, 1.0),
    (0x3000, 2.2),
    (0x3040, 1.0),
    (0x30A0, 0.97),
    (0x3100, 1.15),
    (0xAC00, 2.5),
    (0xD7B0, 2.2),
    (0xFF00, 2.5),
    (0xFFF0, 1.6),
    (0x10000, 2.2),
)
