from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowloom import __version__
from flowloom.cli.app import COMMANDS, run_command_line
from flowloom.cli.context import CommandLine, read_command_line
from flowloom.core.errors import UsageError

from .conftest import Flow


def read(*words: str, env: dict[str, str] | None = None, tty: bool = False) -> CommandLine:
    return read_command_line(words, env or {}, cwd=Path.cwd(), stdin_is_tty=tty)


def test_shared_options_are_taken_from_before_and_after_the_command(tmp_path: Path) -> None:
    line = read("-C", str(tmp_path), "-c", "a=1", "run", "graph", "-o", "json", "-c", "b=2", "-q", "--no-color", "-v")
    options = line.options
    assert line.command == ["run", "graph"]
    assert (options.directory, options.overrides) == (tmp_path, ("a=1", "b=2"))
    assert (options.output, options.output_given) == ("json", True)
    assert (options.quiet, options.verbose, options.color) == (True, True, False)


def test_what_a_command_does_not_share_is_left_to_it() -> None:
    line = read("run", "g", "-i", "k=v", "--mode", "auto", "-m", "coder=x", "--approve-plan", "-Cx", "--version")
    assert line.command == [
        "run",
        "g",
        "-i",
        "k=v",
        "--mode",
        "auto",
        "-m",
        "coder=x",
        "--approve-plan",
        "-Cx",
        "--version",
    ]


def test_nothing_is_taken_from_behind_two_dashes() -> None:
    line = read("run", "g", "--", "-q", "-o")
    assert (line.command, line.options.quiet) == (["run", "g", "--", "-q", "-o"], False)


def test_a_text_that_only_starts_like_an_option_is_left_alone() -> None:
    assert read("run", "g", "-v is broken", "-q: なぜ").command == ["run", "g", "-v is broken", "-q: なぜ"]


def test_a_value_may_touch_its_option_before_the_command() -> None:
    options = read("-ojsonl", "-ca.b=1", "runs").options
    assert (options.output, options.overrides) == ("jsonl", ("a.b=1",))


def test_folders_of_two_options_build_on_each_other(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert read("-C", str(tmp_path), "-C", "a").options.directory == tmp_path / "a"


@pytest.mark.parametrize("words", [("-C",), ("-o",), ("run", "-c"), ("-o", "xml"), ("-C", "/no/such/folder")])
def test_an_impossible_shared_option_is_told(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        read(*words)


def test_the_environment_may_choose_the_output() -> None:
    options = read("runs", env={"FLOW_OUTPUT": "json"}).options
    assert (options.output, options.output_given) == ("json", False)


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_the_environment_may_refuse_colours(env: dict[str, str]) -> None:
    assert not read("runs", env=env).options.color


@pytest.mark.parametrize(
    ("words", "tty", "allowed"), [((), True, True), ((), False, False), (("--no-input",), True, False)]
)
def test_a_person_is_asked_only_at_a_terminal(words: tuple[str, ...], tty: bool, allowed: bool) -> None:
    assert read(*words, tty=tty).options.input_allowed is allowed


def test_version_is_printed_on_one_line(flow: Flow) -> None:
    assert flow("version") == (0, f"flow {__version__}\n", "")
    assert flow("--version").out == flow("version").out


def test_version_as_json_names_the_interpreter(flow: Flow) -> None:
    assert json.loads(flow("version", "-o", "json").out)["version"] == __version__


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("-q", "--help")])
def test_help_lists_every_command_and_the_exit_codes(flow: Flow, words: tuple[str, ...]) -> None:
    ended = flow(*words)
    assert ended.code == 0
    assert [entry.name for entry in COMMANDS if f"\n  {entry.name} " not in ended.out] == []
    assert "130 interrupted" in ended.out.replace("\n  ", " ")


def test_a_command_shows_its_own_help(flow: Flow) -> None:
    ended = flow("config", "get", "--help")
    assert (ended.code, ended.out.startswith("Usage: flow config get ")) == (0, True)


def test_an_unknown_command_is_told_with_near_names(flow: Flow) -> None:
    assert flow("confg") == (2, "", "flow: There is no command 'confg'.\nDid you mean 'config'?\n")


def test_an_unknown_command_of_a_group_is_told_with_near_names(flow: Flow) -> None:
    ended = flow("config", "explane")
    assert (ended.code, "Did you mean 'explain'?" in ended.err) == (2, True)


@pytest.mark.parametrize("words", [("config", "get"), ("version", "--nope"), ("config",), ("version", "extra")])
def test_a_usage_error_is_one_line_and_a_hint(flow: Flow, words: tuple[str, ...]) -> None:
    ended = flow(*words)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 2)
    assert "Traceback" not in ended.err


def test_an_error_is_json_on_stdout_when_json_is_wanted(flow: Flow) -> None:
    ended = flow("config", "get", "mdoels", "-o", "json")
    error = json.loads(ended.out)["error"]
    assert (error["type"], error["exit_code"], ended.code) == ("ConfigError", 2, 2)
    assert error["message"] in ended.err


def test_a_fault_of_our_own_is_one_line_without_v(tmp_path: Path) -> None:
    ended = run_raising(tmp_path, "ZeroDivisionError('by design')")
    assert ended.returncode == 1
    assert ended.stderr.startswith("flow: bug: ")
    assert "Traceback" not in ended.stderr
    assert "-v" in ended.stderr


def test_a_fault_of_our_own_shows_its_traceback_with_v(tmp_path: Path) -> None:
    assert "Traceback" in run_raising(tmp_path, "ZeroDivisionError('by design')", "-v").stderr


def run_raising(folder: Path, error: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `flow version` in a process whose module of that name is one that raises."""
    code = (
        "import sys, types\n"
        "module = types.ModuleType('flowloom.cli.version')\n"
        f"def version(): raise {error}\n"
        "module.version = version\n"
        "sys.modules['flowloom.cli.version'] = module\n"
        "from flowloom.cli.app import main\n"
        f"sys.argv = ['flow', 'version', *{list(words)!r}]\n"
        "main()\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)


def test_ctrl_c_ends_with_130(tmp_path: Path) -> None:
    ended = run_raising(tmp_path, "KeyboardInterrupt")
    assert (ended.returncode, ended.stderr) == (130, "")


def test_an_error_for_a_person_keeps_its_exit_code(tmp_path: Path) -> None:
    ended = run_raising(tmp_path, "__import__('flowloom.core.errors').core.errors.Denied('no', hint='ask')")
    assert (ended.returncode, ended.stderr) == (7, "flow: no\nask\n")


def test_a_reader_that_leaves_early_ends_the_command_quietly(tmp_path: Path) -> None:
    script = f"{sys.executable} -m flowloom config explain | true; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ended.stderr == ""


def test_the_module_runs_as_the_command_and_keeps_its_exit_code(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "flowloom", "nope"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (ended.returncode, ended.stdout) == (2, "")


def test_text_that_the_terminal_cannot_show_does_not_end_a_command(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(
        [sys.executable, "-m", "flowloom", "config", "get", "models.main", "-c", "models.main=模型"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=env,
    )
    assert (ended.returncode, ended.stdout) == (0, "\\u6a21\\u578b\n")


@pytest.mark.parametrize("name", [entry.name for entry in COMMANDS])
def test_every_command_of_the_table_shows_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line([name, "--help"], os.environ) == 0
    assert capsys.readouterr().out.startswith(f"Usage: flow {name}")


@pytest.mark.parametrize(
    ("words", "usage"), [(["help"], "flow [OPTIONS]"), (["help", "runs"], "flow runs [OPTIONS]")]
)
def test_help_is_a_command_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], usage: str
) -> None:
    assert run_command_line(["-C", str(tmp_path), *words], {}) == 0
    assert capsys.readouterr().out.startswith(f"Usage: {usage}")


@pytest.mark.parametrize("words", [["--"], ["--", "x"], ["--foo"], ["runs"], ["runs", "lst"]])
def test_a_command_line_without_a_command_names_the_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run_command_line(["-C", str(tmp_path), *words], {}) == 2
    assert "flow --help" in (told := capsys.readouterr().err) or "Commands: list, show, tail, rm." in told
