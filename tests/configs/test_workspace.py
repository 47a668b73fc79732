from __future__ import annotations

import subprocess
from pathlib import Path

from flowloom.configs.workspace import find_workspace


def test_a_folder_inside_a_repository_leads_to_its_root(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_workspace(tmp_path / "a" / "b") == tmp_path.resolve()


def test_a_linked_worktree_is_a_workspace_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / ".git").write_text("gitdir: elsewhere")
    assert find_workspace(tmp_path / "tree") == (tmp_path / "tree").resolve()


def test_without_a_repository_the_folder_itself_is_the_workspace(tmp_path: Path) -> None:
    assert find_workspace(tmp_path) == tmp_path.resolve()
