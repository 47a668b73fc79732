"""What a repository's own files say of how it is built, tested, started and formatted; nothing is run.

Asked by `flow init`. What is returned goes to models unseen by anybody who reads it closely, so a repository's own
words are taken only where they have the form of a name or a path.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from .detect import MAKEFILES, detect_verify, package_manager, read_small

CommandsByKind = Mapping[str, tuple[str, ...]]

KINDS = ("Build", "Test", "Lint", "Format", "Types", "Run")
"""Of commands, in the order in which they are told."""
MAX_ENTRY_POINTS = 12

_KIND_OF = {
    **dict.fromkeys(("build", "compile"), "Build"),
    **dict.fromkeys(("test", "tests", "check", "verify", "unit", "e2e"), "Test"),
    "lint": "Lint",
    **dict.fromkeys(("format", "fmt"), "Format"),
    **dict.fromkeys(("types", "typecheck", "type-check", "mypy", "tsc"), "Types"),
    **dict.fromkeys(("run", "start", "dev", "serve"), "Run"),
}
_SCRIPT = re.compile(r"[a-z][\w-]*(?::[\w-]+)*")
_TARGETS = re.compile(r"^([A-Za-z0-9][\w .-]*?)[ \t]*::?(?!=)", re.MULTILINE)
_PATH = re.compile(r"(?:\./)?[\w@+-][\w./@+-]{0,119}")
_NAME = re.compile(r"[\w.-]{1,60}")
_OBJECT = re.compile(r"[A-Za-z_][\w.]*(?::[A-Za-z_][\w.]*)?")
_VERSIONS = re.compile(r"[<>=!~^,.*\d ]{1,40}")
_BY_FILE: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Cargo.toml",
        (("Build", "cargo build"), ("Test", "cargo test"), ("Lint", "cargo clippy"), ("Format", "cargo fmt")),
    ),
    ("go.mod", (("Build", "go build ./..."), ("Test", "go test ./..."), ("Lint", "go vet ./..."))),
    ("mvnw", (("Build", "./mvnw package"), ("Test", "./mvnw test"))),
    ("gradlew", (("Build", "./gradlew build"), ("Test", "./gradlew test"))),
    ("CMakeLists.txt", (("Build", "cmake -S . -B build && cmake --build build"),)),
    ("tox.ini", (("Test", "tox"),)),
    ("noxfile.py", (("Test", "nox"),)),
    ("build.zig", (("Build", "zig build"), ("Test", "zig build test"))),
    ("mix.exs", (("Build", "mix compile"), ("Test", "mix test"), ("Format", "mix format"))),
    ("Package.swift", (("Build", "swift build"), ("Test", "swift test"))),
    ("deno.json", (("Test", "deno test"), ("Lint", "deno lint"), ("Format", "deno fmt"))),
    (".pre-commit-config.yaml", (("Lint", "pre-commit run --all-files"),)),
)
_STYLE_FILES: tuple[tuple[str, str], ...] = (
    ("ruff", "ruff.toml .ruff.toml"),
    ("flake8", ".flake8"),
    ("mypy", "mypy.ini .mypy.ini"),
    ("pyright", "pyrightconfig.json"),
    ("Prettier", ".prettierrc .prettierrc.json .prettierrc.yaml .prettierrc.yml .prettierrc.js prettier.config.js"),
    (
        "ESLint",
        "eslint.config.js eslint.config.mjs eslint.config.ts .eslintrc .eslintrc.json .eslintrc.js .eslintrc.cjs",
    ),
    ("Biome", "biome.json biome.jsonc"),
    ("TypeScript", "tsconfig.json"),
    ("clang-format", ".clang-format"),
    ("clang-tidy", ".clang-tidy"),
    ("rustfmt", "rustfmt.toml .rustfmt.toml"),
    ("golangci-lint", ".golangci.yml .golangci.yaml .golangci.toml"),
    ("RuboCop", ".rubocop.yml"),
    ("ShellCheck", ".shellcheckrc"),
)
_STARTS = re.compile(
    r"(?:main|app|manage|__main__)\.py|(?:src/)?main\.(?:go|rs|c|cc|cpp|ts|js)|(?:src/)?index\.[jt]sx?"
    r"|(?:src/)?[\w-]+/__main__\.py|cmd/[\w.-]+/main\.go|src/bin/[\w.-]+\.rs"
)


def project_commands(workspace: Path, verify: Sequence[str] = ()) -> CommandsByKind:
    """Return the commands by kind, in the order of KINDS, each as one types it in the workspace.

    Args:
        verify: command lines that are known to test or check it; they stand first.
    """
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for kind, line in (*(("Test", line) for line in verify), *_detected(workspace)):
        if line not in found[kind]:
            found[kind].append(line)
    for kind, line in _by_style(workspace):
        # What a project's own targets and scripts call is called as they do.
        found[kind] = found[kind] or [line]
    return {kind: tuple(lines) for kind, lines in found.items() if lines}


def _detected(workspace: Path) -> Iterator[tuple[str, str]]:
    if detected := detect_verify(workspace):
        yield "Test", shlex.join(part.removeprefix(f"{workspace}/") for part in detected)
    for target in _make_targets(workspace):
        if kind := _KIND_OF.get(target):
            yield kind, f"make {target}"
    program = package_manager(workspace)
    for script in _scripts(workspace):
        if kind := _KIND_OF.get(script.partition(":")[0]):
            yield kind, f"{program} test" if script == "test" else f"{program} run {script}"
    for name, commands in _BY_FILE:
        if (workspace / name).is_file():
            yield from commands


def _by_style(workspace: Path) -> Iterator[tuple[str, str]]:
    tools = _table(_pyproject(workspace), "tool")
    if "ruff" in tools or any((workspace / name).is_file() for name in ("ruff.toml", ".ruff.toml")):
        yield "Lint", "ruff check ."
    if "black" in tools:
        yield "Format", "black ."


def _make_targets(workspace: Path) -> list[str]:
    lines = [match[1] for name in MAKEFILES for match in _TARGETS.finditer(read_small(workspace / name))]
    return list(dict.fromkeys(target for line in lines for target in line.split()))


def _scripts(workspace: Path) -> list[str]:
    """Return the scripts of package.json that do something by a name we know."""
    scripts = _table(_package(workspace), "scripts")
    named = [name for name, line in scripts.items() if isinstance(line, str) and "no test specified" not in line]
    return [name for name in named if _SCRIPT.fullmatch(name)]


def entry_points(workspace: Path, files: Iterable[str]) -> list[str]:
    """Return where programs start, at most MAX_ENTRY_POINTS: installed commands first, then files by path.

    Args:
        files: workspace-relative posix paths of the source files.
    """
    known = set(files)
    scripts = _table(_pyproject(workspace), "project", "scripts")
    found = [
        f"`{name}`: `{target}`"
        for name, target in scripts.items()
        if _NAME.fullmatch(name) and isinstance(target, str) and _OBJECT.fullmatch(target)
    ]
    package = _package(workspace)
    programs = package.get("bin")
    named = [package.get("main"), *(programs.values() if isinstance(programs, dict) else [programs])]
    paths = [PurePosixPath(path).as_posix() for path in named if isinstance(path, str) and _PATH.fullmatch(path)]
    paths += sorted(path for path in known if _STARTS.fullmatch(path))
    found += [f"`{path}`" for path in dict.fromkeys(paths) if path in known]
    return found[:MAX_ENTRY_POINTS]


def conventions(workspace: Path) -> list[str]:
    """Return what is configured of style and checks, one line each."""
    return [line for line in (*_python_style(workspace), *_styles(workspace), *_others(workspace)) if line]


def _python_style(workspace: Path) -> Iterator[str]:
    project = _pyproject(workspace)
    versions = _table(project, "project").get("requires-python")
    if isinstance(versions, str) and _VERSIONS.fullmatch(versions):
        yield f"Python {versions.strip()}"
    for name in ("ruff", "black", "isort", "mypy", "pyright"):
        if tool := _table(project, "tool", name):
            length = tool.get("line-length", tool.get("line_length"))
            width = f", lines of at most {length} characters" if type(length) is int and 0 < length < 1000 else ""
            strict = ", strict" if tool.get("strict") is True else ""
            yield f"{name} (`pyproject.toml`){width}{strict}"


def _styles(workspace: Path) -> Iterator[str]:
    if indent := _indent(read_small(workspace / ".editorconfig")):
        yield f"{indent} (`.editorconfig`)"
    for name, files in _STYLE_FILES:
        if present := [file for file in files.split() if (workspace / file).is_file()]:
            yield f"{name} (`{present[0]}`)"


def _indent(text: str) -> str:
    style = re.search(r"^indent_style\s*=\s*(tab|space)s?\s*$", text, re.MULTILINE | re.IGNORECASE)
    size = re.search(r"^indent_size\s*=\s*(\d{1,2})\s*$", text, re.MULTILINE)
    if style is None:
        return ""
    if style[1].lower() == "tab":
        return "Indented with tabs"
    return f"Indented with {size[1]} spaces" if size else "Indented with spaces"


def _others(workspace: Path) -> Iterator[str]:
    if (workspace / ".github" / "workflows").is_dir():
        yield "Checked by GitHub Actions (`.github/workflows/`)"
    if (workspace / ".gitlab-ci.yml").is_file():
        yield "Checked by GitLab CI (`.gitlab-ci.yml`)"
    if (workspace / "CONTRIBUTING.md").is_file():
        yield "Rules for changes stand in `CONTRIBUTING.md`"


def _pyproject(workspace: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_small(workspace / "pyproject.toml"))
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _package(workspace: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_small(workspace / "package.json") or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _table(tree: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    for key in keys:
        inner = tree.get(key)
        tree = inner if isinstance(inner, dict) else {}
    return dict(tree)
