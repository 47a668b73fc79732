from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from flowloom.retrieval.code_changes import Changes, files_to_resolve
from flowloom.retrieval.code_index import CodeIndex
from flowloom.retrieval.code_search import rank_files
from flowloom.retrieval.code_snapshot import CodeSnapshot
from flowloom.retrieval.code_writes import read_path_table

MakeTree = Callable[[Mapping[str, str | bytes]], Path]
MakeIndex = Callable[[Path], CodeIndex]

# Few names in many files: some are defined once, some in more files than a name may mean.
_NAMES = ("load_rows", "save_all", "Store", "Cart", "get", "get", "get", "close")
_FOLDERS = ("shop", "shop/cart", "tools-lib/src", "web")
_PYTHON_IMPORTS = (
    "from {package}.{stem} import {name}",
    "from .{stem} import {name}",
    "from . import {stem}",
    "from .. import {stem}",
    "from {package} import {name}",
    "import {package}.{stem}",
)
_JAVA_IMPORTS = ("import org.{package}.{stem};", "import org.{package}.*;")
_RUST_IMPORTS = ("use crate::{stem}::{name};", "use tools_lib::{stem};", "use super::{stem}::{name};")
_SCRIPT_IMPORTS = ('import { {name} } from "./{stem}"', 'import { {name} } from ".."', 'import x from "@a/{package}"')
_GO_IMPORTS = ('import "example.com/x/{package}"',)


class Texts:
    """Makes files that define, use and import the same few names and modules."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def path(self) -> str:
        chosen = self.random.choice
        name = chosen(
            ("one.py", "two.py", "__init__.py", "a.go", "a_test.go", "index.ts", "b.ts", "lib.rs", "one.rs")
        )
        if self.random.random() < 0.2:
            return f"java/org/{chosen(_FOLDERS[:2])}/{chosen(('One', 'Two'))}.java"
        return f"{chosen(_FOLDERS)}/{name}"

    def text(self, path: str) -> str:
        suffix = path.rpartition(".")[2]
        names = [self.random.choice(_NAMES) for _ in range(3)]
        if suffix == "py":
            body = [f"def {names[0]}(): pass", f"{names[1]}()", f"{names[2]}()"]
            return "\n".join([*self._imports(_PYTHON_IMPORTS, "/", "."), *body, ""])
        if suffix == "java":
            body = [f"class {names[0]} {{ void {names[1]}() {{ {names[2]}(); new Store(); get(); }} }}"]
            return "\n".join([*self._imports(_JAVA_IMPORTS, "/", "."), *body, ""])
        if suffix == "ts":
            body = [f"export function {names[0]}() {{ {names[1]}(); {names[2]}() }}"]
            return "\n".join([*self._imports(_SCRIPT_IMPORTS), *body, ""])
        if suffix == "rs":
            body = [f"pub fn {names[0]}() {{ {names[1]}(); {names[2]}(); }}"]
            return "\n".join([*self._imports(_RUST_IMPORTS), *body, ""])
        imports = self._imports(_GO_IMPORTS)
        return "\n".join(["package x", *imports, f"func {names[0]}() {{ {names[1]}(); {names[2]}() }}", ""])

    def _imports(self, forms: tuple[str, ...], old: str = "", new: str = "") -> list[str]:
        chosen = self.random.choice
        found = []
        for _ in range(self.random.randrange(3)):
            package = chosen(_FOLDERS)
            parts = {"package": package.replace(old, new) if old else package, "stem": chosen(("one", "two", "b"))}
            parts["name"] = chosen(_NAMES)
            form = chosen(forms)
            for key, value in parts.items():
                form = form.replace(f"{{{key}}}", value)
            found.append(form)
        return found


def _change(tree: Path, texts: Texts) -> None:
    """Write, move, empty or delete one file."""
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    chosen = texts.random.choice(files)
    new = tree / texts.path()
    new.parent.mkdir(parents=True, exist_ok=True)
    match texts.random.randrange(6):
        case 0:
            chosen.unlink()
        case 1:
            chosen.replace(new)
        case 2:
            chosen.write_bytes(b"\0\1")
        case 3:
            new.write_text(texts.text(new.name))
        case _:
            chosen.write_text(texts.text(chosen.name))


def _said(index: CodeIndex) -> list[object]:
    """Return what an index says of the tree, without the ids that depend on the order of work."""

    def look(snapshot: CodeSnapshot) -> list[object]:
        graph, table = snapshot.graph(), snapshot.files()
        return [
            table.paths,
            table.lengths,
            table.averages,
            table.in_paths,
            graph.outgoing,
            graph.incoming,
            rank_files(snapshot, "close the cart that load_rows gets from shop/one.py", limit=50),
        ]

    return [*index.read(look), _imported(index.path)]


def _imported(path: Path) -> list[tuple[str, list[str]]]:
    with sqlite3.connect(path) as db:
        ids = dict(db.execute("SELECT id, path FROM files").fetchall())
        rows = db.execute("SELECT file_id, imported FROM edges").fetchall()
    db.close()
    numbers = {file_id: memoryview(data).cast("I").tolist() for file_id, data in rows}
    return sorted((ids[file_id], sorted(ids[each] for each in found)) for file_id, found in numbers.items())


@pytest.mark.parametrize("seed", range(2))
def test_an_index_that_followed_many_changes_is_the_one_built_from_nothing(
    make_tree: MakeTree, make_index: MakeIndex, tmp_path: Path, seed: int
) -> None:
    texts = Texts(seed)
    tree = make_tree({path: texts.text(path) for path in sorted({texts.path() for _ in range(30)})})
    index = make_index(tree)
    index.refresh()
    for step in range(8):
        for _ in range(1 + step % 3):
            _change(tree, texts)
        index.refresh()
        fresh = CodeIndex(tree, tmp_path / f"fresh{step}")
        fresh.refresh()
        assert _said(index) == _said(fresh), f"step {step}"


def _due(index: CodeIndex, changes: Changes) -> set[str] | None:
    with sqlite3.connect(index.path) as db:
        found = files_to_resolve(db, changes, read_path_table(db))
        paths = dict(db.execute("SELECT id, path FROM files").fetchall())
    db.close()
    return None if found is None else {paths[each] for each in found}


@pytest.fixture
def crowded(make_tree: MakeTree, make_index: MakeIndex) -> CodeIndex:
    """Return an index in which many files define `close`, one defines `load_rows`, and others use both."""
    files = {f"p{at}/m.py": "def close(): pass\n" for at in range(12)}
    users = {
        "p0/beside.py": "close()\n",
        "far/importing.py": "from p0.m import close\nclose()\n",
        "far/using.py": "close()\nload_rows()\n",
        "far/rows.py": "def load_rows(): pass\n",
        **{f"far/other{at}.py": "pass\n" for at in range(9)},
    }
    index = make_index(make_tree({**files, **users}))
    index.refresh()
    return index


def test_a_name_of_many_files_concerns_only_who_lies_beside_or_imports_it(crowded: CodeIndex) -> None:
    changes = Changes({"p0/m.py"})
    changes.names[("close", "python")] = {"p0/m.py"}
    assert _due(crowded, changes) == {"p0/m.py", "p0/beside.py", "far/importing.py"}


def test_a_name_of_few_files_concerns_all_who_use_it(crowded: CodeIndex) -> None:
    changes = Changes({"far/rows.py"})
    changes.names[("load_rows", "python")] = {"far/rows.py"}
    assert _due(crowded, changes) == {"far/rows.py", "far/using.py"}


def test_a_change_that_names_nothing_concerns_the_file_alone(crowded: CodeIndex) -> None:
    assert _due(crowded, Changes({"p3/m.py"})) == {"p3/m.py"}


def test_all_files_are_due_when_nothing_is_known_of_the_state_before(crowded: CodeIndex) -> None:
    assert _due(crowded, Changes(everything=True)) is None


def test_who_imports_a_package_is_due_when_the_package_passes_on_another_file(
    make_tree: MakeTree, make_index: MakeIndex
) -> None:
    files = {f"p{at}/m.py": "def close(): pass\n" for at in range(12)}
    files |= {"shop/__init__.py": "from p1.m import close\n", "user.py": "from shop import close\nclose()\n"}
    index = make_index(make_tree(files))
    index.refresh()
    assert _used_by(index, "user.py") == {"p1/m.py", "shop/__init__.py"}
    make_tree({"shop/__init__.py": "from p2.m import close\n"})
    index.refresh()
    assert _used_by(index, "user.py") == {"p2/m.py", "shop/__init__.py"}


def test_who_imports_a_file_that_nothing_names_is_due_when_it_comes_and_goes(
    make_tree: MakeTree, make_index: MakeIndex
) -> None:
    # Only dots lead to the package.
    files = {f"p{at}/m.py": "def close(): pass\n" for at in range(12)}
    tree = make_tree({**files, "shop/cart/user.py": "from .. import gone\n"})
    index = make_index(tree)
    index.refresh()
    make_tree({"shop/__init__.py": "x = 1\n"})
    index.refresh()
    assert _used_by(index, "shop/cart/user.py") == {"shop/__init__.py"}
    (tree / "shop/__init__.py").unlink()
    index.refresh()
    assert _used_by(index, "shop/cart/user.py") == set()


def _used_by(index: CodeIndex, path: str) -> set[str]:
    def look(snapshot: CodeSnapshot) -> set[str]:
        paths = snapshot.paths()
        return {paths[target] for target, _ in snapshot.graph().outgoing.get(paths.index(path), ())}

    return index.read(look)
