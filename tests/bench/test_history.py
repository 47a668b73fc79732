from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from flowloom.bench.edit_cases.cases import read_pool
from flowloom.bench.edit_cases.history import Repository
from flowloom.bench.edit_cases.hunk import count_runs, keys_of
from flowloom.bench.edit_cases.sets import CaseSet, Source, clone_in, clone_missing
from flowloom.core.errors import UsageError

from .conftest import SMALL, git


def test_change_made_alone_gives_the_file_of_its_commit(clones: Path) -> None:
    hunks = read_pool(clones, SMALL, count=24, per_kind=1, seed=1).hunks

    for hunk in hunks:
        assert hunk.text == git(clones / "parcels", "show", f"{hunk.commit}~:{hunk.path}")
        assert hunk.text_after == git(clones / "parcels", "show", f"{hunk.commit}:{hunk.path}")


def test_quote_stands_once_and_has_no_blank_edges(clones: Path) -> None:
    for hunk in read_pool(clones, SMALL, count=24, per_kind=1, seed=2).hunks:
        assert count_runs(hunk.keys, keys_of(hunk.old)) == 1
        assert all(line.strip() for line in (hunk.old[0], hunk.old[-1], hunk.new[0], hunk.new[-1]))


def test_same_seed_gives_the_same_changes_and_another_seed_others(clones: Path) -> None:
    first, again, other = (read_pool(clones, SMALL, count=12, per_kind=4, seed=seed) for seed in (3, 3, 4))

    assert first == again
    assert first.hunks != other.hunks


def test_bare_clone_is_read_like_one_with_files(clones: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(clones / "parcels"), "parcels.git")

    assert read_pool(tmp_path, SMALL, 12, 4, seed=5) == read_pool(clones, SMALL, 12, 4, seed=5)


def test_lookalikes_add_a_line_that_reads_like_a_placeholder(clones: Path) -> None:
    lookalikes = read_pool(clones, SMALL, count=12, per_kind=4, seed=6).lookalikes

    assert lookalikes
    assert all(any("existing" in line for line in hunk.added) for hunk in lookalikes)


def test_missing_clone_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no clone of nobody/parcels.*edit_cases.sets"):
        clone_in(tmp_path, SMALL.sources[0])


def test_missing_repository_is_cloned_whole_from_github_and_a_present_one_left_alone(
    clones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{clones}/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/nobody/")
    (tmp_path / "own").mkdir()

    clone_missing(tmp_path, [*SMALL.sources, Source("nobody", "own")])

    assert read_pool(tmp_path, SMALL, 12, 4, seed=5) == read_pool(clones, SMALL, 12, 4, seed=5)
    assert not list((tmp_path / "own").iterdir())


def test_unknown_tip_is_an_error_that_names_the_repository(clones: Path) -> None:
    chosen = CaseSet("small", 7, False, (Source("nobody", "parcels", "0" * 40),))

    with pytest.raises(UsageError, match="rev-list failed in parcels"):
        read_pool(clones, chosen, count=4, per_kind=1, seed=1)


def test_too_few_changes_are_an_error(clones: Path) -> None:
    with pytest.raises(UsageError, match="only 24 changes that fit; 99 are wanted"):
        read_pool(clones, SMALL, count=99, per_kind=1, seed=1)


def test_binary_crlf_and_generated_files_make_no_hunks(tmp_path: Path) -> None:
    repository = tmp_path / "parcels"
    repository.mkdir()
    git(repository, "init", "--quiet")
    for value in ("one", "two"):
        (repository / "crlf.py").write_bytes(f"a\r\nb\r\nc\r\nd\r\n{value} = value\r\n".encode())
        (repository / "nul.py").write_bytes(f"a\nb\nc\n\0\n{value} = value\n".encode())
        (repository / "go.sum").write_text(f"a\nb\nc\nd\n{value} = value\n")
        git(repository, "add", "--all")
        git(repository, "commit", "--quiet", "--message", value)
    opened = Repository("parcels", repository)

    assert list(opened.hunks(opened.commits("HEAD"), Random(1))) == []
    opened.close()
