"""Requests that no applier should write anything for: ambiguous, invented, abbreviated, stale."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from random import Random

from . import blanks
from .hunk import Hunk, count_runs, indent_of, keys_of, line_key
from .task import Draw, Task, refusal, task, telling, widened, with_file

_WORDINGS = (
    "... rest of code unchanged ...",
    "... existing code ...",
    "existing code",
    "rest of the function remains the same",
    "... keep the rest ...",
    "(other methods unchanged)",
    "same as before",
    "remaining code omitted for brevity",
    "[unchanged]",
    "previous implementation here",
    "... other fields ...",
    "code above remains unchanged",
    "unchanged lines",
    "your existing code here",
    "... (rest of file) ...",
    "... 省略 ...",
    "以下変更なし",
    "...",
)
_HELD_OUT_WORDINGS = (
    "The rest of the code stays as is",
    "... same logic as above ...",
    "[... remaining lines ...]",
    "other code stays the same",
    "no changes below this line",
    "<existing implementation>",
    "--- snip ---",
    "rest omitted",
    "(既存のコードはそのまま)",
    "... remainder of the method ...",
)
_BARE = (
    "...",
    "…",
    "[...]",
    "[rest of the code unchanged]",
    "(unchanged)",
    "<existing code>",
    "... rest of code ...",
)


def placeholder_comment(draw: Draw) -> Task | None:
    """Lines of context are a comment that says they stay, in the replacement alone."""
    wordings = (*_WORDINGS, *_HELD_OUT_WORDINGS) if draw.held_out else _WORDINGS
    return _abbreviated(draw, draw.hunk.comment(draw.rng.choice(wordings)))


def placeholder_bare(draw: Draw) -> Task | None:
    """The same without a comment's mark."""
    wordings = _BARE if not draw.hunk.path.endswith((".py", ".pyi")) else _BARE[2:]
    return _abbreviated(draw, draw.rng.choice(wordings))


def two_sites_in_file(draw: Draw) -> Task | None:
    """Lines that the file itself holds twice."""
    hunk, rng = draw.hunk, draw.rng
    length = rng.randint(1, 3)
    runs = Counter(hunk.lines[place : place + length] for place in range(len(hunk.lines) - length + 1))
    doubles = sorted(run for run, count in runs.items() if count >= 2 and all(map(telling, run)))
    if not doubles:
        return None
    old = list(rng.choice(doubles))
    new = [*old, indent_of(old[-1]) + rng.choice([line.strip() for line in hunk.added if line.strip()] or ["pass"])]
    return refusal(task(hunk, old, new))


def two_sites_pasted(draw: Draw) -> Task | None:
    """The quoted lines pasted a second time elsewhere."""
    hunk, rng = draw.hunk, draw.rng
    copy_at = _elsewhere(hunk, rng)
    lines = [*hunk.lines[:copy_at], *hunk.old, *hunk.lines[copy_at:]]
    return refusal(task(with_file(hunk, lines), hunk.old, hunk.new))


def two_sites_but_for_blanks(draw: Draw) -> Task | None:
    """The quote stands nowhere exactly, and at two places when blanks are left out of account, no nearer to one."""
    hunk, rng = draw.hunk, draw.rng
    deeper = rng.random() < 0.5
    copy = [f"    {line}" if line.strip() and deeper else line for line in hunk.old]
    copy_at = _elsewhere(hunk, rng)
    text = with_file(hunk, [*hunk.lines[:copy_at], *copy, *hunk.lines[copy_at:]]).text
    alike = (blanks.dedented, blanks.indented)
    damage = rng.choice(alike if deeper else (*alike, blanks.inner_blanks, blanks.trailing_added))
    made = damage(draw)
    if made is None or made.old.strip("\n") in text:
        return None
    return refusal(replace(made, text=text))


def two_sites_alike(draw: Draw) -> Task | None:
    """Two places differ from the quote in one word of one line each, as far."""
    hunk, rng = draw.hunk, draw.rng
    places = [place for place in range(len(hunk.old)) if len(hunk.old[place].strip()) >= 12]
    if len(hunk.old) < 4 or not places:
        return None
    place = rng.choice(places)
    words = [found for found in re.finditer(r"[A-Za-z_]{4,}", hunk.old[place])]
    if not words:
        return None
    word, (name, other) = rng.choice(words), rng.sample(("other", "local", "outer", "extra", "inner"), 2)
    if word.group() in (name, other):
        return None
    one, two = (hunk.old[place][: word.start()] + each + hunk.old[place][word.end() :] for each in (name, other))
    copy, copy_at = hunk.old, _elsewhere(hunk, rng)
    copy[place] = two
    lines = list(hunk.lines)
    lines[hunk.first + place] = one
    return refusal(task(with_file(hunk, [*lines[:copy_at], *copy, *lines[copy_at:]]), hunk.old, hunk.new))


def invented_middle(draw: Draw) -> Task | None:
    """The first and the last line are the file's, what is between them is not."""
    wide = widened(draw.hunk, lambda hunk: len(hunk.old) >= 5)
    if wide is None:
        return None
    middle = _foreign(draw, len(wide.old) - 2 + draw.rng.randint(-1, 1))
    if len(middle) < 3:
        return None
    new = [wide.old[0], *middle[:1], *(wide.added or ("pass",)), *middle[2:], wide.old[-1]]
    return refusal(task(wide, [wide.old[0], *middle, wide.old[-1]], new))


def invented_half(draw: Draw) -> Task | None:
    """Every second line is not the file's."""
    wide = widened(draw.hunk, lambda hunk: len(hunk.old) >= 5)
    if wide is None:
        return None
    foreign = _foreign(draw, len(wide.old))
    if len(foreign) < len(wide.old):
        return None
    old = [foreign[place] if place % 2 else line for place, line in enumerate(wide.old)]
    new = [line for place, line in enumerate(old) if place != 1]
    return refusal(task(wide, old, new))


def invented_all(draw: Draw) -> Task | None:
    """The change of another file."""
    other, hunk = draw.other, draw.hunk
    if other.path == hunk.path or count_runs(hunk.keys, keys_of(other.old)) or len(keys_of(other.old)) < 2:
        return None
    made = task(other)
    return None if made.old in hunk.text else refusal(replace(made, text=hunk.text))


def already_applied(draw: Draw) -> Task | None:
    """The file after the change."""
    return _done(task(draw.hunk), draw.hunk)


def already_applied_dedented(draw: Draw) -> Task | None:
    """The same, both texts moved left."""
    made = blanks.dedented(draw)
    return _done(made, draw.hunk) if made else None


def target_gone(draw: Draw) -> Task | None:
    """The lines were deleted; a block that looks like them is left."""
    wide = widened(draw.hunk, lambda hunk: len(keys_of(hunk.old)) >= 4)
    if wide is None:
        return None
    places = [place for place, line in enumerate(wide.old) if telling(line)]
    count = max(2, -(-2 * len(places) // 5))
    if len(places) < count:
        return None
    alike = wide.old
    for place in draw.rng.sample(places, count):
        alike[place] = _renamed(alike[place], draw.rng)
    if not all(alike[place] for place in places):
        return None
    rest = [*wide.lines[: wide.first], *wide.lines[wide.end :]]
    copy_at = draw.rng.randint(0, len(rest))
    left = with_file(wide, [*rest[:copy_at], *alike, *rest[copy_at:]])
    if count_runs(left.keys, keys_of(wide.old)):
        return None
    return refusal(replace(task(wide), text=left.text))


def _abbreviated(draw: Draw, placeholder: str) -> Task | None:
    """Return the task with a run of three or more lines of context as one placeholder in the replacement."""
    rng = draw.rng
    wide = draw.hunk.with_context(rng.randint(0, 12), rng.randint(0, 12))
    above = wide.before >= wide.after
    context = wide.head if above else wide.tail
    if sum(map(telling, context)) < 4:
        return None
    begin = rng.randint(0, min(2, len(context) - 4))
    end = rng.randint(begin + 3, len(context))
    skipped = context[begin:end]
    if sum(map(telling, skipped)) < 3:
        return None
    indent = indent_of(next(line for line in skipped if line.strip())) if rng.random() < 0.7 else ""
    short = [*context[:begin], indent + placeholder, *context[end:]]
    new = [*short, *wide.added, *wide.tail] if above else [*wide.head, *wide.added, *short]
    return refusal(task(wide, wide.old, new))


def _elsewhere(hunk: Hunk, rng: Random) -> int:
    """Return a 0-indexed line outside the quote to paste a copy before."""
    places: list[int] = [*range(hunk.first + 1), *range(hunk.end, len(hunk.lines) + 1)]
    return rng.choice(places)


def _renamed(line: str, rng: Random) -> str:
    """Return the line with one name another; "" when it has none."""
    words = [found for found in re.finditer(r"[A-Za-z_]{4,}", line)]
    if not words:
        return ""
    word = rng.choice(words)
    name = rng.choice(["other", "backup", "result", "handler", "config", "entry", "source", "target", "stream"])
    whole = word.group()
    made = f"{name}{whole[:1].upper()}{whole[1:]}" if rng.random() < 0.5 else name
    return line[: word.start()] + made + line[word.end() :]


def _foreign(draw: Draw, count: int) -> list[str]:
    """Return lines of the other file that this one does not hold; fewer when there are not so many."""
    known = set(draw.hunk.keys)
    lines = [line for line in draw.other.lines if telling(line) and line_key(line) not in known]
    begin = draw.rng.randint(0, max(0, len(lines) - count))
    return lines[begin : begin + count]


def _done(made: Task, hunk: Hunk) -> Task | None:
    """Return the request for the file after the change; None when the quote also stands elsewhere in it."""
    begin = sum(len(line) + 1 for line in hunk.lines[: hunk.first])
    end = begin + sum(len(line) + 1 for line in hunk.new)
    text = hunk.text_after
    if made.old in text[: begin + len(made.old) - 1] or made.old in text[max(0, end - len(made.old) + 1) :]:
        return None
    return refusal(replace(made, text=text))
