"""Finds a workspace's own test command by reading its files; nothing is run. Used where `verify` is not set."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

_MAX_BYTES = 1_000_000
_MOST_TEST_FILES = 50
MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
JUSTFILES = ("justfile", "Justfile", ".justfile")
_TEST_TARGET = re.compile(r"^(?:[\w./-]+[ \t]+)*test(?:[ \t]+[\w./-]+)*[ \t]*::?(?!=)", re.MULTILINE)
_TEST_RECIPE = re.compile(r"^@?test(?:[ \t]+[^:=\n]+)?[ \t]*:(?!=)", re.MULTILINE)
_RAKE_TEST = re.compile(
    r"Rake::TestTask|Minitest::TestTask|^\s*task\s*\(?\s*(?::test\b|test:|['\"]test['\"])", re.MULTILINE
)
_CTEST = re.compile(r"^\s*(?:enable_testing\s*\(|include\s*\(\s*CTest\s*\))", re.MULTILINE | re.IGNORECASE)
_UNITTEST = re.compile(r"^\s*(?:import|from)\s+unittest\b", re.MULTILINE)
_PYTEST = re.compile(r"^\s*(?:import|from)\s+pytest\b", re.MULTILINE)
_NPM_PLACEHOLDER = "no test specified"

_BY_FILE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Cargo.toml", ("cargo", "test")),
    ("go.mod", ("go", "test", "./...")),
    # A wrapper brings the version that the project wants.
    ("mvnw", ("./mvnw", "test")),
    ("pom.xml", ("mvn", "test")),
    ("gradlew", ("./gradlew", "test")),
    ("build.gradle", ("gradle", "test")),
    ("build.gradle.kts", ("gradle", "test")),
    ("Package.swift", ("swift", "test")),
    ("mix.exs", ("mix", "test")),
    ("build.zig", ("zig", "build", "test")),
)
_DOTNET = ("*.sln", "*.slnx", "*.csproj", "*.fsproj")


def detect_verify(workspace: Path) -> list[str] | None:
    """Return the test command as program and arguments, to be run in the workspace; None = no sign of one.

    What a project says itself comes before what its language usually takes: the settings of pytest, the test script
    of package.json or composer.json, the target `test` of a makefile or a justfile, tox and nox; then unittest and
    the build tools of other languages.
    """
    return next(_commands(workspace), None)


def _commands(workspace: Path) -> Iterator[list[str]]:
    python = _python(workspace)
    tests = _tests_of(workspace)
    if _uses_pytest(workspace) or (any(tests) and not _is_unittest(tests)):
        yield [python, "-m", "pytest", "-q"]
    if _has_test_script(workspace / "package.json"):
        manager = package_manager(workspace)
        # `bun test` is Bun's own runner, whatever the script says.
        yield ["bun", "run", "test"] if manager == "bun" else [manager, "test"]
    if _has_test_script(workspace / "composer.json"):
        yield ["composer", "test"]
    if any(_TEST_TARGET.search(read_small(workspace / name)) for name in MAKEFILES):
        yield ["make", "test"]
    if any(_TEST_RECIPE.search(read_small(workspace / name)) for name in JUSTFILES):
        yield ["just", "test"]
    yield from _python_commands(workspace, python, tests)
    yield from _other_commands(workspace)


def _python_commands(workspace: Path, python: str, tests: list[str]) -> Iterator[list[str]]:
    tox = has_section(workspace / "tox.ini", "tox") or has_section(workspace / "tox.ini", "testenv")
    if tox or "[tool.tox" in read_small(workspace / "pyproject.toml"):
        yield ["tox"]
    if (workspace / "noxfile.py").is_file():
        yield ["nox"]
    if "DJANGO_SETTINGS_MODULE" in read_small(workspace / "manage.py"):
        yield [python, "manage.py", "test"]
    if any(tests):
        top = [] if (workspace / "tests" / "__init__.py").is_file() else ["discover", "-s", "tests"]
        yield [python, "-m", "unittest", *top, "-q"]
    if _is_unittest([read_small(path) for path in islice(sorted(workspace.glob("test_*.py")), _MOST_TEST_FILES)]):
        yield [python, "-m", "unittest", "-q"]


def _other_commands(workspace: Path) -> Iterator[list[str]]:
    for name, command in _BY_FILE:
        if (workspace / name).is_file():
            yield list(command)
    if any(next(workspace.glob(pattern), None) for pattern in _DOTNET):
        yield ["dotnet", "test"]
    bundled = ["bundle", "exec"] if (workspace / "Gemfile").is_file() else []
    if (workspace / ".rspec").is_file() or (workspace / "spec" / "spec_helper.rb").is_file():
        yield [*bundled, "rspec"]
    if (workspace / "bin" / "rails").is_file() and (workspace / "test").is_dir():
        yield ["bin/rails", "test"]
    if any(_RAKE_TEST.search(read_small(workspace / name)) for name in ("Rakefile", "rakefile", "Rakefile.rb")):
        yield [*bundled, "rake", "test"]
    if any((workspace / name).is_file() for name in ("phpunit.xml", "phpunit.xml.dist", "phpunit.dist.xml")):
        yield ["vendor/bin/phpunit"]
    if _CTEST.search(read_small(workspace / "CMakeLists.txt")):
        build = "cmake --build build && ctest --test-dir build --output-on-failure"
        is_made = (workspace / "build" / "CMakeCache.txt").is_file()
        yield ["sh", "-c", build if is_made else f"cmake -S . -B build && {build}"]


def _python(workspace: Path) -> str:
    own = workspace / ".venv" / "bin" / "python"
    # Absolute, since a worktree of this repository has no environment of its own.
    return str(own.absolute()) if own.exists() else "python3"


def _uses_pytest(workspace: Path) -> bool:
    if any(
        (workspace / name).is_file() for name in ("pytest.ini", ".pytest.ini", "conftest.py", "tests/conftest.py")
    ):
        return True
    if has_section(workspace / "tox.ini", "pytest") or has_section(workspace / "setup.cfg", "tool:pytest"):
        return True
    return _pyproject_names_pytest(workspace)


def _tests_of(workspace: Path) -> list[str]:
    """Return the texts of the first files of tests in tests/; an empty file counts as one blank."""
    folder = workspace / "tests"
    found = islice(sorted(folder.glob("test_*.py")), _MOST_TEST_FILES) if folder.is_dir() else ()
    return [read_small(path) or " " for path in found]


def _is_unittest(tests: list[str]) -> bool:
    """Return whether these tests are written for unittest and need nothing of pytest."""
    return any(map(_UNITTEST.search, tests)) and not any(map(_PYTEST.search, tests))


def _pyproject_names_pytest(workspace: Path) -> bool:
    try:
        tool = tomllib.loads(read_small(workspace / "pyproject.toml")).get("tool", {})
    except tomllib.TOMLDecodeError:
        return False
    return isinstance(tool, dict) and "pytest" in tool


def has_section(path: Path, section: str) -> bool:
    """Return whether a file in the form of .ini has the section; False also where it cannot be read."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(read_small(path))
    except configparser.Error:
        return False
    return parser.has_section(section)


def _has_test_script(path: Path) -> bool:
    try:
        scripts = json.loads(read_small(path) or "{}").get("scripts", {})
        script = scripts.get("test", "")
    except (ValueError, AttributeError, RecursionError):
        return False
    # composer.json also takes a list of commands.
    line = " ".join(map(str, script)) if isinstance(script, list) else script
    return isinstance(line, str) and bool(line.strip()) and _NPM_PLACEHOLDER not in line


def package_manager(workspace: Path) -> str:
    """Return the program that runs the scripts of package.json here, by the lock file beside it."""
    locks = (("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("bun.lock", "bun"), ("bun.lockb", "bun"))
    return next((name for lock, name in locks if (workspace / lock).is_file()), "npm")


def read_small(path: Path) -> str:
    """Return a file's text, "" when it is missing, unreadable or too large to be what it is taken for."""
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return ""
        return path.read_bytes().decode("utf-8-sig", "replace")
    except OSError:
        return ""
