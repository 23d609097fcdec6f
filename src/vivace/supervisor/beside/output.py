"""What a program writes, line by line into the log.

Rules of this file:

- The supervisor never waits for a line, and no line grows without bound.
- Who writes without end holds up nobody: little is read in one turn, and at the end what is there already.
"""

import fcntl
import logging
import os
import selectors
import termios
from array import array
from collections.abc import Callable
from typing import Final

__all__ = ["LONGEST", "Output"]

LONGEST: Final = 8192
"""Octets of a line; a longer one is cut into several."""
LINES: Final = 64
"""Lines that are said in one turn, about: the supervisor has other things to do."""
_LEAST: Final = 256
_MOST: Final = 65536
"""Octets that are read in one turn, by the length of their lines."""


class Output:
    """A pipe from a program.

    Args:
        selector: Says when there is something to read.
        logger: Takes the lines.
        heard: Called with each line.

    Attributes:
        writer: The descriptor for the program; `started` closes it here.

    Raises:
        OSError: There is no descriptor left.
    """

    def __init__(
        self, selector: selectors.BaseSelector, logger: logging.Logger, heard: Callable[[str], None]
    ) -> None:
        self._selector = selector
        self._logger = logger
        self._heard = heard
        self._rest = b""
        self._chunk = _LEAST
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        selector.register(self._reader, selectors.EVENT_READ, self._on_data)

    def started(self) -> None:
        """The program has its end: the one here is closed."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def _on_data(self) -> None:
        if not self._read(self._chunk):
            self.close()

    def _read(self, most: int) -> int:
        """Say the lines that are there; how many octets they were: 0 at the end, -1 if there are none yet."""
        try:
            data = os.read(self._reader, most)
        except OSError as error:
            return -1 if isinstance(error, BlockingIOError) else 0
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._chunk = max(self._chunk // 2, _LEAST) if len(lines) > LINES else min(self._chunk * 2, _MOST)
        if len(self._rest) > LONGEST:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._say(line)
        return len(data)

    def _say(self, line: bytes) -> None:
        for begin in range(0, max(len(line), 1), LONGEST):
            text = line[begin : begin + LONGEST].decode("utf-8", "backslashreplace").rstrip("\r")
            self._logger.info("%s", text)
            self._heard(text)

    def leave(self) -> None:
        """In a child, whose this is not."""
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1

    def close(self) -> None:
        """The end; what is there already is said."""
        self.started()
        if self._reader < 0:
            return
        self._selector.unregister(self._reader)
        left = _waiting_in(self._reader)
        while left > 0 and (count := self._read(left)) > 0:
            left -= count
        if self._rest:
            self._say(self._rest)
            self._rest = b""
        os.close(self._reader)
        self._reader = -1


def _waiting_in(pipe: int) -> int:
    """How many octets are there to read; who still has the other end may go on writing."""
    count = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]
