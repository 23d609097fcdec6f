"""One stop of a server, from the last connection that is accepted to the release of the app.

Rules of this file:

- The order: what is queued is accepted and then no more; the app is told; connections that wait for a request
  are closed a window after their last one, and what comes on them until then is answered as the last of the
  connection; requests get the rest of GRACEFUL_SHUTDOWN_TIMEOUT; what is left is cut, with one line that
  names it; the app releases, exactly once.
- Every step is bounded, and being forced ends each of them early. Nothing waits for a second signal.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from vivace.server.connection import Connection
from vivace.server.interface import Interface
from vivace.server.last_call import LAST_CALL
from vivace.server.listeners import Acceptor
from vivace.server.logs.schema import whose
from vivace.server.state import ServerState
from vivace.server.websocket import WebSocket

__all__ = ["Stopping"]

logger = logging.getLogger("vivace.server")

FORCED_STOP: Final = 2.0
"""Seconds after the graceful time by which cancelled handlers and the release of the app have ended."""
AT_ONCE: Final = 1.5
"""The same once the stop is forced."""
_LOOK_EVERY: Final = 0.05
_POLL: Final = 0.02
_NAMED: Final = 5


class Stopping:
    """What a stop needs to know.

    Args:
        state: Of the server that stops.
        interface: Is told.
        acceptors: Of all its sockets.
        forced: Set when the stop is forced.
        hastened: Set when nobody is to be waited for who leaves by himself.
        window: Seconds after its last request when an idle connection is closed; 0.0: at once.
        linger: Seconds for which WebSockets may leave by themselves if it was replaced.
        replaced: Another server has taken the place of this one on the same sockets: the window does not
            count as graceful time, and what is queued is left to the other.
        last_call: Those who are just connecting have nobody else to go to.
    """

    def __init__(
        self,
        state: ServerState,
        interface: Interface,
        acceptors: Sequence[Acceptor],
        forced: asyncio.Event,
        hastened: asyncio.Event,
        window: float,
        linger: float,
        *,
        replaced: bool,
        last_call: bool,
    ) -> None:
        self._state = state
        self._interface = interface
        self._acceptors = acceptors
        self._forced = forced
        self._hastened = hastened
        self._window = window
        self._linger = linger if replaced else 0.0
        self._replaced = replaced
        self._last_call = last_call
        self._established: list[Connection] = []
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + state.settings.graceful_timeout

    async def refuse(self) -> None:
        """Accept what is queued, and then no more."""
        state = self._state
        state.draining = True
        state.replaced = self._replaced
        state.leaving.set()
        state.closing = not self._window
        self._established = list(state.connections)
        if self._last_call:
            await self._sleep(LAST_CALL)
        for acceptor in self._acceptors:
            acceptor.stop(empty=not self._replaced)

    async def finish(self) -> None:
        """Answer what is in progress, then end."""
        closing = self._loop.create_task(self._close_idle(), name="vivace-stop") if self._window else None
        try:
            if self._window and self._replaced:
                begun = self._loop.time()
                await self._wait_drained(begun + self._window)
                await self._wait_for_sockets(begun + self._linger)
                self._end = self._loop.time() + self._state.settings.graceful_timeout
            await self._end_requests()
        finally:
            if closing is not None:
                closing.cancel()

    async def _end_requests(self) -> None:
        state = self._state
        await self._bounded(self._interface.before_stop(), min(self._end, self._cap()))
        if not self._window:
            for connection in self._established:
                connection.drain()
        await self._wait_drained(self._end)
        late = self._loop.time() + (AT_ONCE if self._forced.is_set() else FORCED_STOP)
        if state.connections or state.background:
            await self._cut_off((self._loop.time() + late) / 2)
        await self._bounded(self._interface.after_stop(), min(max(late, self._end), self._cap()), last=True)

    def _cap(self) -> float:
        return self._loop.time() + self._state.settings.stop_listeners_timeout

    async def _sleep(self, seconds: float) -> None:
        """Wait, unless the stop is forced."""
        try:
            await asyncio.wait_for(self._forced.wait(), seconds)
        except TimeoutError:
            return

    # Connections without a request

    async def _close_idle(self) -> None:
        """Close each connection that waits for a request, a window after the last one."""
        state = self._state
        spared = self._sockets() if self._linger else []
        for connection in state.connections.difference(spared):
            connection.hurry(self._window)
        longest = self._window + state.deadlines.tick
        state.idle_time = min(state.idle_time, longest)
        state.head_time = min(state.head_time, longest)
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            now = time.monotonic()
            for connection in list(state.connections):
                connection.expire_idle(now)

    async def _wait_drained(self, deadline: float) -> None:
        """Until no connection and no task is left, the time is over, or the stop is forced."""
        state = self._state
        while (state.connections or state.background) and not self._forced.is_set():
            left = deadline - self._loop.time()
            if left <= 0:
                return
            await self._sleep(min(left, _POLL))

    async def _wait_for_sockets(self, deadline: float) -> None:
        """Until no WebSocket is left, or its time is over; then those that are left are closed in turn."""
        sockets = self._sockets()
        while sockets and not (self._forced.is_set() or self._hastened.is_set()):
            if self._loop.time() >= deadline:
                break
            await self._sleep(_LOOK_EVERY)
            sockets = self._sockets()
        for one in sockets if self._linger else ():
            one.drain()

    def _sockets(self) -> list[WebSocket]:
        connections: set[Any] = self._state.connections
        return [one for one in connections if isinstance(one, WebSocket)]

    # The end

    async def _cut_off(self, until: float) -> None:
        state = self._state
        cut = [c.stream for c in state.connections if c.stream is not None]
        if cut:
            names = [stream.head.describe() for stream in cut[:_NAMED]]
            more = f" and {len(cut) - _NAMED} more" if len(cut) > _NAMED else ""
            forced = self._forced.is_set()
            why = "the stop is forced" if forced else "the time to stop is over"
            many = "1 request" if len(cut) == 1 else f"{len(cut)} requests"
            late = None if forced else {"event": "drain.timeout", "subject": whose()}
            logger.warning("%s: %s cut: %s%s", why, many, ", ".join(map(repr, names)), more, extra=late)
        tasks = [t for t in asyncio.all_tasks() if t.get_name() == "vivace-request"]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=max(until - self._loop.time(), 0.0))
        for connection in list(state.connections):
            stream = connection.stream
            if stream is not None and not stream.response_started:  # a WSGI app's: it has no task
                connection.answer_for(stream, 503, "the server is stopping")
                connection.lose(stream)
                connection.close()
            else:
                connection.abort()

    async def _bounded(self, step: Coroutine[Any, Any, None], deadline: float, *, last: bool = False) -> None:
        """Run a step of the interface; what it raises is logged, what it takes is bounded.

        Args:
            step: To be run.
            deadline: When it is cancelled.
            last: Being forced does not end it: the deadline counts that in.
        """
        task = self._loop.create_task(step, name="vivace-stop-step")
        forced = self._loop.create_task(self._forced.wait())
        waited = {task} if last else {task, forced}
        left = max(deadline - self._loop.time(), 0.1)
        await asyncio.wait(waited, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        forced.cancel()
        if not task.done():
            logger.warning("a stop listener did not end in time and was cancelled")
            task.cancel()
            await asyncio.wait({task}, timeout=0.1)
        elif not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a stop listener failed", exc_info=error)
