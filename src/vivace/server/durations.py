"""How requests are sorted where they are counted: by the class of their status, and by their duration.

Rules of this file:

- Nothing but values: workers count by them, the supervisor tells by them and has no event loop.
- Durations are divided where OpenTelemetry's conventions advise it, and more finely below: most answers of a
  server take less than what is the shortest there.
"""

from typing import Final

__all__ = ["CLASSES", "DURATIONS"]

CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""What is counted of statuses; none: the client left before there was one."""
DURATIONS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, float("inf")),
)
"""Seconds up to which durations are counted together."""
