"""Signals as numbers that a selector waits for; no handler does anything by itself.

Rules of this file:

- A number comes as an octet on a socket (`signal.set_wakeup_fd`), in the order of arrival.
"""

import selectors
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vivace.supervisor.children import HEEDED, NOTED, noted

__all__ = ["Signals"]


class Signals:
    """What arrives between `caught` and its end."""

    def __init__(self) -> None:
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)

    @contextmanager
    def caught(self, selector: selectors.BaseSelector, heard: Callable[[], object]) -> Iterator[None]:
        """Take over the signals; `heard` is called when `numbers` has some."""
        selector.register(self._woken, selectors.EVENT_READ, heard)
        before = {number: signal.signal(number, noted) for number in (*HEEDED, *NOTED)}
        waker = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(waker)
            for number, handler in before.items():
                signal.signal(number, handler)

    def numbers(self) -> bytes:
        """The signals that came since the last call."""
        try:
            return self._woken.recv(4096)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Close the socket pair; a child does this too."""
        self._woken.close()
        self._wake.close()
