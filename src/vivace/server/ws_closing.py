"""How and when WebSockets are closed: when the worker stops each in its turn, of old age; and their handlers.

Rules of this file:

- All clients come back, and not all at once: closes are spread in time, more where another worker has taken
  the place of this one, for there all of them come back.
"""

import asyncio
import random
from typing import Any, Final

from vivace.errors import WebsocketClosed
from vivace.server.settings import WebSocketSettings
from vivace.server.state import ServerState

__all__ = [
    "CLOSES_PER_SECOND",
    "LONGEST_SPREAD",
    "RESTART_CLOSES_PER_SECOND",
    "closed_error",
    "closing_turn",
    "end_writing",
    "lifetime",
    "outlive",
]

CLOSES_PER_SECOND: Final = 1_000
"""How many are closed when the server stops."""
RESTART_CLOSES_PER_SECOND: Final = 200
"""The same where another server has taken the place of this one."""
LONGEST_SPREAD: Final = 10.0
"""Seconds over which they are closed then at most."""
LIFETIME_JITTER: Final = 0.1
HANDLER_GRACE: Final = 10.0
"""Seconds in which the handler of a WebSocket that is closed has to come to an end."""
STOP_GRACE: Final = 1.0
"""The same when the server stops."""


def closing_turn(state: ServerState) -> tuple[float, int, str]:
    """Take a turn: the seconds to wait, the code to close with (1001, or 1012 on a restart), and why."""
    taken = state.closes
    state.closes += 1
    if state.replaced:
        wait = min(taken / RESTART_CLOSES_PER_SECOND, LONGEST_SPREAD)
        return wait, 1012, "the server is restarted: connect anew"
    wait = min(taken / CLOSES_PER_SECOND, state.settings.graceful_timeout / 2)
    return wait, 1001, "the server stops"


def lifetime(settings: WebSocketSettings) -> float:
    """The age in seconds at which one WebSocket is closed."""
    jitter = random.uniform(1 - LIFETIME_JITTER, 1 + LIFETIME_JITTER)  # noqa: S311
    return settings.max_lifetime * jitter or float("inf")


def outlive(state: ServerState, task: asyncio.Task[Any]) -> None:
    """Let the handler of a WebSocket that is closed find out and clean up; then it is cancelled."""
    # A loop holds its tasks weakly: this one outlives its connection.
    state.background.add(task)
    task.add_done_callback(state.background.discard)
    if state.cancels:
        grace = state.loop.call_later(STOP_GRACE if state.draining else HANDLER_GRACE, task.cancel)
        task.add_done_callback(lambda _: grace.cancel())


def closed_error(code: int, reason: str) -> WebsocketClosed:
    """What to raise for a WebSocket that is closed; 0 says no more than that it is lost."""
    said = f" {reason}" if reason else ""
    return WebsocketClosed(f"the WebSocket is closed ({code or 1006}{said})", code or 1006, reason)


def end_writing(transport: Any) -> bool:
    """End our side of a connection; False: it can only be ended whole, and that was done."""
    if not transport.can_write_eof() or transport.is_closing():
        transport.close()
        return False
    try:
        transport.write_eof()
    except OSError:
        transport.abort()
        return False
    return True
