"""What became of a reply that arrived whole: is it usable, and what it says. Shared by the chat models.

The parts are those of Ollama's stream; llm/openai_wire.py brings other servers' into that form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import ModelFault, ReplyCut, ReplyInvalid
from ..core.messages import ModelReply, ToolCall, Usage
from .call_json import BrokenCall, read_object

_THINKING = re.compile(r"\s*(?:<think>(.*?)(?:</think>|\Z)|\[THINK\](.*?)(?:\[/THINK\]|\Z))\s*", re.DOTALL)


def split_thinking(text: str) -> tuple[str, str]:
    """Return (thinking, answer) of a text that may start with a thinking block; an open block takes everything."""
    found = _THINKING.match(text)
    if found is None:
        return "", text
    return (found[1] or found[2] or "").strip(), text[found.end() :]


def call_fault(call: Any) -> str:
    """Return why a call cannot run, for the model; "" = it can."""
    function = call.get("function") if isinstance(call, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not function or not isinstance(name, str) or not name:
        return f"A tool call without a name cannot run: {json.dumps(call)[:200]}."
    arguments = function.get("arguments")
    if call_arguments(arguments) is not None:
        return ""
    shown = json.dumps(arguments, ensure_ascii=False)[:200]
    return (
        f"The arguments of your call of {name!r} must be one JSON object, but they are {shown}. "
        "Nothing ran. Send the call again."
    )


def call_arguments(arguments: Any) -> dict[str, Any] | None:
    """Return the arguments of a call, also those that came as JSON text; None = they are no object."""
    if isinstance(arguments, str):
        try:
            return read_object(arguments)
        except BrokenCall:
            return None
    if arguments is None:
        return {}
    return arguments if isinstance(arguments, dict) else None


def tool_call(turn: int, place: int, name: str, arguments: dict[str, Any]) -> ToolCall:
    """Return a call with the id that it has again after a resume: made of the request's turn and its place."""
    return ToolCall(f"t{turn}.{place}", name, clean(arguments))


def check_usable(parts: Sequence[Mapping[str, Any]], invalid: str, max_tokens: int) -> None:
    """Check that a reply may be used.

    Args:
        invalid: why one of its calls cannot run; "" = all can.

    Raises:
        ReplyCut: the output limit ended it.
        ReplyInvalid: a call cannot be read.
        ModelFault: it ended for a reason that is not known.
    """
    reason = parts[-1]["done_reason"]
    if reason == "length":
        text = f"the reply was cut at its limit of {max_tokens} tokens, so none of it was used"
        raise ReplyCut(text, usage=_usage(parts[-1]))
    if reason != "stop":
        raise ModelFault(f"the reply ended with the reason {reason!r}, which is not known", usage=_usage(parts[-1]))
    if invalid:
        raise ReplyInvalid(invalid, usage=_usage(parts[-1]))


def whole_reply(text: str, calls: Sequence[ToolCall], parts: Sequence[Mapping[str, Any]]) -> ModelReply:
    """Return the reply that these parts make, its thinking apart from its text."""
    thought, answer = split_thinking(text)
    apart = "".join(str(part["message"].get("thinking") or "") for part in parts)
    last = parts[-1]
    return ModelReply(
        text=clean(answer),
        calls=tuple(calls),
        thinking=clean("\n".join(filter(None, (apart, thought)))),
        model=str(last.get("model") or ""),
        usage=_usage(last),
    )


def clean(value: Any) -> Any:
    """Return a value whose texts can be written as UTF-8; a lone half of a surrogate pair becomes U+FFFD."""
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def _usage(last: Mapping[str, Any]) -> Usage:
    def number(name: str) -> int | None:
        value = last.get(name)
        return value if isinstance(value, int) and value >= 0 else None

    def seconds(name: str) -> float | None:
        nanoseconds = number(name)
        return None if nanoseconds is None else nanoseconds / 1e9

    return Usage(
        prompt_tokens=number("prompt_eval_count"),
        completion_tokens=number("eval_count"),
        load_s=seconds("load_duration"),
        prefill_s=seconds("prompt_eval_duration"),
        decode_s=seconds("eval_duration"),
        cached_tokens=number("prompt_cached_count" if "prompt_cached_count" in last else "prompt_eval_cached_count"),
    )
