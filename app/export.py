"""A folder from which LangGraph's own tools serve a graph: its files, langgraph.json, and graph.py."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..core.errors import UsageError
from ..graphs.beside import AGENT, MODULE
from ..graphs.find import AGENTS, Loaded
from .context import AppContext
from .new_graph import document

GRAPHS = "graphs"

_ENTRY = '''\
"""{told}

Served by LangGraph's tools, such as `langgraph dev` in this folder. Every run of it is a run of flow: `flow runs
list` shows it, the settings and the shell policy of the workspace hold, questions to a person are interrupts.
"""

import os
from pathlib import Path

from {package}.app.served import served_graph

HERE = Path(__file__).parent

# The repository that the graph works on, from this folder.
WORKSPACE = HERE / os.environ.get("FLOW_WORKSPACE", {workspace!r})

graph = served_graph(HERE / "{graphs}" / {file!r}, WORKSPACE)
'''


def export_langgraph(context: AppContext, loaded: Loaded, folder: Path) -> Path:
    """Write the folder, which must not exist yet, and return it. What is written there is trusted.

    Raises:
        UsageError: it exists, or cannot be written; the graph is written in Python.
    """
    spec = loaded.spec
    if spec.code:
        raise UsageError(
            f"{spec.name} is a LangGraph graph already.", hint="Name it in a langgraph.json of your own."
        )
    graph_file = f"{spec.name}.yaml"
    entry = _ENTRY.format(
        package=__package__.partition(".")[0],
        told=_one_line(f"The graph {spec.name}. {spec.description}"),
        workspace=os.path.relpath(context.workspace, folder),
        graphs=GRAPHS,
        file=graph_file,
    )
    files = {"graph.py": entry, "langgraph.json": _manifest(loaded), **dict(_graph_files(loaded, graph_file))}
    try:
        folder.mkdir(parents=True)
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            if name.startswith(f"{GRAPHS}/"):
                context.trust.trust_content(path, text.encode())
    except FileExistsError as err:
        raise UsageError(f"There is {str(folder)!r} already.", hint="Name a new folder with --out.") from err
    except OSError as err:
        raise UsageError(f"{str(err.filename or folder)!r} cannot be written: {err.strerror}.") from err
    return folder


def _manifest(loaded: Loaded) -> str:
    described = {"description": loaded.spec.description} if loaded.spec.description else {}
    manifest = {
        "python_version": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "dependencies": ["."],
        "graphs": {loaded.spec.name: {"path": "./graph.py:graph", **described}},
    }
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"


def _graph_files(loaded: Loaded, graph_file: str) -> Iterator[tuple[str, str]]:
    """Yield the files of the graph and of all below it, with what they name beside them, as paths in the folder."""
    specs = [loaded.spec, *loaded.library.values()]
    yield f"{GRAPHS}/{graph_file}", "---\n".join(document(spec, spec.name) for spec in specs if not spec.code)
    for spec in specs:
        for key, file in spec.beside.items():
            if not key.startswith(MODULE):
                yield f"{GRAPHS}/{_place(key)}", file.text


def _place(key: str) -> str:
    """Return where a file lies beside the graph's; a preset in the folder of presets."""
    if not key.startswith(AGENT):
        return str(PurePosixPath(key))
    name, slash, below = key.removeprefix(AGENT).partition("/")
    return f"{AGENTS}/{below}" if slash else f"{AGENTS}/{name}.yaml"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("\\", "").replace('"', "'").strip()
