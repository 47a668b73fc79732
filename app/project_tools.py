"""Tools of a project, the functions in .flow/tools/*.py that are marked as such. Only those of trusted files."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..configs.project_files import read_project_file
from ..core.errors import GraphInvalid
from ..core.python_imports import imported_texts, module_name
from ..core.tool import ToolSpec
from ..graphs.marked import marked
from ..nodes.user_code import Code, Part, load_name
from ..tools.registry import TOOLS
from .context import AppContext

FOLDER = ".flow/tools"


def project_tool_names(context: AppContext, workspace: Path) -> list[str]:
    """Return what a project's trusted tools are called; their code is looked at and not run."""
    return [name for code in _trusted(context, workspace) for name in _names(code)]


def project_tools(context: AppContext, workspace: Path) -> Mapping[str, ToolSpec]:
    """Return all tools that agents of a project may be given: the built-in ones, and its own that are trusted.

    Raises:
        GraphInvalid: the code of one cannot be run, or two have the same name.
    """
    found = dict(TOOLS)
    for code in _trusted(context, workspace):
        for name in _names(code):
            if name in found:
                raise GraphInvalid(
                    f"{code.shown}: there is a tool {name!r} already.", hint="Give the function another name."
                )
            from ..nodes.user_tool import user_tool  # late: few projects have tools

            found[name] = user_tool(load_name(code, name), name, code)
    return found


def _trusted(context: AppContext, workspace: Path) -> Iterator[Code]:
    """Yield the code of the files that are trusted together with all that they import from beside them."""
    folder = workspace / FOLDER
    for path in sorted(folder.glob("*.py")) if folder.is_dir() else ():
        untrusted: list[str] = []

        def read(name: str, untrusted: list[str] = untrusted) -> str | None:
            try:
                content = read_project_file(folder / name)
                if context.trust.covers(folder / name, content):
                    return content.decode("utf-8-sig")
            except (FileNotFoundError, NotADirectoryError):
                return None
            except (OSError, UnicodeDecodeError):
                pass  # nobody can have trusted it
            untrusted.append(name)
            return None

        text = read(path.name)
        files = imported_texts(path.name, text, read) if text is not None else {}
        if text is not None and not untrusted:
            parts = (_part(folder, name, one) for name, one in sorted(files.items()))
            yield Code(f"{FOLDER}/{path.name}", path=path, text=text, parts=tuple(parts))


def _part(folder: Path, name: str, text: str) -> Part:
    return Part(module_name(name), name.endswith("__init__.py"), f"{FOLDER}/{name}", folder / name, text)


def _names(code: Code) -> list[str]:
    """Return the functions of a file that are marked as tools.

    Raises:
        GraphInvalid: it is no Python.
    """
    try:
        found = marked(ast.parse(code.text))
    except (SyntaxError, ValueError, RecursionError) as err:
        raise GraphInvalid(f"{code.shown}: not readable as Python: {err}.") from err
    return [name for name, kind in found.items() if kind == "tool"]
