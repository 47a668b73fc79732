"""Runs the graph of ../python_graph from a program, and answers its question."""

import asyncio
import sys
from pathlib import Path

from flowloom import FlowError, Question, RunResult, run, stream

NOTES = Path(__file__).parents[1] / "python_graph" / "notes.py"


def answer(question: Question) -> str:
    """Return the answer to a question of the run: the first choice."""
    return question.choices[0]


def notes(topic: str, workspace: Path) -> RunResult:
    """Return how a run of the graph came out. Raises: FlowError: it failed."""
    return run(f"{NOTES}:graph", {"topic": topic, "count": 2}, workspace=workspace, answer=answer)


async def steps(topic: str, workspace: Path) -> list[str]:
    """Return the nodes of a run in the order in which they ended."""
    inputs = {"topic": topic, "count": 1}
    events = stream(f"{NOTES}:graph", inputs, workspace=workspace, answer=answer)
    return [event.node async for event in events if event.type == "node_end"]


if __name__ == "__main__":
    repository = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    try:
        print(notes("otters", repository).output)
        print(asyncio.run(steps("otters", repository)))
    except FlowError as err:
        sys.exit(f"{err} (exit code {err.exit_code})")
