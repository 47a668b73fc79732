"""What counts as a secret, and what does not. The keys here are made up, in the forms that their issuers document."""

from __future__ import annotations

import hashlib
import time

import pytest

from flowloom.core.secret_forms import find_secrets, is_env_like, is_secret_name, is_telling

KEY_BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PRIVATE_KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_BODY}\n{KEY_BODY[::-1]}\nq7A=\n-----END RSA PRIVATE KEY-----\n"


def found(text: str, path: str = "") -> list[str]:
    return [text[each.start : each.end] for each in find_secrets(text, path)]


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("AWS-KEY", "AKIA" + "Q3EGRIYWXJ5LKV7P"),
        ("GITHUB", "ghp_" + "a1B2c3D4e5" * 4),
        ("GITHUB", "github_pat_" + "11ABCDEFG0" * 8),
        ("GITLAB", "glpat-" + "xY7_kq93LmZ-2bTr8vWd"),
        ("API-KEY", "sk-proj-" + "abcdefghij0123456789"),
        ("API-KEY", "sk-ant-api03-" + "Zk3-q_8Wm" * 9),
        ("SLACK", "xoxb-" + "123456789012-1234567890123-AbCdEf"),
        ("GOOGLE", "AIza" + "SyD3f-9_kLmN0pQrStUvWxYz12345678901"),
        ("STRIPE", "sk_live_" + "51HxYz0AbCdEfGhIjKlMn"),
        ("NPM", "npm_" + "a1B2c3D4e5" * 4),
        ("PYPI", "pypi-" + "AgEIcHlwaS5vcmc" * 5),
        ("HF", "hf_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3h"),
        (
            "JWT",
            "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        ),
    ],
)
def test_keys_of_a_known_form_are_found_wherever_they_stand(kind: str, key: str) -> None:
    for text in (key, f'client = Client("{key}")', f"curl -u {key}: x", f"鍵は{key}。", f"[{key}]"):
        assert find_secrets(text)[0].kind == kind
        assert found(text) == [key]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abc.def-0123456789", "abc.def-0123456789"),
        ("curl -H 'authorization: Basic dXNlcjpwYXNzd29yZDEyMw=='", "dXNlcjpwYXNzd29yZDEyMw=="),
        ("postgres://shop:p4ss-w0rd@db.local:5432/shop", "p4ss-w0rd"),
        (
            "https://hooks.slack.com/services/T01AB2CD3/B04EF5GH6/a1B2c3D4e5F6g7H8",
            "T01AB2CD3/B04EF5GH6/a1B2c3D4e5F6g7H8",
        ),
        ('password = "hunter22"', "hunter22"),
        ("'db_password': 'Tr0ub4dor&3'", "Tr0ub4dor&3"),
        ('{"api_key": "abcdef123"}', "abcdef123"),
        ("DB_PASSWORD=p4ss/word!\nnext", "p4ss/word!"),
        ("mysql --password=x7Kq!93z -e 'select 1'", "x7Kq!93z"),
        ("export GITLAB_TOKEN=0af39bc1d7e84f52", "0af39bc1d7e84f52"),
        (
            "aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYzz12345678ab",
            "wJalrXUtnFEMIK7MDENGbPxRfiCYzz12345678ab",
        ),
        ("  password: s3cr3t-v4lue  \n", "s3cr3t-v4lue"),
        ("const clientSecret = `q8W2-e4R6-t9Y1`;", "q8W2-e4R6-t9Y1"),
        ("X-Api-Key: 4f9d2c7a1b", "4f9d2c7a1b"),
    ],
)
def test_values_under_the_name_of_a_secret_are_found(text: str, secret: str) -> None:
    assert found(text) == [secret]


def test_each_line_of_a_private_key_is_a_secret_and_its_frame_is_none() -> None:
    assert found(f"before\n{PRIVATE_KEY}after") == [KEY_BODY, KEY_BODY[::-1], "q7A="]


def test_a_private_key_is_found_cut_off_in_a_diff_and_inside_of_json() -> None:
    assert found(PRIVATE_KEY[:80]) == [KEY_BODY[:48]]
    assert found("\n".join("+" + line for line in PRIVATE_KEY.split("\n")))[0] == KEY_BODY
    assert found('{"key": "' + PRIVATE_KEY.replace("\n", "\\n") + '"}') == [KEY_BODY, KEY_BODY[::-1], "q7A="]


def test_headers_of_a_private_key_stay() -> None:
    head = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0102\n\n"
    assert found(f"{head}{KEY_BODY}\n-----END RSA PRIVATE KEY-----") == [KEY_BODY]


@pytest.mark.parametrize(
    "code",
    [
        "def login(user, password=None): ...",
        "connect(password=password, secret=self.secret2)",
        "password = get_password2()",
        'password = ""',
        "api_key: str",
        "token = os.environ['GITHUB_TOKEN2']",
        'token = "GITHUB_TOKEN_2"',
        'grant_type, token = "oauth2_token", x',
        "password: ${DB_PASSWORD1}",
        "password={{ db.password1 }}",
        'password = "<your-password-1>"',
        "API_KEY=your-api-key-123",
        "secret: changeme",
        "Token: '#ddd0c0'",
        "max_tokens=20000, token_count = 12345678",
        "if token == 'abc12345':",
        "task-skeleton-of-something-long",
        ".sk-estimator-doc-link-1 { color: red }",
        "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "http://user:password@example.com and https://{user}:{password}@host",
        "パスワードを入力してください: password は8文字以上",
        "password = 'パスワード1234'",
        "id = 3f2b8c1e-9d4a-4e6b-8f7c-1a2b3c4d5e6f",
        "sha256:" + hashlib.sha256(b"x").hexdigest(),
        '"integrity": "sha512-' + "aB3/" * 21 + 'Q=="',
        "-----BEGIN CERTIFICATE-----\n" + KEY_BODY + "\n-----END CERTIFICATE-----",
        "if line == '-----BEGIN RSA PRIVATE KEY-----':\n    return load_pem(SubjectPublicKeyInfo)",
        "data = base64.b64decode('" + KEY_BODY + "')",
    ],
)
def test_code_about_secrets_hashes_and_stand_ins_are_none(code: str) -> None:
    assert found(code) == []


def test_in_an_env_file_every_value_under_a_secrets_name_counts_and_what_a_machine_made_up() -> None:
    text = (
        "# settings\nDEBUG=true\nPORT=8080\nHOST=a.example.org\nAPP_KEY=plainword\nexport DB_PASS='correct horse'\n"
        "SESSION=kJ8sN2vQ9xW4pR7tY1uB # of the web\nPAYMENT_TOKEN=changeme\nURL=https://shop.example.org/a1b2c3d4e5f6\n"
    )
    assert found(text, "deploy/.env") == ["plainword", "correct horse", "kJ8sN2vQ9xW4pR7tY1uB"]
    assert found(text, "settings.py") == []


def test_files_of_logins_are_read_by_their_own_rules() -> None:
    assert found("machine example.org login me password tiger", ".netrc") == ["tiger"]
    assert found("db.local:5432:shop:me:tiger-lily", ".pgpass") == ["tiger-lily"]
    assert found("//registry.example.org/:_authToken=plain-words", ".npmrc") == ["plain-words"]


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        (".env", True),
        ("a/.env.local", True),
        ("prod.env", True),
        ("main.tfvars", True),
        (".npmrc", True),
        (".env.example", False),
        ("env.py", False),
        ("src/credentials.py", False),
    ],
)
def test_files_of_settings_and_secrets_are_known_by_their_name(path: str, is_one: bool) -> None:
    assert is_env_like(path) is is_one


def test_names_of_secrets_are_told_from_others() -> None:
    assert all(
        map(is_secret_name, ["OPENAI_API_KEY", "token", "db.password", "AWS_SESSION_TOKEN", "//x/:_authToken"])
    )
    assert not any(map(is_secret_name, ["KEYBOARD", "TOKENIZER", "AWS_REGION", "PATH", "MONKEYS"]))


@pytest.mark.parametrize(
    ("value", "is_one"),
    [("hunter22", True), ("S0mething", True), ("short1", False), ("development", False), ("us-east-1", False)],
)
def test_only_a_telling_value_is_looked_for_everywhere(value: str, is_one: bool) -> None:
    assert is_telling(value) is is_one


def test_a_key_can_be_found_by_its_form_only() -> None:
    key = "ghp_" + "a1B2c3D4e5" * 4
    text = f'password = "hunter22" # {key}'
    assert [text[each.start : each.end] for each in find_secrets(text, by_form_only=True)] == [key]


def test_a_letter_that_grows_in_lower_case_moves_nothing() -> None:
    assert found('İİİ\npassword = "hunter22"') == ["hunter22"]


def test_source_code_takes_a_few_milliseconds() -> None:
    code = "".join(
        f"def name_{n}(token: str, key: int = {n}) -> str:\n    return f'{{token}}:{{key}}'\n" for n in range(1500)
    )
    best = min(_seconds(code) for _ in range(5))
    assert best / len(code) * 100_000 < 0.025  # five times what it takes, for a machine under load


def _seconds(text: str) -> float:
    started = time.process_time()
    find_secrets(text)
    return time.process_time() - started
