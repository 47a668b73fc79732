from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from flowloom.configs.answers import set_verify
from flowloom.configs.dirs import Dirs
from flowloom.configs.load import Loaded, load_settings
from flowloom.configs.settings import Settings
from flowloom.configs.trust import TrustStore
from flowloom.core.errors import ConfigError


class Load(Protocol):
    def __call__(
        self,
        *,
        env: Mapping[str, str] | None = None,
        overrides: Sequence[str] = (),
        flags: Mapping[str, Any] | None = None,
    ) -> Loaded: ...


@pytest.fixture
def load(workspace: Path, dirs: Dirs, trust: TrustStore) -> Load:
    def run(
        *,
        env: Mapping[str, str] | None = None,
        overrides: Sequence[str] = (),
        flags: Mapping[str, Any] | None = None,
    ) -> Loaded:
        return load_settings(workspace, dirs, env or {}, overrides, flags or {}, trust)

    return run


def write_user(dirs: Dirs, text: str | bytes) -> Path:
    dirs.config.mkdir(parents=True, exist_ok=True)
    path = dirs.config / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def write_project(workspace: Path, text: str) -> Path:
    path = workspace / ".flow" / "config.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_nothing_set_gives_the_defaults_and_no_server(load: Load) -> None:
    loaded = load()
    assert loaded.settings == Settings()
    assert loaded.settings.server.url == ""
    assert (set(loaded.origins.values()), loaded.notices) == ({"built-in"}, ())


def test_each_source_beats_the_ones_below_it(load: Load, dirs: Dirs, workspace: Path, trust: TrustStore) -> None:
    seen = [load().origins["verify"]]
    write_user(dirs, 'verify = "user"')
    seen.append(f"{load().origins['verify']}={load().settings.verify}")
    set_verify(dirs, workspace, "answers")
    seen.append(f"{load().origins['verify']}={load().settings.verify}")
    trust.trust(write_project(workspace, 'verify = "project"'))
    seen.append(f"{load().origins['verify']}={load().settings.verify}")
    env = {"FLOW_VERIFY": "env"}
    seen.append(f"{load(env=env).origins['verify']}={load(env=env).settings.verify}")
    over = load(env=env, overrides=["verify=over"])
    seen.append(f"{over.origins['verify']}={over.settings.verify}")
    flag = load(env=env, overrides=["verify=over"], flags={"verify": "flag"})
    seen.append(f"{flag.origins['verify']}={flag.settings.verify}")
    assert seen == [
        "built-in",
        "user=user",
        "answers=answers",
        "project=project",
        "environment=env",
        "-c=over",
        "flag=flag",
    ]


def test_sources_are_merged_key_by_key(load: Load, dirs: Dirs) -> None:
    write_user(dirs, '[models]\nmain = "a"\ncoder = "b"\n')
    models = load(overrides=["models.coder=c"]).settings.models
    assert (models.main, models.coder, models.num_ctx) == ("a", "c", 0)


def test_the_place_of_a_value_is_told(load: Load, dirs: Dirs) -> None:
    path = write_user(dirs, 'mode = "auto"')
    places = load(env={"FLOW_MODELS__MAIN": "a"}, overrides=["models.num_ctx=8192"]).places
    assert [places["mode"], places["models.main"], places["models.num_ctx"]] == [
        str(path),
        "FLOW_MODELS__MAIN",
        "-c models.num_ctx=8192",
    ]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("models.main=devstral:24b", "main", "devstral:24b"),
        ("models.main='quoted'", "main", "quoted"),
        ("models.main=12", "main", "12"),
        ("models.main=true", "main", "true"),
        ("models.main=", "main", ""),
        ("models.main=a=b # c", "main", "a=b # c"),
        ("models.main=日本語モデル", "main", "日本語モデル"),
        ("models.num_ctx = 16_384", "num_ctx", 16384),
        ("models.think=false", "think", False),
        ("models.temperature=1", "temperature", 1.0),
    ],
)
def test_an_override_is_a_toml_value_or_bare_text(load: Load, text: str, key: str, value: object) -> None:
    assert getattr(load(overrides=[text]).settings.models, key) == value


def test_a_command_may_be_a_line_or_a_list(load: Load) -> None:
    loaded = load(env={"FLOW_VERIFY": "pytest -q"}, overrides=['check=["ruff", "check"]'])
    assert (loaded.settings.verify, loaded.settings.check) == ("pytest -q", ["ruff", "check"])


def test_an_override_cannot_smuggle_in_a_second_setting(load: Load) -> None:
    assert load(overrides=['models.main="a"\nmode="auto"']).settings.mode == "ask"


def test_an_override_may_set_a_whole_table(load: Load) -> None:
    loaded = load(overrides=['models={main="a", num_ctx=4096}'])
    assert (loaded.settings.models.num_ctx, loaded.origins["models.main"]) == (4096, "-c")


def test_a_flag_that_was_not_given_sets_nothing(load: Load) -> None:
    assert load(flags={"mode": None}).origins["mode"] == "built-in"


def test_ollama_host_is_used_when_no_source_sets_the_server(load: Load) -> None:
    loaded = load(env={"OLLAMA_HOST": "0.0.0.0:9999"})
    assert (loaded.settings.server.url, loaded.places["server.url"]) == ("http://127.0.0.1:9999", "OLLAMA_HOST")


def test_a_set_server_beats_ollama_host(load: Load, dirs: Dirs) -> None:
    write_user(dirs, '[server]\nurl = "http://gpu:1/"')
    loaded = load(env={"OLLAMA_HOST": "other"})
    assert (loaded.settings.server.url, loaded.origins["server.url"]) == ("http://gpu:1", "user")


def test_flow_home_is_no_setting(load: Load) -> None:
    assert set(load(env={"FLOW_HOME": "/x"}).origins.values()) == {"built-in"}


def test_an_untrusted_project_file_is_ignored_with_one_notice(load: Load, workspace: Path) -> None:
    path = write_project(workspace, '[server]\nurl = "http://evil"')
    loaded = load()
    assert loaded.settings.server.url == ""
    assert len(loaded.notices) == 1
    assert f"flow trust '{path}'" in loaded.notices[0]


def test_an_untrusted_project_file_is_not_even_parsed(load: Load, workspace: Path) -> None:
    write_project(workspace, "[[[")
    assert len(load().notices) == 1


def test_a_trusted_project_file_that_changes_is_ignored_again(load: Load, workspace: Path, trust: TrustStore) -> None:
    trust.trust(write_project(workspace, 'mode = "plan"'))
    assert load().settings.mode == "plan"
    write_project(workspace, 'mode = "auto"')
    assert (load().settings.mode, len(load().notices)) == ("ask", 1)


def test_the_home_folder_stands_for_itself_in_the_weights_path(load: Load) -> None:
    loaded = load(env={"HOME": "/home/花子", "FLOW_EMBED__PATH": "~/e5"})
    assert loaded.settings.embed.path == "/home/花子/e5"


def test_crlf_and_a_byte_order_mark_are_read(load: Load, dirs: Dirs) -> None:
    write_user(dirs, b'\xef\xbb\xbf[models]\r\nmain = "a"\r\n')
    assert load().settings.models.main == "a"


def test_an_empty_file_sets_nothing(load: Load, dirs: Dirs) -> None:
    write_user(dirs, "")
    assert load().settings.mode == "ask"


def fault(load: Load, **sources: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**sources)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "near"),
    [
        ('mode = "ask"\n\n[models]\n# note\nmian = "a"\n', 5, "models.main"),
        ('[modles]\nmain = "a"\n', 1, "models"),
        ('main = "a"\n', 1, "models.main"),
        ('a = """\nmodels.x = 1\n"""\n', 1, "config explain"),
        ('mode = "ask"\nmodels.num_ctxx = 5\n', 2, "models.num_ctx"),
    ],
)
def test_an_unknown_key_is_told_with_line_and_near_names(
    load: Load, dirs: Dirs, text: str, line: int, near: str
) -> None:
    path = write_user(dirs, text)
    message = fault(load)
    assert message.startswith(f"{path}:{line}: unknown setting")
    assert near in message


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[models]\nmain = "a"\nnum_ctx = "8192"\n', 3, ("models.num_ctx = '8192'", "valid integer")),
        ("models = 3\n", 1, ("models is a table",)),
        ("verify = 3\n", 1, ("verify = 3", "valid string, or", "valid list")),
        ('verify = [\n  "a",\n  3,\n]\n', 1, ("verify = ",)),
        ('mode = "yolo"\n', 1, ("mode = 'yolo'", "'plan'")),
        ("[server]\nstall_timeout_s = 0\n", 2, ("server.stall_timeout_s = 0", "greater than 0")),
        ("[server]\nstall_timeout_s = inf\n", 2, ("finite",)),
        ('[server]\nurl = "gpu:1"\n', 2, ("http://",)),
    ],
)
def test_a_wrong_value_is_told_with_its_line(
    load: Load, dirs: Dirs, text: str, line: int, words: tuple[str, ...]
) -> None:
    path = write_user(dirs, text)
    message = fault(load)
    assert message.startswith(f"{path}:{line}: ")
    assert [word for word in words if word not in message] == []


def test_bad_toml_is_told_with_line_and_column(load: Load, dirs: Dirs) -> None:
    path = write_user(dirs, 'mode = "ask"\nmain = devstral\n')
    assert fault(load).startswith(f"{path}:2:8: not valid TOML")


def test_toml_that_ends_too_early_is_told(load: Load, dirs: Dirs) -> None:
    write_user(dirs, 'verify = ["a"')
    assert "not valid TOML" in fault(load)


def test_a_file_that_is_not_utf8_is_told(load: Load, dirs: Dirs) -> None:
    path = write_user(dirs, b'mode = "ask"\n# ' + "設定".encode("cp932"))
    assert fault(load).startswith(f"{path}:2: the settings are not UTF-8")


def test_a_folder_in_place_of_the_file_is_told(load: Load, dirs: Dirs) -> None:
    (dirs.config / "config.toml").mkdir(parents=True)
    assert "cannot be read" in fault(load)


def test_an_unknown_variable_is_told_with_near_names(load: Load) -> None:
    message = fault(load, env={"FLOW_MODELS_MAIN": "a"})
    assert message.startswith("FLOW_MODELS_MAIN: unknown setting")
    assert "models.main" in message


def test_a_wrong_type_in_a_variable_names_the_variable(load: Load) -> None:
    assert fault(load, env={"FLOW_MODELS__NUM_CTX": "many"}).startswith("FLOW_MODELS__NUM_CTX: models.num_ctx")


@pytest.mark.parametrize("text", ["models.main", "=x", ""])
def test_an_override_without_key_or_value_is_told(load: Load, text: str) -> None:
    assert "key=value" in fault(load, overrides=[text])


@pytest.mark.parametrize("text", ["models.main.x=1", "models..main=1", "a.b.c=1", "models.=1", "MODELS.main=a"])
def test_an_override_of_an_unknown_key_is_told(load: Load, text: str) -> None:
    assert fault(load, overrides=[text]).startswith(f"-c {text}: ")


def test_a_wrong_flag_is_told(load: Load) -> None:
    assert "yolo" in fault(load, flags={"mode": "yolo"})


def test_a_project_file_that_never_ends_is_ignored_and_told(load: Load, workspace: Path) -> None:
    config = workspace / ".flow" / "config.toml"
    config.parent.mkdir()
    os.mkfifo(config)
    assert "not a regular file. It was ignored." in load().notices[0]
    config.unlink()
    config.symlink_to("/dev/zero")
    assert "not a regular file. It was ignored." in load().notices[0]
    config.unlink()
    config.write_bytes(b"#" * 1_000_001)
    assert "larger than 1,000,000 bytes. It was ignored." in load().notices[0]


def test_a_trusted_project_file_that_cannot_be_read_is_an_error(
    load: Load, workspace: Path, trust: TrustStore
) -> None:
    config = write_project(workspace, 'verify = "true"')
    trust.trust(config)
    config.unlink()
    os.mkfifo(config)
    assert "not a regular file" in fault(load)


@pytest.mark.parametrize("trusted", [True, False])
def test_a_project_never_says_where_its_users_own_notes_are(
    load: Load, workspace: Path, trust: TrustStore, trusted: bool
) -> None:
    path = write_project(workspace, 'memory = {user_dir = "/home/evil", auto_bytes = 500}\n')
    if trusted:
        trust.trust(path)
    loaded = load()
    assert loaded.settings.memory.user_dir == "~/.local-agent/memory"
    assert loaded.settings.memory.auto_bytes == (500 if trusted else 4_000)
    assert loaded.origins["memory.user_dir"] == "built-in"
    (notice,) = loaded.notices
    assert ("memory.user_dir cannot be set by a project and was ignored." in notice) == trusted


def test_a_user_may_have_their_notes_anywhere_or_nowhere(load: Load, dirs: Dirs) -> None:
    write_user(dirs, '[memory]\nuser_dir = "/srv/notes/"\n')
    assert load().settings.memory.user_dir == "/srv/notes"
    assert load(overrides=["memory.user_dir="]).settings.memory.user_dir == ""
    with pytest.raises(ConfigError, match="must be a path from / or ~/ on"):
        load(overrides=["memory.user_dir=notes"])
