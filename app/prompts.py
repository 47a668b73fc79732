"""`flow prompts show`: the first request of a node, made as a run makes it, but for a run that is never kept.

The run's row lies in a database of its own, in a temporary folder; no server is asked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..configs.catalog import load_catalog
from ..configs.model_settings import ROLES
from ..context.request_parts import Part, request_parts
from ..core.events import EventRecord, Noticed, Phase
from ..core.masking import SecretMask
from ..core.messages import CallKey, ModelReply, ModelRequest
from ..core.ports import OnProgress
from ..core.tool_names import ToolNames
from ..graphs.find import Loaded
from ..graphs.preview import Preview, preview_call
from ..llm import ollama_wire, openai_wire
from ..llm.probe import LARGEST_DEFAULT_WINDOW, choose_window
from ..llm.server_info import ModelDetails
from ..nodes.agent_loop import AgentLoop
from ..nodes.agents import agent_task
from ..nodes.deps import no_other_model
from ..nodes.first_messages import too_large
from ..nodes.window import prompt_tokens, share_in
from ..retrieval.files import require_rules
from ..runs.changes import require_git
from ..runs.lease import RunLease, take_lease
from ..runs.store import RunRow, RunStore
from ..tools.sandboxes import choose_sandbox
from .checkout import begin
from .compose import RunParts, background_jobs, node_deps, run_retriever
from .context import AppContext
from .driving import run_facts
from .graphs import load_graph
from .kept_graph import graph_fields
from .mentions import MentionParts, attach_mentions, texts_of
from .model_pool import ROLE_OF_TYPE
from .models import role_grammar
from .run import RunRequest, given_inputs
from .secrets import make_mask
from .sink import StoreSink
from .spending import run_limits
from .tool_profiles import ToolProfiles


@dataclass(frozen=True, slots=True)
class ShownPrompt:
    """The first request of a node.

    Attributes:
        node: its path; `role`: its type.
        model: as the settings name it; "" = the one that a run would choose.
        window, max_tokens: of the model, and of the longest reply, in tokens.
        window_from: where the window is known from, for people.
        tokens: of the whole request, estimated as a run does before it sends it.
        parts: what of it they are.
        open: expressions that only a run can fill; they stand in the request as the graph has them.
        body: what goes over the wire.
        notices: what a run would tell meanwhile, one line each.
    """

    node: str
    role: str
    graph: str
    model: str
    window: int
    window_from: str
    max_tokens: int
    tokens: int
    parts: tuple[Part, ...]
    open: tuple[str, ...]
    body: Mapping[str, Any]
    notices: tuple[str, ...]


@dataclass(slots=True)
class _UnaskedModel:
    """A model that is described, never asked (core.ports.ChatModel)."""

    name: str
    window: int

    async def complete(self, request: ModelRequest, on_progress: OnProgress) -> ModelReply:
        raise RuntimeError("a request that is only shown was sent")


class _Notices:
    """Keeps what a run would tell (app.context.Watcher)."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def record(self, record: EventRecord) -> None:
        if record.type == Noticed.type:
            self.notice(record.data["text"])

    def progress(self, node: str, phase: Phase, amount: int) -> None:
        pass

    def notice(self, text: str) -> None:
        if text not in self.lines:
            self.lines.append(text)


@dataclass(frozen=True, slots=True)
class _Models:
    """What is known of the models of a run without a server."""

    context: AppContext
    profiles: ToolProfiles

    def details(self, wanted: str) -> ModelDetails:
        """Return what is known of the model of a role, or of an exact tag that the graph names."""
        role = ROLE_OF_TYPE.get(wanted, wanted)
        name = self.context.settings.models.for_role(role) if role in ROLES else wanted
        known = load_catalog().find(name)
        return ModelDetails(name, known.context if known else None, frozenset(), "")

    def window(self, wanted: str) -> tuple[int, str]:
        """Return a model's window, and where that is known from."""
        asked, own = self.context.settings.models.num_ctx, self.details(wanted).context_length
        if asked:
            return choose_window(asked, own), "models.num_ctx"
        if own is not None:
            return choose_window(0, own), "the catalogue"
        return LARGEST_DEFAULT_WINDOW, "assumed: models.num_ctx is not set"

    def model(self, wanted: str) -> _UnaskedModel:
        return _UnaskedModel(self.details(wanted).name, self.window(wanted)[0])

    def names(self, wanted: str, key: CallKey) -> ToolNames:
        return self.profiles.names(self.details(wanted), key)


async def show_prompt(context: AppContext, request: RunRequest, node: str) -> ShownPrompt:
    """Return the request that one node sends first; see `show_prompts`."""
    (shown,) = await show_prompts(context, request, load_graph(context, request.graph), [node])
    return shown


async def show_prompts(
    context: AppContext, request: RunRequest, loaded: Loaded, nodes: Sequence[str]
) -> list[ShownPrompt]:
    """Return the requests that nodes send first in a run that begins now.

    Commands and pages that the inputs mention are not run and not fetched. Nothing is written but the cache of the
    code index.

    Args:
        nodes: their paths, as graphs.preview.preview_call takes them.

    Raises:
        FlowError: as start_run before it asks a server, and for a node that there is not.
    """
    require_git(context.workspace)
    require_rules(context.workspace)
    given = given_inputs(loaded, request)
    models = _Models(context, ToolProfiles(context.settings.models.tool_profile))
    secrets = make_mask(b"", os.environ, context.workspace)
    options = {
        "mode": "plan",
        "start": context.start,
        "verify": secrets.mask_data(context.settings.verify or None),
        "texts": dict.fromkeys(texts_of(given, given, ""), "shown"),
    }
    with TemporaryDirectory(prefix="flow-") as folder, RunStore(Path(folder) / "runs.db") as store:
        row = store.create_run(
            graph=loaded.spec.name,
            graph_source=loaded.spec.source.path,
            **graph_fields(loaded, secrets),
            input=secrets.mask_data(given),
            options=options,
            workspace=context.workspace,
        )
        with take_lease(store, row) as lease:
            return await _shown(_Run(context, loaded, row, store, lease, secrets, models), nodes)


@dataclass(frozen=True, slots=True)
class _Run:
    context: AppContext
    loaded: Loaded
    row: RunRow
    store: RunStore
    lease: RunLease
    secrets: SecretMask
    models: _Models


async def _shown(run: _Run, nodes: Sequence[str]) -> list[ShownPrompt]:
    context, store, loaded = run.context, run.store, run.loaded
    notices = _Notices()
    row = await begin(store, run.row, notices)
    sink = StoreSink(store, row.id, notices, run.secrets)
    retriever = run_retriever(context, notices.notice)
    try:
        deps = node_deps(context, _parts(run, row, sink), retriever)
        facts = run_facts(context, row, store)
        found = [preview_call(loaded, node, row.input, deps, facts) for node in nodes]
        mentions = MentionParts(context.workspace, row, store, sink, run.secrets, deps, lambda question: None)
        await attach_mentions(mentions)
        return [await _first(run, preview, notices) for preview in found]
    finally:
        retriever.close()


async def _first(run: _Run, preview: Preview, notices: _Notices) -> ShownPrompt:
    context, deps = run.context, preview.deps
    task = agent_task(preview.call, deps)
    request = await AgentLoop(task, deps).first_request()
    fault = too_large(task, deps, request.messages, len(request.tools))
    model, (window, window_from) = deps.model(task.model), run.models.window(task.model)
    counter = deps.assembler.counter
    return ShownPrompt(
        node=task.path,
        role=task.role,
        graph=run.loaded.spec.name,
        model=model.name,
        window=window,
        window_from=window_from,
        max_tokens=request.max_tokens,
        tokens=prompt_tokens(request, counter, None),
        parts=tuple(request_parts(request, task.budget.scaled(share_in(window)), counter)),
        open=preview.open,
        body=_body(context, request, run.models.details(task.model), window),
        notices=(*notices.lines, *([fault.message] if fault else [])),
    )


def _parts(run: _Run, row: RunRow, sink: StoreSink) -> RunParts:
    return RunParts(
        row,
        run.store,
        sink,
        run_limits(run.context.settings.models, run.loaded.spec.limits, row, run.store),
        run.models.model,
        run.lease,
        run.secrets,
        run.models.names,
        background_jobs(run.context, run.store, row, run.secrets),
        no_other_model,
        choose_sandbox(run.context.settings.sandbox, run.context.dirs, os.environ),
    )


def _body(context: AppContext, request: ModelRequest, details: ModelDetails, window: int) -> Mapping[str, Any]:
    """Return what goes over the wire to a server of the kind that is set; to Ollama where none is."""
    models, grammar = context.settings.models, role_grammar(details)
    if context.settings.server.kind == "openai":
        return openai_wire.request_body(
            request,
            model=details.name,
            kind="openai",
            grammar=grammar,
            temperature=models.temperature,
            think=models.think,
        )
    return ollama_wire.request_body(
        request,
        model=details.name,
        window=window,
        grammar=grammar,
        temperature=models.temperature,
        think=models.think,
        keep_alive=models.keep_alive,
    )
