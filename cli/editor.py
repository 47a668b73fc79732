"""Which editor a person has set: program and arguments, never a line for a shell. For questions and `flow memory`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from ..core.errors import UsageError

DEFAULT = "vi"
HINT = "Set VISUAL or EDITOR, for example EDITOR=nano."


def set_editor(env: Mapping[str, str]) -> list[str]:
    """Return the words of VISUAL, else of EDITOR; [] = neither is set.

    Raises:
        UsageError: its quotes are not closed.
    """
    name = next((name for name in ("VISUAL", "EDITOR") if env.get(name, "").strip()), "")
    try:
        return shlex.split(env[name]) if name else []
    except ValueError as err:
        raise UsageError(f"{name}={env[name]!r} cannot be read: {err}.", hint=HINT) from err
