"""Which language a file is in, by its name or first line, and what people call it.

Only languages with a query of ours are named here: some grammars of the language pack (cobol) never return from a
parse, so none is used that was not tried. Everything else is searched as text.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

# The name of the grammar: what people call it ("" = no language to speak of), then its suffixes.
_TABLE = {
    "python": ("Python", ".py .pyi .pyw"),
    "javascript": ("JavaScript", ".js .jsx .mjs .cjs"),
    "typescript": ("TypeScript", ".ts .mts .cts"),
    "tsx": ("TypeScript", ".tsx"),
    "vue": ("Vue", ".vue"),
    "svelte": ("Svelte", ".svelte"),
    "go": ("Go", ".go"),
    "rust": ("Rust", ".rs"),
    "java": ("Java", ".java"),
    "c": ("C", ".c .h"),
    "cpp": ("C++", ".cc .cpp .cxx .c++ .hh .hpp .hxx .h++ .inl .cu .cuh"),
    "ruby": ("Ruby", ".rb .rake .gemspec"),
    "csharp": ("C#", ".cs"),
    "php": ("PHP", ".php .phtml"),
    "kotlin": ("Kotlin", ".kt .kts"),
    "bash": ("shell", ".sh .bash .zsh .ksh .bats"),
    "swift": ("Swift", ".swift"),
    "scala": ("Scala", ".scala .sbt"),
    "lua": ("Lua", ".lua"),
    "elixir": ("Elixir", ".ex .exs"),
    "erlang": ("Erlang", ".erl .hrl"),
    "gleam": ("Gleam", ".gleam"),
    "zig": ("Zig", ".zig"),
    "haskell": ("Haskell", ".hs"),
    "ocaml": ("OCaml", ".ml"),
    "ocaml_interface": ("OCaml", ".mli"),
    "fsharp": ("F#", ".fs .fsx"),
    "elm": ("Elm", ".elm"),
    "dart": ("Dart", ".dart"),
    "julia": ("Julia", ".jl"),
    "r": ("R", ".r"),
    "perl": ("Perl", ".pl .pm"),
    "objc": ("Objective-C", ".mm"),
    "solidity": ("Solidity", ".sol"),
    "powershell": ("PowerShell", ".ps1 .psm1"),
    "fortran": ("Fortran", ".f90 .f95 .f03 .f08"),
    "pascal": ("Pascal", ".pas .dpr .lpr"),
    "ada": ("Ada", ".adb .ads"),
    "nim": ("Nim", ".nim .nims"),
    "gdscript": ("GDScript", ".gd"),
    "clojure": ("Clojure", ".clj .cljs .cljc"),
    "commonlisp": ("Common Lisp", ".lisp .lsp .asd"),
    "elisp": ("Emacs Lisp", ".el"),
    "vim": ("Vim script", ".vim"),
    "fish": ("shell", ".fish"),
    "tcl": ("Tcl", ".tcl"),
    "sql": ("SQL", ".sql"),
    "graphql": ("GraphQL", ".graphql .gql .graphqls"),
    "proto": ("Protocol Buffers", ".proto"),
    "terraform": ("Terraform", ".tf .hcl"),
    "scss": ("Sass", ".scss"),
    "starlark": ("", ".bzl .star"),
    "make": ("", ".mk"),
    "cmake": ("", ".cmake"),
    "d": ("D", ".d"),
}
_BY_NAME = {
    **dict.fromkeys(("Rakefile", "Gemfile"), "ruby"),
    **dict.fromkeys((".bashrc", ".zshrc", ".profile"), "bash"),
    **dict.fromkeys(("Makefile", "GNUmakefile", "makefile"), "make"),
    **dict.fromkeys(("BUILD", "BUILD.bazel", "WORKSPACE", "Tiltfile"), "starlark"),
    ".vimrc": "vim",
    "CMakeLists.txt": "cmake",
}
_BY_INTERPRETER = {
    **{name: name for name in ("python", "ruby", "php", "bash", "perl", "lua", "fish")},
    "node": "javascript",
    "sh": "bash",
    "Rscript": "r",
    "elixir": "elixir",
    "julia": "julia",
    "tclsh": "tcl",
    "pwsh": "powershell",
}
_SUFFIXES = {suffix: language for language, (_, suffixes) in _TABLE.items() for suffix in suffixes.split()}
_OBJECTIVE_C = re.compile(r"^[ \t]*(?:@(?:interface|implementation|protocol|import)\b|#import\b)", re.MULTILINE)
# A compiler's list of dependencies ends in .d as well.
_D_SOURCE = re.compile(r"^[ \t]*(?:module|import|void|int|class|struct|enum|alias)\b[^:\n]*[;{(]", re.MULTILINE)

LANGUAGES = tuple(_TABLE)

CHECKED_LANGUAGES = frozenset(LANGUAGES[: LANGUAGES.index("bash") + 1])
"""Languages whose grammar follows the language so closely that what it can not parse is an error."""


def language_name(language: str) -> str:
    """Return what people call a language that `language_of` returned; "" = nothing they would call a language."""
    return _TABLE[language][0]


def language_of(path: str, text: str = "") -> str:
    """Return the language of a file; "" = none that can be parsed.

    Args:
        text: its content, looked at for a `#!` line when the name tells nothing, and where one suffix has several
            languages (C++ headers, Objective-C, D).
    """
    name = PurePosixPath(path).name
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".h":
        return _header_language(text)
    if suffix == ".m":
        return "objc" if _OBJECTIVE_C.search(text) else ""
    if suffix == ".d":
        return "d" if _D_SOURCE.search(text) else ""
    if found := _BY_NAME.get(name) or _SUFFIXES.get(suffix):
        return found
    if suffix or not text.startswith("#!"):
        return ""
    words = text.split("\n", 1)[0][2:].replace("/usr/bin/env -S", "").split()
    program = next((word.rsplit("/", 1)[-1] for word in words if not word.endswith("/env")), "")
    return _BY_INTERPRETER.get(program.rstrip("0123456789."), "")


def _header_language(text: str) -> str:
    if "\nclass " in text or "\nnamespace " in text or "\ntemplate" in text:
        return "cpp"
    return "objc" if _OBJECTIVE_C.search(text) else "c"
