from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowloom.configs.dirs import Dirs, find_dirs
from flowloom.configs.trust import trust_store

from .conftest import Flow


@pytest.fixture
def dirs(isolated_home: Path) -> Dirs:
    return find_dirs({"FLOW_HOME": str(isolated_home / "flow")})


def write_project(workspace: Path, text: str) -> Path:
    path = workspace / ".flow" / "config.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("models.num_ctx", "0\n"),
        ("models.main", "\n"),
        ("mode", "ask\n"),
        ("verify", "\n"),
        ("server.url", "\n"),
    ],
)
def test_get_prints_the_bare_value(flow: Flow, key: str, text: str) -> None:
    assert flow("config", "get", key) == (0, text, "")


def test_get_prints_a_table_key_by_key(flow: Flow) -> None:
    out = flow("config", "get", "limits").out
    assert out == "limits.model_calls_per_node = 40\n"


def test_get_as_json_is_an_object(flow: Flow) -> None:
    assert json.loads(flow("-o", "json", "config", "get", "verify").out) == {"verify": None}


def test_get_counts_an_override(flow: Flow) -> None:
    assert flow("config", "get", "models.main", "-c", "models.main=devstral").out == "devstral\n"


def test_an_unknown_key_is_a_usage_error_with_near_names(flow: Flow) -> None:
    ended = flow("config", "get", "models.mian")
    assert (ended.code, ended.out) == (2, "")
    assert "Did you mean models.main" in ended.err


def test_explain_names_source_and_file(flow: Flow, dirs: Dirs) -> None:
    dirs.config.mkdir(parents=True)
    path = dirs.config / "config.toml"
    path.write_text('[models]\nmain = "モデル"\n', "utf-8")
    lines = flow("config", "explain", "models.main").out.splitlines()
    assert lines[:2] == ['models.main = "モデル"', f"  from: user ({path})"]


def test_explain_names_the_variable(flow: Flow) -> None:
    assert "  from: environment (OLLAMA_HOST)" in flow("config", "explain", "server.url", OLLAMA_HOST="gpu").out


def test_explain_names_the_option(flow: Flow) -> None:
    out = flow("config", "explain", "output", "-o", "jsonl").out
    assert json.loads(out)["origin"] == "flag"


def test_explain_without_a_key_shows_every_setting(flow: Flow) -> None:
    facts = json.loads(flow("config", "explain", "-o", "json").out)
    assert len(facts) > 25
    assert {"key", "value", "origin", "place", "description"} == set(facts[0])


def test_explain_says_what_is_not_set(flow: Flow) -> None:
    assert flow("config", "explain", "models.think").out.startswith("models.think = not set\n  from: built-in\n")


def test_settings_of_an_untrusted_project_are_told_on_stderr(flow: Flow, workspace: Path) -> None:
    write_project(workspace, 'mode = "auto"')
    ended = flow("config", "get", "mode")
    assert (ended.out, "flow trust" in ended.err) == ("ask\n", True)


def test_quiet_leaves_the_notice_out(flow: Flow, workspace: Path) -> None:
    write_project(workspace, 'mode = "auto"')
    assert flow("-q", "config", "get", "mode") == (0, "ask\n", "")


def test_settings_of_a_trusted_project_count_in_its_subfolders(flow: Flow, workspace: Path, dirs: Dirs) -> None:
    trust_store(dirs).trust(write_project(workspace, 'mode = "auto"'))
    (workspace / "src").mkdir()
    assert flow("-C", "src", "config", "get", "mode").out == "auto\n"


def test_a_bad_settings_file_is_one_line_with_its_place(flow: Flow, dirs: Dirs) -> None:
    dirs.config.mkdir(parents=True)
    path = dirs.config / "config.toml"
    path.write_text("mode = ask\n")
    ended = flow("config", "get", "mode")
    assert (ended.code, ended.err.startswith(f"flow: {path}:1:8: not valid TOML")) == (2, True)
