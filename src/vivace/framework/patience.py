"""Time-outs of single routes: how long a handler may take instead of RESPONSE_TIMEOUT.

Rules of this file:

- It is decided when the route is declared. A route with a time-out begins with a step that sets it, as if it
  were a middleware; other routes know nothing of it.
"""

import math
from typing import TYPE_CHECKING

from vivace.errors import DeclarationError

if TYPE_CHECKING:
    from vivace.framework.request import Request

__all__ = ["TimeLimit", "check_timeout"]


class TimeLimit:
    """Bounds the time until the response of a request begins.

    Args:
        seconds: From the moment at which this is called; 0: for ever.

    Attributes:
        seconds: The same.
    """

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, request: "Request") -> None:
        """Set the limit for `request`."""
        request._transport.limit_time(self.seconds)


def check_timeout(timeout: object, uri: str) -> float | None:
    """The time-out of a route as it was declared, in seconds; None: RESPONSE_TIMEOUT holds.

    Raises:
        ConfigError: It is no number, negative or not finite.
    """
    if timeout is None:
        return None
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not number or not math.isfinite(timeout) or timeout < 0:  # type: ignore[arg-type, operator]
        raise DeclarationError(
            f"timeout={timeout!r} of the route {uri!r}: expected a number of seconds; 0 for no time-out,"
            " None for RESPONSE_TIMEOUT",
            key=uri,
        )
    return float(timeout)  # type: ignore[arg-type]
