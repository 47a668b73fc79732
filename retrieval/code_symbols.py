"""Finds the definitions of a name, where it is used, and in which others. Called by the retriever."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..core.hits import Hit
from ..core.ports import TokenCounter
from .code_search import definition_order
from .code_snapshot import CodeSnapshot, Definition, Use
from .fitting import find_most
from .parse import Symbol

_SEPARATORS = re.compile(r"::|[.#/\\]|->")
_CALLING_KINDS = frozenset({"call", "base"})


@dataclass(frozen=True, slots=True)
class UsedLine:
    """A use of a name with the text of its line and the definition that it stands in (None = in none)."""

    use: Use
    text: str
    inside: Symbol | None


@dataclass(frozen=True, slots=True)
class Caller:
    """A definition that uses a name. `inside`: None = it is used at the top of the file. `lines`: 1-indexed."""

    path: str
    inside: Symbol | None
    lines: tuple[int, ...]


def find_symbol(snapshot: CodeSnapshot, name: str) -> list[Definition]:
    """Return the definitions of a name, real ones before declarations, others before those of tests.

    Args:
        name: as it is written: "load", "Store.load", "shop::Store::load", "load()".
    """
    parts = [part for part in _SEPARATORS.split(name.strip().removesuffix("()")) if part]
    if not parts:
        return []
    found = [each for each in snapshot.find_definitions([parts[-1]]) if _is_within(each.symbol.parent, parts[:-1])]
    return sorted(found, key=definition_order)


def last_part(name: str) -> str:
    """Return what a name is called without the types and modules before it; "" = it is empty."""
    return next((part for part in reversed(_SEPARATORS.split(name.strip().removesuffix("()"))) if part), "")


def _is_within(parent: str, wanted: Sequence[str]) -> bool:
    """Tell whether the last of the parents are the wanted ones, as far as both go: a module may not be among them."""
    parents = [part for part in _SEPARATORS.split(parent) if part]
    shared = min(len(parents), len(wanted))
    if wanted and not parents:
        return False
    return parents[len(parents) - shared :] == list(wanted[len(wanted) - shared :])


def find_used_lines(snapshot: CodeSnapshot, name: str) -> list[UsedLine]:
    """Return where a name is used, by path and line; uses in a known role and plain mentions alike."""
    found: list[UsedLine] = []
    by_path: dict[str, list[Use]] = {}
    for use in snapshot.find_uses(last_part(name)):
        by_path.setdefault(use.path, []).append(use)
    for path, uses in by_path.items():
        lines = snapshot.read_file(path).lines
        symbols = snapshot.outline(path).symbols
        found += [UsedLine(use, lines[use.line - 1].strip(), _innermost(symbols, use.line)) for use in uses]
    return found


def find_callers(snapshot: CodeSnapshot, name: str) -> list[Caller]:
    """Return the definitions that call a name or derive from it, by path and line."""
    calls = [each for each in find_used_lines(snapshot, name) if each.use.kind in _CALLING_KINDS]
    callers: dict[tuple[str, Symbol | None], list[int]] = {}
    for each in calls:
        callers.setdefault((each.use.path, each.inside), []).append(each.use.line)
    return [Caller(path, inside, tuple(lines)) for (path, inside), lines in callers.items()]


def _innermost(symbols: Iterable[Symbol], line: int) -> Symbol | None:
    around = [
        each for each in symbols if each.start_line <= line <= each.end_line and each.end_line > each.start_line
    ]
    return max(around, key=lambda each: (each.start_line, -each.end_line), default=None)


def reference_hits(snapshot: CodeSnapshot, name: str, budget: int, counter: TokenCounter) -> list[Hit]:
    """Return one hit a file with the lines that use a name, calls first, together within the budget (tokens)."""
    by_path: dict[str, list[UsedLine]] = {}
    for each in find_used_lines(snapshot, name):
        by_path.setdefault(each.use.path, []).append(each)
    order = sorted(by_path, key=lambda path: (not any(each.use.kind for each in by_path[path]), path))
    hits: list[Hit] = []
    left = budget
    for path in order:
        hit = _fitted(_file_hit(snapshot, path, by_path[path]), left, counter)
        if not hit.text:
            break
        hits.append(hit)
        left -= _cost(counter, hit, hit.text)
    return hits


def _fitted(hit: Hit, budget: int, counter: TokenCounter) -> Hit:
    """Return the hit with as many of its lines as fit, maybe none."""
    lines = hit.text.split("\n")
    keep = find_most(len(lines), lambda keep: _cost(counter, hit, "\n".join(lines[:keep])) <= budget)
    return replace(hit, text="\n".join(lines[:keep]))


def _cost(counter: TokenCounter, hit: Hit, text: str) -> int:
    return counter.count(f"{hit.path}\n{text}\n")


def _file_hit(snapshot: CodeSnapshot, path: str, uses: Sequence[UsedLine]) -> Hit:
    lines = [
        f"{each.use.line}: {each.text}" + (f"  [in {each.inside.qualified_name}]" if each.inside else "")
        for each in uses
    ]
    first, last = uses[0].use.line, uses[-1].use.line
    sha = snapshot.read_file(path).sha256
    return Hit(f"{path}:{first}-{last}", path, first, last, None, "", "\n".join(lines), 1.0, "references", sha)
