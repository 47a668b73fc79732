"""The part of a terminal that is drawn again and again below the permanent lines of a run. Used by render.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

from .board import BoardLine
from .printing import visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

MOST_LINES = 20
"""Lines of the board in a high terminal; in a low one it takes half of it."""

Board = Callable[[int], Sequence[BoardLine]]


class LiveArea:
    """One line of what goes on, with the board of the nodes above it where there is one.

    Args:
        text: gives the line, "" = there is nothing to tell.
        board: gives the lines above it, in at most so many; None = there is none.
    """

    def __init__(self, stream: TextIO, color: bool, text: Callable[[], str], board: Board | None = None) -> None:
        self._stream = stream
        self._color = color
        self._text = text
        self._board = board
        self._console: Console | None = None
        self._live: Live | None = None

    def show(self) -> None:
        if self._live is not None:
            return
        from rich.live import Live

        # A thread of rich draws it, so that the seconds go on while a model is silent.
        self._live = Live(
            get_renderable=self._drawn,
            console=self._opened(),
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
        )
        self._live.start()

    def hide(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def print(self, text: str, style: str) -> None:
        self._opened().print(self._styled(text, style), soft_wrap=True)

    def _drawn(self) -> RenderableType:
        from rich.console import Group

        lines = [self._line(visible(text), style) for text, style in self._board_lines()]
        if text := self._text():
            lines.append(self._line(text, "cyan"))
        return Group(*lines)

    def _board_lines(self) -> Sequence[BoardLine]:
        return () if self._board is None else self._board(min(MOST_LINES, self._opened().size.height // 2))

    def _line(self, text: str, style: str) -> Text:
        from rich.text import Text

        return Text(text, style=style, no_wrap=True, overflow="ellipsis")

    def _styled(self, text: str, style: str) -> Text:
        from rich.text import Text

        return Text(text, style=style)

    def _opened(self) -> Console:
        if self._console is None:
            from rich.console import Console

            self._console = Console(
                file=self._stream, force_terminal=True, no_color=not self._color, highlight=False, markup=False
            )
        return self._console
