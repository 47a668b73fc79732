"""What people read of models and of what they used: in the progress of a run and in `flow runs show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .printing import node_name, one_line

if TYPE_CHECKING:
    from ..core.events import EventRecord
    from ..runs.steps import Step
    from ..runs.usage import ModelUse

_HEAD = ("STEP", "NODE", "MODEL", "CALLS", "PROMPT", "KEPT", "CACHED", "REPLY", "PROMPT/S", "REPLY/S")


def models_text(models: Mapping[str, str]) -> str:
    """Return the model of the role main, and those of the roles that have another one."""
    main = models.get("main", "")
    return ", ".join([main, *(f"{role} {name}" for role, name in models.items() if name and name != main)])


def replaced_text(data: Mapping[str, Any]) -> str:
    """Return which model took over from which, for what and why; `data` is of a model_replaced event."""
    places = ", ".join(data["roles"])
    return f"{data['model']} takes over from {data['wanted']} for {places}: {one_line(data['reason'])}"


def note_text(record: EventRecord) -> str:
    """Return one line about a notice, a model_replaced or an undo event."""
    if record.type == "notice":
        return f"Note: {record.data['text']}"
    if record.type == "model_replaced":
        return f"Note: {replaced_text(record.data)}"
    return f"Taken back: {record.data['commit'][:10] or ', '.join(record.data['files'])}"


def call_text(data: Mapping[str, Any]) -> str:
    """Return one line about a model call; `data` is of its event, older ones lack fields."""
    cached = "" if data.get("cached_tokens") is None else f" ({data['cached_tokens']} cached)"
    facts = [
        str(data["model"]),
        f"{data['seconds']:.1f} s",
        f"{_known(data['prompt_tokens'])}{cached} + {_known(data['completion_tokens'])} tokens",
    ]
    if estimated := data.get("estimated_tokens"):
        facts.append(f"about {estimated} more")
    if data.get("cost") is not None:
        facts.append(f"cost {cost_text(data['cost'])}")
    if data.get("fault"):
        facts.append(f"no use ({data['fault']})")
    if data["calls"]:
        facts.append(f"calls {', '.join(data['calls'])}")
    return ", ".join(facts)


def compacted_text(data: Mapping[str, Any]) -> str:
    """Return one line about a compaction; `data` is of its event."""
    how = {
        "results": "old results are shown short",
        "summary": f"{data['left_out']} messages are summed up",
        "window": f"{data['left_out']} messages are left out",
    }
    return f"compacted from {data['before_tokens']:,} to {data['after_tokens']:,} tokens: {how[data['how']]}"


def changed_course_text(record: EventRecord) -> str:
    """Return one line about a model_retry or a compacted event."""
    if record.type == "compacted":
        return compacted_text(record.data)
    return f"asked again: {one_line(record.data['reason'])}"


def cost_text(cost: float) -> str:
    """Return an amount of money to four digits, or to the first two that are not 0."""
    return f"{cost:,.4f}" if cost >= 0.001 or cost == 0 else f"{cost:.2g}"


def used_text(used: ModelUse) -> str:
    """Return what model calls used, in a line."""
    facts = [f"{used.prompt_tokens:,} prompt"]
    if used.cached_tokens is not None:
        facts[0] += f" ({used.cached_tokens:,} of them cached)"
    facts[0] += f" + {used.completion_tokens:,} completion tokens"
    if used.estimated_tokens:
        facts.append(f"about {used.estimated_tokens:,} that the server did not report")
    if used.cost is not None:
        facts.append(f"cost {cost_text(used.cost)}")
    return ", ".join(facts)


def use_table(steps: Sequence[Step], total: ModelUse) -> list[tuple[str, ...]]:
    """Return the rows of a table of what each step's model calls used, with its head and the sum; [] = none did.

    Tokens, and tokens a second; "?" = the server did not tell, "~" in front = partly our estimate. KEPT is the share
    of a request that stands unchanged at the front of the next one of its step, "-" where there is no next one.
    """
    asking = [step for step in steps if step.used.calls]
    if not asking:
        return []
    rows = [(str(step.number), node_name(step.node), step.model, *_use_cells(step.used)) for step in asking]
    rows.append(("all", "", "", *_use_cells(total)))
    if total.cost is None:
        return [_HEAD, *rows]
    costs = ["COST", *(_cost_cell(used) for used in (*(step.used for step in asking), total))]
    return [(*row, cost) for row, cost in zip([_HEAD, *rows], costs, strict=True)]


def _use_cells(used: ModelUse) -> tuple[str, ...]:
    about = "~" if used.estimated_tokens else ""
    cached = "?" if used.cached_tokens is None else f"{used.cached_tokens:,}"
    speeds = (_speed(used.prompt_per_s), _speed(used.completion_per_s))
    prompt, reply = f"{about}{used.prompt_tokens:,}", f"{about}{used.completion_tokens:,}"
    return (str(used.calls), prompt, _share(used.kept_share), cached, reply, *speeds)


def _share(share: float | None) -> str:
    """Return a share to three digits, rounded down: 1.000 says that nothing is missing."""
    return "-" if share is None else f"{int(share * 1000) / 1000:.3f}"


def _speed(per_s: float | None) -> str:
    return "?" if per_s is None else f"{per_s:,.0f}" if per_s >= 10 else f"{per_s:.1f}"


def _cost_cell(used: ModelUse) -> str:
    return "?" if used.cost is None else cost_text(used.cost)


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)
