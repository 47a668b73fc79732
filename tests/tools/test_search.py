import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.errors import ToolError
from flowloom.core.hits import Hit
from flowloom.tools.grep import MAX_MATCHES, Search, find_matches
from flowloom.tools.listing import list_files
from flowloom.tools.patterns import glob_regex

ENGINES = ["python", "ripgrep"]


@pytest.fixture(params=ENGINES)
def ripgrep(request: pytest.FixtureRequest) -> str | None:
    if request.param == "python":
        return None
    found = shutil.which("rg")
    if found is None:
        pytest.skip("ripgrep is not installed")
    return found


def grown(rig: Any) -> None:
    rig.write(".gitignore", "*.log\n/build/\nnode_modules/\n!keep.log\n")
    rig.write("src/.gitignore", "generated.py\n!important.log\n")
    rig.write(".flowignore", "private/\n")
    for name in ["a.py", "src/b.py", "src/generated.py", "src/important.log", "x.log", "keep.log", "build/out.py"]:
        rig.write(name, "needle\n")
    for name in [
        "src/build/kept.py",
        "node_modules/m/i.js",
        "private/p.py",
        ".flow/c.toml",
        ".github/w.yml",
    ]:
        rig.write(name, "needle\n")
    rig.write(".ignore", "a.py\n")
    (rig.workspace / "link.py").symlink_to("a.py")


@pytest.fixture(params=["repository", "plain folder"])
def tree(request: pytest.FixtureRequest, rig: Any) -> Any:
    """A workspace with rules of every kind."""
    grown(rig)
    if request.param == "repository":
        git_init(rig.workspace)
    return rig


def git_init(folder: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)


KEPT = [".flowignore", ".github/w.yml", ".gitignore", ".ignore", "a.py", "keep.log", "src/.gitignore", "src/b.py"]
KEPT += ["src/build/kept.py", "src/important.log"]


def test_the_list_leaves_out_what_is_ignored_or_denied(tree: Any) -> None:
    assert list_files(tree.workspace) == KEPT


def test_a_workspace_inside_a_repository_follows_the_rules_above_it(rig: Any) -> None:
    grown(rig)
    git_init(rig.workspace)
    rig.write("src/noise.log", "")
    rig.write(".gitignore", "noise.log\n*.log\n/build/\n")
    rig.write("src/.gitignore", "generated.py\n!important.log\n")
    assert list_files(rig.workspace / "src") == [".gitignore", "b.py", "build/kept.py", "important.log"]


def test_rules_above_the_repository_do_not_count(rig: Any) -> None:
    git_init(rig.workspace)
    (rig.workspace.parent / ".gitignore").write_text("*.py\n")
    rig.write("a.py", "")
    assert list_files(rig.workspace) == ["a.py"]


def test_files_of_a_repository_within_are_listed_by_its_own_rules(rig: Any) -> None:
    git_init(rig.workspace)
    rig.write("a.py", "")
    rig.write("libs/inner/.gitignore", "*.o\n")
    for name in ["x.c", "x.o", "secret.c"]:
        rig.write(f"libs/inner/{name}", "")
    rig.write(".aiignore", "secret.c\n")
    git_init(rig.workspace / "libs/inner")
    assert list_files(rig.workspace) == [".aiignore", "a.py", "libs/inner/.gitignore", "libs/inner/x.c"]


def test_a_tracked_file_is_listed_though_a_rule_names_it_and_not_once_it_is_gone(make_repo: Any) -> None:
    repo: Path = make_repo({"kept.log": "", "gone.py": ""})
    (repo / ".gitignore").write_text("*.log\n")
    (repo / "new.log").write_text("")
    (repo / "gone.py").unlink()
    assert list_files(repo) == [".gitignore", "kept.log"]


def test_the_list_of_a_folder_is_relative_to_the_workspace(tree: Any) -> None:
    assert list_files(tree.workspace, "src/build") == ["src/build/kept.py"]
    assert list_files(tree.workspace, "a.py") == ["a.py"]


@pytest.mark.parametrize("seed", range(6))
def test_a_plain_folder_is_listed_as_a_repository_is(rig: Any, seed: int) -> None:
    rng = random.Random(seed)
    names = ["a", "b", "日本", "x y", "c.py", "d.log", "e.txt"]
    patterns = [
        "*.log",
        "a/",
        "/b",
        "!d.log",
        "**/c.py",
        "a/*",
        "日本",
        "x\\ y",
        "b/",
        "[ce].*",
        "#c",
        "*/e.txt",
    ]
    for _ in range(60):
        parts = [rng.choice(names[:4]) for _ in range(rng.randint(0, 3))]
        rig.write("/".join([*parts, rng.choice(names[4:])]), "x")
    for folder in [rig.workspace, *(path for path in rig.workspace.rglob("*") if path.is_dir())]:
        if rng.random() < 0.4:
            (folder / ".gitignore").write_text("\n".join(rng.sample(patterns, 3)) + "\n")
    plain = list_files(rig.workspace)
    git_init(rig.workspace)
    assert plain == list_files(rig.workspace)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.py", ["a.py", "src/deep/a.py"], ["a.pyc", "a.py/b"]),
        ("src/*.py", ["src/a.py"], ["src/x/a.py", "a.py"]),
        ("src/**/*.py", ["src/a.py", "src/x/y/a.py"], ["lib/src/a.py"]),
        ("**/test_*.{py,pyi}", ["test_a.py", "x/test_b.pyi"], ["x/test_b.js"]),
        ("tests/", ["tests/a", "x/tests/b/c"], ["tests"]),
        ("[ab]?.txt", ["a1.txt", "d/b2.txt"], ["c1.txt", "a/.txt"]),
        ("[!a].txt", ["b.txt"], ["a.txt"]),
        ("./a(1).txt", ["a(1).txt"], ["a1.txt"]),
        ("a}.txt", ["a}.txt"], []),
        ("日本語*.md", ["docs/日本語の文書.md"], ["日本.md"]),
        ("**", ["a", "b/c"], []),
    ],
)
def test_patterns_match_as_people_expect(pattern: str, matching: list[str], other: list[str]) -> None:
    expression = glob_regex(pattern)
    assert [path for path in matching if not expression.fullmatch(path)] == []
    assert [path for path in other if expression.fullmatch(path)] == []


@pytest.mark.parametrize("pattern", ["a{b", "[b-a]"])
def test_a_broken_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ToolError, match="not a file name pattern"):
        glob_regex(pattern)


def test_glob_lists_sorted_paths(rig: Any) -> None:
    grown(rig)
    assert rig.read("glob", pattern="**/*.py") == "a.py\nsrc/b.py\nsrc/build/kept.py"
    assert rig.read("glob", pattern="*.py", path="src") == "src/b.py\nsrc/build/kept.py"
    assert rig.read("glob", pattern="src/*.py", path="src") == "src/b.py"


def test_glob_says_when_nothing_matches(rig: Any) -> None:
    rig.write("a.py", "")
    assert rig.read("glob", pattern="*.rs") == "No file matches '*.rs' in '.' (1 files; ignored ones are left out)."


def test_glob_caps_its_list_and_says_so(rig: Any) -> None:
    for number in range(205):
        rig.write(f"f{number:03}.txt", "")
    lines = rig.read("glob", pattern="*").split("\n")
    assert len(lines) == 201
    assert "the first 200 of 205 files" in lines[-1]


@pytest.mark.parametrize("tool", ["glob", "grep"])
def test_a_folder_that_is_not_there_or_outside_is_refused(rig: Any, tool: str) -> None:
    assert "there is no folder 'nowhere'" in rig.refusal(tool, pattern="x", path="nowhere")
    assert "outside" in rig.refusal(tool, pattern="x", path="..")


def searched(rig: Any, ripgrep: str | None, pattern: str, **options: bool) -> list[str]:
    files = list_files(rig.workspace)
    found = find_matches(rig.workspace, files, Search(pattern, **options), ripgrep)
    return [f"{match.path}:{match.line}:{match.text}" for match in found]


def test_matches_come_by_path_and_line(rig: Any, ripgrep: str | None) -> None:
    rig.write("b.py", "one\ntwo needle\nthree\nneedle four\n")
    rig.write("a/z.py", "needle\r\nend")
    assert searched(rig, ripgrep, "needle") == ["a/z.py:1:needle", "b.py:2:two needle", "b.py:4:needle four"]


def test_case_may_be_ignored(rig: Any, ripgrep: str | None) -> None:
    rig.write("a", "Needle\n")
    assert searched(rig, ripgrep, "needle") == []
    assert searched(rig, ripgrep, "needle", ignore_case=True) == ["a:1:Needle"]


def test_lines_end_before_cr(rig: Any, ripgrep: str | None) -> None:
    rig.write("a", "needle\r\n")
    assert searched(rig, ripgrep, "needle$") == ["a:1:needle"]


def test_lookahead_works(rig: Any, ripgrep: str | None) -> None:
    rig.write("a", "needle1\nneedle2\n")
    assert searched(rig, ripgrep, r"needle(?!1)") == ["a:2:needle2"]


def test_binary_files_are_left_out(rig: Any, ripgrep: str | None) -> None:
    rig.write("a.bin", b"needle\nneedle\0\1\2needle\n")
    rig.write("b.txt", "needle\n")
    assert searched(rig, ripgrep, "needle") == ["b.txt:1:needle"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932", "euc_jp", "utf-16"])
def test_japanese_is_found_in_every_encoding(rig: Any, ripgrep: str | None, encoding: str) -> None:
    rig.write("資料.txt", "最初の行\n設定を読み込みます\n".encode(encoding))
    rig.write("z.txt", "設定を書きます\n")
    assert searched(rig, ripgrep, "設定を") == ["z.txt:1:設定を書きます", "資料.txt:2:設定を読み込みます"]


def test_names_with_blanks_and_dashes_are_searched(rig: Any, ripgrep: str | None) -> None:
    rig.write("-e needle.txt", "needle\n")
    rig.write("a b.txt", "-needle\n")
    assert searched(rig, ripgrep, "-?needle") == ["-e needle.txt:1:needle", "a b.txt:1:-needle"]


def test_no_more_matches_than_the_cap_are_collected(rig: Any, ripgrep: str | None) -> None:
    rig.write("a", "needle\n" * 500)
    rig.write("b", "needle\n" * 500)
    found = searched(rig, ripgrep, "needle")
    assert len(found) == MAX_MATCHES + 1
    assert found[-1] == f"a:{MAX_MATCHES + 1}:needle"


def test_grep_shows_path_line_and_text(rig: Any) -> None:
    rig.write("src/a.py", "def load():\n    pass\n")
    assert rig.read("grep", pattern=r"def \w+") == "src/a.py:1:def load():"


def test_grep_keeps_to_a_folder_a_file_and_a_name_pattern(rig: Any) -> None:
    for name in ["src/a.py", "src/a.js", "b.py"]:
        rig.write(name, "needle\n")
    assert rig.read("grep", pattern="needle", path="src", include="*.py") == "src/a.py:1:needle"
    assert rig.read("grep", pattern="needle", path="b.py") == "b.py:1:needle"


def test_grep_takes_a_broken_expression_as_plain_text(rig: Any) -> None:
    rig.write("a.py", "call(1)\n")
    text = rig.read("grep", pattern="call(")
    assert text.startswith("a.py:1:call(1)\n(searched as plain text")


def test_grep_refuses_a_pattern_over_several_lines(rig: Any) -> None:
    assert "line break" in rig.refusal("grep", pattern="a\nb")


def test_grep_says_when_nothing_matches_and_when_there_is_more(rig: Any) -> None:
    rig.write("a", "x" * 1000 + "\n")
    rig.write("b", "needle\n" * 101)
    assert rig.read("grep", pattern="nothing").startswith("No line matches 'nothing' in 2 files")
    assert rig.read("grep", pattern="needle").endswith("there are more: narrow the pattern, path or include)")
    assert len(rig.read("grep", pattern="xxx")) < 300


def test_grep_leaves_out_denied_files_named_directly(rig: Any) -> None:
    rig.write(".clineignore", "secret.txt\n")
    rig.write("secret.txt", "needle\n")
    assert "No line matches" in rig.read("grep", pattern="needle", path="secret.txt")


def test_search_falls_back_to_python_without_ripgrep(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.write("a.py", "needle\n")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert rig.read("grep", pattern="needle") == "a.py:1:needle"
    assert rig.read("glob", pattern="*.py") == "a.py"


def test_a_large_tree_is_searched_in_portions(rig: Any) -> None:
    for number in range(1500):
        rig.write(f"{'deep' * 40}/{'name' * 50}{number:05}.txt", "needle\n" if number % 700 == 0 else "hay\n")
    assert len(rig.read("grep", pattern="needle").split("\n")) == 3


def test_search_code_shows_hits_with_their_lines(rig: Any) -> None:
    rig.retriever.hits = [Hit("a.py:3-4", "a.py", 3, 4, None, "load", "def load():\n    pass", 1.0, "code", "")]
    assert rig.read("search_code", query="load") == "a.py:3-4 load\ndef load():\n    pass"
    rig.retriever.hits = []
    assert "Nothing was found" in rig.read("search_code", query="load")


def test_git_itself_agrees_with_the_list(make_repo: Any) -> None:
    repo: Path = make_repo({"a.py": "", ".gitignore": "*.log\n/out/\n", "src/.gitignore": "tmp\n", "src/b.py": ""})
    for name in ["x.log", "out/y", "src/tmp", "src/out/z", "new.py"]:
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_text("")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=repo, capture_output=True, text=True
    )
    assert list_files(repo) == sorted(listed.stdout.split())


def test_an_expression_that_takes_for_ever_on_a_line_is_stopped(rig: Any) -> None:
    rig.write("a", "x" * 5000 + "\n")
    with pytest.raises(ToolError, match="took more than"):
        find_matches(rig.workspace, ["a"], Search("(x+x+)+y"), None, timeout_s=0.2)


def test_grep_in_a_small_window_shows_whole_lines_and_says_that_there_are_more(rig: Any) -> None:
    rig.write("a.txt", "needle in a long line of hay\n" * 80)
    rig.output_bytes = 1_024
    text = rig.read("grep", pattern="needle")
    *lines, remark = text.split("\n")
    assert len(text.encode()) < 1_200 and all(line.endswith("hay") for line in lines)
    assert remark == f"(the first {len(lines)} matches; there are more: narrow the pattern, path or include)"


def test_glob_in_a_small_window_shows_fewer_files(rig: Any) -> None:
    for number in range(60):
        rig.write(f"a_folder_with_a_long_name/file_{number:03}.py", "")
    rig.output_bytes = 1_024
    text = rig.read("glob", pattern="**/*.py")
    assert len(text.encode()) < 1_200
    assert f"(the first {text.count('.py')} of 60 files; use a narrower pattern for the others)" in text
