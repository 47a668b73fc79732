from __future__ import annotations

import json
import os
import pty
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Ended, Flow

HEADER = "# This project\n\n"


def editor(tmp_path: Path, code: str) -> str:
    """Return a value of EDITOR: a program that runs this Python code on the text of the file."""
    script = tmp_path / "my editor.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\npath = Path(sys.argv[-1])\ntext = path.read_text('utf-8')\n" + code
    )
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} --wait"


ADD = "path.write_text(text + '- mine\\n', 'utf-8')\n"


def shown(flow: Flow) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(flow("memory", "show", "-o", "json").out)
    return facts


def test_show_without_files_says_how_to_begin(flow: Flow) -> None:
    done = flow("memory", "show")
    assert done.code == 0 and "flow init" in done.out
    assert shown(flow) == {"files": [], "budget": 2000, "text": ""}


def test_show_lists_the_files_in_order_and_prints_what_models_get(
    flow: Flow, workspace: Path, isolated_home: Path
) -> None:
    own = isolated_home / ".local-agent" / "memory" / "me.md"
    own.parent.mkdir(parents=True)
    own.write_text("Answer in Japanese.\u200b")
    (workspace / ".agent.md").write_text("Use tabs.")
    (workspace / "AGENTS.md").write_text("OBEY")
    flow("trust", ".agent.md")
    files = shown(flow)["files"]
    assert [(file["name"], file["layer"], file["state"], file["prompt"]) for file in files] == [
        ("~/.local-agent/memory/me.md", "user", "own", "whole"),
        (".agent.md", "project", "trusted", "whole"),
        ("AGENTS.md", "shared", "new", None),
    ]
    assert files[1]["size_bytes"] == 9 and files[1]["tokens"] > 0
    done = flow("memory", "show")
    assert "OBEY" not in done.out
    assert done.out.endswith(
        "\n\n<project_memory>\n## ~/.local-agent/memory/me.md\nAnswer in Japanese.\n\n"
        "## .agent.md\nUse tabs.\n</project_memory>\n"
    )
    assert "`flow trust`" in done.err


def test_show_tells_what_does_not_fit(flow: Flow, workspace: Path) -> None:
    (workspace / ".agent.md").write_text("many words on a line\n" * 2000)
    (workspace / "AGENTS.md").write_text("x")
    flow("trust", ".agent.md")
    flow("trust", "AGENTS.md")
    assert [file["prompt"] for file in shown(flow)["files"]] == ["cut", "left out"]
    assert "more than 2,000 tokens: .agent.md cut; AGENTS.md left out." in flow("memory", "show").err


def test_show_masks_secrets(flow: Flow, workspace: Path) -> None:
    (workspace / ".agent.md").write_text("key AKIAQ3EGWZNM5T7KXV2B")
    flow("trust", ".agent.md")
    assert "AKIAQ3EGWZNM5T7KXV2B" not in flow("memory", "show").out


@pytest.mark.parametrize(
    ("layer", "name"),
    [("project", ".agent.md"), ("local", ".agent.local.md"), ("auto", ".agent/memory/auto.md"), ("user", "")],
)
def test_what_a_person_writes_into_a_new_file_is_told_to_agents(
    flow: Flow, workspace: Path, isolated_home: Path, tmp_path: Path, layer: str, name: str
) -> None:
    done = flow("memory", "edit", layer, EDITOR=editor(tmp_path, ADD))
    path = workspace / name if name else isolated_home / ".local-agent" / "memory" / "memory.md"
    assert done.code == 0, done.err
    assert path.read_text().startswith("# ") and path.read_text().endswith("\n\n- mine\n")
    (file,) = shown(flow)["files"]
    assert (file["path"], file["layer"], file["prompt"]) == (str(path.resolve()), layer, "whole")


def test_a_new_file_into_which_nothing_is_written_is_removed_again(
    flow: Flow, workspace: Path, tmp_path: Path
) -> None:
    done = flow("memory", "edit", EDITOR=editor(tmp_path, "pass"))
    assert (done.code, (workspace / ".agent.md").exists()) == (0, False)
    assert "unchanged" in done.err


def test_a_trusted_file_is_trusted_as_it_was_left(flow: Flow, workspace: Path, tmp_path: Path) -> None:
    (workspace / ".agent.md").write_text("old\n")
    flow("trust", ".agent.md")
    done = flow("memory", "edit", "-o", "json", EDITOR=editor(tmp_path, ADD))
    assert json.loads(done.out)["outcome"] == "written"
    assert shown(flow)["files"][0]["state"] == "trusted"


@pytest.mark.parametrize("code", [ADD, "pass"])
def test_a_file_that_nobody_trusted_is_not_trusted_by_opening_it(
    flow: Flow, workspace: Path, tmp_path: Path, code: str
) -> None:
    (workspace / ".agent.md").write_text("OBEY\n")
    done = flow("memory", "edit", EDITOR=editor(tmp_path, code))
    assert done.code == 0
    assert ("not trusted before" in done.err) == (code == ADD)
    assert shown(flow)["files"][0]["state"] == "new"


def test_at_a_terminal_it_is_asked_for(
    flow: Flow, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / ".agent.md").write_text("theirs\n")
    main, other = pty.openpty()
    os.write(main, b"y\n")
    with open(other, encoding="utf-8") as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        done = flow("memory", "edit", EDITOR=editor(tmp_path, ADD))
        (file,) = shown(flow)["files"]
    os.close(main)
    assert "Trust it?" in done.err
    assert file["state"] == "trusted"


def test_an_editor_that_fails_makes_nothing_trusted(flow: Flow, workspace: Path, tmp_path: Path) -> None:
    (workspace / ".agent.md").write_text("old\n")
    flow("trust", ".agent.md")
    done = flow("memory", "edit", EDITOR=editor(tmp_path, ADD + "sys.exit(3)"))
    assert done.code == 1 and "ended with code 3" in done.err
    assert shown(flow)["files"][0]["state"] == "changed"


def test_visual_stands_above_editor(flow: Flow, workspace: Path, tmp_path: Path) -> None:
    done = flow("memory", "edit", VISUAL=editor(tmp_path, ADD), EDITOR="/bin/false")
    assert done.code == 0 and (workspace / ".agent.md").read_text() == f"{HEADER}- mine\n"


def refused(done: Ended, text: str) -> None:
    assert done.code == 2 and text in done.err and done.err.count("\n") == 2


def test_an_editor_is_a_program_and_never_a_line_for_a_shell(flow: Flow, workspace: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    refused(flow("memory", "edit", EDITOR=f"nothing-here; touch {mark}"), "The editor 'nothing-here;' was not found.")
    refused(flow("memory", "edit", EDITOR="vi 'open"), "cannot be read: No closing quotation.")
    flow("memory", "edit", EDITOR=f"true; touch {mark}")
    assert not mark.exists() and not (workspace / ".agent.md").exists()


def test_without_an_editor_and_a_terminal_it_says_what_to_set(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.delenv("VISUAL", raising=False)
    refused(flow("memory", "edit"), "No editor is set.")


def test_an_unknown_layer_and_an_unset_folder_are_refused(flow: Flow) -> None:
    refused(flow("memory", "edit", "mine"), "There is no memory 'mine'.")
    refused(
        flow("memory", "edit", "user", "-c", "memory.user_dir=", EDITOR="true"),
        "There is no folder for your own memory.",
    )


def test_links_are_not_followed(flow: Flow, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.md").write_text("outside\n")
    (workspace / ".agent.md").symlink_to(tmp_path / "outside.md")
    (workspace / ".agent").symlink_to(tmp_path)
    for layer in ("project", "auto"):
        refused(flow("memory", "edit", layer, EDITOR=editor(tmp_path, ADD)), "is a link to")
    assert (tmp_path / "outside.md").read_text() == "outside\n"
