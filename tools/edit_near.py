"""What a refused edit shows: the file's regions most like the quote, with line numbers and a word diff.

Called by edit_text.py; the text is for the model, which quotes again from it.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence

from .edit_lines import without_blanks
from .edit_match import FileIndex

MAX_REGIONS = 2
MAX_SHOWN_LINES = 60
"""Lines of the file that a refusal shows at most, all regions together; differences come on top."""
MAX_LINE_CHARS = 300
MAX_CANDIDATES = 60
"""Windows that are compared in full; the others lost by their votes."""
MAX_SEARCHED_LINES = 60_000
"""Above this many different lines in the file, only equal ones are looked for."""
_MIN_SCORE = 0.5
_WORD = re.compile(r"\w+|\s+|[^\w\s]")


def near_regions(index: FileIndex, quote: Sequence[str]) -> list[int]:
    """Return the first lines, 0-indexed, of the windows most like the quote, best first; [] = none is like it."""
    lines = list(quote)[:MAX_SHOWN_LINES]
    scored = sorted(((_score(index, lines, first), -first) for first in _candidates(index, lines)), reverse=True)
    best: list[int] = []
    for score, negative in scored:
        first = -negative
        if score < _MIN_SCORE or len(best) == MAX_REGIONS:
            break
        if best and score < scored[0][0] - 0.2:
            break
        if all(abs(first - other) >= len(lines) for other in best):
            best.append(first)
    return best


def shown_region(index: FileIndex, quote: Sequence[str], first: int) -> str:
    """Return a region with its line numbers and, below each line that differs, what the quote says instead."""
    shown = []
    for offset, quoted in enumerate(quote[: MAX_SHOWN_LINES // MAX_REGIONS]):
        number = first + offset
        if not 0 <= number < len(index.texts):
            continue
        stands = index.texts[number]
        shown.append(f"{number + 1}|{stands[:MAX_LINE_CHARS]}")
        if stands != quoted:
            shown.append(f"  ~ {word_diff(stands, quoted)}")
    return "\n".join(shown)


def word_diff(stands: str, quoted: str) -> str:
    """Return the difference of two lines by words: [-only the file has this-], {+only the quote has this+}."""
    if stands.strip() == quoted.strip():
        return f"only blanks at its ends differ: the file has {_blanks(stands)}, the quote {_blanks(quoted)}"
    ours, theirs = _WORD.findall(stands[:MAX_LINE_CHARS]), _WORD.findall(quoted[:MAX_LINE_CHARS])
    parts = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if tag == "equal":
            parts.append("".join(ours[i1:i2]))
            continue
        parts.append(f"[-{''.join(ours[i1:i2])}-]" if i2 > i1 else "")
        parts.append(f"{{+{''.join(theirs[j1:j2])}+}}" if j2 > j1 else "")
    return "".join(parts).strip()


def _blanks(line: str) -> str:
    lead, trail = line[: len(line) - len(line.lstrip())], line[len(line.rstrip()) :]
    return f"{lead!r} before and {trail!r} after" if trail else f"{lead!r} before"


def _candidates(index: FileIndex, lines: Sequence[str]) -> list[int]:
    """Return windows that share lines with the quote, or hold lines that look like its own."""
    votes: Counter[int] = Counter()
    places = index.places(without_blanks)
    for number, line in enumerate(lines):
        wanted = without_blanks(line)
        if not wanted:
            continue
        for key in [wanted] if wanted in places else _look_alikes(wanted, places):
            votes.update(place - number for place in places[key][:20])
    return [first for first, _ in votes.most_common(MAX_CANDIDATES)]


def _look_alikes(wanted: str, places: dict[str, list[int]]) -> list[str]:
    from rapidfuzz import fuzz, process

    if len(places) > MAX_SEARCHED_LINES:
        return []
    return [
        str(key) for key, _, _ in process.extract(wanted, places.keys(), scorer=fuzz.ratio, limit=2, score_cutoff=60)
    ]


def _score(index: FileIndex, lines: Sequence[str], first: int) -> float:
    """Return how alike a window and the quote are, 0..1, blanks aside."""
    from rapidfuzz.distance import Levenshtein

    keys = index.keys(without_blanks)
    filled = [(offset, key) for offset, line in enumerate(lines) if (key := without_blanks(line))]
    total = sum(
        Levenshtein.normalized_similarity(keys[first + offset][:MAX_LINE_CHARS], key[:MAX_LINE_CHARS])
        for offset, key in filled
        if 0 <= first + offset < len(keys)
    )
    return total / len(filled) if filled else 0.0
