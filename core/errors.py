"""Every error that Flowloom raises on purpose, with the exit code it ends a command with.

`ToolError` is read by the model, everything under `FlowError` is read by a person (one line, no traceback);
any other exception is a bug and surfaces as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .messages import Usage


class FlowError(Exception):
    """An error a person reads: what happened, and in `hint` what to do next ("" = nothing to add)."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class RunFailed(FlowError):
    """The graph itself ended in failure (a `fail` node or a node without a way out).

    Args:
        exit_code: what the command ends with; None keeps the class's 1.
    """

    def __init__(self, message: str, *, hint: str = "", exit_code: int | None = None) -> None:
        super().__init__(message, hint=hint)
        if exit_code is not None:
            self.exit_code = exit_code


class TookTooLong(RunFailed):
    """A visit of a node reached its `timeout`."""


class NodePaused(FlowError):
    """A node failed whose graph asks for a pause then: the run waits until a person resumes it, and tries again."""

    exit_code = 4


class UsageError(FlowError):
    """Wrong arguments, a missing input, a folder that is not what it should be."""

    exit_code = 2


class ConfigError(UsageError):
    """A settings file, an environment variable or a `-c` override that cannot be used."""


class LimitReached(FlowError):
    """A budget (tokens, node runs, model calls) would be passed by the next step; nothing was spent beyond it."""

    exit_code = 3


class NoRoom(LimitReached):
    """The server says or shows that a prompt does not fit its window; a shorter one may.

    Args:
        window: tokens that it says its window has; 0 = it does not say.
    """

    def __init__(self, message: str, *, window: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.window = window


class ModelUnavailable(FlowError):
    """No model server, no such model on it, or replies that keep breaking. The run can be resumed."""

    exit_code = 5


class ServerBusy(ModelUnavailable):
    """The server is there, but loads its model or has too much to do: it can be waited for."""


class ModelNotUsable(ModelUnavailable):
    """The server works, but it does not have this model or cannot run it: another model may do.

    Args:
        model: its name, as it was asked for.
    """

    def __init__(self, message: str, *, model: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.model = model


class GraphInvalid(FlowError):
    """A graph file that cannot be run; the message holds one line per fault, each with file:line:column."""

    exit_code = 6


class Denied(FlowError):
    """Refused by policy, by the trust store or by a person."""

    exit_code = 7


class WallTimeReached(LimitReached):
    """The wall-clock limit of the run is used up."""

    exit_code = 124


class RunInterrupted(FlowError):
    """Stopped by Ctrl-C or SIGTERM; everything up to the last finished step is saved."""

    exit_code = 130


class ModelFault(FlowError):
    """The server answered whole, but not with a usable reply, or it refuses the request.

    Args:
        usage: what the reply cost all the same; None = the model wrote none, or it is counted already.
    """

    def __init__(self, message: str, *, hint: str = "", usage: Usage | None = None) -> None:
        super().__init__(message, hint=hint)
        self.usage = usage


class ReplyCut(ModelFault):
    """The reply ended at the output limit (`done_reason` "length"): none of it may run."""


class ReplyInvalid(ModelFault):
    """The reply is complete but unusable: broken tool-call JSON, or not the schema that was asked for."""


class CassetteMismatch(FlowError):
    """A replayed request is not the recorded one; the message shows the first difference."""


class ToolError(Exception):
    """A tool's refusal, told to the model: what happened and what to try next. Never ends a run."""
