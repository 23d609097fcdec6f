"""When a WebSocket has to be looked at, and what its silence means.

Rules of this file:

- Pure: the clock is an argument; times are seconds of the monotonic clock.
- One ping is asked at a time, and anything that comes is an answer to it.
"""

from typing import Final

from vivace.server.settings import WebSocketSettings

__all__ = ["ASK", "FINE", "LOST", "judge_silence", "next_look"]

FINE: Final = 0
ASK: Final = 1
"""It is silent for so long that it is to be pinged."""
LOST: Final = 2
"""It was, and has not answered in time."""


def next_look(settings: WebSocketSettings, heard: float, pinged: float, expires: float) -> float:
    """When something is due if nothing happens.

    Args:
        settings: Of the WebSocket.
        heard: When anything came from its client last.
        pinged: When it was asked for a sign of life that it still owes; 0.0: it owes none.
        expires: When it is too old.
    """
    if pinged:
        return min(expires, pinged + settings.ping_timeout) if settings.ping_timeout else expires
    return min(expires, heard + settings.ping_interval) if settings.ping_interval else expires


def judge_silence(settings: WebSocketSettings, heard: float, pinged: float, now: float) -> int:
    """What to do about a client, FINE for nothing; the arguments are those of `next_look`."""
    if pinged:
        return LOST if 0 < settings.ping_timeout <= now - pinged else FINE
    return ASK if 0 < settings.ping_interval <= now - heard else FINE
