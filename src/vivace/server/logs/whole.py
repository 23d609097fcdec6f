"""Writing lines so that those of several processes stay whole.

Rules of this file:

- Follows POSIX, write(2) and pipe(7): what goes into a pipe is whole up to PIPE_BUF octets and may be mixed
  with that of others beyond; what is appended to a file is whole. Sockets and terminals are taken for pipes.
"""

import os
import stat
from collections.abc import Iterator
from typing import Final

__all__ = ["WHOLE", "most_at_once", "pieces_of"]

WHOLE: Final = 4_096
"""Octets that nobody else writes between, in a pipe (PIPE_BUF on Linux); a longer line may be torn."""


def most_at_once(file: int) -> int:
    """Octets that may be written at a time to a descriptor; 0: as many as there are."""
    try:
        return 0 if stat.S_ISREG(os.fstat(file).st_mode) else WHOLE
    except OSError:  # the write will tell
        return WHOLE


def pieces_of(data: bytes, most: int) -> Iterator[tuple[int, int]]:
    """Where the pieces of `data` begin and end: whole lines, as many as fit.

    Args:
        data: Lines with their ends.
        most: Of `most_at_once`; a line that is longer is a piece of its own.
    """
    start = 0
    while most and len(data) - start > most:
        end = data.rfind(b"\n", start, start + most) + 1 or data.find(b"\n", start + most) + 1
        if not end:
            break
        yield start, end
        start = end
    yield start, len(data)
