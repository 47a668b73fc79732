from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Ended, Flow


@pytest.fixture
def docs(workspace: Path) -> Path:
    folder = workspace / "docs"
    folder.mkdir()
    (folder / "expenses.md").write_text("# 経費\n\n## 出張\n\n日当は一日三千円を支給する。\n")
    (folder / "leave.txt").write_text("Leave is twenty days.\n")
    return folder


def asked(flow: Flow, *words: str) -> list[dict[str, Any]]:
    done = flow("docs", "query", *words, "-o", "json")
    assert done.code == 0, done.err
    hits: list[dict[str, Any]] = json.loads(done.out)
    return hits


def test_documents_are_added_and_found(flow: Flow, docs: Path) -> None:
    added = flow("docs", "add", "docs")
    assert (added.code, added.out, added.err) == (0, "docs (this project): 2 documents, 2 passages\n", "")
    found = flow("docs", "query", "出張の日当はいくらですか")
    assert found.code == 0
    assert found.out.startswith("1. docs/expenses.md:3-5  経費 > 出張\n   ## 出張\n")


def test_hits_as_json_name_their_place(flow: Flow, docs: Path) -> None:
    flow("docs", "add", "docs", "--name", "rules")
    (hit,) = asked(flow, "twenty days of leave", "-k", "1")
    assert {name: hit[name] for name in ("path", "start_line", "end_line", "page", "heading", "stale")} == {
        "path": "docs/leave.txt",
        "start_line": 1,
        "end_line": 1,
        "page": None,
        "heading": "",
        "stale": False,
    }
    assert (hit["text"], hit["collection"], hit["lexical_rank"], hit["dense_rank"]) == (
        "Leave is twenty days.",
        "rules",
        1,
        None,
    )
    (docs / "leave.txt").write_text("Leave is thirty days now.\n")
    assert [each["stale"] for each in asked(flow, "twenty days of leave", "-k", "1")] == [True]


def test_jsonl_is_a_line_for_each_hit(flow: Flow, docs: Path) -> None:
    flow("docs", "add", "docs")
    lines = flow("docs", "query", "leave", "days", "日当", "-o", "jsonl").out.splitlines()
    assert {json.loads(line)["path"] for line in lines} == {"docs/leave.txt", "docs/expenses.md"}


def test_sync_reads_changes_and_forgets_what_is_gone(flow: Flow, docs: Path) -> None:
    flow("docs", "add", "docs")
    (docs / "leave.txt").unlink()
    (docs / "new.md").write_text("Badges are blue.\n")
    assert (
        "1 changed" not in flow("docs", "status").out
        and "2 changed since: flow docs sync" in flow("docs", "status").out
    )
    assert flow("docs", "sync").out == "this project: 1 added, 0 updated, 1 removed, 1 unchanged\n"
    assert [hit["path"] for hit in asked(flow, "badges")] == ["docs/new.md"]
    assert asked(flow, "leave") == []


def test_status_says_what_is_not_searched_and_why(flow: Flow, docs: Path) -> None:
    (docs / "broken.pdf").write_bytes(b"%PDF broken")
    added = flow("docs", "add", "docs")
    assert added.err == f"flow: not searched, or in part only: {docs}/broken.pdf: damaged, or not a PDF\n"
    status = flow("docs", "status")
    assert "not searched: 1" in status.out and "broken.pdf: damaged, or not a PDF" in status.out
    assert "Search by meaning: off" in status.out
    facts = json.loads(flow("docs", "status", "-o", "json").out)
    assert facts["collections"][0]["unread"][0]["reason"] == "damaged, or not a PDF"
    assert facts["meaning"]["model"] is None


def test_of_many_unread_documents_the_number_is_told(flow: Flow, docs: Path) -> None:
    for name in "abcd":
        (docs / f"{name}.pdf").write_bytes(b"%PDF broken")
    added = flow("docs", "add", "docs")
    assert added.err == "flow: 4 not searched or in part only; `flow docs status` says why.\n"


def test_list_shows_sources_and_rm_forgets(flow: Flow, docs: Path) -> None:
    flow("docs", "add", "docs/*.md", "--name", "md")
    flow("docs", "add", "docs/leave.txt", "--name", "md")
    assert flow("docs", "list").out.splitlines() == [
        "md (this project): 2 documents, 2 passages",
        f"  {docs}/*.md",
        f"  {docs}/leave.txt",
    ]
    assert flow("docs", "rm", "md", "docs/leave.txt").out == "Forgot docs/leave.txt (this project).\n"
    assert asked(flow, "leave") == []
    assert flow("docs", "rm", "md").code == 0
    assert flow("docs", "list").out == "There are no documents. Add some with: flow docs add PATH\n"


def test_documents_of_one_project_never_come_up_in_another(flow: Flow, docs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / ".git").mkdir(parents=True)
    (other / "own.md").write_text("Leave of the other project.\n")
    flow("docs", "add", "docs")
    refused = flow("-C", str(other), "docs", "query", "leave")
    assert (refused.code, refused.out) == (2, "")
    flow("-C", str(other), "docs", "add", "own.md")
    assert [Path(hit["path"]).name for hit in asked(flow, "-C", str(other), "leave twenty days")] == ["own.md"]
    assert [hit["path"] for hit in asked(flow, "leave project")] == ["docs/leave.txt"]


def test_documents_of_the_user_come_up_in_every_project(flow: Flow, docs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / ".git").mkdir(parents=True)
    flow("docs", "add", "docs/leave.txt", "--user", "--name", "mine")
    assert [hit["path"] for hit in asked(flow, "-C", str(other), "leave")] == [str(docs / "leave.txt")]
    assert [hit["path"] for hit in asked(flow, "leave")] == ["docs/leave.txt"]
    assert "mine (all projects)" in flow("-C", str(other), "docs", "list").out


def test_what_the_user_added_is_denied_where_a_project_denies_it(flow: Flow, docs: Path, workspace: Path) -> None:
    flow("docs", "add", "docs", "--user", "--name", "mine")
    (workspace / ".flowignore").write_text("docs/leave.txt\n")
    assert asked(flow, "leave twenty days") == []


def refused(done: Ended) -> tuple[int, str]:
    return done.code, done.err.splitlines()[0]


def test_each_mistake_is_one_clear_line(flow: Flow, docs: Path, workspace: Path) -> None:
    nothing = flow("docs", "query", "leave")
    assert refused(nothing) == (2, "flow: No documents are indexed for this project.")
    assert refused(flow("docs", "add", "nope")) == (2, "flow: There is no file or folder 'nope'.")
    (workspace / "empty").mkdir()
    assert refused(flow("docs", "add", "empty")) == (2, "flow: There is no document in 'empty'.")
    assert refused(flow("docs", "add", "docs", "--name", "a/b")) == (
        2,
        "flow: 'a/b' cannot be the name of a collection.",
    )
    flow("docs", "add", "docs")
    assert refused(flow("docs", "query", "leave", "--name", "nope")) == (2, "flow: There is no collection 'nope'.")
    assert refused(flow("docs", "sync", "nope")) == (2, "flow: There is no collection 'nope'.")
    assert refused(flow("docs", "rm", "nope")) == (2, "flow: There is no collection 'nope'.")
    assert refused(flow("docs", "rm", "docs", "x.md")) == (2, "flow: 'x.md' is no source of the collection 'docs'.")
    assert refused(flow("docs", "query")) == (2, "flow: What is to be searched for is missing.")
    assert refused(flow("docs", "query", "x", "-k", "0")) == (2, "flow: -k '0' is not a number of passages.")
    assert refused(flow("docs", "query", "x", "-k")) == (2, "flow: The option -k needs a value.")
    assert refused(flow("docs", "query", "--nope", "x")) == (2, "flow: There is no option '--nope'.")


def test_what_is_not_found_is_said_beside_the_answer(flow: Flow, docs: Path) -> None:
    flow("docs", "add", "docs")
    done = flow("docs", "query", "zeppelin")
    assert (done.code, done.out, done.err) == (0, "", "Nothing was found.\n")


def test_text_of_documents_cannot_steer_the_terminal(flow: Flow, docs: Path) -> None:
    (docs / "evil.md").write_text("# zeppelin\x1b[31m\n\nzeppelin \x1b]0;owned\x07 \u202egnp\n")
    flow("docs", "add", "docs")
    out = flow("docs", "query", "zeppelin").out
    assert "zeppelin" in out and "\x1b" not in out and "\u202e" not in out


def test_a_query_loads_nothing_heavy(flow: Flow, docs: Path, workspace: Path) -> None:
    flow("docs", "add", "docs")
    code = (
        "import json, os, sys\n"
        "from flowloom.cli.app import run_command_line\n"
        "run_command_line(['docs', 'query', 'leave', '-o', 'json'], os.environ)\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=workspace, env=os.environ, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)[0]["path"] == "docs/leave.txt"
    heavy = {
        "pydantic",
        "chromadb",
        "numpy",
        "torch",
        "httpx",
        "langgraph",
        "rich",
        "asyncio",
        "pathspec",
        "typing_inspection",
    }
    assert heavy & set(json.loads(done.stderr.splitlines()[-1])) == set()
