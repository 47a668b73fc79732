from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from flowloom.configs.dirs import Dirs
from flowloom.configs.project_files import MAX_BYTES, imported_beside, project_files, read_project_file
from flowloom.configs.trust import TrustStore
from flowloom.core.errors import ConfigError


@pytest.fixture
def file(workspace: Path) -> Path:
    path = workspace / "AGENTS.md"
    path.write_text("手順", "utf-8")
    return path


def test_nothing_is_trusted_at_first(trust: TrustStore, file: Path) -> None:
    assert (trust.covers(file, file.read_bytes()), trust.state(file), trust.entries()) == (False, "new", ())


def test_a_trusted_file_stays_trusted_in_another_process(trust: TrustStore, dirs: Dirs, file: Path) -> None:
    trust.trust(file)
    again = TrustStore(dirs.data / "trust.json")
    assert again.state(file) == "trusted"
    assert [entry.path for entry in again.entries()] == [str(file.resolve())]


def test_a_changed_file_is_not_trusted(trust: TrustStore, file: Path) -> None:
    trust.trust(file)
    file.write_text("other")
    assert (trust.covers(file, b"other"), trust.state(file)) == (False, "changed")


def test_the_same_content_at_another_path_is_not_trusted(trust: TrustStore, file: Path, tmp_path: Path) -> None:
    trust.trust(file)
    copy = tmp_path / "AGENTS.md"
    copy.write_bytes(file.read_bytes())
    assert trust.state(copy) == "new"


def test_a_file_is_trusted_through_a_link_to_its_folder(trust: TrustStore, file: Path, tmp_path: Path) -> None:
    trust.trust(file)
    (tmp_path / "link").symlink_to(file.parent)
    assert trust.state(tmp_path / "link" / "AGENTS.md") == "trusted"


def test_a_removed_file_is_not_trusted(trust: TrustStore, file: Path) -> None:
    trust.trust(file)
    file.unlink()
    assert trust.state(file) == "changed"


def test_revoking_forgets_a_file(trust: TrustStore, file: Path) -> None:
    trust.trust(file)
    assert [trust.revoke(file), trust.revoke(file), trust.state(file)] == [True, False, "new"]


def test_a_missing_file_cannot_be_trusted(trust: TrustStore, workspace: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.md"):
        trust.trust(workspace / "none.md")


def test_what_was_shown_is_what_is_trusted(trust: TrustStore, file: Path) -> None:
    shown = file.read_bytes()
    file.write_text("changed meanwhile")
    trust.trust_content(file, shown)
    assert (trust.state(file), trust.covers(file, shown)) == ("changed", True)


def test_the_store_is_private(trust: TrustStore, dirs: Dirs, file: Path) -> None:
    trust.trust(file)
    store = dirs.data / "trust.json"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (store, dirs.data)] == [0o600, 0o700]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"v": 2, "files": []}',
        b'{"v": 1}',
        b'{"v": 1, "files": [{"path": 1, "sha256": "a"}]}',
        b'{"v": 1, "files": [], "declined": [1]}',
        b"\xff",
    ],
)
def test_a_damaged_store_is_told_and_not_overwritten(
    trust: TrustStore, dirs: Dirs, file: Path, content: bytes
) -> None:
    dirs.data.mkdir(parents=True)
    store = dirs.data / "trust.json"
    store.write_bytes(content)
    with pytest.raises(ConfigError, match=r"trust\.json"):
        trust.trust(file)
    assert store.read_bytes() == content


def test_project_files_are_those_that_would_act(workspace: Path) -> None:
    names = [
        ".agent/memory/auto.md",
        ".agent.local.md",
        ".agent.md",
        ".flow/agents/strict.yaml",
        ".flow/config.toml",
        ".flow/graphs/mine.yaml",
        ".flow/graphs/nodes/deep.py",
        ".flow/triage.py",
        ".mcp.json",
        "AGENTS.md",
        "CLAUDE.md",
    ]
    for name in [*names, ".flow/notes.md", ".flow/other.yaml", "src/AGENTS.md", "main.py"]:
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text("x")
    assert [str(file.path.relative_to(workspace)) for file in project_files(workspace)] == names


def test_a_plain_folder_brings_nothing(workspace: Path) -> None:
    assert project_files(workspace) == []


def test_a_link_to_what_another_repository_may_do_is_not_trusted(trust: TrustStore, tmp_path: Path) -> None:
    for name in ("mine", "theirs"):
        (tmp_path / name / ".git").mkdir(parents=True)
    (tmp_path / "mine" / ".flow").mkdir()
    config = tmp_path / "mine" / ".flow" / "config.toml"
    config.write_text("mode = 'auto'")
    trust.trust(config)
    (tmp_path / "theirs" / ".flow").symlink_to(config.parent)
    assert trust.state(tmp_path / "theirs" / ".flow" / "config.toml") == "new"
    (tmp_path / "also mine").symlink_to(tmp_path / "mine")
    assert trust.state(tmp_path / "also mine" / ".flow" / "config.toml") == "trusted"


def test_the_trusted_content_is_kept_privately_and_goes_with_the_trust(
    trust: TrustStore, dirs: Dirs, file: Path
) -> None:
    before = file.read_bytes()
    trust.trust(file)
    file.write_text("other")
    assert trust.trusted_content(file) == before
    (kept,) = (dirs.data / "trusted").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    trust.trust(file)
    assert [path.read_bytes() for path in (dirs.data / "trusted").iterdir()] == [b"other"]
    trust.revoke(file)
    assert (trust.trusted_content(file), list((dirs.data / "trusted").iterdir())) == (None, [])


def test_a_kept_content_that_was_tampered_with_is_not_shown(trust: TrustStore, dirs: Dirs, file: Path) -> None:
    trust.trust(file)
    (kept,) = (dirs.data / "trusted").iterdir()
    kept.write_text("harmless")
    assert trust.trusted_content(file) is None


def test_what_was_declined_is_kept_until_it_changes_or_is_trusted(trust: TrustStore, file: Path) -> None:
    trust.decline(file, b"a")
    assert [trust.was_declined(file, content) for content in (b"a", b"b")] == [True, False]
    trust.trust_content(file, b"a")
    assert (trust.was_declined(file, b"a"), trust.covers(file, b"a")) == (False, True)


def test_a_store_of_an_older_version_without_declined_files_is_read(
    trust: TrustStore, dirs: Dirs, file: Path
) -> None:
    trust.trust(file)
    store = dirs.data / "trust.json"
    data = json.loads(store.read_bytes())
    del data["declined"]
    store.write_text(json.dumps(data))
    assert trust.state(file) == "trusted"


def test_files_that_never_end_or_are_too_large_are_not_read(workspace: Path) -> None:
    os.mkfifo(workspace / "pipe")
    (workspace / "zero").symlink_to("/dev/zero")
    with open(workspace / "large", "wb") as file:
        file.truncate(10_000_000_000)
    (workspace / "most").write_bytes(b"x" * MAX_BYTES)
    told = []
    for name in ("pipe", "zero", "large"):
        with pytest.raises(OSError) as caught:
            read_project_file(workspace / name)
        told.append(caught.value.strerror)
    assert told == ["not a regular file", "not a regular file", "larger than 1,000,000 bytes"]
    assert len(read_project_file(workspace / "most")) == MAX_BYTES


def test_a_file_that_cannot_be_used_is_listed_with_the_reason_and_not_trusted(
    trust: TrustStore, workspace: Path
) -> None:
    (workspace / "CLAUDE.md").symlink_to(workspace / "gone")
    os.mkfifo(workspace / "AGENTS.md")
    (workspace / ".agent.md").mkdir()
    found = {file.path.name: trust.examine(file.path).problem for file in project_files(workspace)}
    assert found == {"AGENTS.md": "not a regular file", "CLAUDE.md": "No such file or directory"}
    with pytest.raises(ConfigError, match="not a regular file"):
        trust.trust(workspace / "AGENTS.md")


def test_instructions_count_from_the_folder_of_work_up_to_the_workspace(workspace: Path) -> None:
    for name in ("AGENTS.md", "a/AGENTS.md", "a/b/.agent/memory/x.md", "a/b/CLAUDE.md", "other/AGENTS.md"):
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text("x")
    (workspace.parent / "AGENTS.md").write_text("above the repository")
    found = [str(file.path.relative_to(workspace)) for file in project_files(workspace, workspace / "a" / "b")]
    assert found == ["AGENTS.md", "a/AGENTS.md", "a/b/.agent/memory/x.md", "a/b/CLAUDE.md"]


def test_python_files_that_a_graph_names_are_listed_wherever_they_stand_in_the_repository(workspace: Path) -> None:
    graphs = workspace / ".flow" / "graphs"
    graphs.mkdir(parents=True)
    for path in (workspace / "src" / "triage.py", graphs / "near.py", workspace.parent / "out.py"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    (graphs / "x.yaml").write_text(
        "run: src/triage.py:label\nmore: near.py:f\nout: ../../../out.py:f\nno: src/none.py:f"
    )
    found = [str(file.path.relative_to(workspace)) for file in project_files(workspace) if file.kind == "python"]
    assert found == [".flow/graphs/near.py", "src/triage.py"]


def test_presets_and_the_prompts_that_graphs_name_are_listed(workspace: Path) -> None:
    files = {
        ".flow/graphs/g.yaml": "nodes: {a: {type: llm, prompt: {file: prompts/見る.md}}}",
        ".flow/graphs/prompts/見る.md": "x",
        ".flow/graphs/agents/near.yaml": "prompt:\n  file: 'near.md'\n",
        ".flow/graphs/agents/near.md": "x",
        ".flow/agents/far.yaml": "type: llm\nprompt: {file: ../texts/far.txt}",
        ".flow/texts/far.txt": "x",
        ".flow/texts/other.txt": "x",
    }
    for name, text in files.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(text, "utf-8")
    found = {str(file.path.relative_to(workspace)): file.kind for file in project_files(workspace)}
    assert found == {
        ".flow/graphs/g.yaml": "graph",
        ".flow/graphs/prompts/見る.md": "prompt",
        ".flow/graphs/agents/near.yaml": "agent",
        ".flow/graphs/agents/near.md": "prompt",
        ".flow/agents/far.yaml": "agent",
        ".flow/texts/far.txt": "prompt",
    }


def test_imports_are_found_behind_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "g.py").write_text("import helpers\n", "utf-8-sig")
    (tmp_path / "helpers.py").write_text("")
    assert [file.path.name for file in imported_beside(tmp_path / "g.py")] == ["helpers.py"]
