"""Signals as numbers that a selector waits for; no handler does anything by itself.

Rules of this file:

- A number comes as an octet on a socket (`signal.set_wakeup_fd`), in the order of arrival.
"""

import selectors
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vivace.supervisor.system.children import HEEDED, NOTED, STOPS, noted

__all__ = ["Signals"]


class Signals:
    """What arrives between `caught` and its end."""

    def __init__(self) -> None:
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)

    @contextmanager
    def caught(
        self, selector: selectors.BaseSelector, heard: Callable[[], object], *, last: bool = False
    ) -> Iterator[None]:
        """Take over the signals.

        Args:
            selector: Waits for them.
            heard: Called when `numbers` has some.
            last: The process ends afterwards: who asks it to stop once more does not change its exit code.
        """
        selector.register(self._woken, selectors.EVENT_READ, heard)
        before = {number: signal.signal(number, noted) for number in (*HEEDED, *NOTED)}
        waker = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(waker)
            for number, handler in before.items():
                # Ignored, not noted: at its end the interpreter takes handlers of Python's away.
                signal.signal(number, signal.SIG_IGN if last and number in STOPS else handler)

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
