"""How a worker writes into the scoreboard: a timer of its loop, and a thread that looks at the loop.

Rules of this file:

- A beat is cheap: numbers that the server has anyway, four times a second. The oldest request is looked for
  among the connections, less often where there are thousands.
- A loop that is blocked beats no more: that is the message.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from vivace.protocols.threads import count_threads
from vivace.server import Server
from vivace.server.state import ServerState
from vivace.server.stream import Stream
from vivace.supervisor.ipc.scoreboard import Entry, Phase
from vivace.supervisor.ipc.totals import NOTHING, Totals
from vivace.supervisor.workers.dump import describe_worker, list_requests

__all__ = ["BEAT", "Pulse"]

BEAT: Final = 0.25
"""Seconds between two beats."""
_REMEMBERED: Final = 240
"""Beats of which the delays are told: those of a minute."""
_TITLED: Final = 4
"""Beats from one title of the process to the next."""
_LOOKED_AT: Final = 2000
"""So many connections are looked at for each beat, on average."""


class Pulse:
    """Says how a worker fares.

    Args:
        entry: Where to.
        server: What it serves with; started.
        loop: Of the server.
        title: Called each second with the number of requests in progress.
        fit: Whether the ready checks of the app pass; None: it has none.
    """

    def __init__(
        self,
        entry: Entry,
        server: Server,
        loop: asyncio.AbstractEventLoop,
        title: Callable[[int], object] | None = None,
        fit: Callable[[], bool] | None = None,
    ) -> None:
        self._entry = entry
        self._server = server
        self._state: ServerState | None = None
        self._loop = loop
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._seen: dict[Stream, float] = {}
        self._oldest = ("", 0.0)
        self._skip = 0
        self._lags: deque[float] = deque(maxlen=_REMEMBERED)
        self._beats = 0
        self._title = title
        self._fit = fit

    def start(self) -> None:
        """The server serves: from now on the heart beats."""
        self._entry.enter(Phase.SERVING)
        self._server.watch(self._entry.note)
        self._state = self._server.state
        self._due = self._loop.time()
        self._beat()

    def drain(self) -> None:
        """The stop begins; the heart goes on."""
        self._entry.enter(Phase.DRAINING)

    def stop(self) -> None:
        """The server is gone: say once more what it has done."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._say(self._loop.time(), 0.0)

    def look(self) -> None:
        """Say what the loop is doing; from another thread, while the loop is blocked."""
        try:
            task = asyncio.current_task(self._loop)
        except RuntimeError:
            return
        for stream in self._server.streams() if task is not None else ():
            if stream.task is task:
                self._entry.blocked_by(stream.head.describe())

    def requests(self) -> str:
        """The requests in progress, as JSON; from another thread."""
        try:
            found = list_requests(self._streams())
        except Exception:  # noqa: BLE001 - it is read while it changes, and the thread has more to hear
            found = []
        return msgspec.json.encode(found).decode()

    def _streams(self) -> dict[Stream, float]:
        seen, now = self._seen, self._loop.time()
        return {stream: seen.get(stream, now) for stream in self._server.streams()}

    def describe(self) -> str:
        """What this worker is doing; from another thread."""
        try:
            text = describe_worker(self._loop, self._streams())
        except Exception as error:  # noqa: BLE001 - the thread that asks has more to hear
            text = f"this cannot be told: {error!r}"
        return text.encode("utf-8", "replace").decode("utf-8")

    def _beat(self) -> None:
        now = self._loop.time()
        lag = now - self._due
        self._due = now + BEAT
        self._timer = self._loop.call_at(self._due, self._beat)
        self._say(now, lag)
        if self._title is not None and not self._beats % _TITLED:
            self._title(self._server.active)
        self._beats += 1

    def _say(self, now: float, lag: float) -> None:
        server, state = self._server, self._state
        self._skip -= 1
        if self._skip < 0 or not server.active:
            self._oldest = self._find_oldest(now)
            self._skip = server.connections // _LOOKED_AT
        self._entry.beat(
            now,
            lag,
            state.served if state is not None else 0,
            state.errors if state is not None else 0,
            server.active,
            server.connections,
            server.background,
            *self._oldest,
            *count_threads(),
            *self._delays(lag),
            self._fit is not None and not self._fit(),
            _totals(state, server.lost_lines),
        )

    def _delays(self, lag: float) -> tuple[float, float]:
        """The middle and the 95th of 100 of what a timer, or a request, waited for its turn."""
        self._lags.append(lag)
        ordered = sorted(self._lags)
        return ordered[len(ordered) // 2], ordered[len(ordered) * 95 // 100]

    def _find_oldest(self, now: float) -> tuple[str, float]:
        before = self._seen
        streams = self._server.streams() if self._server.active else ()
        self._seen = {stream: before.get(stream, now) for stream in streams}
        if not self._seen:
            return "", 0.0
        oldest = min(self._seen, key=_of(self._seen))
        return oldest.head.describe(), self._seen[oldest]


def _totals(state: ServerState | None, lost_lines: int) -> Totals:
    if state is None or state.tally is None:
        return NOTHING
    tally = state.tally
    return Totals(state.served, tuple(tally.answers), tuple(tally.took), tally.seconds, lost_lines)


def _of(times: dict[Stream, float]) -> Callable[[Stream], float]:
    return times.__getitem__
