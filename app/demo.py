"""`flow demo`: a small repository with a failing test, mended by plan-and-code.

With a usable model server the model does it; without one, scripted answers go over the same wire. In the second act a
run is killed in its middle and resumed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import Denied, ModelUnavailable, RunFailed, UsageError
from .context import AppContext, Surface
from .fresh_repository import commit_all, run_in
from .resume import ResumeRequest, resume_run
from .run import RunRequest, start_run
from .servers import choose_allowed, find_server

if TYPE_CHECKING:
    from ..runs.runner import Outcome

TEST_COMMAND = (sys.executable, "-m", "unittest", "-q")


@dataclass(frozen=True, slots=True)
class Sample:
    """The sample repository: where it was made, and what the demo asks for."""

    folder: Path
    task: str


@dataclass(frozen=True, slots=True)
class TestRun:
    """One run of the sample's tests."""

    passed: bool
    output: str


def make_sample(folder: Path) -> Sample:
    """Write the sample repository into a new folder, as one commit.

    Raises:
        UsageError: the folder is not empty.
    """
    from ruamel.yaml import YAML

    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{str(folder)!r} is not empty.", hint="Name a new folder, or none.")
    sample = YAML(typ="safe").load(files(__package__).joinpath("demo", "sample.yaml").read_text("utf-8"))
    for name, text in sample["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    commit_all(folder, "Sample with a failing test")
    return Sample(folder.resolve(), sample["task"])


def run_tests(folder: Path) -> TestRun:
    """Return how the sample's own tests end now."""
    done = subprocess.run(TEST_COMMAND, cwd=folder, capture_output=True, text=True, check=False)
    return TestRun(done.returncode == 0, (done.stdout + done.stderr).strip())


async def usable_model(context: AppContext) -> str:
    """Return the model that would do the demo; "" = no server, or no model that can be chosen."""
    settings = context.settings
    try:
        return choose_allowed(settings, await find_server(settings), settings.models.for_role("main"))
    except (ModelUnavailable, Denied):
        return ""


async def run_demo(context: AppContext, sample: Sample, model: str, surface: Surface) -> Outcome:
    """Let plan-and-code mend the sample. `model` = "" takes the scripted answers."""
    inside = _inside(context, sample)
    request = RunRequest("plan-and-code", text=sample.task, inputs={"approve_plan": False})
    if model:
        return await start_run(inside, request, surface)
    with as_file(files(__package__).joinpath("demo", "script.jsonl")) as script:
        return await start_run(inside, replace(request, replay=script), surface)


async def resume_demo(context: AppContext, sample: Sample, surface: Surface) -> Outcome:
    """Go on with the sample's newest run."""
    return await resume_run(_inside(context, sample), ResumeRequest(), surface)


def run_until_killed(sample: Sample) -> str:
    """Run plan-and-code with the scripted answers in a process of its own, and kill that process with SIGKILL right
    after its first edit; return the step it was killed in.

    Raises:
        RunFailed: the process ended before there was an edit.
    """
    with as_file(files(__package__).joinpath("demo", "script.jsonl")) as script:
        words = ["run", "plan-and-code", sample.task, "--no-approve-plan", "--mode", "auto", "-o", "jsonl"]
        settings = ["-c", f"verify={json.dumps(TEST_COMMAND)}", "-c", "check=", "--replay", str(script)]
        process = subprocess.Popen(
            [sys.executable, "-m", __package__.partition(".")[0], *words, *settings],
            cwd=sample.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    with process:
        for line in process.stdout or ():
            event = json.loads(line)
            if event["type"] == "tool_end" and event["data"]["files"]:
                process.kill()
                return str(event["node"])
    raise RunFailed(f"The run ended with {process.returncode} before it edited anything.")


def sample_diff(sample: Sample) -> str:
    """Return what changed in the sample since its commit."""
    return run_in(sample.folder, ["diff", "--no-ext-diff", "--no-color"])


def _inside(context: AppContext, sample: Sample) -> AppContext:
    settings = context.settings.model_copy(update={"verify": list(TEST_COMMAND), "mode": "auto", "check": ""})
    return replace(context, workspace=sample.folder, settings=settings, start=".")
