"""The python node: a function of the user's, called with values by name."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.effects import Command
from ..core.errors import GraphInvalid, LimitReached, ModelUnavailable, RunFailed, RunInterrupted
from ..core.hits import Source, hit_to_dict
from ..core.ports import CallRef
from .asking import ask_person
from .call import NodeCall, NodeResult, denied
from .deps import NodeDeps
from .own_thread import in_own_thread
from .prints import prints_aside
from .retrieve import PASSAGE_TOKENS
from .user_code import Code, failure_line, load_name
from .visit_models import models_for

if TYPE_CHECKING:
    from pydantic import TypeAdapter

CONTEXT = "ctx"
"""The parameter that takes the NodeContext."""
COMMAND_TIMEOUT_S = 600.0
RETRIEVED = 8
"""Passages that a function gets unless it asks for another number."""

_MOST_SUMMARY = 120


class CommandResult(NamedTuple):
    """How a command ended. `text`: what it printed, cut in the middle where it is long."""

    exit_code: int
    text: str


class CommandDenied(RuntimeError):
    """A rule or a person refused a command of a function's."""


class _Left(BaseException):
    """Leaves a function whose run stops here; passes an `except Exception` of the user's."""


@dataclass
class NodeContext:
    """What a function of a graph may ask for, by a parameter named `ctx`.

    Attributes:
        workspace: the folder that the run works in.
        node: the visit, as events name it.
    """

    workspace: Path
    node: str
    _deps: NodeDeps
    _loop: asyncio.AbstractEventLoop
    _stopped_by: BaseException | None = None
    _commands: dict[str, int] = field(default_factory=dict)

    def command(
        self, argv: Sequence[str], *, timeout_s: float = COMMAND_TIMEOUT_S, env: Mapping[str, str] | None = None
    ) -> CommandResult:
        """Run a command in the workspace, sandboxed and journaled like that of a shell node, and wait for it.

        A function that runs again after a kill gets the results of the commands that it had run.

        Raises:
            RuntimeError: it was refused or could not be started; the message says why.
        """
        words = tuple(str(word) for word in argv)
        command = Command(words, timeout_s, env=dict(env or {}), category="read", by_graph=True)
        done = asyncio.run_coroutine_threadsafe(self._run(self._ref(command), command), self._loop)
        try:
            result = done.result()
        except BaseException as err:
            # A question to a person, or the end of the run: no business of the function's.
            self._stopped_by = err
            raise _Left from err
        if result.denied:
            raise CommandDenied(result.text)
        if result.exit_code is None:
            raise RuntimeError(result.text)
        return CommandResult(result.exit_code, result.text)

    def retrieve(
        self, query: str, source: Source, k: int = RETRIEVED, within: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Return the best passages of the code or the documents, as a retrieve node gives them.

        Args:
            source: "code" or "docs".
            within: globs of paths, or names of collections; () = all.
        """
        found = self._deps.toolbox.retriever.retrieve(query, k * PASSAGE_TOKENS, (source,), within=within)
        return [hit_to_dict(hit) for hit in found[:k]]

    async def _run(self, ref: CallRef, command: Command) -> Any:
        effects = self._deps.toolbox.effects
        earlier = await effects.recover(ref, ask_person)
        return earlier if earlier is not None else await effects.run(ref, command, "read", ask_person)

    def _ref(self, command: Command) -> CallRef:
        """Return the command's name in the journal: what it is, and the how manieth of its kind."""
        said = json.dumps([command.argv, sorted(command.env.items())])
        key = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        self._commands[key] = self._commands.get(key, 0) + 1
        return CallRef(self.node, f"command-{key}-{self._commands[key]}")


class PythonCall:
    """A function of a graph's as a node type (nodes.call.NodeType).

    Args:
        name: of the function in the code.

    Raises:
        GraphInvalid: the code cannot be run, has no such function, or type hints that cannot be checked.
    """

    def __init__(self, code: Code, name: str) -> None:
        self._code = code
        self._function: Callable[..., Any] = load_name(code, name)
        self._title = f"{code.shown}:{name}"
        if not callable(self._function):
            raise GraphInvalid(f"{code.shown}: {name!r} is no function.")
        try:
            self._signature = inspect.signature(self._function, eval_str=True)
        except (TypeError, ValueError, NameError, AttributeError, SyntaxError) as err:
            raise GraphInvalid(f"{code.shown}: the parameters of {name!r} cannot be read: {err}.") from err
        self._types = {each.name: self._adapter(each.annotation) for each in self._signature.parameters.values()}
        self._returns = self._adapter(self._signature.return_annotation)

    async def __call__(self, call: NodeCall, deps: NodeDeps) -> NodeResult:
        """Return the function's value as JSON data.

        Raises:
            RunFailed: an argument does not fit its type hint, the function failed, or its value is no JSON data.
        """
        context = NodeContext(deps.toolbox.workspace, call.label, deps, asyncio.get_running_loop())
        arguments = self._arguments(call, call.fields.get("with") or {}, context)
        deps.events.progress(call.label, "running command")
        try:
            with prints_aside(), models_for(call.label, deps, namespace=_namespace()):
                result = await in_own_thread(lambda: self._run(call, arguments), call.label)
        except _Left as err:
            raise (context._stopped_by or err) from None
        if context._stopped_by is not None:
            raise context._stopped_by
        value = deps.toolbox.secrets.mask_data(self._value(call, result))
        return NodeResult(value, json.dumps(value, ensure_ascii=False)[:_MOST_SUMMARY])

    def _run(self, call: NodeCall, arguments: inspect.BoundArguments) -> Any:
        try:
            result = self._function(*arguments.args, **arguments.kwargs)
            return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result
        except (LimitReached, RunInterrupted, ModelUnavailable, RunFailed):
            raise  # told by a model that it asked
        except CommandDenied as err:
            raise denied(call, f"{failure_line(err, self._code)}.") from err
        except (Exception, SystemExit) as err:
            raise RunFailed(f"{call.path}: {failure_line(err, self._code)}.") from err

    def _arguments(self, call: NodeCall, given: Mapping[str, Any], context: NodeContext) -> inspect.BoundArguments:
        arguments = self._signature.bind_partial()
        more = next((p.name for p in self._signature.parameters.values() if p.kind is p.VAR_KEYWORD), "")
        if CONTEXT in self._signature.parameters and CONTEXT not in given:
            arguments.arguments[CONTEXT] = context
        for name, value in given.items():
            if name in self._types and name != more:
                arguments.arguments[name] = self._checked(call, name, value)
            elif more:
                arguments.arguments.setdefault(more, {})[name] = self._checked(call, more, value)
            else:
                raise RunFailed(f"{call.path}: {self._title} takes no {name!r}.")
        missing = [
            each.name
            for each in self._signature.parameters.values()
            if each.default is each.empty
            and each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
            and each.name not in arguments.arguments
        ]
        if missing:
            raise RunFailed(f"{call.path}: {self._title} needs {', '.join(missing)}; give them in 'with'.")
        return arguments

    def _checked(self, call: NodeCall, name: str, value: Any) -> Any:
        from pydantic import ValidationError

        adapter = self._types[name]
        if adapter is None or name == CONTEXT:
            return value
        try:
            return adapter.validate_python(value)
        except ValidationError as err:
            raise RunFailed(f"{call.path}: {name!r} of {self._title} {_fault(err)}.") from err

    def _value(self, call: NodeCall, result: Any) -> Any:
        from pydantic import ValidationError
        from pydantic_core import PydanticSerializationError, to_jsonable_python

        try:
            if self._returns is not None:
                result = self._returns.validate_python(result)
            value = to_jsonable_python(result)
            json.dumps(value, allow_nan=False)
        except ValidationError as err:
            raise RunFailed(f"{call.path}: the value of {self._title} {_fault(err)}.") from err
        except (PydanticSerializationError, ValueError, TypeError, RecursionError) as err:
            reason = " ".join(str(err).split())
            raise RunFailed(f"{call.path}: the value of {self._title} is no JSON data: {reason}.") from err
        return value

    def _adapter(self, hint: Any) -> TypeAdapter[Any] | None:
        """Return what checks values of a type hint; None = it says nothing."""
        from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

        if hint in (inspect.Parameter.empty, Any, NodeContext) or isinstance(hint, str):
            return None
        try:
            return TypeAdapter(hint)
        except (PydanticSchemaGenerationError, PydanticUserError) as err:
            reason = str(err).partition("\n")[0].rstrip(".")
            raise GraphInvalid(f"{self._title}: the type hint {hint!r} cannot be checked: {reason}.") from err


def _namespace() -> str:
    """Return LangGraph's namespace of the visit; "" = none runs it."""
    from langgraph.config import get_config

    try:
        return str(get_config()["metadata"].get("langgraph_checkpoint_ns", ""))
    except RuntimeError:
        return ""


async def _awaited(result: Any) -> Any:
    return await result


def _fault(err: Any) -> str:
    """Return what a pydantic error says first, as the end of a sentence."""
    first = err.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"does not fit its type hint: {f'{place}: ' if place else ''}{first['msg']}"
