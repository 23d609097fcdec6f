"""Event streams: `@app.sse`, for browsers' ``EventSource`` and whatever reads server-sent events.

Rules of this file:

- The handler gets the request and the stream; it sends, yields, or joins groups and returns: a stream that is
  in a group stays until its client leaves, or the server stops.
- One task writes, so that nothing overtakes anything; what may wait for a slow client is bounded.
- Silence is broken by comments, so that proxies keep the connection and a client that is lost is noticed.
- When the server stops, or another worker takes its place, the stream ends whole: clients come back by
  themselves, with the id of the last event that they saw, each after a time of its own.
"""

import asyncio
import contextlib
import functools
import inspect
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from vivace.errors import ClientDisconnected
from vivace.framework.joins import Joins
from vivace.framework.response import encode_json
from vivace.http.sse import CONTENT_TYPE, ServerEvent, format_comment, format_event
from vivace.protocols.broadcast import Broadcast

if TYPE_CHECKING:
    from vivace.framework.groups.encoding import Form
    from vivace.framework.groups.outlet import Client, Outlet
    from vivace.framework.request import Request

__all__ = ["EventStream", "sse_handler"]

HIGH_WATER: Final = 65_536
"""Octets that wait to be written beyond which nothing is added."""
BEGIN_TIME: Final = 1.0
"""Seconds for which the answer waits for the handler to begin, so that what it raises can be the answer."""
COME_BACK: Final = (500, 5_000)
"""Milliseconds after which clients come back to a server that was restarted: the first, and the last."""
_FIELDS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_BEAT: Final = format_comment()


class EventStream(Joins):
    """The events of one client.

    Args:
        request: What it asked for.

    Attributes:
        last_id: The id of the last event that the client saw; empty: it begins.
        closed: It is at its end: nothing can be sent any more.
        used: Something was sent, or a group joined.
    """

    def __init__(self, request: "Request") -> None:
        self.last_id: str = request.headers.get("last-event-id") or ""
        self._request = request
        self._outlet: Outlet | None = None
        self._user: Any = None
        self._waiting: list[bytes] = []
        self._size = 0
        self._changed = asyncio.Event()
        self._room: asyncio.Event = asyncio.Event()
        self._room.set()
        self._begun = asyncio.Event()
        self._resuming = ""
        self.closed = False
        self.used = False

    # What the handler does

    async def send(
        self,
        data: Any = None,
        *,
        event: str | None = None,
        id: str | None = None,  # noqa: A002  # the name in the standard
        retry: int | None = None,
    ) -> None:
        """Send an event; waits while the client is behind.

        Args:
            data: Text is sent as it is, a `ServerEvent` with its fields, anything else as JSON.
            event: The type of the event; default ``message``.
            id: What the client sends back as `last_id` when it returns.
            retry: Milliseconds that the client is to wait before it connects anew.

        Raises:
            ClientDisconnected: The stream is at its end.
            LocalProtocolError: A field cannot be sent.
        """
        if isinstance(data, ServerEvent):
            octets = format_event(data.data, data.event, data.id or None, data.retry)
        else:
            text = data if data is None or isinstance(data, str) else encode_json(data).decode()
            octets = format_event(text, event, id, retry)
        await self._put(octets)

    async def comment(self, text: str = "") -> None:
        """Send a comment, which no client sees.

        Raises:
            ClientDisconnected: The stream is at its end.
        """
        await self._put(format_comment(text))

    async def _put(self, octets: bytes) -> None:
        while self._size > HIGH_WATER and not self.closed:
            self._room.clear()
            await self._room.wait()
        if self.closed:
            raise ClientDisconnected("the event stream is at its end")
        self._add(octets)

    def _add(self, octets: bytes) -> None:
        self._waiting.append(octets)
        self._size += len(octets)
        self._changed.set()
        self._begun.set()
        self.used = True

    def _resume(self, topic: str, since: Any, form: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Of the first group that keeps an order, events have positions as ids, and `last_id` counts."""
        if not self._resuming and self._request.app.hub.rules.of(topic).ordered:
            self._resuming = topic
        if self._resuming != topic:
            return since, form
        return (since or self.last_id or None), {**form, "positions": True}

    def close(self) -> None:
        """End the stream when what waits has been sent; the client will come back."""
        self.closed = True
        for event in (self._changed, self._room, self._begun):
            event.set()
        self._leave_groups()

    def send_away(self) -> None:
        """The server stops: have the client come back, and not all clients at once."""
        if not self.closed:
            spread = random.randint(*COME_BACK)  # noqa: S311
            self._add(format_event(None, retry=spread))

    async def wait_begun(self) -> None:
        """Return when the first event was sent or the first group joined, or when it takes long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEGIN_TIME):
                await self._begun.wait()

    # What groups see of it

    def _joined(self) -> None:
        self._begun.set()
        self.used = True

    def _client(self) -> "Client":
        return self

    def _watch(self, outlet: "Outlet") -> None:
        outlet.closed = self.closed

    def _form(self, given: dict[str, Any]) -> "Form":
        from vivace.framework.groups.encoding import server_event

        return server_event(given.pop("event", None), given.pop("positions", False), **given)

    def push(self, broadcast: Broadcast) -> bool:
        """Send messages of a group, unless the client is behind."""
        if self._size > HIGH_WATER:
            return False
        if not self.closed:
            self._add(broadcast.contents())
        return True

    def end(self, code: int, reason: str) -> None:
        """End it for a reason, which a comment says."""
        if not self.closed:
            self._add(format_comment(f"{code} {reason}"))
            self.close()

    # What writes

    async def write(self, send: Callable[[bytes], Awaitable[None]], heartbeat: float) -> None:
        """Write what is sent until the stream is closed."""
        while not (self.closed and not self._waiting):
            if not self._waiting:
                self._changed.clear()
                try:
                    async with asyncio.timeout(heartbeat or None):
                        await self._changed.wait()
                except TimeoutError:
                    await send(_BEAT)
                continue
            octets = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
            self._waiting = []
            await send(octets)
            self._size -= len(octets)
            self._room.set()
            if self._outlet is not None:
                self._outlet.resumed()


def sse_handler(
    handler: Callable[..., Any], heartbeat: float | None = None, retry: int | None = None
) -> Callable[..., Any]:
    """What a route calls for an event stream.

    Args:
        handler: Of the program: a coroutine function, or one that yields events.
        heartbeat: Instead of SSE_HEARTBEAT.
        retry: Milliseconds that clients are to wait before they connect anew.
    """
    first = format_comment() if retry is None else format_event(None, retry=retry)

    @functools.wraps(handler)
    async def serve(request: "Request", *args: Any, **values: Any) -> None:
        stream = EventStream(request)
        running = asyncio.ensure_future(_run(handler(request, stream, *args, **values), stream))
        leaving = asyncio.ensure_future(request.draining())
        writing: asyncio.Future[None] | None = None
        try:
            await _until_begun(stream, running)
            response = await request.respond(headers=_FIELDS, content_type=CONTENT_TYPE)
            await response.send(first)
            beat = request.app.config.SSE_HEARTBEAT if heartbeat is None else heartbeat
            writing = asyncio.ensure_future(stream.write(response.send, beat))
            await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
            if leaving.done():
                stream.send_away()
            stream.close()
            await writing
            await _finish(running)
            await response.eof()
        finally:
            stream.close()
            await _cancel(running, leaving, writing)

    return serve


async def _until_begun(stream: EventStream, running: "asyncio.Future[None]") -> None:
    """Wait until the handler has sent something or joined, so that what it raises before is an answer."""
    begun = asyncio.ensure_future(stream.wait_begun())
    try:
        await asyncio.wait((begun, running), return_when=asyncio.FIRST_COMPLETED)
    finally:
        begun.cancel()
    if running.done() and not stream.used:
        running.result()


async def _run(result: Any, stream: EventStream) -> None:
    """Run the handler; the stream ends with it unless it is in a group."""
    try:
        if inspect.isasyncgen(result):
            async with contextlib.aclosing(result):
                async for event in result:
                    await stream.send(event)
        elif inspect.isawaitable(result):
            await result
    except ClientDisconnected:
        stream.close()
    except BaseException:
        stream.close()
        raise
    else:
        if not stream.groups:
            stream.close()


async def _finish(running: "asyncio.Future[None]") -> None:
    """The stream is at its end: the handler has no reason to go on; what it raised is told."""
    if not running.done():
        running.cancel()
        await asyncio.wait((running,))
    if not running.cancelled():
        running.result()


async def _cancel(*tasks: "asyncio.Future[Any] | None") -> None:
    working = [task for task in tasks if task is not None]
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
