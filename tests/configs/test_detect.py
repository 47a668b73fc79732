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
        ("tox.ini", "[flake8]\n"),
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
        ("justfile", "test := 'x'\nretest:\n"),
        ("Rakefile", "task :build\n"),
        ("CMakeLists.txt", "project(x)\n"),
        ("composer.json", "{}"),
        ("test_shop.py", "print(1)\n"),
        ("manage.py", ""),
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
    ("lock", "command"),
    [
        ("package-lock.json", "npm test"),
        ("yarn.lock", "yarn test"),
        ("pnpm-lock.yaml", "pnpm test"),
        ("bun.lock", "bun run test"),
        ("bun.lockb", "bun run test"),
        ("README.md", "npm test"),
    ],
)
def test_the_lock_file_names_the_package_manager(workspace: Path, lock: str, command: str) -> None:
    write(workspace, "package.json", '{"scripts": {"test": "vitest"}}')
    write(workspace, lock)
    assert detect_verify(workspace) == command.split()


UNITTEST = "import unittest\n"
CTEST = "cmake --build build && ctest --test-dir build --output-on-failure"


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"test_shop.py": UNITTEST}, "python3 -m unittest -q"),
        ({"tests/test_a.py": UNITTEST, "tests/__init__.py": ""}, "python3 -m unittest -q"),
        ({"tests/test_a.py": "from unittest import TestCase\n"}, "python3 -m unittest discover -s tests -q"),
        ({"tests/test_a.py": f"{UNITTEST}import pytest\n"}, "python3 -m pytest -q"),
        ({"manage.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'x')"}, "python3 manage.py test"),
        ({"tox.ini": "[tox]\n"}, "tox"),
        ({"tox.ini": "[testenv]\n"}, "tox"),
        ({"pyproject.toml": "[tool.tox]\n"}, "tox"),
        ({"noxfile.py": ""}, "nox"),
        ({"Cargo.toml": ""}, "cargo test"),
        ({"go.mod": ""}, "go test ./..."),
        ({"pom.xml": ""}, "mvn test"),
        ({"pom.xml": "", "mvnw": ""}, "./mvnw test"),
        ({"build.gradle": ""}, "gradle test"),
        ({"build.gradle.kts": "", "gradlew": ""}, "./gradlew test"),
        ({"shop.sln": ""}, "dotnet test"),
        ({"shop.csproj": ""}, "dotnet test"),
        ({"Package.swift": ""}, "swift test"),
        ({"mix.exs": ""}, "mix test"),
        ({"build.zig": ""}, "zig build test"),
        ({"justfile": "build:\n    x\ntest *args: build\n    y\n"}, "just test"),
        ({".rspec": ""}, "rspec"),
        ({"spec/spec_helper.rb": "", "Gemfile": ""}, "bundle exec rspec"),
        ({"Rakefile": "Rake::TestTask.new\n"}, "rake test"),
        ({"Rakefile": "task test: [:build]\n", "Gemfile": ""}, "bundle exec rake test"),
        ({"bin/rails": "", "test/a.rb": "", "Rakefile": ""}, "bin/rails test"),
        ({"composer.json": '{"scripts": {"test": ["@lint", "phpunit"]}}'}, "composer test"),
        ({"composer.json": "{}", "phpunit.xml.dist": ""}, "vendor/bin/phpunit"),
        ({"Makefile": "test:\n", "go.mod": ""}, "make test"),
    ],
)
def test_the_command_of_an_ecosystem_is_detected(workspace: Path, files: dict[str, str], command: str) -> None:
    for name, text in files.items():
        write(workspace, name, text)
    assert detect_verify(workspace) == command.split()


def test_ctest_is_run_after_a_build(workspace: Path) -> None:
    write(workspace, "CMakeLists.txt", "project(x)\nenable_testing()\n")
    assert detect_verify(workspace) == ["sh", "-c", f"cmake -S . -B build && {CTEST}"]
    write(workspace, "build/CMakeCache.txt")
    assert detect_verify(workspace) == ["sh", "-c", CTEST]


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
