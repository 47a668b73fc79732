"""The table of all kinds of damage."""

from __future__ import annotations

from dataclasses import replace

from . import blanks, misquoted, refused, wrapping
from .refused import two_sites_pasted
from .task import Draw, Kind, Task, Wanted, task, with_file

_FAR = 40
"""The other site of a request with a line number is at least this many lines away."""


def near_line(draw: Draw) -> Task | None:
    """Two sites of the same lines, far apart, and the caller's line number names one, give or take two lines."""
    hunk, rng = draw.hunk, draw.rng
    below = [*range(hunk.end + _FAR, len(hunk.lines) + 1)]
    if not below:
        return None
    copy_at = rng.choice(below)
    twice = with_file(hunk, [*hunk.lines[:copy_at], *hunk.old, *hunk.lines[copy_at:]])
    named = max(1, hunk.first + 1 + rng.randint(-2, 2))
    return replace(task(twice, hunk.old, hunk.new), near_line=named, alone=False)


def near_line_between(draw: Draw) -> Task | None:
    """The same with a line number halfway between the two sites."""
    made = near_line(draw)
    if made is None:
        return None
    hunk = draw.hunk
    second = made.text.rfind("\n".join(hunk.old))
    line = made.text.count("\n", 0, second) + 1
    return replace(made, near_line=(hunk.first + 1 + line) // 2, expected=None)


def no_placeholder(draw: Draw) -> Task:
    """A quote that is exact for a change whose new lines read like a placeholder and are meant."""
    return task(draw.hunk)


KINDS: tuple[Kind, ...] = tuple(
    Kind(damage.__name__, wanted, damage, lookalikes=damage is no_placeholder)
    for wanted, damages in (
        (
            Wanted.EDIT,
            (
                blanks.exact,
                blanks.blank_edges,
                blanks.one_line,
                blanks.crlf_file,
                blanks.crlf_quote,
                blanks.mixed_ends,
                blanks.no_final_newline,
                blanks.trailing_added,
                blanks.trailing_lost,
                blanks.blanks_on_blank_lines,
                blanks.dedented,
                blanks.indented,
                blanks.tabs_for_spaces,
                blanks.spaces_for_tabs,
                blanks.indent_lost_in_old,
                blanks.all_indent_lost,
                blanks.first_line_lost,
                blanks.first_line_lost_in_old,
                blanks.blank_line_lost,
                blanks.blank_line_lost_in_old,
                blanks.blank_line_added,
                blanks.inner_blanks,
                wrapping.fence,
                wrapping.numbers_pipe,
                wrapping.numbers_colon,
                wrapping.numbers_tab,
                wrapping.numbers_in_old,
                wrapping.fence_numbers,
                wrapping.numbers_dedented,
                wrapping.crlf_dedented,
                wrapping.html_entities,
                wrapping.curly_quotes,
                wrapping.json_escaped,
                wrapping.json_escaped_quotes,
                wrapping.edge_lines,
                wrapping.edge_lines_in_old,
                wrapping.elision,
                wrapping.elision_comment,
                misquoted.comment_misquoted,
                misquoted.typo_in_context,
                misquoted.typo_in_removed,
                misquoted.word_misremembered,
                misquoted.part_of_line,
                misquoted.japanese,
                misquoted.japanese_dedented,
                misquoted.japanese_decomposed,
                misquoted.japanese_width,
                misquoted.no_break_spaces,
                near_line,
                no_placeholder,
            ),
        ),
        (
            Wanted.EITHER,
            (
                wrapping.elision_differs,
                wrapping.elision_end_twice,
                wrapping.newline_in_old_alone,
                misquoted.part_of_line_twice,
                misquoted.typo_in_short,
                misquoted.two_words_misremembered,
                misquoted.line_left_out,
                misquoted.lines_left_out,
                blanks.all_indent_lost_deeper,
            ),
        ),
        (
            Wanted.REFUSAL,
            (
                refused.placeholder_comment,
                refused.placeholder_bare,
                refused.two_sites_in_file,
                two_sites_pasted,
                refused.two_sites_but_for_blanks,
                refused.two_sites_alike,
                near_line_between,
                refused.invented_middle,
                refused.invented_half,
                refused.invented_all,
                refused.already_applied,
                refused.already_applied_dedented,
                refused.target_gone,
            ),
        ),
    )
    for damage in damages
)
