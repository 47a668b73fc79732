"""The files beside a Python file that it imports, found without running it."""

from __future__ import annotations

import pytest

from flowloom.core.python_imports import imported_texts, module_name


def found(text: str, files: dict[str, str], name: str = "g.py") -> list[str]:
    return sorted(imported_texts(name, text, files.get))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import helpers", ["helpers.py"]),
        ("import helpers as h, os", ["helpers.py"]),
        ("from helpers import x", ["helpers.py"]),
        ("from .helpers import x", ["helpers.py"]),
        ("from . import helpers", ["helpers.py"]),
        ("def f():\n    import helpers", ["helpers.py"]),
        ("from shop import prices", ["helpers.py", "shop/__init__.py", "shop/prices.py"]),
        ("import shop.prices", ["helpers.py", "shop/__init__.py", "shop/prices.py"]),
        ("from loose.inner import x", ["loose/inner.py"]),
        ("import json, flowloom, numpy", []),
        ("not python (", []),
    ],
)
def test_imports_of_every_form_are_found(text: str, names: list[str]) -> None:
    files = {
        "helpers.py": "x = 1",
        "json.py": "",
        "flowloom.py": "",
        "other.py": "",
        "shop/__init__.py": "",
        "shop/prices.py": "from ..helpers import x\nimport helpers\nfrom . import gone",
        "loose/inner.py": "",
    }
    assert found(text, files) == names


def test_files_that_import_each_other_are_found_once_and_the_file_itself_never() -> None:
    files = {"a.py": "import b, g", "b.py": "import a", "g.py": "import a"}
    assert found("import a", files) == ["a.py", "b.py"]


def test_a_folder_without_an_init_does_not_hide_an_installed_package() -> None:
    files = {"pydantic/main.py": "", "langgraph/graph.py": ""}
    assert found("from pydantic.main import BaseModel\nimport langgraph.graph", files) == []


def test_a_module_has_the_name_that_it_is_imported_by() -> None:
    assert [module_name(path) for path in ("a.py", "shop/__init__.py", "shop/prices.py")] == [
        "a",
        "shop",
        "shop.prices",
    ]
