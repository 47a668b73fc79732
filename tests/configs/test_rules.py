from pathlib import Path

import pytest

from flowloom.configs.dirs import find_dirs
from flowloom.configs.load import Loaded, load_settings
from flowloom.configs.rules import parse_rule, parse_rules
from flowloom.configs.trust import trust_store
from flowloom.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "words", "is_open"),
    [
        ("bash(npm run test:*)", ("npm", "run", "test"), True),
        ("bash(npm run test *)", ("npm", "run", "test"), True),
        ("bash(make lint)", ("make", "lint"), False),
        ("bash(echo 'a b':*)", ("echo", "a b"), True),
        ("bash(grep ':*' x)", None, False),
        ("bash(*)", (), True),
        ("bash(:*)", (), True),
        ("bash", (), True),
    ],
)
def test_a_rule_is_words_and_whether_more_may_follow(text: str, words: tuple[str, ...] | None, is_open: bool) -> None:
    if words is None:
        with pytest.raises(ValueError, match="only stand at the end"):
            parse_rule(text, "allow")
        return
    rule = parse_rule(text, "allow")
    assert (rule.words, rule.open, rule.decision, rule.text) == (words, is_open, "allow", text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("npm run test", "is not a rule"),
        ("Bash(npm:*)", "is not a rule"),
        ("zsh(npm:*)", "is not a rule"),
        ("bash(npm", "is not a rule"),
        ("bash()", "names no command"),
        ("bash(npm * test)", "only stand at the end"),
        ("bash(npm test*)", "only stand at the end"),
        ("bash(npm 'test)", "quote"),
        ("bash(ls; rm:*)", "one simple command"),
        ("bash(ls && rm)", "one simple command"),
        ("bash(echo $HOME:*)", "one simple command"),
    ],
)
def test_another_form_is_refused_with_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_rules({text: "allow"})


def _load(tmp_path: Path, user: str, project: str = "", overrides: tuple[str, ...] = ()) -> Loaded:
    env = {"FLOW_HOME": str(tmp_path / "flow"), "HOME": str(tmp_path)}
    dirs = find_dirs(env)
    dirs.config.mkdir(parents=True, exist_ok=True)
    (dirs.config / "config.toml").write_text(user)
    workspace = tmp_path / "ws"
    (workspace / ".flow").mkdir(parents=True)
    (workspace / ".flow" / "config.toml").write_text(project)
    store = trust_store(dirs)
    store.trust(workspace / ".flow" / "config.toml")
    return load_settings(workspace, dirs, env, overrides, {}, store)


def test_the_rules_of_all_layers_count_together(tmp_path: Path) -> None:
    loaded = _load(
        tmp_path,
        '[permissions]\n"bash(rm:*)" = "deny"\n"bash(./x.sh v1.2)" = "ask"\n"bash(make:*)" = "ask"\n',
        '[permissions]\n"bash(make:*)" = "allow"\n',
        ('permissions={"bash(npm test)"="allow"}',),
    )
    assert loaded.settings.permissions == {
        "bash(rm:*)": "deny",
        "bash(./x.sh v1.2)": "ask",
        "bash(make:*)": "allow",
        "bash(npm test)": "allow",
    }
    assert loaded.origins["permissions"] == "-c"


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ('"rm" = "deny"', "'rm' is not a rule"),
        ('"bash(rm:*)" = "never"', "'allow', 'ask' or 'deny'"),
        ('"bash(rm:*)" = true', "'allow', 'ask' or 'deny'"),
    ],
)
def test_a_wrong_rule_is_told_in_one_line_with_its_place(tmp_path: Path, table: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        _load(tmp_path, f"[permissions]\n{table}\n")
    assert reason in refused.value.message
    assert "config.toml:1" in refused.value.message
    assert "\n" not in refused.value.message
