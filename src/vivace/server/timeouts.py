"""What happens to a connection when its time is up.

Rules of this file:

- Nothing here runs per request: the wheel (`deadlines`) calls `check` when a connection may be due.
- It is said whose fault it is: 408 when the client was waited for, 503 when the handler was.
- Follows the time-outs of `docs/limits.md`; each is a setting of that name.
"""

import logging
import time
from typing import TYPE_CHECKING, Final

from vivace.errors import RemoteProtocolError, RequestTimeout
from vivace.server.body import Body
from vivace.server.intake import CANCEL_GRACE
from vivace.server.phase import CLOSED, DRAIN, FAILING, HANDLER, HEAD, IDLE, LINGER
from vivace.server.stream import Stream

if TYPE_CHECKING:
    from vivace.server.connection import Connection

__all__ = ["CANCEL_GRACE", "LATE_GRACE", "check"]

logger = logging.getLogger("vivace.server")

LATE_GRACE: Final = 0.04
"""Seconds a handler that was cancelled because it was late has before the server answers in its place: the
client has waited long enough."""


def check(connection: "Connection", now: float) -> float:
    """Act on what is due; when to look again (monotonic seconds), or 0.0 when the connection is over."""
    if connection.phase == CLOSED:
        return 0.0
    state = connection.state
    stalled = connection.writer.stalled(now)
    if stalled and 0 < state.settings.write_timeout <= stalled:
        connection.reset()
        return 0.0
    if stalled and connection.phase in (IDLE, LINGER):
        connection.deadline = max(connection.deadline, now + state.deadlines.tick)
    later = now + state.deadlines.horizon
    stream = connection.stream
    if stream is not None and stream.body is not None and not stream.body.complete:
        _check_body(connection, stream.body, now)
        if stream.body.deadline:
            later = min(later, stream.body.deadline + state.deadlines.tick)
    if now >= connection.deadline:
        _expire(connection, now)
    return min(connection.deadline, later)


def _check_body(connection: "Connection", body: Body, now: float) -> None:
    """Fail a body that stalls, creeps or is late; not while it is us who do not read."""
    if body.error is not None:
        return
    # What arrived was noted with a clock that may have been a tick behind: never be early.
    sure = now - connection.state.deadlines.tick
    reason = body.overdue(sure, connection.state.settings, connection.waits_for_body())
    if reason:
        connection.give_up_body(RequestTimeout(reason))
        connection.phase = FAILING
        connection.deadline = now + CANCEL_GRACE


def _expire(connection: "Connection", now: float) -> None:
    phase = connection.phase
    stream = connection.stream
    if phase == IDLE:
        connection.close()
    elif phase == HEAD:
        connection.decline(RemoteProtocolError("the head of the request was not complete in time", 408))
    elif phase == HANDLER and stream is not None:
        _time_out(connection, stream, now)
    elif phase == FAILING and stream is not None:
        _give_up(connection, stream)
    elif phase == DRAIN:
        connection.shut_down()
    else:
        connection.abort()


def _time_out(connection: "Connection", stream: Stream, now: float) -> None:
    """RESPONSE_TIMEOUT, or the route's own: let the app answer 503, or do it ourselves a moment later."""
    state = connection.state
    if stream.started_at:
        age = time.perf_counter() - stream.started_at
    else:  # nobody noted when it began; so long it was, and a moment
        age = getattr(stream, "limit", 0.0) or state.settings.response_timeout
    state.stuck.report(stream, stream.task, age)
    stream.timed_out = True
    if stream.task is None:  # nothing to cancel: a thread of a WSGI app
        _give_up(connection, stream)
        return
    connection.phase = FAILING
    connection.deadline = now + LATE_GRACE
    stream.task.cancel()


def _give_up(connection: "Connection", stream: Stream) -> None:
    """The handler ignored its cancellation or the failure of its body."""
    where = stream.head.describe()
    logger.error("%s does not end%s: answered in its place", where, " at once" if stream.timed_out else "")
    if stream.response_started:
        connection.abort()
    else:
        hint = getattr(stream.body.error, "status_hint", 408) if stream.body is not None else 408
        connection.answer_for(stream, 503 if stream.timed_out else hint, "the request took too long")
    connection.lose(stream)
