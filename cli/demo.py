"""`flow demo`: watch a small repository being mended, with or without a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..core.errors import RunFailed
from .context import CliOptions, app_context

if TYPE_CHECKING:
    from ..app.context import AppContext
    from ..app.demo import Sample


def demo(
    ctx: typer.Context,
    folder: Path = typer.Option(None, "--in", metavar="DIR", help="Make the sample in this new folder and keep it."),
    scripted: bool = typer.Option(False, "--scripted", help="Take the scripted answers even where a model runs."),
) -> int:
    """Make a sample repository with a failing test and let plan-and-code mend it."""
    import tempfile

    options: CliOptions = ctx.obj
    context = app_context(options)
    if folder is not None:
        return _play(options, context, options.directory / folder, scripted)
    with tempfile.TemporaryDirectory(prefix="flow-demo-") as temporary:
        return _play(options, context, Path(temporary), scripted)


def _play(options: CliOptions, context: AppContext, folder: Path, scripted: bool) -> int:
    code = _first_act(options, context, folder / "durations", scripted)
    return code or _second_act(options, context, folder / "durations-killed")


def _first_act(options: CliOptions, context: AppContext, folder: Path, scripted: bool) -> int:
    import asyncio

    from ..app.demo import make_sample, run_demo, sample_diff, usable_model
    from .surface import drive, say

    model = "" if scripted else asyncio.run(usable_model(context))
    sample = make_sample(folder)
    say(options, f"Sample repository: {sample.folder}")
    _tests(options, sample, "before")
    say(options, f"Task: {sample.task}")
    say(options, f"Model: {model}" if model else "Model: scripted answers, no model is running")
    code = drive(options, context, lambda surface: run_demo(context, sample, model, surface))
    say(options, sample_diff(sample))
    return _verdict(options, sample, code)


def _second_act(options: CliOptions, context: AppContext, folder: Path) -> int:
    from ..app.demo import make_sample, resume_demo, run_until_killed
    from .surface import drive, say

    say(
        options,
        "\nSecond act: the same task from the start, and its process is killed (SIGKILL) after the first edit.",
    )
    sample = make_sample(folder)
    node = run_until_killed(sample)
    say(options, f"Killed in {node}. Now `flow resume` (scripted answers): finished steps are not repeated.")
    code = drive(options, context, lambda surface: resume_demo(context, sample, surface))
    return _verdict(options, sample, code)


def _verdict(options: CliOptions, sample: Sample, code: int) -> int:
    if not _tests(options, sample, "after") and code == 0:
        raise RunFailed("The run ended well, but the sample's tests are still red.")
    return code


def _tests(options: CliOptions, sample: Sample, when: str) -> bool:
    from ..app.demo import run_tests
    from .surface import say

    done = run_tests(sample.folder)
    say(options, f"Its tests {when}: {'green' if done.passed else 'red'}\n{_last_lines(done.output)}")
    return done.passed


def _last_lines(text: str, count: int = 4) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines()[-count:])
