from __future__ import annotations

from pathlib import Path

import pytest

from flowloom.configs.detect import detect_verify

PYTEST = ["python3", "-m", "pytest", "-q"]


def write(workspace: Path, name: str, text: str = "") -> None:
    (workspace / name).parent.mkdir(parents=True, exist_ok=True)
    (workspace / name).write_text(text, "utf-8")


def test_nothing_is_detected_in_an_empty_folder(workspace: Path) -> None:
    assert detect_verify(workspace) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[tool.pytest.ini_options]\n"),
        ("pyproject.toml", "[tool.pytest]\n"),
        ("pytest.ini", ""),
        ("tox.ini", "[pytest]\naddopts = -q %(x)s\n"),
        ("setup.cfg", "[tool:pytest]\n"),
        ("conftest.py", ""),
        ("tests/conftest.py", ""),
        ("tests/test_日本.py", ""),
    ],
)
def test_pytest_is_detected(workspace: Path, name: str, text: str) -> None:
    write(workspace, name, text)
    assert detect_verify(workspace) == PYTEST


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[project]\n"),
        ("pyproject.toml", "[[["),
        ("pyproject.toml", "tool = 3"),
        ("tox.ini", "[tox]\n"),
        ("setup.cfg", "no section"),
        ("tests/helper.py", ""),
        ("package.json", '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'),
        ("package.json", '{"scripts": {"build": "tsc"}}'),
        ("package.json", '{"scripts": []}'),
        ("package.json", '{"scripts": {"test": ""}}'),
        ("package.json", "[]"),
        ("package.json", "{"),
        ("Makefile", ".PHONY: test\nbuild: test\n\techo\n"),
        ("Makefile", "test := 3\n"),
        ("Makefile", "test = 3\n"),
        ("Makefile", "\ttest: no\n"),
        ("Makefile", "tests: all\n"),
    ],
)
def test_nothing_is_detected_without_a_sign_of_tests(workspace: Path, name: str, text: str) -> None:
    write(workspace, name, text)
    assert detect_verify(workspace) is None


def test_the_projects_own_environment_is_used(workspace: Path) -> None:
    write(workspace, "conftest.py")
    write(workspace, ".venv/bin/python")
    assert detect_verify(workspace) == [str(workspace / ".venv/bin/python"), "-m", "pytest", "-q"]


@pytest.mark.parametrize(
    ("lock", "manager"),
    [("package-lock.json", "npm"), ("yarn.lock", "yarn"), ("pnpm-lock.yaml", "pnpm"), ("README.md", "npm")],
)
def test_the_lock_file_names_the_package_manager(workspace: Path, lock: str, manager: str) -> None:
    write(workspace, "package.json", '{"scripts": {"test": "vitest"}}')
    write(workspace, lock)
    assert detect_verify(workspace) == [manager, "test"]


@pytest.mark.parametrize("text", ["test:\n\tgo test\n", "all: x\n\ntest: build\n", "check test lint:\n", "test::\n"])
def test_a_make_target_is_detected(workspace: Path, text: str) -> None:
    write(workspace, "Makefile", text)
    assert detect_verify(workspace) == ["make", "test"]


def test_pytest_comes_before_make(workspace: Path) -> None:
    write(workspace, "Makefile", "test:\n")
    write(workspace, "pytest.ini")
    assert detect_verify(workspace) == PYTEST


def test_binary_and_huge_files_are_no_sign(workspace: Path) -> None:
    (workspace / "package.json").write_bytes(b"\xff\x00{")
    write(workspace, "Makefile", "# \n" * 400_000 + "test:\n")
    assert detect_verify(workspace) is None
