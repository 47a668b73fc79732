from pathlib import Path

import pytest

from flowloom.configs.dirs import find_dirs
from flowloom.configs.load import Loaded, load_settings
from flowloom.configs.rules import CommandRules, parse_rule, parse_rules
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
        ("network(npm ci:*)", ("npm", "ci"), True),
        ("network(*)", (), True),
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
        ("network()", "names no command"),
        ("netwrk(npm ci)", "did you mean 'network'"),
        ("Bash(npm:*)", "did you mean 'bash'"),
    ],
)
def test_another_form_is_refused_with_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_rules({text: "allow"})


def test_a_rule_says_what_it_is_about() -> None:
    held = CommandRules(parse_rules({"bash(npm ci)": "allow", "network(npm ci)": "ask"}))
    assert [rule.text for rule in held.about("bash")] == ["bash(npm ci)"]
    assert [rule.text for rule in held.about("network")] == ["network(npm ci)"]


def test_rules_are_only_ever_added_also_under_the_same_text() -> None:
    held = CommandRules(parse_rules({"bash(rm:*)": "deny"})).adding({"bash(rm:*)": "allow"}, None)
    assert [rule.decision for rule in held.rules] == ["deny", "allow"]


@pytest.mark.parametrize(
    ("said", "network"),
    [
        ((None, None), None),
        ((None, True), True),
        ((True, None), True),
        ((True, True), True),
        ((True, False), False),
        ((False, True), False),
        ((False, None), False),
    ],
)
def test_the_network_once_refused_stays_refused(said: tuple[bool | None, ...], network: bool | None) -> None:
    held = CommandRules()
    for each in said:
        held = held.adding({}, each)
    assert held.network is network


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
        '[permissions]\n"bash(make:*)" = "allow"\n"bash(./x.sh v1.2)" = "deny"\n',
        ('permissions={"bash(npm test)"="allow"}',),
    )
    assert loaded.settings.permissions == {
        "bash(rm:*)": "deny",
        "bash(./x.sh v1.2)": "deny",
        "bash(make:*)": "ask",
        "bash(npm test)": "allow",
    }
    assert loaded.origins["permissions"] == "-c"


def test_a_person_may_loosen_their_own_rule_for_one_command(tmp_path: Path) -> None:
    user = '[permissions]\n"bash(make:*)" = "deny"\n'
    loaded = _load(tmp_path, user, overrides=('permissions={"bash(make:*)"="allow"}',))
    assert loaded.settings.permissions == {"bash(make:*)": "allow"}


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
