"""Workers that share a listening socket take turns: a new connection wakes the one that waits longest.

Rules of this file:

- Who has accepted goes to the end of the line. So idle workers get connections in turn, and those who are at
  work get none while another waits. Without this the kernel wakes all, and the same ones are always faster.
- A worker that was woken may die, or be held up by a handler, before it accepts: everybody looks again each
  `LOOK_EVERY` seconds, so that no client waits longer for somebody else.
- Event loops cannot ask for this, so what they have registered is registered anew behind their back, with the
  same file and the same events. Where the loop does not show its epoll, all are woken as before.
- Follows epoll_ctl(2) EPOLLEXCLUSIVE; the order of waiters is that of the kernel's wait queues.
"""

import asyncio
import os
import select
import socket
from typing import Any, Final

__all__ = ["LOOK_EVERY", "Turns"]

LOOK_EVERY: Final = 0.25
"""Seconds between two looks at a socket that nobody was woken for."""
_EXCLUSIVE: Final = 1 << 28
_REGISTERED: Final = 0.005
"""Seconds after which a loop has told the kernel what it reads."""


class Turns:
    """The place of one worker in the line for one listening socket.

    Args:
        loop: Reads the socket already.
        listener: The socket.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        self._loop = loop
        self._listener = listener
        self._epoll = _epoll_of(loop)
        self._timer: asyncio.TimerHandle | None = None
        if self._epoll is not None:
            self._timer = loop.call_later(_REGISTERED, self._look)

    def pass_on(self) -> None:
        """Go to the end of the line."""
        if self._epoll is None:
            return
        try:
            self._epoll.unregister(self._listener)
        except OSError:  # the loop does not read it at the moment
            return
        try:
            self._epoll.register(self._listener, select.EPOLLIN | _EXCLUSIVE)
        except OSError:  # a system without turns
            self._epoll.register(self._listener, select.EPOLLIN)
            self.close()

    def _look(self) -> None:
        # Whoever registers is told at once if somebody waits.
        self._timer = self._loop.call_later(LOOK_EVERY, self._look)
        self.pass_on()

    def close(self) -> None:
        """Leave the line; the loop reads no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None


def _epoll_of(loop: Any) -> "select.epoll | None":
    """The epoll of an event loop, under a descriptor of its own; None if it does not show it."""
    if not hasattr(select, "epoll"):
        return None
    if hasattr(loop, "_get_backend_id"):  # uvloop
        number = loop._get_backend_id()
    else:
        selector = getattr(getattr(loop, "_selector", None), "_selector", None)
        number = selector.fileno() if isinstance(selector, select.epoll) else -1
    if number < 0:
        return None
    return select.epoll.fromfd(os.dup(number))
