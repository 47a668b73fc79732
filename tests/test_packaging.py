"""The package: what the wheel holds, and that it works where the checkout is not."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LAYERS = [name.removeprefix("flowloom.") for name in PROJECT["tool"]["setuptools"]["packages"] if "." in name]
_UNSHIPPED = ("tests/", "bench/", "examples/", "flowloom/examples")
DATA_SUFFIXES = {".toml", ".yaml", ".md", ".scm", ".jsonl"}


def shipped_data() -> set[str]:
    files = (path for layer in LAYERS for path in (ROOT / layer).rglob("*") if path.suffix in DATA_SUFFIXES)
    return {f"flowloom/{path.relative_to(ROOT).as_posix()}" for path in files}


def test_the_package_list_names_every_folder_with_code() -> None:
    on_disk = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert set(LAYERS) == on_disk - {"tests", "bench", "build"}


def test_only_the_package_files_stand_at_the_root() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_no_module_imports_the_package_by_its_absolute_name() -> None:
    absolute = re.compile(r"^\s*(?:from|import) flowloom\b", re.MULTILINE)
    modules = [path for layer in LAYERS for path in (ROOT / layer).rglob("*.py")]
    assert [str(path) for path in modules if absolute.search(path.read_text("utf-8"))] == []


def test_no_module_is_longer_than_400_lines() -> None:
    modules = [path for layer in LAYERS for path in (ROOT / layer).rglob("*.py")]
    assert [path.name for path in modules if len(path.read_text("utf-8").splitlines()) > 400] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source") / "flowloom"
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_every_data_file_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert shipped_data() - names == set()
    assert not [name for name in names if name.startswith((*_UNSHIPPED, "flowloom/tests", "flowloom/bench"))]


@pytest.mark.slow
def test_the_installed_wheel_runs_elsewhere(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    loads = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import flowloom, importlib.resources as r\n"
        f"assert flowloom.__file__.startswith({str(site)!r}), flowloom.__file__\n"
        "from flowloom.nodes.roles import ROLES\n"
        "assert all(role.text(role.schema) for role in ROLES.values())\n"
        "from flowloom.tools.registry import TOOLS\n"
        "assert all(spec.description for spec in TOOLS.values())\n"
        "from flowloom.graphs.find import list_graphs\n"
        "from pathlib import Path\n"
        "found = list_graphs(workspace=Path('.'), user_dir=Path('none'), is_trusted=lambda path, content: False)\n"
        "assert {'plan-and-code', 'implement-step'} <= {entry.name for entry in found}, found\n"
        "from flowloom.cli.app import main\n"
        "sys.argv = ['flow', 'demo', '--scripted']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", loads], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Its tests after: green" in done.stderr
