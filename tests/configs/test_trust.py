from __future__ import annotations

import stat
from pathlib import Path

import pytest

from flowloom.configs.dirs import Dirs
from flowloom.configs.trust import TrustStore, project_files
from flowloom.core.errors import ConfigError


@pytest.fixture
def file(workspace: Path) -> Path:
    path = workspace / "AGENTS.md"
    path.write_text("手順", "utf-8")
    return path


def test_nothing_is_trusted_at_first(trust: TrustStore, file: Path) -> None:
    assert (trust.is_trusted(file), trust.state(file), trust.entries()) == (False, "new", ())


def test_a_trusted_file_stays_trusted_in_another_process(trust: TrustStore, dirs: Dirs, file: Path) -> None:
    trust.trust(file)
    again = TrustStore(dirs.data / "trust.json")
    assert again.is_trusted(file)
    assert [entry.path for entry in again.entries()] == [str(file.resolve())]


def test_a_changed_file_is_not_trusted(trust: TrustStore, file: Path) -> None:
    trust.trust(file)
    file.write_text("other")
    assert (trust.is_trusted(file), trust.state(file)) == (False, "changed")


def test_the_same_content_at_another_path_is_not_trusted(trust: TrustStore, file: Path, tmp_path: Path) -> None:
    trust.trust(file)
    copy = tmp_path / "AGENTS.md"
    copy.write_bytes(file.read_bytes())
    assert not trust.is_trusted(copy)


def test_a_file_is_trusted_under_every_name_that_leads_to_it(trust: TrustStore, file: Path, tmp_path: Path) -> None:
    trust.trust(file)
    (tmp_path / "link").symlink_to(file.parent)
    assert trust.is_trusted(tmp_path / "link" / "AGENTS.md")


def test_a_removed_file_is_not_trusted(trust: TrustStore, file: Path) -> None:
    trust.trust(file)
    file.unlink()
    assert not trust.is_trusted(file)


def test_revoking_forgets_a_file(trust: TrustStore, file: Path) -> None:
    trust.trust(file)
    assert [trust.revoke(file), trust.revoke(file), trust.is_trusted(file)] == [True, False, False]


def test_a_missing_file_cannot_be_trusted(trust: TrustStore, workspace: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.md"):
        trust.trust(workspace / "none.md")


def test_what_was_shown_is_what_is_trusted(trust: TrustStore, file: Path) -> None:
    shown = file.read_bytes()
    file.write_text("changed meanwhile")
    trust.trust_content(file, shown)
    assert not trust.is_trusted(file)


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
        ".agent.local.md",
        ".agent.md",
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
