"""WSGI apps on the loop's own thread: one call after the other, and their answers together.

Rules of this file:

- What a turn of the loop brings is called in a row and answered in a row, `TURN` seconds at most: a client
  that sleeps is woken once for many answers instead of for each, which costs more than a small answer does,
  and the app's code stays in the caches. A slow call is answered at its own end.
- Nothing else happens in the worker while the app runs; that is what THREADS = 0 means.
"""

import asyncio
import logging
import time
from collections import deque
from typing import Final

from vivace.interfaces.wsgi_call import WsgiCall
from vivace.interfaces.wsgi_reply import send_pieces, send_stretch

__all__ = ["InlineQueue"]

logger = logging.getLogger("vivace.error")

TURN: Final = 0.001
"""Seconds after which no further call is begun before what is done is answered."""


class InlineQueue:
    """Calls that wait for their turn.

    Args:
        loop: The event loop on whose thread they run.
    """

    __slots__ = ("_calls", "_loop", "_scheduled", "_tasks")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: deque[WsgiCall] = deque()
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, call: WsgiCall) -> None:
        """Run `call` at the end of this turn of the loop."""
        self._calls.append(call)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        calls = self._calls
        done = []
        until = time.monotonic() + TURN
        while calls:
            call = calls.popleft()
            if not call.stream.disconnected:
                call.begin()
            done.append(call)
            if time.monotonic() >= until:
                break
        self._scheduled = bool(calls)
        if calls:
            self._loop.call_soon(self._run)
        for call in done:
            try:
                self._settle(call)
            except Exception:
                logger.exception("the answer to %s could not be sent", call.describe())

    def _settle(self, call: WsgiCall) -> None:
        """Send what the app came to."""
        if call.failure is None and (call.sent or call.body is None) and not call.stream.disconnected:
            # The name by which the server finds what is left at a forced stop.
            task = self._loop.create_task(_go_on(call), name="vivace-request")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        call.answer()
        if call.open:
            call.finish()
        call.release()


async def _go_on(call: WsgiCall) -> None:
    """Send a response that is not known whole."""
    try:
        if call.stretch is not None:
            await send_stretch(call)
        else:
            await send_pieces(call, _Pieces(call))
    finally:
        call.close()
        call.release()


class _Pieces:
    """The pieces of a response that are made on the loop's thread: each leaves before the next is made."""

    __slots__ = ("_call", "_first")

    def __init__(self, call: WsgiCall) -> None:
        self._call = call
        self._first = True

    async def next_data(self) -> bytes | None:
        """The next piece, behind what was given to ``write`` meanwhile; None at the end."""
        call = self._call
        if self._first:
            self._first = False
            piece: bytes | None = call.first or call.step()
        else:
            await asyncio.sleep(0)
            piece = call.step()
        call.sent = True
        written, call.written = call.written, None
        if written:
            return b"".join(written) + (piece or b"")
        return piece

    def sent(self, count: int) -> None:
        """Nobody waits for that."""
