# cython: language_level=3, annotation_typing=False
"""What all connections of a worker share: the interface, the settings, the clocks and the counters.

Rules of this file:

- One object per worker, handed to each connection; no module-level state anywhere in this package.
- The clocks are coarse on purpose: they move with the timer, once per tick, not per request.
- A request whose time nobody wants to know is not timed.
"""

import asyncio
import heapq
import time
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from vivace.http.dates import format_date
from vivace.protocols.events import RequestReceived
from vivace.server.deadlines import Deadlines
from vivace.server.durations import CLASSES, DURATIONS
from vivace.server.interface import Interface
from vivace.server.settings import ServerSettings
from vivace.server.stacks import StuckLog

if TYPE_CHECKING:
    from vivace.server.access import AccessLog
    from vivace.server.connection import Connection
    from vivace.server.stream import Stream

__all__ = ["ServerState", "Tally"]

_BOUNDS: Final = DURATIONS  # as C
_SLOWEST_TICK = 0.05
_FASTEST_TICK = 0.02
_FLUSH_EVERY = 0.5


class Tally:
    """How requests ended, and how long they took.

    Attributes:
        answers: How many had a status of each of `CLASSES`, with those to messages that were no requests.
        took: How many requests took up to each of `DURATIONS`, and longer than the one before.
        seconds: How long all of them took.
    """

    __slots__ = ("answers", "seconds", "took")

    def __init__(self) -> None:
        self.answers = [0] * len(CLASSES)
        self.took = [0] * len(DURATIONS)
        self.seconds = 0.0

    def answered(self, status: int) -> None:
        """Count a status; 0: there was none."""
        kind = status // 100
        self.answers[kind if kind < 6 else 5] += 1

    def add(self, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            status: Of its response; 0: there was none.
            seconds: From its arrival until the response was handed over whole, or cut.
        """
        self.answered(status)
        self.seconds += seconds
        index = 0
        bound = _BOUNDS[0]
        while seconds > bound:
            index += 1
            bound = _BOUNDS[index]
        self.took[index] += 1


class ServerState:
    """The shared part of a worker's connections.

    Attributes:
        active: Requests whose response is not complete.
        answer: The interface, ready to be called with a stream.
        closes: WebSockets that were closed because the server stops.
        cancels: The interface wants its tasks cancelled when a client leaves.
        background: Tasks that went on after their response was complete.
        closing: Every connection is closed as soon as it has no request.
        connections: Every open connection.
        date: The whole Date line of a response, renewed every tick.
        draining: The server is stopping: every response says ``Connection: close``.
        errors: Responses with a status of 500 or more.
        handler_time: RESPONSE_TIMEOUT plus a tick, since `now` may be a tick old; infinity if off.
        head_time: HEAD_TIMEOUT, likewise.
        idle_time: KEEP_ALIVE_TIMEOUT, likewise.
        input_buffer: REQUEST_BUFFER_SIZE; here and the next two: read too often to go through `settings`.
        keep_alive: KEEP_ALIVE.
        leaving: Set when `draining` is.
        max_concurrent: MAX_CONCURRENT_REQUESTS.
        note: Called with method and path of a request that begins, unless the one before had the same.
        noted: The head of the request that it was called for last.
        now: The monotonic time of the last tick, in seconds.
        replaced: It stops because another server has taken its place.
        refuse: What the interface answers messages with that are no requests; None: it does not.
        served: Requests that arrived.
        stuck: Says where requests were whose time ran out.
        tally: Counts how requests end; None: nobody asks.
        timed: When a request arrives is noted: there is a tally, or an access log.
    """

    __slots__ = (
        "_flush_due",
        "_timer",
        "access",
        "active",
        "answer",
        "background",
        "cancels",
        "closes",
        "closing",
        "connections",
        "date",
        "deadlines",
        "draining",
        "errors",
        "handler_time",
        "head_time",
        "idle_time",
        "input_buffer",
        "keep_alive",
        "leaving",
        "loop",
        "max_concurrent",
        "note",
        "noted",
        "now",
        "refuse",
        "replaced",
        "served",
        "settings",
        "stuck",
        "tally",
        "timed",
    )

    def __init__(
        self,
        interface: Interface,
        settings: ServerSettings,
        loop: asyncio.AbstractEventLoop,
        access: "AccessLog | None" = None,
    ) -> None:
        self.answer = interface.__call__
        self.cancels = interface.cancels
        self.refuse = getattr(interface, "refuse", None)
        self.settings = settings
        self.loop = loop
        self.access: Any = access
        self.tally: Tally | None = None
        self.timed = access is not None
        self.active = 0
        self.closes = 0
        self.replaced = False
        self.served = 0
        self.errors = 0
        self.note: Callable[[str, bytes], object] | None = None
        self.noted: RequestReceived | None = None
        self.input_buffer = settings.input_buffer
        self.keep_alive = settings.keep_alive
        self.max_concurrent = settings.max_concurrent
        self.background: set[asyncio.Task[None]] = set()
        self.connections: set[Connection] = set()
        self.closing = False
        self.draining = False
        self.leaving = asyncio.Event()
        self.now = time.monotonic()
        horizon = settings.horizon()
        self.deadlines = Deadlines(min(_SLOWEST_TICK, max(horizon / 4, _FASTEST_TICK)), horizon, self.now)
        self.handler_time = _or_never(settings.response_timeout) + self.deadlines.tick
        self.head_time = _or_never(settings.head_timeout) + self.deadlines.tick
        self.idle_time = _or_never(settings.keep_alive_timeout) + self.deadlines.tick
        self.stuck = StuckLog(settings.request_id_field)
        self.date = b""
        self._flush_due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start_clock(self) -> None:
        """Begin to tick: renew the clocks, turn the wheel of deadlines, hand the access log on."""
        self.date = b"date: %s\r\n" % format_date(time.time()).encode("ascii")
        self.now = time.monotonic()
        self.deadlines.turn(self.now)
        if self.access is not None and self.now >= self._flush_due:
            self._flush_due = self.now + _FLUSH_EVERY
            self.access.flush()
        self._timer = self.loop.call_later(self.deadlines.until_turn(time.monotonic()), self.start_clock)

    def stop_clock(self) -> None:
        """Stop ticking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def keep_tally(self) -> None:
        """Count from now on how requests end."""
        self.tally = Tally()
        self.timed = True

    def record(self, client: "tuple[str, int] | None", stream: "Stream") -> None:
        """Note a request that was timed, and whose response is complete or was cut."""
        now = perf_counter()
        if self.tally is not None:
            self.tally.add(stream.status, now - stream.started_at)
        if self.access is not None:
            self.access.record(client, stream, now)

    def record_refused(self, client: "tuple[str, int] | None", status: int, reason: str) -> None:
        """Note a message that was refused before it was a request."""
        if self.tally is not None:
            self.tally.answered(status)
        if self.access is not None:
            self.access.record_refused(client, status, reason)

    def shed(self, count: int) -> int:
        """Give up at most `count` connections without a request, the longest idle first; how many it were.

        Those that have sent a part of a head go when no idle ones are left, so that slow heads cannot keep
        everybody else out.
        """
        spare = [(kind, c.deadline, c) for c in self.connections if (kind := c.spare()) >= 0]
        chosen = heapq.nsmallest(count, spare, key=lambda entry: entry[:2])
        for _kind, _deadline, connection in chosen:
            connection.shed()
        return len(chosen)


def _or_never(seconds: float) -> float:
    return seconds if seconds > 0 else float("inf")
