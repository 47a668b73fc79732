from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowloom.core.errors import FlowError, ModelUnavailable
from flowloom.retrieval.hub import Hub

from .hub_server import HubServer

REPOSITORY = "Xenova/multilingual-e5-small"
WEIGHTS = "onnx/model_quantized.onnx"
FILES = {
    "config.json": b'{"hidden_size": 384}',
    "tokenizer.json": b"t" * 5000,
    WEIGHTS: bytes(range(256)) * 40,
    "README.md": b"not wanted",
}
HOLD = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
PATHS = ("config.json", "tokenizer.json", "modules.json", WEIGHTS)


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer(REPOSITORY, dict(FILES)) as made:
        yield made


def pull(server: HubServer, folder: Path, token: str = "") -> list[tuple[str, int, int]]:
    told: list[tuple[str, int, int]] = []
    Hub(server.url, token).download(REPOSITORY, PATHS, WEIGHTS, folder, lambda *each: told.append(each))
    return told


def content(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    del found[".lock"]
    return found


def test_the_wanted_files_come_whole_and_progress_is_told(server: HubServer, tmp_path: Path) -> None:
    told = pull(server, tmp_path)
    assert content(tmp_path) == {name: FILES[name] for name in ("config.json", "tokenizer.json", WEIGHTS)}
    total = sum(len(data) for data in content(tmp_path).values())
    assert told[-1] == (WEIGHTS, total, total)


def test_what_is_there_is_not_fetched_again(server: HubServer, tmp_path: Path) -> None:
    pull(server, tmp_path)
    server.asked.clear()
    told = pull(server, tmp_path)
    assert [path for path, _ in server.asked] == [f"api/models/{REPOSITORY}/revision/main"]
    assert told[-1][1] == told[-1][2]


def test_a_file_that_changed_on_disk_is_fetched_again(server: HubServer, tmp_path: Path) -> None:
    pull(server, tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"x" * len(FILES[WEIGHTS]))
    pull(server, tmp_path)
    assert content(tmp_path)[WEIGHTS] == FILES[WEIGHTS]


def test_a_broken_download_goes_on_where_it_was(server: HubServer, tmp_path: Path) -> None:
    server.cut = [len(FILES["config.json"]), len(FILES["tokenizer.json"]), 3000, 2000]
    pull(server, tmp_path)
    ranges = [begin for path, begin in server.asked if path == f"cdn/{WEIGHTS}"]
    assert ranges == ["", "bytes=3000-", "bytes=5000-"]
    assert content(tmp_path)[WEIGHTS] == FILES[WEIGHTS]


def test_the_next_process_goes_on_as_well(server: HubServer, tmp_path: Path) -> None:
    server.cut = [len(FILES["config.json"]), len(FILES["tokenizer.json"]), 3000, 0, 0, 0]
    with pytest.raises(ModelUnavailable, match="was not downloaded to its end"):
        pull(server, tmp_path)
    assert (tmp_path / f"{WEIGHTS}.part").stat().st_size == 3000
    assert not (tmp_path / WEIGHTS).exists()
    server.asked.clear()
    pull(server, tmp_path)
    assert (f"cdn/{WEIGHTS}", "bytes=3000-") in server.asked
    assert content(tmp_path)[WEIGHTS] == FILES[WEIGHTS]


def test_a_hub_that_cannot_go_on_in_the_middle_begins_again(server: HubServer, tmp_path: Path) -> None:
    server.ranges = False
    server.cut = [len(FILES["config.json"]), len(FILES["tokenizer.json"]), 3000]
    pull(server, tmp_path)
    assert content(tmp_path)[WEIGHTS] == FILES[WEIGHTS]


@pytest.mark.parametrize("path", ["config.json", WEIGHTS])
def test_a_file_with_another_hash_is_refused_and_not_kept(server: HubServer, tmp_path: Path, path: str) -> None:
    server.wrong = {path}
    with pytest.raises(ModelUnavailable, match="is not what the hub says it is"):
        pull(server, tmp_path)
    assert not list(tmp_path.glob(f"{path}*"))


def test_a_repository_without_the_weights_gives_nothing(server: HubServer, tmp_path: Path) -> None:
    del server.files[WEIGHTS]
    with pytest.raises(ModelUnavailable, match=f"has no {WEIGHTS}"):
        pull(server, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_unknown_repository_is_told(server: HubServer, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"has no repository 'a/b' for you \(HTTP 404\).*HF_TOKEN"):
        Hub(server.url).download("a/b", PATHS, WEIGHTS, tmp_path, lambda *each: None)


def test_no_way_to_the_hub_says_what_to_do_offline(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"no way to the hub at http://127\.0\.0\.1:9.*set embed\.path"):
        Hub("http://127.0.0.1:9").download(REPOSITORY, PATHS, WEIGHTS, tmp_path, lambda *each: None)


def test_a_token_goes_with_every_request_to_the_hub(server: HubServer, tmp_path: Path) -> None:
    pull(server, tmp_path, "hf_secret")
    assert set(server.tokens) == {"Bearer hf_secret"}


def test_another_process_in_the_same_folder_is_refused(server: HubServer, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(FlowError, match="another process downloads into"):
            pull(server, tmp_path)
        other.kill()
    assert pull(server, tmp_path)
