"""The filters of graph expressions. Called by expressions.py; every one takes and returns plain JSON data.

A value that was not written yet (None) shows as "". A ValueError is told to the person with its expression.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..core.hits import place_of
from ..llm.tokens import EstimatingCounter
from .citations import checked, language
from .hit_lists import fitting, fused, nearest, numbered_passages, quotable, withheld

_QUOTES = re.compile(r'"([^"]+)"|“([^”]+)”|「([^」]+)」')

MAX_TEXT = 10_000_000
"""Characters that one filter may produce."""


def plan_text(plan: Any) -> str:
    """Return a Plan for a person or a model to read: title, numbered steps, briefs, files, dependencies."""
    if plan is None:
        return ""
    _need(plan, Mapping, "a plan")
    lines = [str(plan.get("title") or "").strip()]
    for number, step in enumerate(plan.get("steps") or [], start=1):
        _need(step, Mapping, "a plan with steps")
        lines += ["", f"{number}. {_one_line(step.get('title'))} [{step.get('id', number)}]"]
        lines += _indented(step.get("brief"))
        for label, key in (("files", "files"), ("after", "depends_on")):
            if names := step.get(key):
                lines.append(f"   {label}: {', '.join(str(name) for name in names)}")
    return "\n".join(lines).strip()


def step_brief(step: Any) -> str:
    """Return a Step as the task of one coder: title, brief, files."""
    if step is None:
        return ""
    _need(step, Mapping, "a step")
    parts = [_one_line(step.get("title")), str(step.get("brief") or "").strip()]
    if files := step.get("files"):
        parts.append("Files: " + ", ".join(str(name) for name in files))
    return "\n\n".join(part for part in parts if part)


def findings(review: Any) -> str:
    """Return a Review's findings as a list with their places; "" when there are none."""
    if review is None:
        return ""
    items = review.get("findings") or [] if isinstance(review, Mapping) else review
    _need(items, list, "a review or a list of findings")
    lines = []
    for item in items:
        _need(item, Mapping, "a review with findings")
        line = f":{item['line']}" if item.get("line") else ""
        lines.append(
            f"- {item.get('file', '')}{line} ({item.get('severity', 'error')}): {_hanging(item.get('text'))}"
        )
    return "\n".join(lines)


def passages(hits: Any) -> str:
    """Return retrieved passages one after the other, each under its id and place; "" when there are none."""
    if hits is None:
        return ""
    _need(hits, list, "a list of hits")
    blocks = []
    for hit in hits:
        _need(hit, Mapping, "a list of hits")
        heading = f" {_one_line(hit.get('heading'))}" if hit.get("heading") else ""
        blocks.append(f"[{hit.get('id', '')}] {place_of(hit)}{heading}\n{hit.get('text', '')}")
    return "\n\n".join(blocks)


def cites_only(cites: Any, hits: Any) -> bool:
    """Return whether every cited id is the id of one of the hits; an empty list of cites is fine."""
    _need(cites or [], list, "a list of ids")
    _need(hits or [], list, "a list of hits")
    known = {hit.get("id") for hit in hits or [] if isinstance(hit, Mapping)}
    return all(cite in known for cite in cites or [])


def quotes_only(text: Any, hits: Any) -> bool:
    """Return whether everything that the text quotes ("..." or 「...」) stands in one of the hits, blanks aside."""
    _need(hits or [], list, "a list of hits")
    held = [_one_line(hit.get("text")) for hit in hits or [] if isinstance(hit, Mapping)]
    quotes = [_one_line(next(filter(None, found))) for found in _QUOTES.findall(_text(text))]
    return all(any(quote in text for text in held) for quote in quotes)


def table(rows: Any) -> str:
    """Return a list of objects as a Markdown table, columns in the order they first appear; "" when it is empty."""
    if not rows:
        return ""
    _need(rows, list, "a list of objects")
    for row in rows:
        _need(row, Mapping, "a list of objects")
    columns = list(dict.fromkeys(str(key) for row in rows for key in row))
    lines = [columns, ["---"] * len(columns), *([_cell(row.get(name)) for name in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tail(value: Any, count: int = 40) -> str:
    """Return the last lines of a text, or of a shell value with its exit code first.

    Args:
        count: number of lines; at least 1.

    Returns:
        "" for None and for a command that ended with 0.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"tail takes a number of lines of at least 1, not {count!r}")
    if value is None:
        return ""
    if isinstance(value, str):
        return _last_lines(value, count)
    _need(value, Mapping, "a text or a command's result")
    code = value.get("exit_code", 0)
    if code == 0:
        return ""
    text = _last_lines(str(value.get("text") or ""), count)
    return f"The command ended with exit code {code}.\n{text}".rstrip()


def to_json(value: Any) -> str:
    """Return the value as compact JSON, characters as they are."""
    return json.dumps(value, ensure_ascii=False)


def default(value: Any, instead: Any = "") -> Any:
    """Return `instead` for None, else the value."""
    return instead if value is None else value


def length(value: Any) -> int:
    """Return how many items, keys or characters the value has; 0 for None."""
    if value is None:
        return 0
    if not isinstance(value, (str, list, Mapping)):
        raise ValueError(f"length takes a text, a list or an object, not {kind_of(value)}")
    return len(value)


def join(items: Any, separator: str = ", ") -> str:
    """Return the items as texts with the separator between them; "" for None."""
    if items is None:
        return ""
    _need(items, list, "a list")
    texts = [item if isinstance(item, str) else to_json(item) for item in items]
    if sum(map(len, texts)) + len(separator) * len(texts) > MAX_TEXT:
        raise ValueError(f"join would make a text of more than {MAX_TEXT} characters")
    return separator.join(texts)


def first(items: Any) -> Any:
    """Return the first item; None when there is none."""
    return _end(items, 0)


def last(items: Any) -> Any:
    """Return the last item; None when there is none."""
    return _end(items, -1)


def lines(value: Any) -> list[str]:
    """Return the lines of a text, or of what a shell node printed, that hold more than blanks; [] for None."""
    if isinstance(value, Mapping):
        value = value["lines"] if "lines" in value else value.get("text")
    found = value if isinstance(value, list) else _text(value).split("\n")
    return [line for line in map(_text, found) if line.strip()]


def parts(value: Any, tokens: int) -> list[str]:
    """Return a text, or a list of lines, as texts of so many tokens at most; a longer line is cut. [] for None."""
    found = value if isinstance(value, list) else _text(value).split("\n")
    counter = EstimatingCounter()
    done: list[str] = []
    size = tokens
    for line in map(_text, found if value else []):
        cost = counter.count(f"{line}\n")
        if cost > tokens:
            # A token is at least as long as a character.
            line, cost = f"{line[: tokens // 2]}…", tokens
        if size + cost > tokens:
            done.append(line)
            size = cost
        else:
            done[-1] += f"\n{line}"
            size += cost
    return done


def pluck(items: Any, name: str) -> list[Any]:
    """Return the values of one key of a list of objects; an item that lacks it is left out. [] for None."""
    return [item[name] for item in _objects(items) if item.get(name) is not None]


def where(items: Any, name: str, value: Any = True) -> list[Any]:
    """Return the objects of a list whose key has this value; [] for None."""
    return [item for item in _objects(items) if item.get(name) == value]


def flat(items: Any) -> list[Any]:
    """Return the items of the lists of a list, one after the other; [] for None."""
    if items is None:
        return []
    _need(items, list, "a list of lists")
    for each in items:
        _need(each, list, "a list of lists")
    return [item for each in items for item in each]


def lower(value: Any) -> str:
    """Return the text in small letters; "" for None."""
    return _text(value).lower()


def upper(value: Any) -> str:
    """Return the text in capitals; "" for None."""
    return _text(value).upper()


def trim(value: Any) -> str:
    """Return the text without white space around it; "" for None."""
    return _text(value).strip()


FILTERS: Mapping[str, Callable[..., Any]] = {
    "plan_text": plan_text,
    "step_brief": step_brief,
    "findings": findings,
    "passages": passages,
    "table": table,
    "cites_only": cites_only,
    "quotes_only": quotes_only,
    "tail": tail,
    "json": to_json,
    "default": default,
    "length": length,
    "join": join,
    "first": first,
    "last": last,
    "lines": lines,
    "parts": parts,
    "pluck": pluck,
    "where": where,
    "flat": flat,
    "numbered_passages": numbered_passages,
    "fused": fused,
    "quotable": quotable,
    "withheld": withheld,
    "fitting": fitting,
    "nearest": nearest,
    "checked": checked,
    "language": language,
    "lower": lower,
    "upper": upper,
    "trim": trim,
}


def _end(items: Any, index: int) -> Any:
    if items is None:
        return None
    if not isinstance(items, (str, list)):
        raise ValueError(f"first and last take a list, not {kind_of(items)}")
    return items[index] if items else None


def _text(value: Any) -> str:
    if value is None:
        return ""
    _need(value, str, "a text")
    return str(value)


def _objects(items: Any) -> list[Mapping[str, Any]]:
    if items is None:
        return []
    _need(items, list, "a list of objects")
    for item in items:
        _need(item, Mapping, "a list of objects")
    return list(items)


def _need(value: Any, kind: type, what: str) -> None:
    if not isinstance(value, kind):
        raise ValueError(f"this takes {what}, not {kind_of(value)}")


def kind_of(value: Any) -> str:
    """Return what a person calls a value of this kind."""
    names = {
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "nothing" if value is None else type(value).__name__)


def _one_line(text: Any) -> str:
    return " ".join(str(text or "").split())


def _indented(text: Any) -> list[str]:
    return [f"   {line}".rstrip() for line in str(text or "").strip().splitlines()]


def _hanging(text: Any) -> str:
    return "\n  ".join(str(text or "").strip().splitlines())


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else to_json(value)
    return _one_line(text).replace("|", "\\|")


def _last_lines(text: str, count: int) -> str:
    lines = text.rstrip().splitlines()
    if len(lines) <= count:
        return "\n".join(lines)
    return "\n".join([f"... {len(lines) - count} lines before", *lines[-count:]])
