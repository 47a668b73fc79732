from pathlib import Path
from typing import Any

import pytest

from flowloom.tools.shell_advice import commit_hint, display_of, interactive_hint


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("vim a.py", "with your tools"),
        ("cd src && nano x", "with your tools"),
        ("less log.txt", "use cat"),
        ("top", "terminal"),
        ("python", "waits for lines"),
        ("python3 -i", "waits for lines"),
        ("node", "waits for lines"),
        ("psql mydb", "waits for lines"),
        ("mysql -u root", "waits for lines"),
        ("sqlite3 a.db", "waits for lines"),
        ("bash", "waits for lines"),
        ("ssh host", "without a command"),
        ("git rebase -i HEAD~3", "git rebase -i"),
        ("git add -p", "git add PATH"),
        ("git commit", "git commit -m"),
        ("git commit --amend", "git commit -m"),
        ("git mergetool", "conflicts"),
        ("npm init", "add -y"),
        ("tail -f log.txt", "never ends"),
        ("tail -n 5 --follow log.txt", "never ends"),
        ("crontab -e", "editor"),
        ("docker run -it alpine sh", "-it"),
        ("make && vim x", "with your tools"),
    ],
)
def test_a_program_that_waits_for_a_person_gets_a_hint(line: str, hint: str) -> None:
    assert hint in interactive_hint(line)


@pytest.mark.parametrize(
    "line",
    [
        "ls",
        "python x.py",
        "python -c 'x'",
        "python3 -m pytest",
        "echo 'print(1)' | python3",
        "python3 < x.py",
        "node -v",
        "node x.js",
        "psql -c 'select 1'",
        "mysql -e 'select 1'",
        "sqlite3 a.db 'select 1'",
        "cat a | sqlite3 a.db",
        "ssh host ls",
        "git rebase main",
        "git add .",
        "git commit -m x",
        "git commit -am x",
        "git commit --amend --no-edit",
        "npm init -y",
        "tail -n 5 x",
        "top -b -n 1",
        "vim --version",
        "emacs --batch -l x",
        "man ls",
        "docker run alpine",
        "less x | cat",
        "bash -c ls",
        "bash x.sh",
        "python --version",
        "",
    ],
)
def test_a_command_that_ends_by_itself_gets_none(line: str) -> None:
    assert interactive_hint(line) == ""


@pytest.mark.parametrize(
    ("line", "display"),
    [
        ("cat a.py", "collapsed"),
        ("cd src && git diff", "collapsed"),
        ("git --no-pager log", "plain"),
        ("git status", "plain"),
        ("ls", "plain"),
        ("npm test", "tail"),
        ("cd app && npm test 2>&1 | cat", "tail"),
        ("python -m pytest -q", "tail"),
        ("cargo build --release", "tail"),
        ("make", "tail"),
        ("echo hi", "plain"),
        ("caterpillar", "plain"),
        ("$(", "plain"),
    ],
)
def test_the_table_says_how_much_of_the_output_is_shown(line: str, display: str) -> None:
    assert display_of(line) == display


@pytest.mark.parametrize(
    "line",
    [
        "git add .",
        "git commit -m x",
        "pytest && git add -A && git commit -qm x",
        "cd sub && git commit -am 'x y'",
        "git -C sub -c a=b commit",
        "(cd sub; git stage a.txt)",
        "git add -A && git commit -m \"$(cat <<'EOF'\nx\nEOF\n)\"",
        "cd sub && git commit -F - <<'EOF'\nx\nEOF",
    ],
)
def test_staging_and_commits_in_the_workspace_are_led_to_the_tool_for_that(make_repo: Any, line: str) -> None:
    repo = make_repo({"a.txt": "", "sub/b.txt": ""}).resolve()
    assert "use the tool Git with action commit" in commit_hint(line, repo, "Git")
    assert "commits to the user" in commit_hint(line, repo, "")
    absolute = line.replace("cd sub", f"cd {repo}/sub").replace("-C sub", f"-C {repo}/sub")
    assert commit_hint(absolute, repo, "Git")


@pytest.mark.parametrize(
    "line",
    [
        "git status",
        "git commit --dry-run",
        "git add --help",
        "echo git commit -m x",
        "cd /tmp && git init -q && git add . && git commit -m x",
        "cd nested && git commit -am x",
        "git -C nested add .",
        "git init x; cd x; git add .",
        'cd "$where" && git add .',
        "GIT_DIR=/tmp/x git add .",
        "git --git-dir=/tmp/x/.git commit -m x",
        "cat > notes.sh <<'EOF'\ngit commit -m x\nEOF",
    ],
)
def test_other_lines_and_other_repositories_are_left_alone(make_repo: Any, line: str) -> None:
    repo = make_repo({"a.txt": ""}).resolve()
    (repo / "nested/.git").mkdir(parents=True)
    assert commit_hint(line, repo, "git") == ""


def test_without_a_repository_nothing_is_said(tmp_path: Path) -> None:
    assert commit_hint("git add .", tmp_path.resolve(), "git") == ""
