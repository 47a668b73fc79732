from __future__ import annotations

from pathlib import Path

import pytest

from flowloom.configs.detect_check import detect_check


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of PATH with every checker in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in (
        *("make", "just", "ruff", "flake8", "mypy", "pyright"),
        *("cargo", "cargo-clippy", "go", "deno", "rubocop"),
    ):
        (folder / name).write_text("")
        (folder / name).chmod(0o755)
    return folder


def write(workspace: Path, name: str, text: str = "") -> None:
    (workspace / name).parent.mkdir(parents=True, exist_ok=True)
    (workspace / name).write_text(text, "utf-8")


def test_nothing_is_detected_in_an_empty_folder(workspace: Path, programs: Path) -> None:
    assert detect_check(workspace, str(programs)) is None


@pytest.mark.parametrize(
    ("name", "text", "command"),
    [
        ("Makefile", "lint:\n\truff check .\ntest:\n\tpytest\n", ["make", "lint"]),
        ("Makefile", ".PHONY: lint types\nlint types: base\n\techo\n", ["make", "lint", "types"]),
        ("justfile", "@lint:\n  x\ntypecheck:\n  y\n", ["just", "lint", "typecheck"]),
        ("pyproject.toml", "[tool.ruff]\nline-length = 100\n", ["ruff", "check", "."]),
        ("ruff.toml", "", ["ruff", "check", "."]),
        ("setup.cfg", "[flake8]\nmax-line-length = 100\n", ["flake8"]),
        ("pyproject.toml", "[tool.mypy]\nfiles = ['src']\n", ["mypy"]),
        ("mypy.ini", "[mypy]\nstrict = true\n", ["mypy", "."]),
        ("mypy.ini", "[mypy]\npackages = shop\n", ["mypy"]),
        ("pyrightconfig.json", "{}", ["pyright"]),
        ("pyproject.toml", "[tool.ruff]\n[tool.mypy]\n", ["sh", "-c", "ruff check . && mypy ."]),
        ("Cargo.toml", "", ["cargo", "clippy"]),
        ("go.mod", "", ["go", "vet", "./..."]),
        ("deno.json", "{}", ["deno", "lint"]),
        (".rubocop.yml", "", ["rubocop"]),
    ],
)
def test_what_a_project_configures_is_detected(
    workspace: Path, programs: Path, name: str, text: str, command: list[str]
) -> None:
    write(workspace, name, text)
    assert detect_check(workspace, str(programs)) == command


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Makefile", "check:\n\tpytest\n"),  # by convention that is the tests
        ("Makefile", "lint := ruff\n"),
        ("Makefile", "lint:\n\truff check --fix .\n"),
        ("Makefile", "lint: base\n\n\techo\n\truff check --fix .\n"),
        ("pyproject.toml", "[tool.ruff"),
        ("pyproject.toml", "tool = 3"),
        ("tsconfig.json", "{}"),  # there is no compiler
        ("package.json", '{"scripts": {"lint": "eslint ."}}'),  # nothing is installed
    ],
)
def test_what_is_no_check_is_not_taken_for_one(workspace: Path, programs: Path, name: str, text: str) -> None:
    write(workspace, name, text)
    assert detect_check(workspace, str(programs)) is None


@pytest.mark.parametrize(
    ("scripts", "command"),
    [
        ('{"lint": "eslint ."}', ["npm", "run", "lint"]),
        ('{"lint": "eslint --fix .", "typecheck": "tsc"}', ["npm", "run", "typecheck"]),
        ('{"typecheck": "tsc", "lint": "eslint ."}', ["sh", "-c", "npm run lint && npm run typecheck"]),
        ('{"lint": ""}', None),
        ("[]", None),
        ("3", None),
    ],
)
def test_scripts_of_an_installed_package_are_detected(
    workspace: Path, programs: Path, scripts: str, command: list[str] | None
) -> None:
    write(workspace, "package.json", f'{{"scripts": {scripts}}}')
    write(workspace, "node_modules/x")
    assert detect_check(workspace, str(programs)) == command


def test_the_compiler_that_is_installed_checks_types_without_a_script(workspace: Path, programs: Path) -> None:
    write(workspace, "tsconfig.json", "{}")
    write(workspace, "node_modules/.bin/tsc")
    assert detect_check(workspace, str(programs)) == ["node_modules/.bin/tsc", "--noEmit"]


def test_a_program_that_is_not_installed_is_no_check(workspace: Path, programs: Path, tmp_path: Path) -> None:
    for name in ("Makefile", "ruff.toml", "Cargo.toml", "go.mod"):
        write(workspace, name, "lint:\n\techo\n" if name == "Makefile" else "")
    assert detect_check(workspace, str(tmp_path / "empty")) is None
    (programs / "make").unlink()
    (programs / "ruff").unlink()
    (programs / "cargo-clippy").unlink()
    assert detect_check(workspace, str(programs)) == ["cargo", "check"]


def test_the_own_environment_of_a_project_comes_before_path(workspace: Path, programs: Path) -> None:
    write(workspace, "ruff.toml")
    write(workspace, ".venv/bin/ruff")
    assert detect_check(workspace, str(programs)) == [str(workspace / ".venv/bin/ruff"), "check", "."]
