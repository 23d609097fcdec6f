"""Workers that share a listening socket take turns: a new connection wakes the one that waits longest.

Rules of this file:

- Who has accepted goes to the end of the line. So idle workers get connections in turn, and those who are at
  work get none while another waits. Without this the kernel wakes all, and the same ones are always faster.
- Who has no thread left for a request gets none while another has: when all its threads have worked for the
  same requests for `HELD`, it leaves the line, and takes only connections that nobody took in that time:
  there may be files or other apps to ask for.
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
from collections.abc import Callable
from typing import Any, Final

from vivace.protocols.threads import held_up, teams

__all__ = ["HELD", "LOOK_EVERY", "Turns"]

LOOK_EVERY: Final = 0.25
"""Seconds between two looks at a socket that nobody was woken for."""
HELD: Final = 0.005
"""Seconds after which a request holds its thread; what is shorter is over before it is noticed."""
_EXCLUSIVE: Final = 1 << 28
_REGISTERED: Final = 0.005
"""Seconds after which a loop has told the kernel what it reads."""


class Turns:
    """The place of one worker in the line for one listening socket.

    Args:
        loop: Reads the socket already.
        listener: The socket.
        accept: Accepts a connection that waits.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, listener: socket.socket, accept: Callable[[], object]
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._accept = accept
        self._epoll = _epoll_of(loop)
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._held: list[Any] = []
        self._away = False
        self._waited = False
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)
        if self._epoll is not None:
            self._timer = loop.call_later(_REGISTERED, self._look)

    def pass_on(self) -> None:
        """Go to the end of the line."""
        if self._epoll is None or self._away:
            return
        if teams and self._soon is None:
            self._soon = self._loop.call_later(HELD, self._consider)
        self._register()

    def _register(self) -> None:
        if self._epoll is None or not (self._unregister() or self._away):
            return
        try:
            self._epoll.register(self._listener, select.EPOLLIN | _EXCLUSIVE)
        except OSError:  # a system without turns
            self._epoll.register(self._listener, select.EPOLLIN)
            self.close()

    def _unregister(self) -> bool:
        try:
            if self._epoll is not None:
                self._epoll.unregister(self._listener)
        except OSError:  # the loop does not read it at the moment
            return False
        return True

    def _look(self) -> None:
        # Whoever registers is told at once if somebody waits.
        self._timer = self._loop.call_later(LOOK_EVERY, self._look)
        self.pass_on()

    def _consider(self) -> None:
        """Leave the line when all threads are held, come back when one is free."""
        self._soon = None
        if self._epoll is None:
            return
        before, self._held = self._held, held_up()
        if self._away and not self._held:
            self._register()
            self._away = False
        elif self._away:
            self._take_what_is_left()
        elif self._held and _same(before, self._held):
            self._away = self._unregister()
            self._waited = False
        if self._held:
            self._soon = self._loop.call_later(HELD, self._consider)

    def _take_what_is_left(self) -> None:
        waits = bool(self._poll.poll(0))
        if waits and self._waited:
            self._accept()
        self._waited = waits

    def close(self) -> None:
        """Leave the line; the loop reads no more."""
        for timer in (self._timer, self._soon):
            if timer is not None:
                timer.cancel()
        if self._away:
            self._register()  # as the loop believes it to be
            self._away = False
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None


def _same(before: list[Any], now: list[Any]) -> bool:
    return len(before) == len(now) and all(a is b for a, b in zip(before, now, strict=True))


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
