"""Which command verifies the workspace: the setting, else what is detected and once agreed to."""

from __future__ import annotations

import shlex

from ..configs.answers import set_verify
from ..configs.detect import detect_verify
from ..core.questions import Question
from .context import AppContext, Surface

Command = str | list[str] | None


def verify_command(context: AppContext, surface: Surface, mode: str) -> Command:
    """Return the command the graph's `settings.verify` gives; None = the run goes without one.

    A detected command runs code of the repository, so a person is asked once and the answer kept. In mode auto, where
    any command may run, it is taken unasked; where nobody can be asked, it is left out and that is said.
    """
    setting = context.settings.verify
    if setting is not None:
        return setting or None
    detected = detect_verify(context.workspace)
    if detected is None:
        surface.watcher.notice("No test command is known: set one with -c verify='...'. The run goes without.")
        return None
    line = shlex.join(detected)
    if mode == "auto":
        return detected
    question = Question("human", "", f"Run `{line}` to verify changes in this repository?", ("yes", "no"))
    given = surface.answerer(question)
    if given is None:
        surface.watcher.notice(f"Nobody was there to allow `{line}`: set it with -c verify='{line}'. Not verified.")
        return None
    agreed = given.choice == "yes"
    set_verify(context.dirs, context.workspace, detected if agreed else "")
    return detected if agreed else None
