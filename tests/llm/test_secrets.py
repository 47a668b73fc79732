from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowloom.llm.secrets import mask_secrets


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("key sk-proj-abcdefghij0123456789 end", "key <secret> end"),
        ("ghp_" + "a1B2" * 9, "<secret>"),
        ("github_pat_" + "a1B2_" * 9, "<secret>"),
        ("id=AKIAIOSFODNN7EXAMPLE;", "id=<secret>;"),
        ("xoxb-1234567890-abcdef", "<secret>"),
        ("Authorization: Bearer abc.def-0123456789", "Authorization: Bearer <secret>"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nx\n-----END RSA PRIVATE KEY-----\nafter", "<secret>\nafter"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", "<secret>"),
        ('password = "hunter22"', 'password = "<secret>"'),
        ('{"api_key": "abcdef123"}', '{"api_key": "<secret>"}'),
        ("DB_PASSWORD=p4ss/word!\nnext", "DB_PASSWORD=<secret>\nnext"),
    ],
)
def test_credentials_are_masked(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked


@pytest.mark.parametrize(
    "code",
    [
        "def login(user, password=None): ...",
        "connect(password=password, secret=self.secret)",
        "password = get_password()",
        'password = ""',
        "api_key: str",
        "task-skeleton-of-something-long",
        "パスワードを入力してください",
        "if token == '(':",
    ],
)
def test_code_about_credentials_stays(code: str) -> None:
    assert mask_secrets(code) == code


@given(
    st.text(max_size=200) | st.from_regex(r"(password|API_KEY)[=: ]{1,2}['\"]?[\w!/+-]{0,12}['\"]?", fullmatch=True)
)
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = mask_secrets(text)
    assert mask_secrets(once) == once
