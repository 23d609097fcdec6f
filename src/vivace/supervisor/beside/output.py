"""What a program writes, line by line into the log.

Rules of this file:

- The supervisor never waits for a line, and no line grows without bound.
"""

import logging
import os
import selectors
from collections.abc import Callable
from typing import Final

__all__ = ["LONGEST", "Output"]

LONGEST: Final = 8192
"""Octets of a line; a longer one is cut into several."""
_CHUNK: Final = 65536


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
        self._ended = False
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        selector.register(self._reader, selectors.EVENT_READ, self._on_data)

    def started(self) -> None:
        """The program has its end: the one here is closed."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def _on_data(self) -> None:
        if not self._read():
            self.close()

    def _read(self) -> bool:
        """Say the lines that are there; False if there is no more."""
        try:
            data = os.read(self._reader, _CHUNK)
        except OSError as error:
            return isinstance(error, BlockingIOError) and not self._ended
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._say(line)
        return bool(data)

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
        self._ended = True
        while self._read():
            pass
        if self._rest:
            self._say(self._rest)
            self._rest = b""
        os.close(self._reader)
        self._reader = -1
