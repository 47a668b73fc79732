from __future__ import annotations

import pytest

from flowloom.retrieval.import_paths import PathTable, find_imported

PYTHON = ["shop/__init__.py", "shop/cart.py", "shop/util/__init__.py", "shop/util/text.py", "src/lib/deep.py", "x.py"]
SCRIPT = [
    "src/app.ts",
    "src/cart/index.ts",
    "src/cart/total.ts",
    "src/View.vue",
    "src/old.js",
    "packages/shared/src/index.ts",
    "src/stores/user.ts",
]
GO = ["main.go", "model/labels/labels.go", "model/labels/regexp.go", "model/labels/labels_test.go", "context/c.go"]
RUST = ["core/src/lib.rs", "core/src/io/mod.rs", "core/src/io/read.rs", "core/src/net.rs", "core-macros/src/lib.rs"]
JAVA = ["a/src/main/java/org/shop/Cart.java", "a/src/main/java/org/shop/util/Text.java", "b/org/shop/Cart.java"]


@pytest.mark.parametrize(
    ("language", "text", "path", "paths", "found"),
    [
        ("python", "import shop.cart", "x.py", PYTHON, ["shop/cart.py"]),
        ("python", "import shop.cart as c, lib.deep", "x.py", PYTHON, ["shop/cart.py", "src/lib/deep.py"]),
        ("python", "from shop import cart", "x.py", PYTHON, ["shop/__init__.py", "shop/cart.py"]),
        ("python", "from . import cart", "shop/other.py", PYTHON, ["shop/__init__.py", "shop/cart.py"]),
        ("python", "from .util.text import (a, b as c)", "shop/cart.py", PYTHON, ["shop/util/text.py"]),
        ("python", "from .. import cart", "shop/util/text.py", PYTHON, ["shop/__init__.py", "shop/cart.py"]),
        ("python", "import os.path", "x.py", PYTHON, []),
        ("typescript", 'import { a } from "./cart"', "src/app.ts", SCRIPT, ["src/cart/index.ts"]),
        ("typescript", 'import a from "./cart/total.js"', "src/app.ts", SCRIPT, ["src/cart/total.ts"]),
        ("typescript", 'export * from "../View.vue"', "src/cart/index.ts", SCRIPT, ["src/View.vue"]),
        ("javascript", 'require("../old")', "src/cart/total.ts", SCRIPT, ["src/old.js"]),
        ("typescript", 'import { x } from "@shop/shared"', "src/app.ts", SCRIPT, ["packages/shared/src/index.ts"]),
        ("typescript", 'import { x } from "@/stores/user"', "src/app.ts", SCRIPT, ["src/stores/user.ts"]),
        ("typescript", 'import react from "react"', "src/app.ts", SCRIPT, []),
        (
            "go",
            'l "github.com/p/p/model/labels"',
            "main.go",
            GO,
            ["model/labels/labels.go", "model/labels/regexp.go"],
        ),
        ("go", '"context"', "main.go", GO, []),
        (
            "rust",
            "use crate::io::{self, read::Reader};",
            "core/src/net.rs",
            RUST,
            ["core/src/io/read.rs", "core/src/io/mod.rs"],
        ),
        ("rust", "use super::Thing;", "core/src/io/read.rs", RUST, ["core/src/io/mod.rs"]),
        ("rust", "mod read;", "core/src/io/mod.rs", RUST, ["core/src/io/read.rs"]),
        ("rust", "use core_macros::main;", "core/src/net.rs", RUST, ["core-macros/src/lib.rs"]),
        ("rust", "use std::io::Read;", "core/src/net.rs", RUST, []),
        ("java", "import org.shop.Cart;", "a/src/main/java/org/shop/util/Text.java", JAVA, [JAVA[0]]),
        ("java", "import static org.shop.util.Text.trim;", "b/org/shop/Cart.java", JAVA, [JAVA[1]]),
        ("java", "import org.shop.util.*;", JAVA[0], JAVA, [JAVA[1]]),
        ("java", "import java.util.List;", JAVA[0], JAVA, []),
        ("kotlin", "import org.shop.Cart as C", "a/x.kt", JAVA, [JAVA[0]]),
        ("scala", "import org.shop.{Cart, Rack => R}", "a/x.scala", JAVA, [JAVA[0]]),
        ("php", "use Shop\\Stock\\{Parcel, Rack as R};", "x.php", ["src/Stock/Parcel.php"], ["src/Stock/Parcel.php"]),
        ("c", '#include "stock/parcel.h"', "src/a.c", ["src/stock/parcel.h", "b/parcel.h"], ["src/stock/parcel.h"]),
        ("c", "#include <stdio.h>", "src/a.c", ["src/stock/parcel.h"], []),
        ("ruby", 'require_relative "stock/parcel"', "lib/a.rb", ["lib/stock/parcel.rb"], ["lib/stock/parcel.rb"]),
        ("bash", "source ./lib.sh", "bin/run.sh", ["bin/lib.sh", "lib.sh"], ["bin/lib.sh"]),
        ("lua", 'require("lib.json")', "main.lua", ["lib/json.lua"], ["lib/json.lua"]),
        ("dart", "import 'package:shop/parcel.dart';", "lib/a.dart", ["lib/parcel.dart"], []),
        ("zig", '@import("stock/parcel.zig")', "a.zig", ["stock/parcel.zig"], ["stock/parcel.zig"]),
    ],
)
def test_an_import_means_files(language: str, text: str, path: str, paths: list[str], found: list[str]) -> None:
    assert find_imported(language, text, path, PathTable(paths)) == found


def test_the_nearest_of_several_is_meant() -> None:
    table = PathTable(["a/util.py", "b/util.py"])
    assert table.ending("util.py", "b/deep/x.py") == ["b/util.py"]
    assert table.ending("util.py", "c/x.py") == ["a/util.py", "b/util.py"]


@pytest.mark.parametrize("language", ["python", "typescript", "go", "rust", "java", "php", "c", "ruby", ""])
def test_no_text_is_too_odd(language: str) -> None:
    table = PathTable(["a.py", "a/b.rs"])
    for text in ("", "import", "use ;", "use a::{b::{c", "from . import", '"', "import *", "use {}{}", "mod"):
        find_imported(language, text, "a/b.rs", table)
