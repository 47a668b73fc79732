"""Finds a workspace's own test command by reading its files; nothing is run. Used where `verify` is not set."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from pathlib import Path

_MAX_BYTES = 1_000_000
MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_TEST_TARGET = re.compile(r"^(?:[\w./-]+[ \t]+)*test(?:[ \t]+[\w./-]+)*[ \t]*::?(?!=)", re.MULTILINE)
_NPM_PLACEHOLDER = "no test specified"


def detect_verify(workspace: Path) -> list[str] | None:
    """Return the test command as program and arguments, to be run in the workspace; None = no sign of one.

    Looked for in this order: pytest, the test script of package.json, the target `test` of a makefile.
    """
    if _uses_pytest(workspace):
        return [_python(workspace), "-m", "pytest", "-q"]
    if _has_test_script(workspace):
        return [package_manager(workspace), "test"]
    if any(_TEST_TARGET.search(read_small(workspace / name)) for name in MAKEFILES):
        return ["make", "test"]
    return None


def _python(workspace: Path) -> str:
    own = workspace / ".venv" / "bin" / "python"
    # Absolute, since a worktree of this repository has no environment of its own.
    return str(own.absolute()) if own.exists() else "python3"


def _uses_pytest(workspace: Path) -> bool:
    if any(
        (workspace / name).is_file() for name in ("pytest.ini", ".pytest.ini", "conftest.py", "tests/conftest.py")
    ):
        return True
    if _has_section(workspace / "tox.ini", "pytest") or _has_section(workspace / "setup.cfg", "tool:pytest"):
        return True
    tests = workspace / "tests"
    return _pyproject_names_pytest(workspace) or (tests.is_dir() and any(tests.glob("test_*.py")))


def _pyproject_names_pytest(workspace: Path) -> bool:
    try:
        tool = tomllib.loads(read_small(workspace / "pyproject.toml")).get("tool", {})
    except tomllib.TOMLDecodeError:
        return False
    return isinstance(tool, dict) and "pytest" in tool


def _has_section(path: Path, section: str) -> bool:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(read_small(path))
    except configparser.Error:
        return False
    return parser.has_section(section)


def _has_test_script(workspace: Path) -> bool:
    try:
        scripts = json.loads(read_small(workspace / "package.json") or "{}").get("scripts", {})
        script = scripts.get("test", "")
    except (ValueError, AttributeError, RecursionError):
        return False
    return isinstance(script, str) and bool(script.strip()) and _NPM_PLACEHOLDER not in script


def package_manager(workspace: Path) -> str:
    """Return the program that runs the scripts of package.json here, by the lock file beside it."""
    if (workspace / "pnpm-lock.yaml").is_file():
        return "pnpm"
    return "yarn" if (workspace / "yarn.lock").is_file() else "npm"


def read_small(path: Path) -> str:
    """Return a file's text, "" when it is missing, unreadable or too large to be what it is taken for."""
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return ""
        return path.read_bytes().decode("utf-8-sig", "replace")
    except OSError:
        return ""
