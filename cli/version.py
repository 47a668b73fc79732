"""`flow version`."""

from __future__ import annotations

import platform

import typer

from .. import __version__
from .context import CliOptions
from .printing import print_json


def version(ctx: typer.Context) -> None:
    """Print the version."""
    options: CliOptions = ctx.obj
    if options.json:
        print_json({"version": __version__, "python": platform.python_version(), "platform": platform.platform()})
    else:
        print(f"flow {__version__}")
