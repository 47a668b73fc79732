import pytest

from flowloom.tools.shell_advice import display_of, interactive_hint


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("vim a.py", "edit_file"),
        ("cd src && nano x", "edit_file"),
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
        ("make && vim x", "edit_file"),
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
