"""A status line: redrawn on a terminal, written now and then elsewhere."""

import time
from shutil import get_terminal_size
from typing import TextIO

REDRAWN, WRITTEN = 0.2, 10.0  # seconds from one line to the next, on a terminal and elsewhere


class StatusLine:
    """A line that says how it goes.

    Parameters
    ----------
    screen : text file
        Where it stands; a terminal or not.

    Example
    -------
    >>> import sys
    >>> status = StatusLine(sys.stdout)
    >>> status.show("1 % done")
    1 % done
    >>> status.show("2 % done")  # too early for another line
    >>> status.end()
    """

    def __init__(self, screen: TextIO):
        self._screen, self._drawn = screen, screen.isatty()
        self._next = 0.0  # moment
        self._width = 0  # of what stands there

    def show(self, text: str) -> None:
        """Show the current status, if it is time."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + (REDRAWN if self._drawn else WRITTEN)
        if not self._drawn:
            print(text, file=self._screen, flush=True)
            return
        # The last column would begin another line.
        text = text[: get_terminal_size().columns - 1]
        print(f"\r{text:{self._width}}", end="", file=self._screen, flush=True)
        self._width = len(text)

    def end(self) -> None:
        """Start a new line, for other messages."""
        if self._width:
            print(file=self._screen, flush=True)
        self._width = 0
