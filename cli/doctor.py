"""`flow doctor`: what works on this machine, and what to do about what does not."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from ..core.errors import ConfigError
from .context import CliOptions, load_setup
from .printing import print_json, visible

if TYPE_CHECKING:
    from ..app.doctor import Check
    from ..configs.settings import Settings


def doctor(
    ctx: typer.Context,
    as_json: bool = typer.Option(False, "--json", help="The same as -o json."),
) -> int:
    """Check this machine: programs, folders, model server, models, embeddings.

    Exit code 5 when the model server or a model is missing, 2 when something else fails, else 0.
    """
    import asyncio

    from ..app.doctor import examine, exit_code
    from ..configs.dirs import find_dirs

    options: CliOptions = ctx.obj
    settings, first = _settings(options)
    checks = [*first, *asyncio.run(examine(settings, find_dirs(options.env), options.env))]
    code = exit_code(checks)
    if as_json or options.json:
        print_json({"exit_code": code, "checks": [asdict(check) for check in checks]})
    else:
        _print(checks)
    return code


def _settings(options: CliOptions) -> tuple[Settings, list[Check]]:
    """Return the settings, or the built-in ones with a failed check when they cannot be used."""
    from ..app.doctor import Check
    from ..configs.settings import Settings

    try:
        loaded = load_setup(options).loaded
    except ConfigError as err:
        text = f"{err.message} The checks below use the built-in settings."
        return Settings(), [Check("settings", "fail", text, err.hint)]
    return loaded.settings, [Check("settings", "warn", notice) for notice in loaded.notices]


def _print(checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(f"{check.status:4}  {check.name:{width}}  {visible(check.text)}")
        if check.fix and check.status != "ok":
            print(f"{'':4}  {'':{width}}  -> {visible(check.fix)}")
