from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from .conftest import Flow

MEMORY, IGNORE = ".agent.md", ".gitignore"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    for name in ("shop/cart.py", "shop/api/routes.py", "tests/test_cart.py", "main.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x = 1\n")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def states(flow: Flow) -> dict[str, str]:
    return {Path(fact["path"]).name: fact["state"] for fact in json.loads(flow("trust", "--list", "-o", "json").out)}


def test_it_writes_and_trusts_what_the_files_tell(flow: Flow, workspace: Path) -> None:
    done = flow("init", "--yes")
    assert (done.code, done.out) == (0, "Created .agent.md\nCreated .gitignore\n")
    assert (workspace / MEMORY).read_text("utf-8") == (
        "# shop\n\nLanguages: Python.\n\n## Commands\n- Test: `python3 -m pytest -q`\n\n"
        "## Folders\n- `shop/`: Python (api/)\n- `tests/`: Python\n\n## Starts in\n- `main.py`\n"
    )
    assert "+Languages: Python." in done.err
    assert (workspace / IGNORE).read_bytes() == b".agent.local.md\n"
    assert states(flow)[MEMORY] == "trusted"


def test_a_second_time_changes_nothing(flow: Flow, workspace: Path) -> None:
    flow("init", "--yes")
    before = {path: path.read_bytes() for path in workspace.glob(".*") if path.is_file()}
    (workspace / ".agent" / "memory").mkdir(parents=True)
    (workspace / ".agent" / "memory" / "auto.md").write_text("- x\n")
    done = flow("init")
    assert (done.code, done.out) == (0, "There is nothing to write: .agent.md is up to date.\n")
    assert {path: path.read_bytes() for path in workspace.glob(".*") if path.is_file()} == before


def test_without_a_person_it_shows_and_writes_nothing(flow: Flow, workspace: Path) -> None:
    done = flow("init")
    assert done.code == 4
    assert "+++ b/.agent.md" in done.out
    assert "--yes does it" in done.err
    assert not (workspace / MEMORY).exists() and not (workspace / IGNORE).exists()


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("はい\n", 0), ("\n", 7), ("n\n", 7)])
def test_a_person_at_a_terminal_decides(
    flow: Flow, workspace: Path, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    main, other = pty.openpty()
    os.write(main, typed.encode())
    with open(other, encoding="utf-8") as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        done = flow("init")
    os.close(main)
    assert (done.code, (workspace / MEMORY).exists()) == (code, code == 0)
    assert "Write this? [y/N]" in done.err


def test_what_a_person_wrote_is_replaced_by_force_only(flow: Flow, workspace: Path) -> None:
    (workspace / MEMORY).write_text("my own words\n")
    refused = flow("init", "--yes")
    assert refused.code == 2
    assert ".agent.md exists already." in refused.err and "--force" in refused.err
    assert (workspace / MEMORY).read_text() == "my own words\n" and not (workspace / IGNORE).exists()
    forced = flow("init", "--yes", "--force")
    assert forced.code == 0 and "-my own words" in forced.err
    assert (workspace / MEMORY).read_text().startswith("# shop\n")


def test_the_same_text_from_elsewhere_is_not_trusted_by_itself(flow: Flow, workspace: Path) -> None:
    flow("init", "--yes")
    flow("trust", "--revoke", MEMORY)
    done = flow("init", "--yes")
    assert done.code == 0 and "flow trust .agent.md" in done.err
    assert states(flow)[MEMORY] == "new"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"*.pyc\n", b"*.pyc\n.agent.local.md\n"),
        (b"a\r\nb\xff", b"a\r\nb\xff\r\n.agent.local.md\r\n"),
        (b"# .agent.local.md\nx", b"# .agent.local.md\nx\n.agent.local.md\n"),
        (b".agent.*\n", b".agent.*\n"),
        (b"/.agent.local.md", b"/.agent.local.md"),
    ],
)
def test_the_ignore_file_keeps_its_bytes_and_gets_the_line_once(
    flow: Flow, workspace: Path, before: bytes, after: bytes
) -> None:
    (workspace / IGNORE).write_bytes(before)
    assert flow("init", "--yes", "-q").code == 0
    assert flow("init", "--yes", "-q").code == 0
    assert (workspace / IGNORE).read_bytes() == after


def test_a_folder_without_git_gets_no_ignore_file_and_that_is_told(flow: Flow, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    done = flow("-C", str(plain), "init", "--yes")
    assert done.code == 0 and (plain / MEMORY).read_text() == "# plain\n"
    assert "This is no git repository" in done.err and not (plain / IGNORE).exists()


@pytest.mark.parametrize("name", [MEMORY, IGNORE])
def test_nothing_is_written_through_a_link(flow: Flow, workspace: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_text("outside\n")
    (workspace / name).symlink_to(tmp_path / "outside")
    done = flow("init", "--yes", "--force")
    assert f"{name} is a link to" in done.err
    assert done.code == (2 if name == MEMORY else 0)
    assert (tmp_path / "outside").read_text() == "outside\n" and (workspace / name).is_symlink()


def test_json_tells_what_would_be_written(flow: Flow, workspace: Path) -> None:
    done = flow("init", "-o", "json")
    facts = json.loads(done.out)
    assert (done.code, facts["done"]) == (4, False)
    assert [(file["path"], file["action"]) for file in facts["files"]] == [(MEMORY, "create"), (IGNORE, "create")]


def test_a_secret_in_the_test_command_is_left_out(flow: Flow, workspace: Path) -> None:
    secret = "AKIAQ3EGWZNM5T7KXV2B"
    flow("init", "--yes", "-c", f"verify=env KEY={secret} make check", "-c", "check=./lint.sh")
    text = (workspace / MEMORY).read_text()
    assert secret not in text and "`./lint.sh`" in text
