"""Finds a workspace's own quick check (lint, types) by reading its files; nothing is run. Used where `check` is not
set.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .detect import JUSTFILES, MAKEFILES, has_section, package_manager, read_small

_LINT = ("lint", "lint:check")
_TYPES = ("typecheck", "type-check", "types", "check-types", "check:types", "tsc", "mypy", "pyright")
_TARGETS = re.compile(r"^@?([A-Za-z][\w.-]*(?:[ \t]+[A-Za-z][\w.-]*)*)[ \t]*::?(?!=)", re.MULTILINE)
_RECIPE = re.compile(r"[^\n]*\n(?:[ \t][^\n]*\n|\n)*")
_CHANGES_FILES = re.compile(r"(?<!\S)--(?:fix|write|apply|unsafe-fixes)\b")

_CONFIGURED: tuple[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    # program, files of its own, sections of setup.cfg and tox.ini, arguments; pyproject.toml: [tool.PROGRAM].
    ("ruff", ("ruff.toml", ".ruff.toml"), (), ("check", ".")),
    ("flake8", (".flake8",), ("flake8",), ()),
    ("mypy", ("mypy.ini", ".mypy.ini"), ("mypy",), ()),
    ("pyright", ("pyrightconfig.json",), (), ()),
)
_MYPY_TARGETS = re.compile(r"^\s*(?:files|packages|modules)\s*=", re.MULTILINE)
_BY_FILE: tuple[tuple[str, tuple[str, ...], str], ...] = (
    # file, command, program that must be there beside the command's first word ("" = none)
    ("Cargo.toml", ("cargo", "clippy"), "cargo-clippy"),
    ("Cargo.toml", ("cargo", "check"), ""),
    ("go.mod", ("go", "vet", "./..."), ""),
    ("deno.json", ("deno", "lint"), ""),
    ("deno.jsonc", ("deno", "lint"), ""),
    (".rubocop.yml", ("rubocop",), ""),
)


def detect_check(workspace: Path, path: str | None) -> list[str] | None:
    """Return a quick check as program and arguments, to be run in the workspace; None = no sign of one.

    What a project says itself comes first: the scripts of package.json, the targets of a makefile or a justfile that
    are called lint and types; then the settings of ruff, flake8, mypy and pyright, and the checkers that other
    languages bring. Several of one kind are one command line. A program that is not installed, and a script that
    would change files, is none.

    Args:
        path: PATH, where programs are looked for; None = that of this process.
    """
    return next(_commands(workspace, path), None)


def _commands(workspace: Path, path: str | None) -> Iterator[list[str]]:
    if scripts := _scripts(workspace):
        manager = package_manager(workspace)
        yield _joined([[manager, "run", script] for script in scripts])
    for names, program in ((MAKEFILES, "make"), (JUSTFILES, "just")):
        targets = _of_kinds(_targets("\n".join(read_small(workspace / name) for name in names)))
        if targets and shutil.which(program, path=path):
            yield [program, *targets]
    if python := list(_python(workspace, path)):
        yield _joined(python)
    if (workspace / "tsconfig.json").is_file() and (workspace / "node_modules/.bin/tsc").exists():
        yield ["node_modules/.bin/tsc", "--noEmit"]
    for name, command, beside in _BY_FILE:
        needed = [program for program in (command[0], beside) if program]
        if (workspace / name).is_file() and all(shutil.which(each, path=path) for each in needed):
            yield list(command)


def _joined(commands: Sequence[Sequence[str]]) -> list[str]:
    if len(commands) == 1:
        return list(commands[0])
    return ["sh", "-c", " && ".join(map(shlex.join, commands))]


def _of_kinds(names: Sequence[str]) -> list[str]:
    """Return the first name of a linter and the first of a check of types, of those that there are."""
    found = (next((name for name in kind if name in names), None) for kind in (_LINT, _TYPES))
    return [name for name in found if name]


def _scripts(workspace: Path) -> list[str]:
    if not (workspace / "node_modules").is_dir():
        return []  # nothing that they would call is there
    try:
        scripts = json.loads(read_small(workspace / "package.json") or "{}").get("scripts", {})
        lines = {name: line for name, line in scripts.items() if isinstance(line, str)}
    except (ValueError, AttributeError, RecursionError):
        return []
    return _of_kinds([name for name, line in lines.items() if line.strip() and not _CHANGES_FILES.search(line)])


def _targets(text: str) -> list[str]:
    """Return the targets of a makefile, or the recipes of a justfile, that change no files as far as they say."""
    found: list[str] = []
    text = f"{text}\n"
    for match in _TARGETS.finditer(text):
        recipe = _RECIPE.match(text, match.start())
        if recipe is None or not _CHANGES_FILES.search(recipe[0]):
            found += match[1].split()
    return found


def _python(workspace: Path, path: str | None) -> Iterator[list[str]]:
    for name, files, sections, arguments in _CONFIGURED:
        if not _is_configured(workspace, name, files, sections):
            continue
        if program := _program(workspace, name, path):
            yield [program, *(arguments or _everything(workspace, name))]


def _is_configured(workspace: Path, name: str, files: Sequence[str], sections: Sequence[str]) -> bool:
    if any((workspace / file).is_file() for file in files) or name in _tools(workspace):
        return True
    return any(has_section(workspace / file, each) for file in ("setup.cfg", "tox.ini") for each in sections)


def _program(workspace: Path, name: str, path: str | None) -> str | None:
    own = workspace / ".venv" / "bin" / name
    # Absolute, since a worktree of this repository has no environment of its own.
    if own.exists():
        return str(own.absolute())
    return name if shutil.which(name, path=path) else None


def _everything(workspace: Path, name: str) -> list[str]:
    """Return what a checker is told to look at where its settings do not say so."""
    if name != "mypy":
        return []
    tool = _tools(workspace).get("mypy")
    texts = [read_small(workspace / file) for file in ("mypy.ini", ".mypy.ini", "setup.cfg")]
    told = isinstance(tool, dict) and bool(tool.keys() & {"files", "packages", "modules"})
    return [] if told or any(map(_MYPY_TARGETS.search, texts)) else ["."]


def _tools(workspace: Path) -> dict[str, Any]:
    try:
        tool = tomllib.loads(read_small(workspace / "pyproject.toml")).get("tool", {})
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
    return tool if isinstance(tool, dict) else {}
