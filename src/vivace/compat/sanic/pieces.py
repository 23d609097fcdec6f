"""Small functions and classes of Sanic's modules on top of what Vivace has.

Rules of this file: nothing is decided here; what does the work lives in the framework.
"""

from typing import Any, Final

from vivace.config import Config

__all__ = [
    "DEFAULT_CONFIG",
    "SANIC_PREFIX",
    "Signal",
]

SANIC_PREFIX: Final = "SANIC_"
"""What the names of environment variables begin with that set Sanic's configuration."""
DEFAULT_CONFIG: Final[dict[str, Any]] = dict(Config())
"""Every setting at its default."""


class Signal:
    """What a server and a program tell each other; see ``app.run(signal=)``.

    Attributes:
        stopped: The server stops.
    """

    stopped = False
