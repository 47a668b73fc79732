"""What an agent is told of its jobs in the background without asking: which of them have ended since it last heard.

Called by the agent loop after each round of tool calls.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..core.messages import Message, ToolCall
from ..core.ports import Jobs

_SHOWN_CHARS = 80


class JobNews(NamedTuple):
    """`text`: for the model, "" = nothing happened; `told`: numbers of the ended jobs that it knows of by now."""

    text: str
    told: list[int]

    def and_then(self, text: str) -> JobNews:
        """Return the same with another text below; "" = there is none."""
        return self._replace(text="\n\n".join(filter(None, (self.text, text))))

    def under(self, results: list[Message]) -> list[dict[str, Any]]:
        """Return the results of tool calls as they are stored, the news below the last one."""
        if self.text and results:
            results = [*results[:-1], replace(results[-1], content=f"{results[-1].content}\n\n{self.text}")]
        return [result.to_dict() for result in results]


def job_news(jobs: Jobs | None, agent: str, calls: Sequence[ToolCall], told: Collection[int]) -> JobNews:
    """Return what the agent does not know yet of the jobs that it began.

    Args:
        jobs: of the run; None = there are none.
        agent: the visit that began them.
        calls: that were just made: what one of them showed of a job need not be told again.
        told: numbers of the ended jobs that the agent knows of.
    """
    ended = [job for job in jobs.all() if job.agent == agent and not job.is_running] if jobs is not None else []
    new = [job for job in ended if job.number not in told]
    looks = [call for call in calls if call.name == "background"]
    shown = {str(call.args.get("job")) for call in looks}
    begun = {call.id for call in looks}
    lists_all = any(call.args.get("action") == "list" for call in looks)
    unseen = [job for job in new if not (lists_all or str(job.number) in shown or job.call_id in begun)]
    lines = [f"[job {job.number} in the background, {job.command[:_SHOWN_CHARS]}: {job.status()}]" for job in unseen]
    return JobNews("\n".join(lines), sorted({*told, *(job.number for job in new)}))
