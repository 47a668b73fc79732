"""What a run came to, as text for stdout."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..core.hits import place_of
from .amounts import counted
from .printing import one_line, visible


def result_text(output: Any, diff: str = "") -> str:
    """Return what a run came to, for stdout: a plan, a list of changed files, a review, an answer with its sources,
    or the output as it is.

    Args:
        output: what the graph returned; None = nothing.
        diff: the unified diff of the whole run, counted by file; "" = no change.
    """
    parts: list[str] = []
    rest = output
    if _is_cited(output):
        parts, rest = [_cited_text(output)], None
    elif isinstance(output, Mapping):
        rest = {name: value for name, value in output.items() if name not in _KNOWN and value not in (None, {}, [])}
        parts += [show(output[name]) for name, show in _KNOWN.items() if output.get(name)]
    if diff:
        parts.append(change_list(diff))
    if isinstance(rest, str):
        parts.append(rest)
    elif rest not in (None, {}, []):
        parts.append(json.dumps(rest, ensure_ascii=False, indent=2))
    return visible("\n\n".join(part.strip("\n") for part in parts if part))


def _plan_text(plan: Any) -> str:
    if not isinstance(plan, Mapping):
        return f"Plan: {plan}"
    steps = [f"  {at}. {step.get('title', '')}" + _files(step) for at, step in enumerate(plan.get("steps", ()), 1)]
    return "\n".join([f"Plan: {plan.get('title', '')}", *steps])


def _files(step: Mapping[str, Any]) -> str:
    files = step.get("files") or ()
    return f"  ({', '.join(map(str, files))})" if files else ""


def _changes_text(changes: Any) -> str:
    done = [change for change in changes if isinstance(change, Mapping) and change.get("summary")]
    lines = [f"  {change.get('step') or 'repair'}: {' '.join(str(change['summary']).split())}" for change in done]
    return "\n".join(["Steps:", *lines]) if lines else ""


def _verdict_text(review: Any) -> str:
    if not isinstance(review, Mapping):
        return f"Review: {review}"
    findings = review.get("findings") or ()
    lines = [
        f"  {found.get('file', '')}:{found.get('line', 0)}: {found.get('severity', '')}: {found.get('text', '')}"
        for found in findings
    ]
    count = f", {counted(len(lines), 'finding')}" if lines else ""
    return "\n".join([f"Review: {review.get('verdict', '')}{count}", *lines])


_KNOWN: Mapping[str, Callable[[Any], str]] = {
    "plan": _plan_text,
    "changes": _changes_text,
    "verdict": _verdict_text,
}


def change_list(diff: str) -> str:
    """Return the files of a unified diff, each with the number of lines that came and went."""
    rows = [_file_counts(section) for section in re.split(r"^diff --git ", diff, flags=re.MULTILINE)[1:]]
    return "\n".join(["Changed files:", *(f"  {sign} {name}  {counts}" for sign, name, counts in rows)])


def _file_counts(section: str) -> tuple[str, str, str]:
    header, _, body = section.partition("\n@@ ")
    lines = header.split("\n")
    # "a/NAME b/NAME", or both in quotes: the second half is the name with its side.
    name = lines[0][len(lines[0]) // 2 + 1 :].replace("b/", "", 1)
    sign = "A" if "\nnew file" in header else "D" if "\ndeleted file" in header else "M"
    if not body:
        return sign, name, "binary" if "Binary files" in header else "+0 -0"
    content = body.split("\n")[1:]  # the rest of the first "@@" line is no content
    came, went = (sum(line.startswith(mark) for line in content) for mark in "+-")
    return sign, name, f"+{came} -{went}"


def _is_cited(output: Any) -> bool:
    """Return whether this is an answer with its sources, as docs-qa and research give it."""
    return (
        isinstance(output, Mapping)
        and isinstance(output.get("answer"), str)
        and isinstance(output.get("enough"), bool)
        and isinstance(output.get("sources"), list)
        and all(isinstance(each, Mapping) for each in output["sources"])
    )


def _cited_text(output: Mapping[str, Any]) -> str:
    parts = [output["answer"]]
    if output["sources"]:
        title = "Sources:" if output["enough"] else "Nearest passages:"
        parts.append("\n".join([title, *(_source_text(each) for each in output["sources"])]))
    if withheld := output.get("withheld"):
        lines = [f"  {one_line(str(each))}" for each in withheld]
        parts.append("\n".join(["Left out, since it speaks to the model that reads it:", *lines]))
    return "\n\n".join(parts)


def _source_text(source: Mapping[str, Any]) -> str:
    heading = f" ({one_line(source['heading'])})" if source.get("heading") else ""
    stale = "  [changed since it was read]" if source.get("stale") else ""
    quote = f'\n      "{one_line(source["quote"])}"' if source.get("quote") else ""
    return f"  [{source.get('number')}] {place_of(source)}{heading}{stale}{quote}"
