"""One node of a graph written in Python, run as a visit of the run: limits, events, questions, what it wrote.

A visit is named by the node and the step of LangGraph in which it runs, `plan#3`; of several in one step each by its
number, `plan[0]#3`. So it has the same name when the run goes on after a kill.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NoReturn

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.config import get_config
from langgraph.constants import END
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.runtime import get_runtime
from langgraph.types import Command, Interrupt, Send

from ..core.errors import FlowError, LimitReached, ModelUnavailable, NodePaused, RunFailed, RunInterrupted
from ..core.events import NodeEnded, NodeFailed, NodeStarted
from ..core.questions import Question
from ..nodes.deps import NodeDeps
from ..nodes.own_thread import in_own_thread
from ..nodes.prints import prints_aside
from ..nodes.user_code import Code, failure_line
from ..nodes.visit_models import models_for, step_name
from ..tools.masked import masked_question
from .faults import listed, near
from .stored_state import masked, not_kept, pack, unpack

INVOCATION: ContextVar[str | None] = ContextVar("flow_invocation", default=None)
"""Path of the node that runs the graph which is under way; "" = it is the run's own, None = there is none."""

_PAUSES = (RunInterrupted, LimitReached, ModelUnavailable, NodePaused)


@dataclass(frozen=True, slots=True)
class Visit:
    """The visit that is under way: `label`, LangGraph's namespace of it, and what runs a graph of flow in it."""

    label: str
    namespace: str
    run: Callable[[str, str, Mapping[str, Any]], Awaitable[Any]]

    async def run_graph(self, graph: str, inputs: Mapping[str, Any]) -> Any:
        """Return what the graph gave. Raises: FlowError: it failed."""
        said = get_config()["metadata"]
        inside = str(said["langgraph_checkpoint_ns"]).removeprefix(self.namespace).strip("|")
        path = "".join(f"/{part}" for part in _inner_parts(inside, said))
        return await self.run(f"{self.label}{path}", graph, inputs)


VISIT: ContextVar[Visit | None] = ContextVar("flow_visit", default=None)


@dataclass(frozen=True, slots=True)
class PythonNode:
    """One node.

    Attributes:
        kind: of its events: "python", or "graph" where it runs a graph of flow.
        bound: what LangGraph would run.
        keys: of the state; `nodes`: names that it may go to.
        run_graph: as `Visit.run`.
        failures: takes the labels of visits that failed, by the identity of their error.
    """

    name: str
    kind: str
    bound: Runnable[Any, Any]
    code: Code
    deps: NodeDeps
    keys: frozenset[str]
    nodes: frozenset[str]
    run_graph: Callable[[str, str, Mapping[str, Any]], Awaitable[Any]]
    failures: dict[int, str]

    async def run(self, input: Any, config: RunnableConfig) -> Any:
        """Return what the node gave, checked and without secrets.

        Raises:
            RunFailed: it wrote what the state has no place for or what no checkpoint gives back.
            FlowError: a limit is reached. What the node raises is raised, once it was told.
        """
        graph = INVOCATION.get() or ""
        label, number = self._label(graph, config)
        deps = self.deps
        if (kept := deps.ends.find(label)) is not None:
            return unpack(kept)
        if deps.gate.before_node(label):
            deps.events.emit(label, NodeStarted(self.kind, number))
        started = time.monotonic()
        with self._told(label, number):
            value = self._checked(label, await self._called(label, input, config))
            packed = self._packed(label, value)
        with deps.ends.keeping(label, graph, packed):
            deps.events.emit(label, NodeEnded(number, time.monotonic() - started, _summary(value)))
        return value

    def _label(self, graph: str, config: RunnableConfig) -> tuple[str, int]:
        said = config["metadata"]
        return f"{graph}/{step_name(self.name, said)}".lstrip("/"), int(said["langgraph_step"])

    async def _called(self, label: str, input: Any, config: RunnableConfig) -> Any:
        self.deps.events.progress(label, "running command" if self.kind == "python" else "retrieving")
        namespace = str(config["metadata"].get("langgraph_checkpoint_ns", ""))
        token = VISIT.set(Visit(label, namespace, self.run_graph))
        try:
            with prints_aside(), models_for(label, self.deps, _attempt(), namespace):
                if _blocks(self.bound):
                    return await in_own_thread(lambda: self.bound.invoke(input, config), label)
                return await self.bound.ainvoke(input, config)
        finally:
            VISIT.reset(token)

    @contextmanager
    def _told(self, label: str, number: int) -> Iterator[None]:
        """Tell what the block fails with; a question leaves it as one that can be stored."""
        try:
            yield
        except GraphInterrupt as err:
            raise GraphInterrupt(
                [self._question(label, each) for each in (err.args[0] if err.args else ())]
            ) from None
        except (GraphBubbleUp, *_PAUSES):
            raise
        except FlowError as err:
            self.deps.events.emit(label, NodeFailed(number, err.message))
            raise
        except SystemExit as err:
            # It would end the process, and not the run.
            line = failure_line(err, self.code)
            self.deps.events.emit(label, NodeFailed(number, line))
            raise RunFailed(f"{label}: {line}.") from err
        except Exception as err:
            self.deps.events.emit(label, NodeFailed(number, failure_line(err, self.code)))
            # LangGraph may try it again by the type of the error, so it stays what it is.
            self.failures[id(err)] = label
            raise

    def _question(self, label: str, raised: Interrupt) -> Interrupt:
        if _is_question(raised.value):
            return raised
        question = masked_question(question_of(label, raised.value), self.deps.toolbox.secrets)
        return Interrupt(value=question.to_dict(), id=raised.id)

    def _checked(self, label: str, value: Any) -> Any:
        """Return what a node wrote. LangGraph drops a key that it does not know, and a way to nowhere, silently."""
        for each in value if isinstance(value, (list, tuple)) else (value,):
            is_command = isinstance(each, Command)
            if is_command and each.graph is not None:
                continue
            update = each.update if is_command else each
            for key in update if isinstance(update, dict) else ():
                if key not in self.keys:
                    self._refuse(label, "wrote the state key", key, self.keys)
            goto = each.goto if is_command else ()
            for target in [goto] if isinstance(goto, (str, Send)) else goto:
                if (name := str(getattr(target, "node", target))) not in (*self.nodes, END):
                    self._refuse(label, "goes to", name, self.nodes)
        return masked(value, self.deps.toolbox.secrets)

    def _refuse(self, label: str, what: str, name: str, known: frozenset[str]) -> NoReturn:
        hint = near(str(name), known)
        raise RunFailed(f"{label} {what} {name!r}, which the graph does not have{hint}; it has: {listed(known)}.")

    def _packed(self, label: str, value: Any) -> dict[str, str]:
        try:
            fault = not_kept(_plain(value))
            packed = {} if fault else pack(value)
        except (TypeError, ValueError, RecursionError) as err:
            fault, packed = " ".join(str(err).split()), {}
        if fault:
            raise RunFailed(
                f"{label} wrote what a checkpoint cannot give back ({fault}).",
                hint="Write plain data or LangChain messages; of a pydantic model its model_dump().",
            )
        return packed


def _plain(value: Any) -> Any:
    """Return what a node returned in place of an update as the update that LangGraph makes of it."""
    from pydantic import BaseModel

    return {name: getattr(value, name) for name in value.model_fields_set} if isinstance(value, BaseModel) else value


def question_of(label: str, value: Any) -> Question:
    """Return the question that `interrupt(value)` asks.

    A text is the question. Of a mapping "question", "message" or "text" is it, and "choices" or "options" what may be
    answered. Everything else is shown as JSON; where no choices are named any text is an answer.
    """
    said = value if isinstance(value, Mapping) else {}
    texts = (said.get(key) for key in ("question", "message", "text"))
    text = value if isinstance(value, str) else next((each for each in texts if isinstance(each, str)), "")
    listed_choices = next(
        (said[key] for key in ("choices", "options") if isinstance(said.get(key), (list, tuple))), ()
    )
    choices = tuple(each for each in listed_choices if isinstance(each, str) and each)
    try:
        data = json.loads(json.dumps(value, ensure_ascii=False, allow_nan=False, default=str))
    except (ValueError, RecursionError):
        data = str(value)
    shown = text or json.dumps(data, ensure_ascii=False, indent=2)
    return Question("interrupt", label, shown, choices, {"value": data})


def _is_question(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == Question("human", "", "", ()).to_dict().keys()


def _inner_parts(inside: str, said: Mapping[str, Any]) -> Iterator[str]:
    """Yield the nodes between a visit and one of a graph inside it, that one last, alike after every kill.

    Args:
        inside: its namespace below that of the visit, "NODE:TASK|NODE:TASK"; "" = it is the visit's own node.
        said: its metadata. Of the nodes above it only LangGraph's id of their task is known.
    """
    *above, last = inside.split("|")
    for each in above:
        name, _, task = each.partition(":")
        yield f"{name}[{task[:8]}]" if task else name
    if last:
        yield step_name(last.partition(":")[0], said)


def _attempt() -> int:
    """Return which try by LangGraph's own retry policy this is, from 1."""
    info = get_runtime().execution_info
    return 1 if info is None else info.node_attempt


def _blocks(bound: Any) -> bool:
    """Return whether it is a plain function, which LangGraph would run in a thread that the process waits for."""
    wrapped = getattr(bound, "afunc", None)
    return getattr(bound, "func", None) is not None and isinstance(wrapped, functools.partial)


def _summary(value: Any) -> str:
    update = value.update if isinstance(value, Command) else value
    return ", ".join(map(str, update))[:120] if isinstance(update, dict) else ""
