from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.effects import Command, ToolResult
from flowloom.core.ports import CallRef
from flowloom.runs.journal import RunJournal
from flowloom.runs.made_commits import MadeCommit, found_in, made_commits
from flowloom.tools.commit_script import COMMIT_NAME, COMMIT_SCRIPT, HOOKED_NAME

ID = "a" * 40


def git(repo: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=repo, capture_output=True, text=True, check=True).stdout.strip()


def test_a_commit_named_by_an_output_has_to_stand_on_the_right_parent(make_repo: Any) -> None:
    repo = make_repo({"a.txt": "one\n"})
    parent = git(repo, "rev-parse", "HEAD")
    git(repo, "commit", "-q", "--allow-empty", "-m", "yours")
    head = git(repo, "rev-parse", "HEAD")
    made = MadeCommit("r", head, parent, "m", "n", "t")
    assert found_in(repo, made, head) == made
    assert found_in(repo, made._replace(parent="0" * 40), head) is None


@pytest.mark.parametrize("name", [COMMIT_NAME, HOOKED_NAME])
@pytest.mark.parametrize(
    ("text", "failed", "commit"),
    [
        (f"\ncommit {ID}", False, [ID]),
        (f"\ncommit {ID}\n\n[... this command failed: it made what no command may make: .flow ...]", True, [ID]),
        (f"commit {ID}\nThe hook pre-commit failed with exit code 1.", True, []),
        (None, False, [""]),
    ],
)
def test_commits_with_and_without_hooks_are_known_when_they_were_made(
    store: Any, row: Any, blobs: Any, name: str, text: str | None, failed: bool, commit: list[str]
) -> None:
    journal, ref = RunJournal(store, row.id, blobs), CallRef("save#1", "commit")
    journal.begin(ref, Command(("sh", "-c", COMMIT_SCRIPT, name, "", "title", "", "a.txt"), 60.0), None)
    if text is not None:
        journal.finish(ref, ToolResult(text, failed=failed, exit_code=int(failed)))
    assert [made.commit for made in made_commits(store, row.id)] == commit
