from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowloom.core.masking import PLACEHOLDER, SecretMask, UnknownPlaceholder, first_placeholder

TOKEN = "ghp_" + "a1B2c3D4e5" * 4
PASSWORD = "Tr0ub4dor&3x"
KEY_LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PRIVATE_KEY = f"-----BEGIN PRIVATE KEY-----\n{KEY_LINE}\n{KEY_LINE[::-1]}\nq7Ab\n-----END PRIVATE KEY-----\n"
ENV = f"DEBUG=1\nGITHUB_TOKEN={TOKEN}\nDB_PASSWORD={PASSWORD}\n"
CODE = f'client = Client("{TOKEN}")\n# 秘密\nconnect(password="{PASSWORD}")\n'

_secret = st.sampled_from([TOKEN, PASSWORD, f'password = "{PASSWORD}"', f"TOKEN={TOKEN}", PRIVATE_KEY])
_texts = st.lists(
    st.text(max_size=20) | _secret | st.sampled_from(["\n", "=", '"', "<secret:", "…"]), max_size=12
).map("".join)


@pytest.fixture
def mask() -> SecretMask:
    return SecretMask(b"run")


def test_a_secret_becomes_a_placeholder_that_says_what_it_is(mask: SecretMask) -> None:
    assert re.fullmatch(r'client = Client\("<secret:GITHUB-[0-9a-f]{6}>"\)\n.*\n.*\n', mask.mask(CODE))


def test_the_same_secret_gives_the_same_placeholder_in_one_run_and_another_in_the_next(mask: SecretMask) -> None:
    again, other = SecretMask(b"run"), SecretMask(b"other")
    assert mask.mask(TOKEN) == again.mask(f"x {TOKEN}")[2:] != other.mask(TOKEN)


def test_lines_keep_their_numbers(mask: SecretMask) -> None:
    assert mask.mask(ENV + PRIVATE_KEY).count("\n") == (ENV + PRIVATE_KEY).count("\n")
    assert mask.mask(PRIVATE_KEY).startswith("-----BEGIN PRIVATE KEY-----\n<secret:PRIVATE-KEY-")


@given(_texts)
@example(CODE + ENV + PRIVATE_KEY)
@settings(max_examples=300)
def test_masking_twice_changes_nothing_more(text: str) -> None:
    mask = SecretMask(b"run")
    once = mask.mask(text)
    assert mask.mask(once) == once


@given(_texts, st.sampled_from(["", ".env", "a.py"]))
@example(CODE + ENV + PRIVATE_KEY, ".env")
@settings(max_examples=300)
def test_restoring_a_masked_file_gives_the_file(text: str, path: str) -> None:
    mask = SecretMask(b"run", [PASSWORD])
    assert mask.restore(mask.mask(text, path), path, text) == text


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from([TOKEN, PASSWORD, KEY_LINE]))
def test_a_secret_that_was_found_once_is_in_no_text_any_more(before: str, after: str, secret: str) -> None:
    mask = SecretMask(b"run")
    mask.learn(ENV + PRIVATE_KEY, ".env")
    assert secret not in mask.mask(f"{before} {secret} {after}")


@given(st.integers(8, 200), st.integers(1, 60))
def test_no_piece_of_a_secret_stands_where_a_line_was_cut(cut: int, left: int) -> None:
    mask = SecretMask(b"run")
    mask.learn(ENV)
    line = f"{'x' * left}={TOKEN} {PASSWORD}"
    shown = mask.mask(f"1|{line[:cut]}… [more]\n2|…{line[-cut:]}")
    for secret in (TOKEN, PASSWORD):
        pieces = {secret[:size] for size in range(6, len(secret))} | {
            secret[-size:] for size in range(6, len(secret))
        }
        assert not [piece for piece in pieces if piece in PLACEHOLDER.sub("", shown)]


@given(st.integers(5, 40), st.sampled_from(["\n", "\r\n"]))
def test_a_secret_folded_over_lines_is_masked_line_by_line(width: int, end: str) -> None:
    mask = SecretMask(b"run")
    mask.learn(ENV)
    folded = end.join(TOKEN[at : at + width] for at in range(0, len(TOKEN), width))
    shown = mask.mask(f"out{end}{folded}{end}done")
    assert shown.count("\n") == folded.count("\n") + 2
    assert not [line for line in folded.split(end) if line in shown]


def test_a_line_of_a_key_is_known_without_its_frame(mask: SecretMask) -> None:
    mask.learn(PRIVATE_KEY)
    assert KEY_LINE not in mask.mask(f"+{KEY_LINE}\n-{KEY_LINE}\n {KEY_LINE}\n{KEY_LINE}")


def test_values_of_the_environment_are_masked_when_they_are_telling() -> None:
    mask = SecretMask(b"run", ["q8W2e4R6t9", "development", "1"])
    assert mask.mask("q8W2e4R6t9 in development 1").startswith("<secret:ENV-")
    assert mask.mask("q8W2e4R6t9 in development 1").endswith("> in development 1")


def test_a_value_of_an_env_file_is_masked_in_that_file(mask: SecretMask) -> None:
    assert "tiger-lily" not in mask.mask("APP_KEY=tiger-lily\n", "a/.env")
    assert "tiger-lily" in mask.mask("APP_KEY=tiger-lily\n", "a.py")


def test_data_is_masked_with_the_names_that_values_stand_under(mask: SecretMask) -> None:
    data = {"password": PASSWORD, "list": [TOKEN, 1, None], "files": ("a.py",), "note": f"see {TOKEN}"}
    masked = mask.mask_data(data)
    assert TOKEN not in str(masked) and PASSWORD not in str(masked)
    assert masked["files"] == ("a.py",) and masked["list"][1:] == [1, None]


def test_a_models_own_words_keep_the_password_that_it_made_up_and_no_known_secret(mask: SecretMask) -> None:
    mask.learn(ENV)
    assert mask.mask_own('password = "inv3nted-1x"') == 'password = "inv3nted-1x"'
    assert PASSWORD not in mask.mask_own(f"the password is {PASSWORD}")
    assert TOKEN not in mask.mask_own(TOKEN)


def test_a_placeholder_of_another_file_is_refused(mask: SecretMask) -> None:
    placeholder = mask.mask(TOKEN)
    with pytest.raises(UnknownPlaceholder, match=r"not in b\.py"):
        mask.restore(f"x = '{placeholder}'", "b.py", "x = 1\n")


def test_a_placeholder_that_stands_in_a_file_as_text_stays(mask: SecretMask) -> None:
    assert mask.restore("see <secret:X-abc123>", "a.md", "say <secret:X-abc123>") == "see <secret:X-abc123>"


def test_a_placeholder_for_two_secrets_is_refused(mask: SecretMask) -> None:
    tag = mask.mask(TOKEN)
    with pytest.raises(UnknownPlaceholder, match="more than one"):
        mask.restore(tag, "a.md", f"{TOKEN} and {tag}")


def test_the_first_placeholder_of_a_text_is_found(mask: SecretMask) -> None:
    assert first_placeholder(f"echo {mask.mask(TOKEN)}") == mask.mask(TOKEN)
    assert first_placeholder("echo <secret:x>") == ""
