"""`flow prompts show`: what a model is sent first."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .context import CliOptions, app_context, print_notices
from .printing import print_json, visible

if TYPE_CHECKING:
    from ..app.prompts import ShownPrompt

app = typer.Typer(rich_markup_mode=None, add_completion=False, help="Show what a model is sent.")


@app.callback()
def group() -> None:
    """Show what a model is sent."""


@app.command("show")
def show(
    ctx: typer.Context,
    node: str = typer.Argument(..., metavar="NODE", help="The node, such as plan or implement/code."),
    text: Annotated[str | None, typer.Argument(metavar="INPUT", help="The task, as for `flow run`.")] = None,
    graph: str = typer.Option("plan-and-code", "--graph", "-g", metavar="GRAPH", help="The graph's name or file."),
    inputs: Annotated[
        list[str] | None, typer.Option("-i", metavar="NAME=VALUE", help="An input; may be repeated.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option("-m", metavar="[ROLE=]MODEL", help="As for `flow run`.")] = None,
) -> None:
    """Show the request that a node would send first in a run that begins now, and its tokens by part.

    No model server is asked and no run is made. -o json gives the request as it goes over the wire.
    """
    import asyncio

    from ..app.prompts import show_prompt
    from ..app.run import RunRequest
    from .run import graph_file, read_models, read_pairs

    options: CliOptions = ctx.obj
    request = RunRequest(graph=graph_file(options, graph), text=text, inputs=read_pairs(inputs or []))
    shown = asyncio.run(show_prompt(app_context(options, read_models(model or [])), request, node))
    print_notices(options, [*shown.notices, *_notes(shown)])
    if options.json:
        print_json(_data(shown))
    else:
        _print(shown)


def _notes(shown: ShownPrompt) -> list[str]:
    """Return what keeps the request from being the one of a run, one line each."""
    notes = []
    if shown.open:
        notes.append(f"not known before a run, so it stands as the graph has it: {', '.join(shown.open)}")
    if shown.tokens + shown.max_tokens > shown.window:
        notes.append(
            f"it does not fit: {shown.tokens:,} tokens and up to {shown.max_tokens:,} for the reply, in a window of "
            f"{shown.window:,}. Set a larger one with -c models.num_ctx=N."
        )
    return notes


def _data(shown: ShownPrompt) -> dict[str, Any]:
    return {
        "node": shown.node,
        "role": shown.role,
        "graph": shown.graph,
        "model": shown.model,
        "window": shown.window,
        "window_from": shown.window_from,
        "max_tokens": shown.max_tokens,
        "tokens": shown.tokens,
        "parts": [part._asdict() for part in shown.parts],
        "open": list(shown.open),
        "request": shown.body,
    }


def _print(shown: ShownPrompt) -> None:
    model = shown.model or "the one that a run chooses"
    print(f"{shown.node} ({shown.role}) of {shown.graph}, model: {visible(model)}; no server was asked.")
    print(f"Window {shown.window:,} ({shown.window_from}), reply up to {shown.max_tokens:,}, request:\n")
    rows = [("PART", "TOKENS", "BUDGET")]
    rows += [(name, f"{tokens:,}", "" if most is None else f"{most:,}") for name, tokens, most in shown.parts]
    rows.append(("in all, estimated", f"{shown.tokens:,}", f"{shown.window - shown.max_tokens:,}"))
    width = max(len(name) for name, _, _ in rows)
    for name, tokens, most in rows:
        print(f"{name:{width}}  {tokens:>7}  {most:>7}".rstrip())
    # On a terminal nothing of a repository may move the cursor; elsewhere the bytes count.
    shape = visible if sys.stdout.isatty() else str
    messages, tools = shown.body["messages"], shown.body.get("tools", ())
    for at, message in enumerate(messages):
        print(f"\n--- {message['role']}\n{shape(message['content'])}")
        if at == 0 and tools:
            print("\n--- tools")
            for tool in tools:
                print(shape(json.dumps(tool, ensure_ascii=False)))
    for name in ("format", "response_format"):
        if name in shown.body:
            print(f"\n--- {name}\n{shape(json.dumps(shown.body[name], ensure_ascii=False))}")
