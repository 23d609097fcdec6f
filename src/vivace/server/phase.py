"""What a connection is doing, in the order of its life.

Rules of this file:

- Plain integers: they are compared on every request.
- Up to HEAD there is no request, from DRAIN on none will come of what arrives.
"""

from typing import Final

__all__ = ["CLOSED", "DRAIN", "FAILING", "HANDLER", "HEAD", "IDLE", "LINGER"]

IDLE: Final = 0
"""Nothing of the next request has come."""
HEAD: Final = 1
"""A part of its head has."""
HANDLER: Final = 2
"""The request is being answered; its body may still be coming."""
FAILING: Final = 3
"""It ran out of time: its handler has a moment to answer."""
DRAIN: Final = 4
"""It was answered before its body was complete: the rest is skipped."""
LINGER: Final = 5
"""Our side is shut down; what still comes is thrown away."""
CLOSED: Final = 6
"""Over."""
