from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from flowloom.retrieval.code_index import CodeIndex
from flowloom.retrieval.code_snapshot import CodeSnapshot

MakeTree = Callable[[Mapping[str, str | bytes]], Path]
MakeIndex = Callable[[Path], CodeIndex]

CALL = "def run():\n    load_rows(1)\n"
DEFINES = "def load_rows(n):\n    return n\n"


def _edges(index: CodeIndex) -> dict[tuple[str, str], float]:
    def look(snapshot: CodeSnapshot) -> dict[tuple[str, str], float]:
        paths = snapshot.paths()
        return {
            (paths[at], paths[target]): round(weight, 4)
            for at, targets in snapshot.graph().outgoing.items()
            for target, weight in targets
        }

    return index.read(look)


@pytest.fixture
def edges_of(
    make_tree: MakeTree, make_index: MakeIndex
) -> Callable[[Mapping[str, str | bytes]], set[tuple[str, str]]]:
    def edges(files: Mapping[str, str | bytes]) -> set[tuple[str, str]]:
        index = make_index(make_tree(files))
        index.refresh()
        return set(_edges(index))

    return edges


Edges = Callable[[Mapping[str, str | bytes]], set[tuple[str, str]]]


def test_what_a_file_defines_itself_leads_nowhere(edges_of: Edges) -> None:
    assert edges_of({"a.py": DEFINES + CALL, "b.py": DEFINES}) == set()


def test_an_imported_definition_is_meant_rather_than_others(edges_of: Edges) -> None:
    files = {"a.py": f"from p.one import load_rows\n\n{CALL}", "p/one.py": DEFINES, "q/two.py": DEFINES}
    assert edges_of(files) == {("a.py", "p/one.py")}


def test_a_package_passes_on_what_it_imports(edges_of: Edges) -> None:
    files = {
        "a.py": f"from p import load_rows\n\n{CALL}",
        "p/__init__.py": "from .one import load_rows\n",
        "p/one.py": DEFINES,
        "q/two.py": DEFINES,
    }
    assert ("a.py", "p/one.py") in edges_of(files)
    assert ("a.py", "q/two.py") not in edges_of(files)


def test_without_an_import_the_same_folder_comes_first(edges_of: Edges) -> None:
    assert edges_of({"p/a.py": CALL, "p/one.py": DEFINES, "q/two.py": DEFINES}) == {("p/a.py", "p/one.py")}


def test_the_only_definition_is_meant_wherever_it_is(edges_of: Edges) -> None:
    assert edges_of({"a.py": CALL, "q/two.py": DEFINES}) == {("a.py", "q/two.py")}


def test_a_name_of_several_files_is_split_and_of_many_is_dropped(make_tree: MakeTree, make_index: MakeIndex) -> None:
    few = {"x/a.py": CALL, **{f"d{at}/m.py": DEFINES for at in range(4)}}
    index = make_index(make_tree(few))
    index.refresh()
    assert set(_edges(index).values()) == {0.25}
    make_tree({f"e{at}/m.py": DEFINES for at in range(4)})
    index.refresh()
    assert _edges(index) == {}


def test_languages_do_not_mix(edges_of: Edges) -> None:
    assert edges_of({"a.py": CALL, "b.js": "function load_rows() { return 1 }\n"}) == set()
    assert edges_of({"c.ts": "load_rows(1)\n"}) == {("c.ts", "b.js")}


@pytest.mark.parametrize(
    "change",
    [
        {"p/one.py": "def other():\n    pass\n"},
        {"n/new.py": DEFINES},
        {"x.py": CALL.replace("load_rows", "helper")},
        {"p/__init__.py": ""},
        {"p/one.py": None},
        {"p/one.py": None, "p/moved.py": DEFINES},
        {"q/two.py": DEFINES.replace("return n", "return helper(n)")},
        {"p/util.py": "def helper(n):\n    return n\n"},
    ],
)
def test_edges_brought_up_step_by_step_are_those_of_a_new_index(
    make_tree: MakeTree, make_index: MakeIndex, tmp_path: Path, change: Mapping[str, str | None]
) -> None:
    filler = {f"filler/f{at}.py": f"def filler_{at}():\n    return {at}\n" for at in range(12)}
    tree = make_tree(
        {
            "a.py": f"from p import load_rows\nimport p.util\n\n{CALL}",
            "p/__init__.py": "from .one import load_rows\n",
            "p/one.py": DEFINES,
            "q/two.py": DEFINES,
            "x.py": "def run2():\n    helper(2)\n    filler_3()\n",
            "q/helper.py": "def helper(n):\n    return n\n",
            **filler,
        }
    )
    index = make_index(tree)
    index.refresh()
    for path, text in change.items():
        if text is None:
            (tree / path).unlink()
    make_tree({path: text for path, text in change.items() if text is not None})
    index.refresh()
    fresh = CodeIndex(tree, tmp_path / "other")
    fresh.refresh()
    assert _edges(index) == _edges(fresh)


def test_a_file_moved_back_and_forth_is_never_parsed_again(make_tree: MakeTree, make_index: MakeIndex) -> None:
    tree = make_tree({"a.py": DEFINES, "b.py": CALL})
    index = make_index(tree)
    index.refresh()
    (tree / "a.py").rename(tree / "z.py")
    seen: list[int] = []
    report = index.refresh(lambda done, total: seen.append(done))
    assert (report.updated, report.removed) == (1, 1)
    # Told at the beginning and at the end alone: no text was parsed.
    assert seen == [0, *seen[-1:]]
    assert set(_edges(index)) == {("b.py", "z.py")}
