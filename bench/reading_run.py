"""The run that startup and requests look at: ten reading calls, one edit and a final text, by one coder node."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flowloom.llm.answers import Call, Reply

from .model_server import Asked, ModelServer, model_server
from .process import FLOW, Ran, flow_env, run_process
from .sample import write_sample

FILES = 240
REQUESTS = 12
_LINES_A_READ = 60

_GRAPH = """flow: 1
name: reading
input: {{task: {{type: string, required: true, positional: true}}}}
nodes:
  work: {{type: coder, prompt: "{{{{ input.task }}}}"{budget}}}
edges:
  - [START, work, END]
"""
_NO_CONTEXT = ", budget: {repo_map: 0, code: 0}"


@dataclass(frozen=True, slots=True)
class Reading:
    """One finished run: what the process cost, and its twelve requests."""

    ran: Ran
    asked: list[Asked]

    @property
    def first_request_s(self) -> float:
        """Seconds from the start of the process to its first model request."""
        return self.asked[0].arrived - self.ran.started

    @property
    def gaps_s(self) -> list[float]:
        """Seconds from each answer to the request that follows it."""
        return [after.arrived - before.answered for before, after in zip(self.asked, self.asked[1:], strict=False)]


class ReadingRuns:
    """Runs the same task again and again in one generated repository, with one home, so that its index is warm."""

    def __init__(self, folder: Path, server: ModelServer, target: str, task: str) -> None:
        self._folder = folder
        self._server = server
        self._target = target
        self._task = task

    def run(self, *, repository_context: bool) -> Reading:
        """Return one run from a clean tree; without repository context the budgets of map and code are 0."""
        repo = self._folder / "repo"
        graph = "with-context.yaml" if repository_context else "without-context.yaml"
        words = [*FLOW, "run", str(self._folder / graph), self._task, "--mode", "auto", "-q", "-c", "verify="]
        ran = run_process(words, cwd=repo, env=flow_env(self._folder / "home", self._server.url))
        asked = self._server.take()
        if len(asked) != REQUESTS or '"""Write' not in (repo / self._target).read_text("utf-8"):
            raise RuntimeError(f"the run made {len(asked)} requests of {REQUESTS}, or not its edit")
        subprocess.run(["git", "checkout", "-q", "."], cwd=repo, check=True)
        return Reading(ran, asked)


@contextmanager
def reading_runs() -> Iterator[ReadingRuns]:
    """Give the repository, the graphs and the server of the run, after one run that warmed the index."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        modules = write_sample(folder / "repo", FILES)
        (folder / "with-context.yaml").write_text(_GRAPH.format(budget=""), "utf-8")
        (folder / "without-context.yaml").write_text(_GRAPH.format(budget=_NO_CONTEXT), "utf-8")
        target = modules[len(modules) // 2]
        function = f"_dump_{Path(target).parent.name}_{Path(target).stem.partition('_')[0]}"
        with model_server(_script(modules, target, function)) as server:
            runs = ReadingRuns(folder, server, target, f"Add a docstring to the function {function} in file {target}")
            runs.run(repository_context=True)
            yield runs


def _script(modules: list[str], target: str, function: str) -> list[Reply]:
    read = [target, *[module for module in modules if module != target][:: len(modules) // 6][:6]]
    head = f"def {function}(rows, stream):"
    calls = [
        *(Call("read_file", {"path": path, "offset": 1, "limit": _LINES_A_READ}) for path in read),
        Call("grep", {"pattern": function, "path": "depot"}),
        Call("glob", {"pattern": "**/*shelf*.py", "path": "depot"}),
        # Stands for the `ls` that other agents have.
        Call("glob", {"pattern": "depot/orders/*"}),
        Call(
            "edit_file",
            {
                "path": target,
                "old_text": f"{head}\n",
                "new_text": f'{head}\n    """Write one line for each row, sorted by number."""\n',
            },
        ),
    ]
    return [*(Reply(calls=[call]) for call in calls), Reply(f"{function} has a docstring now.")]
