"""`flow graphs`: list, show, check, make, draw and test graph files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..core.errors import GraphInvalid, UsageError
from .context import CliOptions, app_context
from .printing import print_items, print_json, shows_lines, visible

if TYPE_CHECKING:
    from ..app.graph_tests import TestResult
    from ..graphs.find import Loaded

app = typer.Typer(rich_markup_mode=None, add_completion=False, help="List, check, draw and test graphs.")

_GRAPH = typer.Argument(..., metavar="GRAPH", help="Name of a graph, or the path of a graph file.")
_FORMS = ("ascii", "svg", "mermaid")


@app.callback()
def group() -> None:
    """List, check, draw and test graphs."""


@app.command("list")
def list_graphs(ctx: typer.Context) -> None:
    """List the graphs that `flow run` knows by name: where they are from, their inputs, what they do."""
    from ..app.graphs import graph_entries
    from .graph_text import entry_data, list_lines

    options: CliOptions = ctx.obj
    entries = graph_entries(app_context(options))
    if options.json:
        print_items([entry_data(entry) for entry in entries], options.output)
    else:
        print("\n".join(list_lines(entries)))


@app.command("show")
def show(ctx: typer.Context, graph: str = _GRAPH) -> None:
    """Show a graph: how it is run, its inputs, nodes and limits."""
    from .graph_text import show_data, show_lines

    options: CliOptions = ctx.obj
    loaded = _looked_at(options, graph)
    if options.json:
        print_json(show_data(loaded), indent=2 if options.output == "json" else None)
    else:
        print("\n".join(show_lines(loaded)))


@app.command("validate")
def validate(
    ctx: typer.Context,
    graphs: list[str] = typer.Argument(None, metavar="[GRAPH]...", help="Names or files; else all known graphs."),
) -> int:
    """Check graphs without running anything: all faults at once, with file, line and column; then exit code 6."""
    from ..app.graphs import validate_graphs
    from .run import graph_file

    options: CliOptions = ctx.obj
    checked = validate_graphs(app_context(options), [graph_file(options, name) for name in graphs or ()])
    _tell_untrusted(options, checked.untrusted)
    if options.json:
        good = [{"name": loaded.spec.name, "path": loaded.spec.source.path} for loaded in checked.good]
        print_json({"valid": good, "faults": checked.faults})
    else:
        for loaded in checked.good:
            print(f"ok  {visible(loaded.spec.name)}  {visible(loaded.spec.source.path)}")
        for fault in checked.faults:
            print(visible(fault), file=sys.stderr)
    return GraphInvalid.exit_code if checked.faults else 0


@app.command("new")
def new(
    ctx: typer.Context,
    name: str = typer.Argument(..., metavar="NAME", help="What `flow run` is to call it."),
    source: str = typer.Option("", "--from", metavar="GRAPH", help="Copy this graph; else a small one is written."),
    user: bool = typer.Option(False, "--user", help="For all your projects, not for this one alone."),
) -> None:
    """Write a new graph file, and beside it the schema that editors check it with. Nothing is overwritten."""
    from ..app.new_graph import write_new_graph

    options: CliOptions = ctx.obj
    context = app_context(options)
    made = write_new_graph(context, name, _loaded(options, source) if source else None, for_user=user)
    if options.json:
        print_json({"path": str(made.path), "not_copied": list(made.beside)})
        return
    print(visible(str(made.path)))
    for path in made.beside:
        print(f"flow: it names {visible(path)}, which was not copied.", file=sys.stderr)
    if not options.quiet:
        print(
            f"Check it with `flow graphs validate {name}`, draw it with `flow graphs draw {name}`.", file=sys.stderr
        )


@app.command("draw")
def draw(
    ctx: typer.Context,
    graph: str = _GRAPH,
    form: str = typer.Option("", "--as", metavar="FORM", help="ascii, svg or mermaid; else by the file's name."),
    out: Path = typer.Option(
        None, "--out", metavar="FILE", help="Write the drawing there, in place of the terminal."
    ),
) -> None:
    """Draw a graph: in characters for a terminal, as an SVG picture, or as Mermaid text. Nothing is downloaded."""
    from ..app.drawing import draw_graph

    options: CliOptions = ctx.obj
    chosen = form or {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid"}.get(out.suffix if out else "", "ascii")
    if chosen not in _FORMS:
        raise UsageError(f"--as {chosen!r} is no form of drawing.", hint=f"Choose one of {', '.join(_FORMS)}.")
    text = draw_graph(_looked_at(options, graph).spec, chosen, plain=not shows_lines())
    if out is None:
        print(text, end="")
    else:
        _write(options.directory / out, text)


@app.command("schema")
def schema(
    ctx: typer.Context,
    out: Path = typer.Option(None, "--out", metavar="FILE", help="Write it there, in place of the terminal."),
) -> None:
    """Print the JSON Schema of graph files, for editors: names, forms and meanings of all keys."""
    from ..app.new_graph import schema_text, write_schema

    options: CliOptions = ctx.obj
    if out is None:
        print(schema_text(), end="")
    else:
        write_schema(options.directory / out)


@app.command("test")
def test(
    ctx: typer.Context,
    graphs: list[str] = typer.Argument(
        None, metavar="[GRAPH]...", help="Names or files; else all of yours that have tests."
    ),
    only: str = typer.Option("", "-k", metavar="TEXT", help="Only tests whose name holds this text."),
) -> int:
    """Run the tests that stand in graph files, against recorded answers and without a model: one line a test.

    Each works on a copy of its files in a folder of its own; exit code 1 when one fails.
    """
    from ..app.graph_tests import run_graph_tests
    from .run import graph_file

    options: CliOptions = ctx.obj
    names = [graph_file(options, name) for name in graphs or ()]
    results = []
    for result in run_graph_tests(app_context(options), names, only):
        results.append(result)
        if not options.json:
            print(visible(_result_line(result)), flush=True)
    if options.json:
        print_items([result._asdict() for result in results], options.output)
    elif not results:
        print("No graph has such a test.", file=sys.stderr)
    return 0 if all(result.passed for result in results) else 1


def _result_line(result: TestResult) -> str:
    told = f": {result.message}" if result.message else ""
    return f"{'ok  ' if result.passed else 'FAIL'}  {result.graph}: {result.name} ({result.seconds:.1f} s){told}"


@app.command("export")
def export(
    ctx: typer.Context,
    graph: str = _GRAPH,
    langgraph: bool = typer.Option(False, "--langgraph", help="For `langgraph dev`: langgraph.json and graph.py."),
    out: Path = typer.Option(None, "--out", metavar="FOLDER", help="A new folder; else GRAPH-langgraph here."),
) -> None:
    """Write a folder from which LangGraph's own tools serve the graph, run by flow's nodes and under its rules."""
    from ..app.export import export_langgraph
    from ..app.graphs import load_graph
    from .run import graph_file

    options: CliOptions = ctx.obj
    if not langgraph:
        raise UsageError("`flow graphs export` needs to know the form.", hint="Give --langgraph.")
    context = app_context(options)
    loaded = load_graph(context, graph_file(options, graph))
    folder = export_langgraph(context, loaded, options.directory / (out or f"{loaded.spec.name}-langgraph"))
    if options.json:
        print_json({"folder": str(folder)})
        return
    print(visible(str(folder)))
    if not options.quiet:
        print("Serve it with `langgraph dev` in that folder (pip install 'langgraph-cli[inmem]').", file=sys.stderr)


def _loaded(options: CliOptions, graph: str) -> Loaded:
    from ..app.graphs import load_graph
    from .run import graph_file

    return load_graph(app_context(options), graph_file(options, graph))


def _looked_at(options: CliOptions, graph: str) -> Loaded:
    """Return a graph that is only shown, trusted or not."""
    from ..app.graphs import Looking
    from .run import graph_file

    looking = Looking(app_context(options))
    loaded = looking.load(graph_file(options, graph))[0]
    _tell_untrusted(options, looking.untrusted)
    return loaded


def _tell_untrusted(options: CliOptions, paths: Sequence[Path]) -> None:
    from ..configs.trust import trust_command

    for path in () if options.quiet else paths:
        told = f"{path} is not trusted: it is shown, but nothing runs it before `{trust_command(path)}`."
        print(f"flow: {visible(told)}", file=sys.stderr)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as err:
        raise UsageError(f"{str(path)!r} cannot be written: {err.strerror}.") from err
