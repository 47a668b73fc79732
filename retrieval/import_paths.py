"""Finds the files that an import means, by the paths of the repository alone. Called when references are resolved.

No build file is read: what a language looks up in its search path is here any file whose path ends in what the import
names. That errs towards too many files in a repository of several projects, where the nearest are taken.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

_MOST = 5
_MOST_OF_A_FOLDER = 40

_QUOTED = re.compile(r"""["'<]([^"'<>\n]+)["'>]""")
_PYTHON_FROM = re.compile(r"from\s+(\.*)\s*([\w.]*)\s+import\s+(.*)")
_SCRIPT_SUFFIXES = (".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mjs", ".cjs", ".vue", ".svelte", ".json")
_RUST_PATH = re.compile(r"^(?:pub(?:\([^)]*\))?\s+)?use\s+(.*?);?$")
_JAVA_PATH = re.compile(r"^import\s+(static\s+)?([\w.]+?)(\.[*_])?(?:\s+as\s+\w+)?;?$")
_PHP_USE = re.compile(r"^use\s+(?:function\s+|const\s+)?(.*?);?$")
_GENERIC_SUFFIXES = {
    "bash": (".sh", ".bash"),
    "c": (".h",),
    "clojure": (".clj", ".cljs", ".cljc"),
    "dart": (".dart",),
    "elisp": (".el",),
    "elm": (".elm",),
    "fish": (".fish",),
    "gleam": (".gleam",),
    "haskell": (".hs",),
    "julia": (".jl",),
    "lua": (".lua", "/init.lua"),
    "nim": (".nim",),
    "perl": (".pm", ".pl"),
    "proto": (".proto",),
    "r": (".R", ".r"),
    "ruby": (".rb",),
    "scss": (".scss", ".sass"),
    "solidity": (".sol",),
    "starlark": (".bzl",),
    "vim": (".vim",),
    "zig": (".zig",),
}
_ABSOLUTE = frozenset({"go", "java", "kotlin", "scala"})
_BARE_PATH = re.compile(r"[A-Za-z_][\w]*(?:(?:\.|::|/)\w+)+|[\w./-]+\.\w+")


class PathTable:
    """All paths of a repository, asked by their ends.

    Args:
        paths: workspace-relative posix paths.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = sorted(paths)
        self._known = frozenset(self.paths)
        self._by_name: dict[str, list[str]] = {}
        self._by_folder: dict[str, list[str]] = {}
        self._ending: dict[str, list[str]] = {}
        self._known_imports: dict[tuple[str, str, str], list[str]] = {}
        self._was_near = False
        for path in self.paths:
            folder, _, name = path.rpartition("/")
            self._by_name.setdefault(name, []).append(path)
            self._by_folder.setdefault(folder, []).append(path)
        self._folders: dict[str, list[str]] = {}
        for folder in sorted(self._by_folder):
            self._folders.setdefault(folder.rpartition("/")[2], []).append(folder)

    def __contains__(self, path: str) -> bool:
        return path in self._known

    def imported(self, language: str, text: str, path: str) -> list[str]:
        """Return what `find_imported` returns, from memory where an equal import in another file meant the same."""
        key = (language, text, "" if _is_absolute(language, text) else path.rpartition("/")[0])
        found = self._known_imports.get(key)
        if found is None:
            self._was_near = False
            found = list(dict.fromkeys(_FINDERS.get(language, _generic)(text, path, self, language)))
            # What was chosen for being near to one file is no answer for another, not even of the same folder.
            if not self._was_near and language != "rust":
                self._known_imports[key] = found
        return found

    def ending(self, tail: str, near: str) -> Sequence[str]:
        """Return the paths that are `tail` or end in it at a "/", those nearest to the path `near`; at most five."""
        found = self._ending.get(tail)
        if found is None:
            wanted = tail.lstrip("/")
            named = self._by_name.get(wanted.rpartition("/")[2], ())
            found = [path for path in named if path == wanted or path.endswith(f"/{wanted}")]
            self._ending[tail] = found
        return self._nearest(found, near)

    def folder_ending(self, tail: str, near: str) -> str:
        """Return the folder that is `tail` or ends in it, the nearest to the path `near`; "" = none."""
        tail = tail.strip("/")
        found = [
            folder
            for folder in self._folders.get(tail.rpartition("/")[2], ())
            if folder == tail or folder.endswith(f"/{tail}")
        ]
        return self._nearest(found, near)[0] if found else ""

    def inside(self, folder: str) -> Sequence[str]:
        """Return the paths that lie in a folder itself."""
        return self._by_folder.get(folder, ())

    def _nearest(self, paths: Sequence[str], near: str) -> Sequence[str]:
        if len(paths) < 2:
            return paths
        self._was_near = True
        return _nearest(paths, near)


def _nearest(paths: Sequence[str], near: str) -> list[str]:
    """Return the paths that share the most leading folders with `near`, at most five, in order."""
    shared = [len(posixpath.commonprefix([path.split("/"), near.split("/")])) for path in paths]
    top = max(shared)
    return [path for path, count in zip(paths, shared, strict=True) if count == top][:_MOST]


def find_imported(language: str, text: str, path: str, table: PathTable) -> list[str]:
    """Return the files of the repository that an import statement means, without the file itself; [] = none is known.

    Args:
        text: the statement on one line.
        path: the file that it stands in.
    """
    return [each for each in table.imported(language, text, path) if each != path]


def _is_absolute(language: str, text: str) -> bool:
    """Tell whether an import means the same in every folder, but for what is nearer of several."""
    return language in _ABSOLUTE or (language == "python" and not text.startswith("from ."))


def _python(text: str, path: str, table: PathTable, _language: str) -> Iterator[str]:
    match = _PYTHON_FROM.match(text)
    if match is None:
        for name in text.removeprefix("import ").split(","):
            yield from _python_module(name.split(" as ")[0].strip().replace(".", "/"), "", path, table)
        return
    dots, module, names = match.groups()
    base = ""
    if dots:
        base = path
        for _ in dots:
            base = posixpath.dirname(base)
    below = module.replace(".", "/")
    yield from _python_module(below, base if dots else "", path, table, relative=bool(dots))
    for name in re.findall(r"\w+(?=\s*(?:,|\)|$|\s+as\b))", names.strip("() ")):
        yield from _python_module(f"{below}/{name}".strip("/"), base, path, table, relative=bool(dots))


def _python_module(below: str, base: str, path: str, table: PathTable, *, relative: bool = False) -> Iterator[str]:
    for tail in (f"{below}.py", f"{below}/__init__.py", f"{below}.pyi") if below else ("__init__.py",):
        if relative:
            whole = posixpath.normpath(posixpath.join(base, tail))
            if whole in table:
                yield whole
                return
        elif found := table.ending(tail, path):
            yield from found
            return


def _script(text: str, path: str, table: PathTable, _language: str) -> Iterator[str]:
    match = _QUOTED.findall(text)
    if not match:
        return
    wanted = match[-1]
    if wanted.startswith("."):
        yield from _script_file(posixpath.normpath(posixpath.join(posixpath.dirname(path), wanted)), table)
        return
    # An alias of the build ("@/stores/cart") or a package of the same repository ("@shop/cart").
    name = wanted.lstrip("@~#/").partition("/")[2] or wanted
    for tail in (name, f"{name}/src/index", f"{name}/index"):
        for suffix in ("", *_SCRIPT_SUFFIXES):
            if found := table.ending(tail + suffix, path):
                yield from found
                return


def _script_file(whole: str, table: PathTable) -> Iterator[str]:
    stem, dot, suffix = whole.rpartition(".")
    stems = [whole, *([stem] if dot and suffix in ("js", "jsx", "mjs", "cjs") else [])]
    for each in stems:
        for tail in ("", *_SCRIPT_SUFFIXES, *(f"/index{suffix}" for suffix in _SCRIPT_SUFFIXES)):
            if each + tail in table:
                yield each + tail
                return


def _go(text: str, path: str, table: PathTable, _language: str) -> Iterator[str]:
    match = _QUOTED.search(text)
    parts = match[1].split("/") if match else []
    for first in range(len(parts)):
        folder = table.folder_ending("/".join(parts[first:]), path)
        # One word alone ("context", of "go/ast") is the standard library's more often than a folder here.
        if folder and (len(parts) - first > 1 or "." in parts[0]):
            sources = [each for each in table.inside(folder) if each.endswith(".go")]
            yield from [each for each in sources if not each.endswith("_test.go")][:_MOST_OF_A_FOLDER]
            return


def _rust(text: str, path: str, table: PathTable, _language: str) -> Iterator[str]:
    folder = _rust_folder(path)
    if module := re.search(r"\bmod\s+(\w+)\s*;?$", text):
        yield from _rust_file(f"{folder}/{module[1]}".strip("/"), table)
        return
    match = _RUST_PATH.match(text)
    for names in _expand_braces(match[1]) if match else ():
        parts = [part.split(" as ")[0].strip() for part in names.split("::")]
        base, rest = _rust_base(parts, folder, path, table)
        if base is not None:
            yield from _rust_longest(base, [part for part in rest if part not in ("*", "self")], table)


def _rust_folder(path: str) -> str:
    """Return the folder in which a file's own modules lie."""
    folder, _, name = path.rpartition("/")
    stem = name.removesuffix(".rs")
    return folder if stem in ("mod", "lib", "main") else f"{folder}/{stem}".strip("/")


def _rust_base(parts: list[str], folder: str, path: str, table: PathTable) -> tuple[str | None, list[str]]:
    """Return the folder that a path begins in and what is left of it; None = a crate of another repository."""
    source = path.rpartition("/src/")[0]
    root = f"{source}/src".strip("/") if source or "/src/" in f"/{path}" else path.rpartition("/")[0]
    if parts[0] == "crate":
        return root, parts[1:]
    if parts[0] == "self":
        return folder, parts[1:]
    if parts[0] == "super":
        above = folder
        while parts and parts[0] == "super":
            above, parts = posixpath.dirname(above), parts[1:]
        return above, parts
    for name in (parts[0], parts[0].replace("_", "-")):
        if crate := table.folder_ending(f"{name}/src", path):
            return crate, parts[1:]
    return None, parts


def _rust_longest(base: str, parts: list[str], table: PathTable) -> Iterator[str]:
    for count in range(len(parts), 0, -1):
        found = list(_rust_file("/".join([base, *parts[:count]]).strip("/"), table))
        if found:
            yield from found
            return
    for name in ("mod.rs", "lib.rs"):
        if f"{base}/{name}".strip("/") in table:
            yield f"{base}/{name}".strip("/")
            return


def _rust_file(stem: str, table: PathTable) -> Iterator[str]:
    yield from (each for each in (f"{stem}.rs", f"{stem}/mod.rs") if each in table)


def _expand_braces(text: str) -> Iterator[str]:
    """Yield the paths of "a::{b, c::{d, e}}", at most a few hundred."""
    pending = [text]
    count = 0
    while pending and count < 300:
        count += 1
        each = pending.pop()
        opening = each.find("{")
        if opening < 0:
            yield each
            continue
        depth, start = 0, opening + 1
        for at in range(opening, len(each)):
            depth += {"{": 1, "}": -1}.get(each[at], 0)
            if (each[at] == "," and depth == 1) or depth == 0:
                pending.append(each[:opening] + each[start:at].strip())
                start = at + 1
            if depth == 0:
                break


def _java(text: str, path: str, table: PathTable, language: str) -> Iterator[str]:
    match = _JAVA_PATH.match(text)
    suffixes = {"kotlin": (".kt", ".java"), "scala": (".scala", ".java")}.get(language, (".java", ".kt"))
    for names in _expand_braces(text.partition(" ")[2]) if "{" in text else [match[2] if match else ""]:
        name = names.partition("=>")[0].strip().removesuffix("._").removesuffix(".*")
        whole = name.replace(".", "/")
        # The last names may be of what lies inside of a class.
        for tail in [whole, whole.rpartition("/")[0]]:
            found = [each for suffix in suffixes for each in table.ending(f"{tail}{suffix}", path) if "/" in tail]
            if found:
                yield from found
                break
        else:
            folder = table.folder_ending(whole, path) if "/" in whole else ""
            wanted = tuple(suffixes)
            yield from [each for each in table.inside(folder) if folder and each.endswith(wanted)][:_MOST_OF_A_FOLDER]


def _php(text: str, path: str, table: PathTable, language: str) -> Iterator[str]:
    match = _PHP_USE.match(text)
    if match is None:
        yield from _generic(text, path, table, language)
        return
    for names in _expand_braces(match[1]):
        parts = re.split(r"\s+as\s+", names.strip())[0].strip("\\").split("\\")
        for first in range(len(parts)):
            if found := table.ending(f"{'/'.join(parts[first:])}.php", path):
                yield from found
                break


def _generic(text: str, path: str, table: PathTable, language: str) -> Iterator[str]:
    """Find what is quoted, or written like a path or a dotted name: beside the file, else anywhere."""
    suffixes = ("", *_GENERIC_SUFFIXES.get(language, ()))
    pieces = _QUOTED.findall(text) or _BARE_PATH.findall(text)
    folder = posixpath.dirname(path)
    for piece in pieces[:_MOST]:
        wanted = piece.removeprefix("package:").removeprefix("res://").removeprefix("./")
        forms = [wanted, re.sub(r"::|\.(?=\w)", "/", wanted)] if "/" not in wanted else [wanted]
        for form in forms:
            found = list(_beside_or_anywhere(form, folder, path, suffixes, table))
            if found:
                yield from found
                break


def _beside_or_anywhere(
    form: str, folder: str, path: str, suffixes: Sequence[str], table: PathTable
) -> Iterator[str]:
    for suffix in suffixes:
        beside = posixpath.normpath(posixpath.join(folder, form + suffix))
        if beside in table:
            yield beside
            return
    tail = form
    while tail.startswith("../"):
        tail = tail[3:]
    for suffix in suffixes:
        if found := table.ending(tail + suffix, path):
            yield from found
            return


_FINDERS: dict[str, Callable[[str, str, PathTable, str], Iterator[str]]] = {
    "python": _python,
    **dict.fromkeys(("javascript", "typescript", "tsx", "vue", "svelte"), _script),
    "go": _go,
    "rust": _rust,
    **dict.fromkeys(("java", "kotlin", "scala"), _java),
    "php": _php,
}
