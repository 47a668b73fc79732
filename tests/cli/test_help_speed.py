from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "langgraph",
    "langchain_core",
    "langsmith",
    "chromadb",
    "torch",
    "numpy",
    "rich",
    "pydantic",
    "httpx",
    "jinja2",
    "ruamel",
    "networkx",
    "tree_sitter",
    "asyncio",
    "sqlite3",
    "platformdirs",
)

CODE = (
    "import json, os, sys\n"
    "from flowloom.cli.app import run_command_line\n"
    "code = run_command_line(sys.argv[1:], os.environ)\n"
    "print(json.dumps([code, sorted({name.split('.')[0] for name in sys.modules})]), file=sys.stderr)\n"
)


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("version",),
        ("nope",),
        ("runs", "--help"),
        ("config", "get", "--help"),
        ("trust", "--help"),
        ("tools", "call", "--help"),
        ("doctor", "--help"),
    ],
    ids=" ".join,
)
def test_help_and_version_load_nothing_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CODE, *words], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    code, loaded = json.loads(ended.stderr.splitlines()[-1])
    assert (code, [name for name in HEAVY if name in loaded]) == (2 if words == ("nope",) else 0, [])
