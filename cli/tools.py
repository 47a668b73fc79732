"""`flow tools list` and `flow tools call`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import UsageError
from .context import CliOptions, app_context
from .printing import print_items, print_json, visible

if TYPE_CHECKING:
    from ..app.context import Surface

app = typer.Typer(rich_markup_mode=None, add_completion=False, help="List the tools agents have, or call one.")


@app.command("list")
def list_tools(ctx: typer.Context) -> None:
    """List the tools: name, category, cost in tokens, description."""
    from ..app.tools import list_tools as all_tools

    options: CliOptions = ctx.obj
    tools = all_tools(app_context(options))
    if options.json:
        print_items([tool._asdict() for tool in tools], options.output)
        return
    width = max((len(tool.name) for tool in tools), default=0)
    print(f"{'NAME':{width}}  CATEGORY  TOKENS  DESCRIPTION")
    for tool in tools:
        first_line = tool.description.strip().partition("\n")[0]
        print(f"{tool.name:{width}}  {tool.category:8}  {tool.tokens:6}  {visible(first_line)}")


@app.command("call", context_settings={"ignore_unknown_options": True})
def call(
    ctx: typer.Context,
    name: str = typer.Argument(..., metavar="NAME", help="The tool; `flow tools list` names them."),
    args: Annotated[
        list[str] | None,
        typer.Argument(help="One JSON object, or name=text and name:=JSON pairs.", metavar="ARGS"),
    ] = None,
) -> int:
    """Call a tool as an agent would: checked, asked for, and run."""
    import asyncio

    from ..app.tools import call_tool
    from ..core.errors import ToolError

    options: CliOptions = ctx.obj
    arguments = read_arguments(args or [])
    try:
        result = asyncio.run(call_tool(app_context(options), _surface(options), name, arguments))
    except ToolError as err:
        # What the model would be told is told to the person.
        raise UsageError(str(err)) from err
    if options.json:
        print_json(result.to_dict())
    else:
        stream = sys.stderr if result.failed else sys.stdout
        print(visible(result.text) if stream.isatty() else result.text, file=stream)
    return 1 if result.failed else 0


def _surface(options: CliOptions) -> Surface:
    from ..app.context import Surface
    from .surface import answerer, make_view

    view = make_view(options, "text")
    return Surface(view, answerer(options, view))


def read_arguments(words: list[str]) -> dict[str, Any]:
    """Return a tool's arguments from one JSON object, or from `name=text` and `name:=JSON` words.

    Raises:
        UsageError: a word that is neither, or JSON that cannot be read.
    """
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        data = _json(words[0])
        if not isinstance(data, dict):
            raise UsageError(f"{words[0]!r} is not a JSON object.")
        return data
    arguments: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.rstrip(":"):
            raise UsageError(f"{word!r} is not an argument.", hint="Write name=text, name:=JSON, or one JSON object.")
        arguments[name.removesuffix(":")] = _json(value) if name.endswith(":") else value
    return arguments


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as err:
        raise UsageError(f"{text!r} is not valid JSON: {err}.", hint="Quote it for the shell as one word.") from err
