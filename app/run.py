"""Starting runs and driving them: from a request to an Outcome. Used by the CLI, the demo, programs and resume.py."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..configs.model_settings import ROLES
from ..configs.settings import Settings
from ..core.errors import UsageError
from ..core.events import QuestionAnswered
from ..core.masking import SecretMask
from ..core.questions import Answer
from ..core.texts import shortened
from ..graphs.find import Loaded
from ..graphs.input_words import read_words
from ..graphs.inputs import positional_input, read_inputs
from ..graphs.named_models import asks_models, named_models
from ..nodes.title import text_title
from ..retrieval.files import require_rules
from ..runs.changes import require_git
from ..runs.kept_secrets import new_key
from ..runs.lease import require_free_workspace, take_lease
from ..runs.store import RunRow, RunStore, new_run_id
from ..runs.versions import require_readable
from .checkout import WORKTREE_HINT, begin_or_undo, continue_in, plan_worktree
from .context import AppContext, Surface, runs_db
from .driving import drive
from .graphs import load_graph
from .kept_graph import check_graph, graph_fields
from .mentions import texts_of
from .model_pool import ModelPool
from .models import Preflight, connect, record_file
from .resume import Held, ResumeRequest
from .secrets import keep_mask, kept_mask, make_mask, masked_answer
from .sink import StoreSink
from .spending import RUN_LIMITS, require_prices
from .verify import detected_check, keep_verify, needs_verify, verify_command

if TYPE_CHECKING:
    from ..runs.runner import Outcome
    from .replaying import Replay


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What `flow run` was asked for.

    Attributes:
        graph: a graph's name or a file's path.
        text: the plain argument, for the graph's positional input; None = not given.
        text_is_read: True when it came from a file or a pipe, so that others may have written it.
        inputs: further inputs by name.
        words: the words of a command line that only the graph can read: its inputs as options
            (`--no-approve-plan`), the plain argument.
        own_options: the other options of that command line, which a wrong word may have meant.
        record, replay: a cassette to write, or to answer from; at most one of them.
        max_tokens, max_time_s, max_model_calls, max_node_runs: limits of this run in place of the graph's; None = the
            graph's.
        max_cost: in the currency of models.prices; None = no limit.
        worktree: work in a checkout made for the run, from the last commit, instead of in the workspace.
    """

    graph: str
    text: str | None = None
    text_is_read: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    own_options: tuple[str, ...] = ()
    record: Path | None = None
    replay: Path | None = None
    max_tokens: int | None = None
    max_time_s: float | None = None
    max_cost: float | None = None
    max_model_calls: int | None = None
    max_node_runs: int | None = None
    worktree: bool = False


async def start_run(
    context: AppContext, request: RunRequest, surface: Surface, loaded: Loaded | None = None
) -> Outcome:
    """Run a graph from its start.

    Args:
        loaded: the graph, for a run that nobody resumes; None = the one that the request names.

    Raises:
        LeaseLost: another process took the run over, or may have; this one has written nothing since.
        FlowError: nothing was started; once there is a run, its Outcome says how it ended.
    """
    if request.record and request.replay:
        raise UsageError("--record and --replay cannot be given together.")
    require_git(context.workspace)
    require_rules(context.workspace)
    loaded = loaded or load_graph(context, request.graph)
    inputs = read_inputs(loaded.spec, given := given_inputs(loaded, request))
    if any(node.type == "retrieve" for node in loaded.spec.nodes.values()):
        from .docs import require_documents  # late: what reads documents takes a while to import

        require_documents(context, loaded.spec.nodes.values(), inputs)
    read = positional_input(loaded.spec) if request.text_is_read else ""
    run_id = new_run_id()
    options, folder = _planned(context, request, run_id)
    options["texts"] = texts_of(inputs, given, read)
    secrets = make_mask(new_key(), os.environ, context.workspace)
    inputs = secrets.mask_data(inputs)
    with RunStore(runs_db(context)) as store, _server(options, folder, secrets) as replaying:
        if options["mode"] != "plan":
            require_free_workspace(store, str(folder), hint=WORKTREE_HINT)
        settings = _settings(context.settings, replaying)
        async with aclosing(
            await _connect(settings, loaded, options, folder, secrets, _preflight(context, surface), replaying)
        ) as pool:
            require_prices(settings.models, options, pool.names.values())
            # After the connection: nobody is asked for a run that cannot begin.
            verify = verify_command(context, surface, options["mode"]) if needs_verify(loaded.file_nodes) else None
            options["verify"] = secrets.mask_data(verify)
            options["check"] = detected_check(context, surface, options["mode"], loaded.nodes)
            with store.change():
                keep_verify(store.blobs_folder(run_id), verify, options["verify"])
                row = _new_run(context, store, loaded, inputs, {**options, **pool.stored()}, run_id, secrets)
                lease = take_lease(store, row, on_lost=surface.stop.set, hint=WORKTREE_HINT)
            with lease:
                keep_mask(secrets, store.blobs_folder(row.id))
                row = await begin_or_undo(store, row, surface.watcher)
                return await drive(context, loaded, Held(row, store, lease), pool, surface, secrets, resumed=False)


async def go_on(context: AppContext, request: ResumeRequest, surface: Surface, held: Held) -> Outcome:
    """Go on with a run that this process holds.

    Raises:
        FlowError: as `resume_run`.
    """
    row, store, _ = held
    context = replace(context, workspace=Path(row.workspace))
    require_rules(context.workspace)
    loaded = load_graph(context, row.options["graph"])
    require_readable(store, row.id)
    if not request.force_graph:
        check_graph(row, loaded)
    folder = Path(row.folder)
    secrets = kept_mask(store.blobs_folder(row.id), os.environ, context.workspace, folder)
    with _server(row.options, folder, secrets) as replaying:
        settings = _with_models(_settings(context.settings, replaying), row.options["models"], request.models)
        async with aclosing(
            await _connect(settings, loaded, row.options, folder, secrets, _preflight(context, surface), replaying)
        ) as pool:
            require_prices(settings.models, _raised(row.options, request), pool.names.values())
            row = await continue_in(store, row, surface.watcher)
            row = store.claim_run(row.id)
            options = {**_raised(row.options, request), "compact": request.compact, **pool.stored()}
            row = store.update_run(row.id, options=options, **graph_fields(loaded, secrets))
            _answer_first(store, row, request.answers, surface, secrets)
            return await drive(context, loaded, held._replace(row=row), pool, surface, secrets, resumed=True)


def given_inputs(loaded: Loaded, request: RunRequest) -> dict[str, Any]:
    """Return the inputs by name, the plain argument among them.

    Raises:
        UsageError: an option that the graph does not have; it takes no plain argument; an input is given twice.
    """
    spec = loaded.spec
    options, plain = read_words(spec, request.words, request.own_options)
    given = {**options, **request.inputs}
    texts = [*([] if request.text is None else [request.text]), *plain]
    if len(texts) > 1:
        raise UsageError(
            f"`flow run` takes one INPUT, got {shortened(texts[0])} and {shortened(texts[1])}.",
            hint=f'Put the input in quotes: flow run {spec.to_run} "..."',
        )
    if not texts:
        return given
    name = positional_input(spec)
    if not name:
        raise UsageError(
            f"{spec.name} takes no plain argument, got {shortened(texts[0])}.",
            hint="Give inputs like -i NAME=VALUE.",
        )
    if name in given:
        raise UsageError(f"The input {name!r} is given twice.", hint="Give it once, plain or with -i.")
    return {**given, name: texts[0]}


def _new_run(
    context: AppContext,
    store: RunStore,
    loaded: Loaded,
    inputs: Mapping[str, Any],
    options: Mapping[str, Any],
    run_id: str,
    secrets: SecretMask,
) -> RunRow:
    return store.create_run(
        graph=loaded.spec.name,
        graph_source=loaded.spec.source.path,
        **graph_fields(loaded, secrets),
        input=dict(inputs),
        options=dict(options),
        workspace=context.workspace,
        title=text_title(str(inputs.get(positional_input(loaded.spec), ""))),
        run_id=run_id,
    )


def _planned(context: AppContext, request: RunRequest, run_id: str) -> tuple[dict[str, Any], Path]:
    """Return the options of a run that is to begin, and the folder that it will work in."""
    options = _options(context, request)
    if not request.worktree:
        return options, context.workspace
    worktree = plan_worktree(context, run_id)
    return {**options, "worktree": worktree.to_dict()}, worktree.folder


def _options(context: AppContext, request: RunRequest) -> dict[str, Any]:
    """Return what a resume needs to go on alike, but for the verify command; stored with the run."""
    return {
        "graph": request.graph,
        "start": context.start,
        "mode": context.settings.mode,
        "record": str(request.record.resolve()) if request.record else "",
        "replay": str(request.replay.resolve()) if request.replay else "",
        "max_tokens": request.max_tokens,
        "max_time_s": request.max_time_s,
        "max_cost": request.max_cost,
        "max_model_calls": request.max_model_calls,
        "max_node_runs": request.max_node_runs,
    }


def _raised(options: Mapping[str, Any], request: ResumeRequest) -> dict[str, Any]:
    limits = {name: getattr(request, name) for name in RUN_LIMITS}
    return {**options, **{name: value for name, value in limits.items() if value is not None}}


def _server(
    options: Mapping[str, Any], workspace: Path, secrets: SecretMask
) -> AbstractContextManager[Replay | None]:
    if not options["replay"]:
        return nullcontext()
    from .replaying import replay_server  # late, as below: few runs need it, and it brings an HTTP server

    return replay_server(Path(options["replay"]), workspace, secrets)


def _settings(settings: Settings, replaying: Replay | None) -> Settings:
    """Return the settings, with the replay's server in place of the configured one, and its models."""
    if replaying is None:
        return settings
    places = replaying.recorded.places
    alone: dict[str, Any] = {**{role: places.get(role, "") for role in ROLES}, "fallback": [], "role_fallback": {}}
    # Another window would come to other compactions, and so to other requests.
    alone["num_ctx"] = replaying.recorded.told("").window or settings.models.num_ctx
    server = settings.server.model_copy(update={"url": replaying.server.url, "kind": "auto"})
    models = settings.models.model_copy(update=alone)
    return settings.model_copy(update={"server": server, "models": models})


def _with_models(settings: Settings, before: Mapping[str, str], now: Mapping[str, str]) -> Settings:
    """Return the settings with the models the run had, but for the ones named anew; `models.main` replaces all."""
    chosen = {role: now.get("models.main", name) for role, name in before.items()}
    chosen.update({key.removeprefix("models."): name for key, name in now.items()})
    return settings.model_copy(update={"models": settings.models.model_copy(update=chosen)})


async def _connect(
    settings: Settings,
    loaded: Loaded,
    options: Mapping[str, Any],
    workspace: Path,
    secrets: SecretMask,
    preflight: Preflight,
    replaying: Replay | None,
) -> ModelPool:
    recorder = None
    if path := options["record"]:
        from .replaying import recorder as recorder_to

        recorder = recorder_to(Path(path), workspace, secrets)
    recorded = replaying.recorded if replaying else None
    return await connect(
        settings,
        exact_tags(loaded),
        recorder,
        preflight=preflight,
        recorded=recorded,
        replaced=options.get("replaced_tags"),
        late=recorded is None and not any(asks_models(spec) for spec in (loaded.spec, *loaded.library.values())),
    )


def _preflight(context: AppContext, surface: Surface) -> Preflight:
    return Preflight(record_file(context.dirs.cache), surface.watcher.notice)


def exact_tags(loaded: Loaded) -> tuple[str, ...]:
    """Return the model tags that nodes of the graphs and their code name themselves, roles left out."""
    coded = (name for spec in (loaded.spec, *loaded.library.values()) for name in named_models(spec))
    models = (*(node.model for node in loaded.nodes), *coded)
    return tuple(dict.fromkeys(model for model in models if model and model not in ROLES))


def _answer_first(
    store: RunStore, row: RunRow, answers: Iterable[tuple[str, Answer]], surface: Surface, secrets: SecretMask
) -> None:
    sink = StoreSink(store, row.id, surface.watcher, secrets)
    for question_id, answer in answers:
        if (given := masked_answer(answer, secrets)) is not None:
            store.close_question(row.id, question_id, given)
            sink.emit("", QuestionAnswered(question_id, given.choice, given.by))
