"""When a conversation is made smaller and how: old results first, then a summary, then the sliding window.

Everything here is a function of the stored conversation, the view and the window, so that a step which a kill cut
short comes to the same again. Called by nodes/compacting.py, which asks the model for the summary in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..core.messages import Message
from ..core.ports import TokenCounter
from .literals import collect
from .session import Earlier, Facts, read_context, render_context
from .view import Stored, View, front_length, group_starts, viewed, without_context

KEPT_TURNS = 5
"""Turns at the end that stay word for word, as far as they take no more than their share of the window."""
_KEPT_SHARE = 0.12
_NEW_SHARE = 1 / 8
_RESULT_SHARE = 1 / 6
_MOST_RESULT = 5461
"""What one result of a tool has at most, in tokens of three bytes: its bytes shrink with a small window too."""
_CONTEXT_SHARE = 1 / 8
_SUMMARY_SHARE = 1 / 24
_LEAST_SUMMARY = 256
_MOST_SHORT = 800
_LEAST_SHORT = 120
_FIRST_SQUEEZE = 2
"""Characters a token of the window that the last results may have when they do not fit; then half, and so on."""
_LEFT_OUT_SHARES = (0.5, 0.75)
"""Of what stands behind the front, what the sliding window leaves out: the first share that is enough, else all but
the last turn."""

CountView = Callable[[View], int]
"""Counts the request that a view would make, its tools included."""


@dataclass(frozen=True, slots=True)
class Room:
    """The sizes of one window, in tokens; all but `cap` follow from the window and one setting.

    Attributes:
        window: prompt and answer together.
        cap: of an answer.
        at: share of the window at which a conversation is made smaller.
    """

    window: int
    cap: int
    at: float

    @property
    def trigger(self) -> int:
        return int(self.window * self.at)

    @property
    def most(self) -> int:
        """What a prompt may have at most."""
        return self.window - self.cap

    @property
    def late(self) -> int:
        """Where it may not grow any further: one more long result and a summary have room behind this."""
        result = min(int(self.window * _RESULT_SHARE), _MOST_RESULT)
        return min(self.most, self.window - result - self.summary)

    @property
    def new(self) -> int:
        """What must be new since the last time, or a window that is nearly full would be at it each step."""
        return int(self.window * _NEW_SHARE)

    @property
    def enough(self) -> int:
        """What a smaller conversation has at most, so that so much new fits in again."""
        return min(self.trigger, self.most) - self.new

    @property
    def kept(self) -> int:
        """What the turns at the end take at most that stay word for word."""
        return int(self.window * _KEPT_SHARE)

    @property
    def context(self) -> int:
        """What the session context takes."""
        return int(self.window * _CONTEXT_SHARE)

    @property
    def summary(self) -> int:
        """The least output cap that a summary is asked for with; it gets more, for a model may think first."""
        return max(int(self.window * _SUMMARY_SHARE), _LEAST_SUMMARY)

    @property
    def short(self) -> int:
        """Characters of an old result."""
        return min(self.window // 16, _MOST_SHORT)


def is_due(messages: Stored, view: View, tokens: int, room: Room) -> bool:
    """Return whether the next request has to be made smaller first, and can be.

    Args:
        tokens: of that request.
    """
    grown = len(messages) > view.until or room.window != view.window
    if tokens > room.most:
        return grown and bool(group_starts(messages, view.dropped))
    new = tokens - view.tokens
    # The front is lost once for as many new tokens as fill a window, or as have room in it.
    is_full = tokens >= room.trigger and new >= room.new and (new >= room.trigger or tokens >= room.late)
    return grown and is_full and can_leave_out(messages, view)


def can_leave_out(messages: Stored, view: View) -> bool:
    """Return whether there is anything between the front and the last turn."""
    return len(group_starts(messages, view.dropped)) > 1


class Compaction:
    """One compaction of one conversation.

    Args:
        count: of the request of a view.
        counter: for texts.
        pointer: as View.pointer.
    """

    def __init__(
        self,
        messages: Stored,
        view: View,
        room: Room,
        facts: Facts,
        count: CountView,
        counter: TokenCounter,
        pointer: str = "",
    ) -> None:
        self._messages = messages
        self._view = replace(view, limit=room.short, pointer=pointer, until=len(messages), window=room.window)
        self._room = room
        self._facts = facts
        self._count = count
        self._counter = counter
        self._starts = group_starts(messages, view.dropped)

    def shrunk(self) -> View | None:
        """Return a view with old results shown short; None = that is not enough, or there are none."""
        view = replace(self._view, shrunk=max(self._view.shrunk, self._kept_start()))
        if view.shrunk == self._view.shrunk:
            return None
        front = self._count(replace(view, dropped=len(self._messages)))
        target = max(self._room.late - self._room.trigger, front + self._room.new)
        for limit in (view.limit, view.limit // 2):
            smaller = self._counted(replace(view, limit=limit))
            if smaller.tokens <= min(target, self._room.enough):
                return smaller
        return None

    def rebuilt(self, summary: str, asked_until: int) -> View:
        """Return a view that leaves older groups out and says what they came to.

        It fits the window unless the front and the last turn, made as short as can be, do not.

        Args:
            summary: the model's words; "" = there are none, and the sliding window leaves out as little as it can.
            asked_until: as for literals.collect, by places of the stored conversation.
        """
        starts = self._summary_starts() if summary else self._window_starts()
        view = self._view
        for start in starts:
            view = self._left_out(start, summary, asked_until, self._room.context)
            if view.tokens <= self._room.enough:
                return view
        view = self._squeezed(view)
        if view.tokens > self._room.most:
            view = self._squeezed(self._left_out(starts[-1], summary, asked_until, self._room.context // 4))
        return view

    def _kept_start(self) -> int:
        """Return where the turns begin that stay word for word."""
        total, begin = 0, self._starts[-1]
        sizes = self._group_sizes()
        for start, size in list(zip(self._starts, sizes, strict=True))[::-1][:KEPT_TURNS]:
            total += size
            if total > self._room.kept and start != self._starts[-1]:
                break
            begin = start
        return begin

    def _summary_starts(self) -> list[int]:
        # Whoever asks for a summary wants something left out, however short the conversation is.
        first = max(self._starts.index(self._kept_start()), 1)
        return self._starts[first:] or self._starts[-1:]

    def _window_starts(self) -> list[int]:
        sizes = self._group_sizes()
        found = []
        for share in _LEFT_OUT_SHARES:
            gone = 0
            for place, size in enumerate(sizes[:-1]):
                gone += size
                if gone >= sum(sizes) * share:
                    found.append(self._starts[place + 1])
                    break
        return [*dict.fromkeys([*found, self._starts[-1]])]

    def _group_sizes(self) -> list[int]:
        """Return the tokens of each group as it is sent now."""
        without = self._count(replace(self._view, dropped=len(self._messages)))
        left = [self._count(replace(self._view, dropped=start)) - without for start in self._starts]
        return [size - after for size, after in zip(left, [*left[1:], 0], strict=True)]

    def _left_out(self, start: int, summary: str, asked_until: int, budget: int) -> View:
        front = front_length(self._messages)
        begin = max(front, self._view.dropped)
        if begin == start:
            return self._counted(self._view)
        gone = [Message.from_dict(dict(message)) for message in self._messages[begin:start]]
        new = collect(gone, asked_until=asked_until - begin)
        facts = self._facts if front <= self._facts.task_at < start else replace(self._facts, task="")
        context = render_context(facts, self._earlier(), new, summary, budget, self._counter)
        return self._counted(replace(self._view, dropped=start, context=context))

    def _earlier(self) -> Earlier:
        first = viewed(self._messages[: front_length(self._messages)], self._view)[-1]
        return read_context(without_context(first.content)[1])

    def _squeezed(self, view: View) -> View:
        """Return the view with the results of its last turns made short, as far as the window needs it."""
        limit = _FIRST_SQUEEZE * self._room.window
        while view.tokens > self._room.most and limit >= _LEAST_SHORT:
            view = self._counted(replace(view, shrunk=len(self._messages), limit=limit))
            limit //= 2
        return view

    def _counted(self, view: View) -> View:
        return replace(view, tokens=self._count(view))
