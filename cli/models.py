"""`flow models`: what the server has, what fits this machine, downloading a model and testing it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .context import CliOptions, app_context
from .printing import print_items, print_json, visible

if TYPE_CHECKING:
    from ..app.hardware import Memory
    from ..app.model_list import KnownModel
    from ..app.recommend import Recommendation
    from ..llm.capabilities import Capabilities

app = typer.Typer(rich_markup_mode=None, add_completion=False, help="List, choose, download and test models.")

_FITS = {
    "gpu": "fits the GPU",
    "smaller-window": "fits the GPU with this window",
    "cpu": "fits the RAM, on the CPU",
    "unknown": "size unknown",
    "too-large": "too large",
}


_CALLS = {
    "native": "calls a tool as the server's own tool call",
    "text": "writes a tool call into its text, where it is read",
    "prompt": "calls a tool as JSON that its prompt asks for, so runs ask for that",
    "none": "calls no tool when it is told to",
}


@app.command("list")
def list_models(ctx: typer.Context) -> None:
    """List the server's models and, below them, those of the catalogue that it does not have."""
    import asyncio

    from ..app.model_list import list_models as all_models

    options: CliOptions = ctx.obj
    info, models = asyncio.run(all_models(app_context(options).settings))
    if options.output == "jsonl":
        print_items([asdict(model) for model in models], "jsonl")
        return
    if options.json:
        server = {"url": info.url, "kind": info.kind, "version": info.version}
        print_json({"server": server, "models": [asdict(model) for model in models]})
        return
    print(f"{info.kind} {info.version} at {info.url}".replace("  ", " "))
    _print_known([model for model in models if model.installed], "It has no models.")
    print("\nKnown and not there (`flow models pull NAME`; `flow models recommend` says what fits):")
    _print_known([model for model in models if not model.installed], "none")


@app.command("recommend")
def recommend(
    ctx: typer.Context,
    window: str = typer.Option(
        None, "--window", metavar="N", help="Tokens of prompt and reply together, such as 32k."
    ),
) -> None:
    """Say which models of the catalogue, and of the server's own, fit this machine with the chosen window."""
    import asyncio

    from ..app.hardware import measure_memory
    from ..app.model_list import uncatalogued
    from ..app.recommend import recommend as recommended
    from ..configs.catalog import load_catalog
    from ..configs.model_settings import MAX_OWN_WINDOW
    from .amounts import read_amount

    options: CliOptions = ctx.obj
    settings = app_context(options).settings
    wanted = read_window(window, read_amount) if window else settings.models.num_ctx or MAX_OWN_WINDOW
    memory = measure_memory()
    installed, others = asyncio.run(uncatalogued(settings))
    found = recommended(load_catalog(), memory, wanted, settings.models.denied_families, installed, others)
    if options.output == "jsonl":
        print_items([asdict(one) for one in found], "jsonl")
        return
    if options.json:
        print_json({"memory": asdict(memory), "window": wanted, "models": [asdict(one) for one in found]})
        return
    _print_memory(memory, wanted)
    _print_recommended(found, memory)


@app.command("pull")
def pull(
    ctx: typer.Context,
    name: str = typer.Argument(..., metavar="NAME", help="The model's tag, or e5-small, e5-base, e5-large."),
    weights: str = typer.Option(
        "int8", "--weights", metavar="int8|fp32|torch", help="Of an embedding model: for onnx (int8, fp32), or torch."
    ),
) -> None:
    """Let the Ollama server download a model, or download weights of an embedding model. Nothing else ever does."""
    import asyncio

    from ..app.embedding import hub_model
    from ..app.model_list import pull_model

    if hub_model(name) is not None:
        _pull_weights(ctx.obj, name, weights)
        return
    options: CliOptions = ctx.obj
    progress = _Progress(options)
    try:
        asyncio.run(pull_model(app_context(options).settings, name, progress.show, progress.tell))
    finally:
        progress.end()
    if options.json:
        print_json({"model": name, "status": "success"})
    else:
        print(f"{visible(name)} is there. Test it with `flow models test {visible(name)}`.")


def _pull_weights(options: CliOptions, name: str, weights: str) -> None:
    from ..app.embedding import hub_model, pull_weights, weights_folder
    from ..core.errors import UsageError

    if weights not in ("int8", "fp32", "torch"):
        raise UsageError(f"--weights {weights!r} is no kind of weights.", hint="Choose int8, fp32 or torch.")
    model = hub_model(name)
    assert model is not None
    context = app_context(options)
    progress = _Progress(options)
    try:
        files = pull_weights(context, model, weights, options.env, progress.show)  # type: ignore[arg-type]  # checked above
    finally:
        progress.end()
    folder = weights_folder(context.dirs, model)
    if options.json:
        names = [path.relative_to(folder).as_posix() for path in files]
        print_json({"model": model.name, "folder": str(folder), "files": names, "status": "success"})
        return
    print(f"{model.name} is in {visible(str(folder))}.")
    if context.settings.embed.model != model.name:
        print(f"Use it with the setting embed.model = {model.name!r}.")


@app.command("test")
def test(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Models; those of the roles when none is named.")
    ] = None,
) -> None:
    """Ask each model for a tool call, JSON and a few tokens, and tell what it can do: tools, window, speed, memory.

    What was found is kept, and runs go by it.
    """
    import asyncio

    from ..app.model_list import check_model, models_of_roles
    from ..app.models import record_file

    options: CliOptions = ctx.obj
    context = app_context(options)
    records = record_file(context.dirs.cache)
    found = []
    progress = _Progress(options)
    try:
        for name in names or models_of_roles(context.settings):
            tell = partial(_tell_step, progress, name)
            found.append(asyncio.run(check_model(context.settings, records, name, tell)))
    finally:
        progress.end()
    if options.json:
        print_items(
            [{**asdict(one), "cpu_share": one.cpu_share, "notices": one.notices()} for one in found], options.output
        )
        return
    for one in found:
        _print_record(one)


def read_window(text: str, read_amount: Any) -> int:
    """Return a window in tokens; "32k" is 32,768, as windows are counted. Raises: UsageError."""
    amount: int = read_amount("--window", text)
    return amount // 1000 * 1024 if text.strip().endswith("k") else amount


def _print_known(models: list[KnownModel], none: str) -> None:
    if not models:
        print(f"  {none}")
        return
    width = max(len(model.name) for model in models)
    print(f"  {'NAME':{width}}  {'ROLE':5}  {'SIZE':>8}  {'WINDOW':>7}  {'TOOLS':7}  FAMILY, ORIGIN")
    for model in models:
        family = ", ".join([*model.families, model.origin]) if model.families else "unknown"
        policy = f"  DENIED (models.denied_families: {model.denied})" if model.denied else ""
        facts = f"{model.role:5}  {_size(model.size_bytes):>8}  {_tokens(model.window):>7}  {_yes(model.tools):7}"
        print(f"  {visible(model.name):{width}}  {facts}  {visible(family)}{policy}")


def _print_memory(memory: Memory, window: int) -> None:
    places = [f"{visible(gpu)}" for gpu in memory.gpus] or ["no GPU found (nvidia-smi, rocm-smi)"]
    if memory.ram:
        places.append(f"{memory.ram / 1e9:.1f} GB of RAM available")
    print(f"Memory: {'; '.join(places)}. Window: {window:,} tokens.")


def _fit_text(one: Recommendation, memory: Memory) -> str:
    if one.fit == "partly-cpu" and one.need_bytes:
        return f"{memory.gpu / one.need_bytes:.0%} of it on the GPU, slow"
    return _FITS[one.fit]


def _print_recommended(found: list[Recommendation], memory: Memory) -> None:
    if not found:
        print("The policy (models.denied_families) leaves no model of the catalogue.")
        return
    width = max(len(one.name) for one in found)
    print(f"{'NAME':{width}}  {'NEEDS':>8}  {'WINDOW':>7}  {'TOOLS':7}  FIT")
    for one in found:
        there = ", installed" if one.installed else ""
        facts = f"{_size(one.need_bytes):>8}  {_tokens(one.window):>7}  {_yes(one.tools):7}"
        print(f"{visible(one.name):{width}}  {facts}  {_fit_text(one, memory)}{there}")
    if not any(one.fit in ("gpu", "smaller-window", "cpu") for one in found):
        print("None fits as it is: ask for a smaller window with --window, or use a server on another machine.")


def _print_record(found: Capabilities) -> None:
    share = found.cpu_share
    place = "unknown" if share is None else f"{_size(found.memory_bytes)}, {1 - share:.0%} of it on the GPU"
    speeds = f"{_speed(found.prefill_per_s)} prompt, {_speed(found.decode_per_s)} reply"
    load = "unknown" if found.load_s is None else f"{found.load_s:.1f} s"
    window = f"{found.window:,} tokens" + (
        "" if found.window == found.window_asked else f" of {found.window_asked:,}"
    )
    print(visible(f"{found.model} on {found.server} {found.server_version}".strip()))
    print(f"  tools {_yes(found.tools)}, thinking {_yes(found.thinking)}, schema {_yes(found.schema)}")
    if found.calls:
        held = "keeps" if found.holds_schema else "does not keep"
        print(f"  tried: {_CALLS[found.calls]}; {held} to a JSON schema")
    print(f"  window {window}; order of roles: {found.role_grammar or 'usual'}")
    print(f"  loading {load}; {speeds}; memory {place}")
    if found.token_ratio is not None:
        print(f"  counts {found.token_ratio:.2f} tokens for one that is estimated")
    for notice in found.notices():
        print(f"  Note: {visible(notice)}")


def _tell_step(progress: _Progress, name: str, step: str) -> None:
    progress.show(f"{name}: {step}" if name else step, 0, 0)


class _Progress:
    """Shows a download on stderr: one line that changes at a terminal, else one line for each new step."""

    def __init__(self, options: CliOptions) -> None:
        self._quiet = options.quiet
        self._live = sys.stderr.isatty() and options.env.get("TERM") != "dumb"
        self._last = ""

    def show(self, status: str, done: int, total: int) -> None:
        if self._quiet:
            return
        text = visible(status) + (
            f" {done / 1e9:.2f} of {total / 1e9:.2f} GB, {100 * done // total} %" if total else ""
        )
        if self._live:
            print(f"\r\x1b[K{text[:100]}", end="", file=sys.stderr, flush=True)
        elif status != self._last:
            print(visible(status), file=sys.stderr, flush=True)
        self._last = status

    def tell(self, text: str) -> None:
        """Show a line that stays."""
        if not self._quiet:
            print(f"Note: {visible(text)}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._live and self._last:
            print(file=sys.stderr)


def _size(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e9:.1f} GB"


def _tokens(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def _yes(value: bool | None) -> str:
    return "unknown" if value is None else "yes" if value else "no"


def _speed(per_s: float | None) -> str:
    return "unknown" if per_s is None else f"{per_s:.0f} tokens/s"
