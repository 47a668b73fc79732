"""Which language a file is in, by its name or first line. Only languages with a query of ours are named here."""

from __future__ import annotations

from pathlib import PurePosixPath

_BY_SUFFIX = {
    "python": ".py .pyi .pyw",
    "javascript": ".js .jsx .mjs .cjs",
    "typescript": ".ts .mts .cts",
    "tsx": ".tsx",
    "go": ".go",
    "rust": ".rs",
    "java": ".java",
    "c": ".c .h",
    "cpp": ".cc .cpp .cxx .c++ .hh .hpp .hxx .h++ .inl .cu .cuh",
    "ruby": ".rb .rake .gemspec",
    "csharp": ".cs",
    "php": ".php .phtml",
    "kotlin": ".kt .kts",
    "bash": ".sh .bash .zsh .ksh .bats",
}
_BY_NAME = {"Rakefile": "ruby", "Gemfile": "ruby", ".bashrc": "bash", ".zshrc": "bash", ".profile": "bash"}
_BY_INTERPRETER = {"node": "javascript", "sh": "bash"} | {name: name for name in ("python", "ruby", "php", "bash")}
_SUFFIXES = {suffix: language for language, suffixes in _BY_SUFFIX.items() for suffix in suffixes.split()}

LANGUAGES = tuple(_BY_SUFFIX)


def language_of(path: str, text: str = "") -> str:
    """Return the language of a file; "" = none that can be parsed.

    Args:
        text: its content, looked at for a `#!` line when the name tells nothing, and to tell C++ headers from C.
    """
    name = PurePosixPath(path).name
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".h" and ("\nclass " in text or "\nnamespace " in text or "\ntemplate" in text):
        return "cpp"
    if found := _SUFFIXES.get(suffix) or _BY_NAME.get(name):
        return found
    if suffix or not text.startswith("#!"):
        return ""
    words = text.split("\n", 1)[0][2:].replace("/usr/bin/env -S", "").split()
    program = next((word.rsplit("/", 1)[-1] for word in words if not word.endswith("/env")), "")
    return _BY_INTERPRETER.get(program.rstrip("0123456789."), "")
