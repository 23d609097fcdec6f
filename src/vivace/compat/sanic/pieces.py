"""Small functions and classes of Sanic's modules on top of what Vivace has.

Rules of this file: nothing is decided here; what does the work lives in the framework.
"""

import asyncio
import html
import platform
import sys
from typing import Any, Final

__all__ = ["CANCELLED_ERRORS", "IS_PYPY", "IS_PYTHON_314", "HashableDict", "Signal", "escape", "is_atty"]

CANCELLED_ERRORS: Final = (asyncio.CancelledError,)
IS_PYPY: Final = platform.python_implementation() == "PyPy"
IS_PYTHON_314: Final = sys.version_info >= (3, 14)


class Signal:
    """What a server and a program tell each other; see ``app.run(signal=)``.

    Attributes:
        stopped: The server stops.
    """

    stopped = False


class HashableDict(dict[Any, Any]):
    """A dict that may be a key; it must not be changed then."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted(self.items())))


def escape(text: object) -> str:
    """A text for HTML, outside of attributes."""
    return html.escape(str(text), quote=False)


def is_atty() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()
