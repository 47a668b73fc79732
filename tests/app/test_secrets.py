from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from flowloom.app.compose import RunGrants
from flowloom.app.secrets import (
    MaskedChanges,
    MaskedRetriever,
    keep_mask,
    kept_mask,
    make_mask,
    masked_answer,
    secret_files,
    secret_values,
)
from flowloom.app.sink import StoreSink
from flowloom.core.events import Event, EventRecord, Phase, RunStarted, ToolEnded
from flowloom.core.hits import Hit, Source
from flowloom.core.masking import SecretMask
from flowloom.core.ports import Owned
from flowloom.core.questions import Answer
from flowloom.runs.store import RunStore

TOKEN = "ghp_" + "a1B2c3D4e5" * 4
KEY_LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PRIVATE_KEY = f"-----BEGIN PRIVATE KEY-----\n{KEY_LINE}\n-----END PRIVATE KEY-----\n"


def test_secrets_of_the_environment_are_known_by_name_and_paths_are_none() -> None:
    environ = {
        "SHOP_TOKEN": "q8W2e4R6t9",
        "DB_PASSWORD": "tiger-lily-9",
        "AWS_REGION": "ap-northeast-1",
        "SSH_AUTH_SOCK": "/run/ssh-4711",
        "PASSWORD_FILE": "/etc/pw",
        "HOME": "/home/a1b2",
    }
    assert sorted(secret_values(environ)) == ["q8W2e4R6t9", "tiger-lily-9"]


def test_files_with_secrets_are_found_in_the_workspace_and_in_the_folders_in_it(tmp_path: Path) -> None:
    for name in (".env", "ops/prod.env", "ops/id_ed25519", "a/b/.env", "node_modules/.env", "app.py", ".env.example"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    found = [str(path.relative_to(tmp_path)) for path in secret_files(tmp_path)]
    assert found == [".env", "ops/id_ed25519", "ops/prod.env"]
    assert secret_files(tmp_path / "nowhere") == []


def test_a_new_mask_knows_what_the_environment_and_the_env_file_hold(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("APP_KEY=tiger-lily-9x\n")
    (tmp_path / "deploy.key").write_text(PRIVATE_KEY)
    mask = make_mask(b"run", {"SHOP_TOKEN": "q8W2e4R6t9"}, tmp_path)
    masked = mask.mask(f"tiger-lily-9x q8W2e4R6t9\n{KEY_LINE}")
    assert masked.count("<secret:") == 3
    assert not [secret for secret in ("tiger-lily-9x", "q8W2e4R6t9", KEY_LINE) if secret in masked]


def test_a_run_that_goes_on_masks_what_its_first_process_had_learned(tmp_path: Path) -> None:
    mask = make_mask(b"k" * 32, {"SHOP_TOKEN": "q8W2e4R6t9"}, tmp_path)
    mask.learn('password = "hunter22x"')
    keep_mask(mask, tmp_path / "blobs")
    mask.learn('api_key = "tiger-lily-9x"')
    again = kept_mask(tmp_path / "blobs", {}, tmp_path)
    text = "hunter22x tiger-lily-9x"
    assert again.mask(text) == mask.mask(text) != text
    assert "q8W2e4R6t9" not in "".join(path.read_text("latin-1") for path in (tmp_path / "blobs").iterdir())


def test_an_answer_is_masked_with_its_reason_and_its_value() -> None:
    answer = masked_answer(Answer("no", {"brief": f"use {TOKEN}"}, f"not {TOKEN}"), SecretMask())
    assert answer is not None
    assert TOKEN not in json.dumps(answer.to_dict())
    assert masked_answer(None, SecretMask()) is None


class OneHit:
    def __init__(self, hit: Hit) -> None:
        self._hit = hit
        self.queries: list[str] = []

    def retrieve(
        self, query: str, budget: int, sources: Sequence[Source], *, within: Sequence[str] = ()
    ) -> list[Hit]:
        self.queries.append(query)
        return [self._hit]


def test_a_passage_of_a_key_is_masked_by_the_file_that_it_is_from(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(f'KEY = """{PRIVATE_KEY}"""\n')
    hit = Hit("1", "app.py", 2, 2, None, f"see {TOKEN}", KEY_LINE, 1.0, "code", "0")
    (found,) = MaskedRetriever(OneHit(hit), SecretMask(), tmp_path).retrieve("x", 100, ("code",))
    assert KEY_LINE not in found.text and TOKEN not in found.heading
    assert (found.path, found.score) == ("app.py", 1.0)


def test_a_placeholder_is_nothing_to_search_for(tmp_path: Path) -> None:
    hits = OneHit(Hit("1", "app.py", 1, 1, None, "", "x", 1.0, "code", "0"))
    MaskedRetriever(hits, SecretMask(), tmp_path).retrieve("use <secret:TOKEN-0a1b2c> here", 100, ("map",))
    assert hits.queries == ["use   here"]


class OneChange:
    def files(self) -> list[str]:
        return ["deploy.txt"]

    def diff(self, files: Sequence[str] | None = None) -> str:
        return f"+++ b/deploy.txt\n {KEY_LINE}\n+x\n"

    def owned(self, files: Sequence[str] | None = None, agents: str | None = None) -> Owned:
        return Owned(("deploy.txt",))


@pytest.mark.parametrize("files", [None, ["deploy.txt"]])
def test_a_diff_in_the_middle_of_a_key_is_masked(tmp_path: Path, files: list[str] | None) -> None:
    (tmp_path / "deploy.txt").write_text(PRIVATE_KEY)
    changes = MaskedChanges(OneChange(), SecretMask(), tmp_path)
    assert KEY_LINE not in changes.diff(files)
    assert changes.files() == ["deploy.txt"]
    assert changes.owned() == Owned(("deploy.txt",))


class Watched:
    def __init__(self) -> None:
        self.records: list[EventRecord] = []

    def record(self, record: EventRecord) -> None:
        self.records.append(record)

    def progress(self, node: str, phase: Phase, amount: int) -> None:
        raise NotImplementedError

    def notice(self, text: str) -> None:
        raise NotImplementedError


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "data" / "runs.db")


@pytest.mark.parametrize(
    "event",
    [
        RunStarted("g", {"task": f"use {TOKEN}"}, "m"),
        ToolEnded("c", "bash", True, 1.0, ("a.py",), f"printed {TOKEN}"),
    ],
)
def test_an_event_is_masked_for_the_table_and_for_who_watches(store: RunStore, tmp_path: Path, event: Event) -> None:
    with store:
        row = store.create_run(
            graph="g",
            graph_source="g",
            graph_text="",
            fingerprint="",
            input={},
            options={},
            workspace=tmp_path,
        )
        watched = Watched()
        StoreSink(store, row.id, watched, SecretMask(b"run")).emit("a#1", event)
        (stored,) = store.events(row.id)
    for record in (stored, *watched.records):
        assert TOKEN not in json.dumps(record.to_dict())
        assert "<secret:GITHUB-" in json.dumps(record.to_dict())


def test_a_grant_for_a_command_with_a_secret_is_stored_masked_and_known_again(
    store: RunStore, tmp_path: Path
) -> None:
    with store:
        row = store.create_run(
            graph="g",
            graph_source="g",
            graph_text="",
            fingerprint="",
            input={},
            options={},
            workspace=tmp_path,
        )
        grants = RunGrants(store, row.id, SecretMask(b"run"))
        grants.add(f"command:{TOKEN}")
        assert f"command:{TOKEN}" in grants
        assert "command:other" not in grants
        assert TOKEN not in str(store.grants(row.id))
