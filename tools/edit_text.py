"""Applying an edit to a text: one pure function that finds the quoted place by a ladder of stages, or refuses.

Every stage has to find exactly one place; two end the ladder, since a more lenient stage could only guess. Called by
the editing tools; bench/ measures it by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from .edit_fuzzy import misquoted
from .edit_lines import (
    Key,
    Lines,
    as_lines,
    body,
    exactly,
    line_at,
    line_starts,
    split_lines,
    without_blanks,
    without_indent,
    without_trailing,
)
from .edit_match import (
    MAX_PLACES,
    FileIndex,
    Match,
    Spot,
    find_text,
    holds_already,
    same_but_blank_lines,
    same_lines,
    spot_at,
)
from .edit_merge import Piece, changed_lines, merged
from .edit_near import near_regions, shown_region
from .edit_placeholder import elisions, parts_between, placeholder_in
from .edit_unwrap import Quote, unwrapped_forms
from .region_diff import region_diff

Stage = Literal["exact", "unwrapped", "trailing", "indentation", "whitespace", "blank-lines", "elision", "fuzzy"]
Reason = Literal[
    "empty", "no_change", "not_found", "ambiguous", "already_applied", "placeholder", "indentation", "elision"
]

CONFIDENCE: dict[Stage, float] = {
    "exact": 1.0,
    "unwrapped": 0.98,
    "trailing": 0.98,
    "indentation": 0.95,
    "whitespace": 0.9,
    "blank-lines": 0.9,
    "elision": 0.85,
    "fuzzy": 0.7,
}
"""How sure a stage is that the place is meant, an order more than a measure; fuzzy is scaled by the likeness."""

MAX_ELIDED_LINES = 200
"""Lines that one elision may stand for; more is another part of the file."""
NEAR_LINES = 10
"""How far from the line it names a place may lie to be chosen by it."""

_STAGES: tuple[tuple[Stage, Key, Callable[[FileIndex, Sequence[str], Key], list[Match]]], ...] = (
    ("trailing", without_trailing, same_lines),
    ("indentation", without_indent, same_lines),
    ("whitespace", without_blanks, same_lines),
    ("blank-lines", without_blanks, same_but_blank_lines),
)


@dataclass(frozen=True, slots=True)
class Site:
    """Lines of the text before the edit, 1-indexed, `last` included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class EditResult:
    """An edit that was applied.

    Attributes:
        text: the whole text after it.
        stage: the stage of the ladder that found the place, whatever was unwrapped before; "unwrapped" when it then
            stood to the letter.
        site: the lines that were replaced.
        confidence: 0..1, see CONFIDENCE.
        diff: unified diff of the region, without file names.
    """

    text: str
    stage: Stage
    site: Site
    confidence: float
    diff: str


@dataclass(frozen=True, slots=True)
class EditError:
    """An edit that was refused: `message` is for the model, `lines` are the 1-indexed places it speaks of."""

    reason: Reason
    message: str
    lines: tuple[int, ...] = ()


class EditWords(NamedTuple):
    """What the model knows the arguments, and the tool for whole files, by that a refusal speaks of."""

    old_text: str = "old_text"
    new_text: str = "new_text"
    near_line: str = "near_line"
    write_file: str = "write_file"


OWN_WORDS = EditWords()


def apply_edit(
    text: str, old: str, new: str, near_line: int | None = None, words: EditWords = OWN_WORDS
) -> EditResult | EditError:
    """Return the text with the one place that `old` quotes replaced by `new`, or why nothing was changed.

    Line ends do not count in the comparison, and the text keeps its own. Lines that `old` and `new` have in common
    keep the text's own bytes. A quote of whole lines may lack the last line end on either side.

    Args:
        near_line: 1-indexed line that chooses between equal places when one is clearly nearer; None = none is chosen.
    """
    quote = Quote(old.replace("\r\n", "\n"), new.replace("\r\n", "\n"))
    if not quote.old:
        what = f"{words.old_text} is empty. Quote the lines to change, or use {words.write_file} for a whole file."
        return EditError("empty", what)
    if quote.old == quote.new:
        return EditError("no_change", f"{words.old_text} and {words.new_text} are the same; nothing to change.")
    return _Ladder(split_lines(text), near_line, words).climb(quote)


class _Ladder:
    """The stages over one text."""

    def __init__(self, file: Lines, near_line: int | None, words: EditWords) -> None:
        self._file = file
        self._near_line = near_line
        self._old, self._new = words.old_text, words.new_text
        self._words = words
        self._index = FileIndex(file.texts)

    def climb(self, quote: Quote) -> EditResult | EditError:
        forms = unwrapped_forms(quote)
        for whole_lines in (True, False):
            for form in forms:
                if (found := self._exact(form, whole_lines)) is not None:
                    return found
        if not quote.old.strip():
            message = f"{self._old} has no words and does not stand there so. Quote the lines around it."
            return EditError("not_found", message)
        forms = [form for form in forms if not form.only_exact]
        for stage, key, places_of in _STAGES:
            for form in forms:
                old = as_lines(form.old)
                if found := self._one_of(form, stage, key, places_of(self._index, old, key), old):
                    return found
        for form in forms:
            if (found := self._elided(form)) is not None:
                return found
        return self._already_there(forms) or self._fuzzy(forms[:1]) or self._not_found(forms[-1])

    def _exact(self, quote: Quote, whole_lines: bool) -> EditResult | EditError | None:
        """Replace the quote where it stands to the letter; None = it does not.

        Args:
            whole_lines: it has to begin and end with a line. Looked for in every form of the quote before any form is
                looked for inside of lines, where a form that lost too much would be found as well.
        """
        stage: Stage = "unwrapped" if quote.wrappers else "exact"
        file = self._file
        plain = "\n".join(file.texts) + ("\n" if file.ends and file.ends[-1] else "")
        places = find_text(plain, quote.old)
        if not places:
            return None
        starts = line_starts(file.texts)
        place = self._one_place(plain, starts, places, quote)
        if place is None and whole_lines and quote.wrappers:
            return None
        if place is None:
            return self._ambiguous(stage, [line_at(starts, place) for place in places])
        spot = spot_at(file.texts, starts, place, quote.old)
        if whole_lines and (spot.before or spot.after):
            return None
        if holds_already(plain, place, quote.old, quote.new):
            return self._already(spot.match.first)
        return self._at(spot, quote, stage)

    def _at(self, spot: Spot, quote: Quote, stage: Stage) -> EditResult | EditError:
        """Replace the quote where it stands to the letter."""
        old, new = as_lines(quote.old), as_lines(quote.new)
        if not spot.before.strip() and (there := self._there(old, new, without_indent, spot.match)):
            return self._already(there.first)
        if spot.before and not spot.before.strip() and not spot.after and quote.old[0] != "\n":
            # Quoted without its whole indentation, which belongs to the line all the same. Where the quote has some
            # of it, that tells nothing, and lines alike but for it are as likely.
            alike = same_lines(self._index, old, without_indent) if quote.old[0].isspace() else []
            if len(alike) > 1:
                return self._ambiguous("indentation", [match.first for match in alike])
            result = self._changed(quote, "indentation", [(spot.match, old, new)])
            if not (isinstance(result, EditError) and result.reason == "indentation"):
                return result
        if spot.before or spot.after:
            old, new = spot.completed(quote.old, quote.new)
        return self._changed(quote, stage, [(spot.match, old, new)])

    def _one_place(self, plain: str, starts: list[int], places: list[int], quote: Quote) -> int | None:
        if len(places) == 1:
            return places[0]
        lines = [line_at(starts, place) for place in places]
        if (chosen := self._nearest(lines, quote)) is not None:
            return places[chosen]
        if quote.old[0].isspace() or "\n" in quote.old:
            # Quoted as lines, so a place in the middle of one is not meant.
            whole = [
                place
                for place, line in zip(places, lines, strict=True)
                if place == starts[line] and plain[place + len(body(quote.old)) :][:1] in ("", "\n")
            ]
            return whole[0] if len(whole) == 1 and len(places) < MAX_PLACES else None
        return None

    def _nearest(self, lines: Sequence[int], quote: Quote) -> int | None:
        """Return which of several 0-indexed lines is meant by the line the quote or the caller names; None = none."""
        if len(lines) >= MAX_PLACES:
            return None  # a nearer one may not have been counted
        if quote.number is not None:
            return lines.index(quote.number - 1) if lines.count(quote.number - 1) == 1 else None
        if self._near_line is None:
            return None
        near = self._near_line - 1
        order = sorted(range(len(lines)), key=lambda number: abs(lines[number] - near))
        best, second = (abs(lines[number] - near) for number in order[:2])
        return order[0] if best <= NEAR_LINES and best * 3 < second else None

    def _one_of(
        self, quote: Quote, stage: Stage, key: Key, matches: list[Match], old: list[str]
    ) -> EditResult | EditError | None:
        if not matches:
            return None
        chosen = 0 if len(matches) == 1 else self._nearest([match.first for match in matches], quote)
        if chosen is None:
            return self._ambiguous(stage, [match.first for match in matches])
        match, new = matches[chosen], as_lines(quote.new)
        if there := self._there(old, new, key, match):
            return self._already(there.first)
        return self._changed(quote, stage, [(match, old, new)])

    def _there(self, old: Sequence[str], new: Sequence[str], key: Key, match: Match | None = None) -> Match | None:
        """Return where the replacement stands already, touching the match when one is given; None = nowhere."""
        # Where only blanks are changed, a finer key tells.
        keys = (key, without_trailing, exactly)
        key = next((finer for finer in keys if [*map(finer, old)] != [*map(finer, new)]), exactly)
        # A replacement that only takes lines away, or moves them, stands within what it replaces.
        if not any(line.strip() for line in changed_lines([*map(key, old)], [*map(key, new)]).values()):
            return None
        for place in same_lines(self._index, new, key):
            if match is None or (place.first < match.last and match.first < place.last):
                return place
        return None

    def _changed(
        self, quote: Quote, stage: Stage, parts: Sequence[tuple[Match, Sequence[str], Sequence[str]]]
    ) -> EditResult | EditError:
        """Return the text with all parts replaced."""
        if mark := placeholder_in(as_lines(quote.new), as_lines(quote.old), self._index.places(without_indent)):
            return EditError(
                "placeholder",
                f"{self._new} has a line that only stands for code, {mark!r}, and would delete what it stands for. "
                "Write out every line, or quote less.",
            )
        changes: list[tuple[Match, list[Piece]]] = []
        for match, old, new in parts:
            pieces = merged(self._file, match, old, new, self._new_end(match))
            if pieces is None:
                shown = shown_region(self._index, old, match.first)
                message = f"it is not clear how {self._new} is to be indented. Quote with the indentation:"
                return EditError("indentation", f"{message}\n{shown}", (match.first + 1,))
            changes.append((match, pieces))
        lines = _replaced(self._file, changes)
        if (lines.texts, lines.ends) == (self._file.texts, self._file.ends):
            return self._already(parts[0][0].first)
        site = Site(parts[0][0].first + 1, parts[-1][0].last)
        score = min(match.score for match, _, _ in parts)
        diff = region_diff(self._file, lines, changes)
        return EditResult(lines.joined(), stage, site, round(CONFIDENCE[stage] * score, 3), diff)

    def _new_end(self, match: Match) -> str:
        ends = [end for end in self._file.ends[match.first : match.last] if end] or self._file.ends[:1]
        return "\r\n" if ends.count("\r\n") * 2 > len(ends) else "\n"

    def _elided(self, quote: Quote) -> EditResult | EditError | None:
        """Apply a quote with lines such as "..." in it, which have to stand in the replacement too."""
        old, new = as_lines(quote.old), as_lines(quote.new)
        marks = elisions(old)
        if not marks:
            return None
        if elisions(new) != marks:
            return EditError(
                "elision",
                f"{self._old} leaves out code with {marks[0]!r} and {self._new} does not have the same mark. "
                "Quote every line, or use the mark in both.",
            )
        parts: list[tuple[Match, list[str], list[str]]] = []
        for old_part, new_part in zip(parts_between(old), parts_between(new), strict=True):
            if not any(line.strip() for line in old_part):
                if any(line.strip() for line in new_part):
                    return None
                continue
            matches = self._part(old_part)
            if len(matches) > 1:
                return self._ambiguous("elision", [match.first for match in matches])
            if not matches:
                return None
            if parts and not 0 <= matches[0].first - parts[-1][0].last <= MAX_ELIDED_LINES:
                places = (parts[-1][0].last, matches[0].first + 1)
                message = f"{marks[0]!r} can not stand for what lies between lines {places[0]} and {places[1]}."
                return EditError("elision", f"{message} Quote every line, or edit both places one by one.", places)
            parts.append((matches[0], old_part, new_part))
        for match, old_part, new_part in parts:
            if there := self._there(old_part, new_part, without_indent, match):
                return self._already(there.first)
        return self._changed(quote, "elision", parts) if parts else None

    def _part(self, lines: Sequence[str]) -> list[Match]:
        keys = (exactly, without_trailing, without_indent)
        return next((matches for key in keys if (matches := same_lines(self._index, lines, key))), [])

    def _already_there(self, forms: Sequence[Quote]) -> EditError | None:
        """Tell whether the replacement stands in the file while the quote does not."""
        for form in forms:
            if there := self._there(as_lines(form.old), as_lines(form.new), without_indent):
                message = f"{self._old} does not stand in the file, and {self._new} does, at line {there.first + 1}: "
                message += "this edit seems to be done. If it is not, quote what is to be changed as it stands."
                return EditError("already_applied", message, (there.first + 1,))
        return None

    def _fuzzy(self, forms: Sequence[Quote]) -> EditResult | EditError | None:
        for form in forms:
            old, new = as_lines(form.old), as_lines(form.new)
            removed = changed_lines(new, old)
            must_stand = [number in removed for number in range(len(old))]
            matches = misquoted(self._index, old, must_stand)
            if found := self._one_of(form, "fuzzy", without_blanks, matches, old):
                return found
        return None

    def _ambiguous(self, stage: Stage, lines: Sequence[int]) -> EditError:
        numbers = dict.fromkeys(str(line + 1) for line in lines)
        shown = ", ".join(numbers) + (" and more" if len(lines) == MAX_PLACES else "")
        how = "" if stage in ("exact", "unwrapped") else " (blanks aside)"
        message = (
            f"{self._old} stands at several places{how}, lines {shown}. "
            f"Quote more lines around the one you mean, or add {self._words.near_line}."
        )
        return EditError("ambiguous", message, tuple(line + 1 for line in lines))

    def _not_found(self, quote: Quote) -> EditError:
        lines = as_lines(quote.old)
        regions = near_regions(self._index, lines)
        if not regions:
            message = f"{self._old} does not stand in the file, nor anything like it. Read the file, then quote it "
            return EditError("not_found", f"{message}exactly.")
        shown = "\n".join(shown_region(self._index, lines, first) for first in regions)
        marks = "{+only you wrote+}, [-only the file has-]"
        message = f"{self._old} does not stand in the file. Most like it ({marks}):\n{shown}"
        return EditError("not_found", message, tuple(max(0, first) + 1 for first in regions))

    def _already(self, line: int) -> EditError:
        message = f"{self._new} already stands at line {line + 1}: this edit is done. Read the file before you "
        return EditError("already_applied", f"{message}change it again.", (line + 1,))


def _replaced(file: Lines, changes: Sequence[tuple[Match, list[Piece]]]) -> Lines:
    texts, ends, cursor = [], [], 0
    for match, pieces in changes:
        texts += file.texts[cursor : match.first] + [text for text, _ in pieces]
        ends += file.ends[cursor : match.first] + [end for _, end in pieces]
        cursor = match.last
    return Lines(texts + file.texts[cursor:], ends + file.ends[cursor:])
