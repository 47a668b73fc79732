"""A run's models as LangChain's own kind of model, for the code of graphs: `from flowloom import chat_model`.

Imports langchain_core, which the package does only when the name is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from pydantic import BaseModel, ConfigDict

from ..core.errors import RunFailed, UsageError
from ..core.json_models import inline_model
from ..core.messages import ToolDef
from ..llm.structured import read_structured
from .chat_messages import our_messages, their_message
from .visit_models import VISIT_MODELS, Asked, VisitModels, step_name


class FlowChatModel(BaseChatModel):
    """A model of the run; see `chat_model`."""

    model_config = ConfigDict(extra="forbid")

    role: str = "main"
    max_tokens: int | None = None

    @property
    def _llm_type(self) -> str:
        return "flowloom"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.role, "max_tokens": self.max_tokens}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with tools that it may call.

        Args:
            tools: whatever LangChain takes as tools.
            tool_choice: None or "auto" = as the model likes; "none" = it may call none; "any", "required" or True =
                a reply without a call is asked again; the name of a tool = that one must be called.
            kwargs: what is meant for one vendor's model (`strict`, `parallel_tool_calls`) changes nothing.
        """
        known = [_definition(tool) for tool in tools]
        choice = tool_choice["function"]["name"] if isinstance(tool_choice, dict) else tool_choice
        if isinstance(choice, str) and choice not in ("auto", "none", "any", "required"):
            known = [tool for tool in known if tool.name == choice]
            if not known:
                raise ValueError(f"tool_choice={choice!r} names none of the tools")
        must_call = bool(choice) and choice not in ("auto", "none")
        return self.bind(offered=() if choice == "none" else tuple(known), must_call=must_call)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Return what answers with values of a schema, checked; a reply that does not fit is asked again once.

        Args:
            schema: a pydantic model, whose instances are given back; a TypedDict, a dataclass or a JSON Schema, for
                which plain data are.
            include_raw: give {"raw": the message, "parsed": the value, "parsing_error": None} instead.
            kwargs: `method` and `strict` change nothing: the server is given the schema, and the reply is checked.
        """
        is_model = isinstance(schema, type) and issubclass(schema, BaseModel)
        model: type[BaseModel] = schema if is_model else inline_model(convert_to_json_schema(schema))  # type: ignore[assignment]

        def read(message: AIMessage) -> Any:
            found = read_structured(str(message.content), model)
            value = found if is_model else found.model_dump()
            return {"raw": message, "parsed": value, "parsing_error": None} if include_raw else value

        return self.bind(reply_schema=model) | RunnableLambda(read)

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Return the replies to several inputs, asked side by side in the order of the inputs."""
        _models(self.role).require_thread()
        # Threads would ask in any order, and requests are named by their order.
        return asyncio.run(self.abatch(inputs, config, return_exceptions=return_exceptions, **kwargs))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        models = _models(self.role)
        said = models.ask_and_wait(self._asked(models, messages, run_manager, kwargs))
        return _result(their_message(said), stop)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        models = _models(self.role)
        said = await models.ask(self._asked(models, messages, run_manager, kwargs))
        return _result(their_message(said), stop)

    def _asked(
        self, models: VisitModels, messages: list[BaseMessage], run_manager: Any, options: dict[str, Any]
    ) -> Asked:
        try:
            told = our_messages(messages)
        except ValueError as err:
            raise RunFailed(f"{models.label}: {err}.") from err
        return Asked(
            self.role,
            told,
            options.get("offered", ()),
            options.get("reply_schema"),
            options.get("must_call", False),
            options.get("max_tokens") or self.max_tokens,
            _place(models, (run_manager.metadata if run_manager else None) or {}),
        )


def chat_model(role: str = "main", *, max_tokens: int | None = None) -> FlowChatModel:
    """Return a model of the run as a LangChain chat model, for nodes of graphs in Python and functions of nodes.

    What it is asked is counted, held to the run's limits, recorded, kept over a kill and stopped with the run, like
    what agents ask; servers, fallbacks and prices are those of the settings. It can be made anywhere, and answers
    only in a node of a run: outside of one it raises a UsageError.

    Args:
        role: of the settings ("main", "light", ...), or the exact tag of a model, written out in the graph's code.
        max_tokens: of a reply; None = as in the settings.
    """
    return FlowChatModel(role=role, max_tokens=max_tokens)


def _models(role: str) -> VisitModels:
    models = VISIT_MODELS.get()
    if models is None:
        raise UsageError(
            f"chat_model({role!r}) answers only in a node of a run of flow.",
            hint="Start the graph by `flow run file.py:graph` or flowloom.run; a thread of your own needs the node's "
            "context (contextvars.copy_context).",
        )
    return models


def _definition(tool: Any) -> ToolDef:
    said = convert_to_openai_tool(tool)["function"]
    nothing: dict[str, Any] = {"type": "object", "properties": {}}
    return ToolDef(said["name"], said.get("description", ""), said.get("parameters") or nothing)


def _place(models: VisitModels, metadata: dict[str, Any]) -> str:
    """Return which node asks of a graph that runs inside of the visit, "inner[2]#3"; "" = the visit itself."""
    namespace = str(metadata.get("langgraph_checkpoint_ns", ""))
    depth = models.namespace.count("|") + 1
    names = [part.partition(":")[0] for part in namespace.split("|")[depth:]]
    return step_name("/".join(names), metadata) if names else ""


def _result(message: AIMessage, stop: list[str] | None) -> ChatResult:
    if stop:
        # Servers differ in what they take, and what comes back is the same.
        ends = [place for word in stop if (place := str(message.content).find(word)) >= 0]
        message.content = str(message.content)[: min(ends)] if ends else message.content
    return ChatResult(generations=[ChatGeneration(message=message)])
