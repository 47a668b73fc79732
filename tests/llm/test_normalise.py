from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowloom.llm.normalise import Normaliser, map_texts

HOME = Path("/home/花子")
NORMALISE = Normaliser(HOME / "app", HOME)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("/home/花子/app/src/a.py:3", "<workspace>/src/a.py:3"),
        ("in /home/花子/app.", "in <workspace>."),
        ("/home/花子/app2/x", "<home>/app2/x"),
        ("/home/花子/app-old", "<home>/app-old"),
        ("3 passed in 0.03s", "3 passed in <duration>"),
        ("took 1.2 seconds, then 15 ms", "took <duration>, then <duration>"),
        ("2026-08-01", "<date>"),
        ("at 2026-08-01T10:20:30.123+09:00!", "at <date>!"),
        ("[10:20:30,5] start", "[<clock>] start"),
        ("<Foo object at 0x7f3a2b1c4d50>", "<Foo object at <address>>"),
        ("commit 1a2b3c4 and " + "0f" * 20, "commit <id> and <id>"),
        ("a defaced facade, deadbeef", "a defaced facade, deadbeef"),
        ("line 12 of 345", "line 12 of 345"),
        ("key sk-proj-abcdefghij0123456789", "key <secret:API-KEY-7e3b6c>"),
        ("日本語だけの文。", "日本語だけの文。"),
        ("found\n\n<reminder>\nBudget: about 5 more\n</reminder>", "found"),
        ("<reminder>\nA list\nBudget: about 5 more\n</reminder>", "<reminder>\nA list\n</reminder>"),
        ("Budget: 5 apples\n", "Budget: 5 apples\n"),
    ],
)
def test_what_changes_from_run_to_run_is_replaced(text: str, normal: str) -> None:
    assert NORMALISE(text) == normal


def test_folder_behind_a_link_is_found_under_both_names(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    normalise = Normaliser(tmp_path / "link")
    assert normalise(f"{tmp_path}/link/a {tmp_path}/real/b") == "<workspace>/a <workspace>/b"


def test_two_workspaces_give_the_same_text() -> None:
    texts = {Normaliser(Path(f"/w/{name}"))(f"see /w/{name}/a.py") for name in ("one", "two")}
    assert len(texts) == 1


def test_stored_reply_keeps_everything_but_place_and_secret() -> None:
    text = "cd /home/花子/app && sleep 3s # 2026-08-01 ghp_" + "a1B2" * 9
    stored = NORMALISE.storable(text)
    assert re.fullmatch(r"cd <workspace> && sleep 3s # 2026-08-01 <secret:GITHUB-\w{6}>", stored)
    assert Normaliser(Path("/elsewhere")).restored(stored).startswith("cd /elsewhere && sleep 3s")


def test_stored_reply_keeps_a_password_that_the_model_made_up() -> None:
    assert NORMALISE.storable('password = "hunter22x"') == 'password = "hunter22x"'


def test_texts_of_json_are_mapped_and_keys_stay() -> None:
    assert map_texts({"a": ["b", 1, None], "c": {"d": "e"}}, str.upper) == {"a": ["B", 1, None], "c": {"d": "E"}}


@given(st.text(alphabet="abcdef0123456789:-. sx/TZ<>", max_size=60))
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = NORMALISE(text)
    assert NORMALISE(once) == once
