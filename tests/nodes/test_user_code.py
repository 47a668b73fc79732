"""Code of a file that imports files beside it: from the texts that were read, for it alone."""

from __future__ import annotations

import sys
import typing
from dataclasses import replace
from pathlib import Path

import pytest

from flowloom.core.errors import GraphInvalid
from flowloom.nodes.user_code import Code, Part, failure_line, load_module, load_name


def code(folder: Path, text: str, **parts: str) -> Code:
    """Return code with files beside it by their names; "shop" with an underscore for its package, "shop__prices"."""
    made = []
    for name, said in parts.items():
        dotted = name.replace("__", ".")
        is_package = any(other.startswith(f"{name}__") for other in parts)
        file = f"{dotted.replace('.', '/')}{'/__init__' if is_package else ''}.py"
        made.append(Part(dotted, is_package, file, folder / file, said))
    return Code("g.py", path=folder / "g.py", text=text, parts=tuple(made))


@pytest.mark.parametrize(
    "text",
    [
        "import helpers\nx = helpers.x",
        "import helpers as h\nx = h.x",
        "from helpers import x",
        "from .helpers import x",
        "from . import helpers\nx = helpers.x",
        "from helpers import *",
        "def late():\n    from helpers import x\n    return x\nx = late()",
    ],
)
def test_every_form_of_import_reaches_the_file_beside_it(tmp_path: Path, text: str) -> None:
    assert load_name(code(tmp_path, text, helpers="x = __file__"), "x") == str(tmp_path / "helpers.py")


def test_packages_import_their_own_and_their_neighbours(tmp_path: Path) -> None:
    files = {
        "shop": "from .prices import PRICE",
        "shop__prices": "from ..helpers import x\nimport helpers\nPRICE = x + helpers.x",
        "helpers": "x = 2",
        "loose__inner": "y = 5",
    }
    text = "import shop.prices\nimport loose.inner as inner\nfrom shop import PRICE\nz = shop.prices.PRICE + inner.y"
    assert load_name(code(tmp_path, text, **files), "z") == 9


def test_files_that_import_each_other_work_as_in_python(tmp_path: Path) -> None:
    loaded = load_module(code(tmp_path, "import a\nfirst = 1\nx = a.f()", a="import g\ndef f(): return g.first + 1"))
    assert loaded.x == 2


def test_files_of_one_name_beside_two_codes_do_not_meet(tmp_path: Path) -> None:
    one, two = (
        load_module(code(tmp_path / place, "from helpers import x", helpers=f"x = {place!r}")) for place in "ab"
    )
    assert (one.x, two.x, "helpers" in sys.modules) == ("a", "b", False)


def test_a_changed_file_beside_it_is_run_anew(tmp_path: Path) -> None:
    texts = [load_name(code(tmp_path, "from helpers import x", helpers=f"x = {n}"), "x") for n in (1, 2)]
    assert texts == [1, 2]


def test_nothing_of_pythons_own_paths_or_modules_changes(tmp_path: Path) -> None:
    paths, json = list(sys.path), sys.modules["json"]
    module = load_module(code(tmp_path, "import json, helpers", helpers="import json"))
    assert (sys.path, sys.modules["json"], module.json, module.helpers.json) == (paths, json, json, json)


def test_a_code_named_like_a_module_of_python_still_gets_that_one(tmp_path: Path) -> None:
    text = "import calendar, helpers\nx = calendar.isleap(2024)"
    named = replace(code(tmp_path, text, helpers="import calendar"), path=tmp_path / "calendar.py")
    assert load_name(named, "x") is True


def test_type_hints_of_classes_beside_it_can_be_read(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nfrom helpers import Item\nclass Box:\n    item: Item"
    found = load_module(code(tmp_path, text, helpers="class Item: pass"))
    assert typing.get_type_hints(found.Box) == {"item": found.Item}


def test_what_fails_is_told_by_its_own_file_and_line_and_can_be_loaded_again(tmp_path: Path) -> None:
    broken = code(tmp_path, "import helpers", helpers="x = 1\nraise KeyError('k')")
    before = (len(sys.meta_path), set(sys.modules))
    for _ in range(2):
        with pytest.raises(GraphInvalid, match=r"^helpers\.py:2: KeyError: 'k'\.$"):
            load_module(broken)
    assert (len(sys.meta_path), set(sys.modules)) == before
    late = load_module(code(tmp_path, "import helpers\ndef f(): helpers.f()", helpers="def f():\n    1 / 0"))
    with pytest.raises(ZeroDivisionError) as failed:
        late.f()
    assert failure_line(failed.value, code(tmp_path, "", helpers="")).startswith("helpers.py:2: ZeroDivisionError")


@pytest.mark.parametrize("text", ["import shop.gone", "from .gone import x", "import gone"])
def test_a_module_that_is_not_there_is_named_as_it_was_written(tmp_path: Path, text: str) -> None:
    with pytest.raises(GraphInvalid, match=r"g\.py:1: ModuleNotFoundError: No module named '(shop\.)?gone'"):
        load_module(code(tmp_path, text, shop="", shop__prices=""))
