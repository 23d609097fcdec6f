"""The app class under its Sanic name.

Rules of this file: only what a Sanic program can see and a Vivace program should not pay for.
"""

import logging
from typing import Any, ClassVar

from vivace.framework.app import Vivace

__all__ = ["Sanic"]


class Sanic(Vivace[Any, Any]):
    """`Vivace`, as programs know it that were written for Sanic.

    Attributes:
        test_mode: Programs set it around their tests; nothing depends on it here.
        start_method: How workers are started: they are forked, whatever is set.
    """

    __slots__ = ()

    tracks_requests = True
    test_mode: ClassVar[bool] = False
    start_method: ClassVar[str] = "fork"

    @property
    def logger(self) -> logging.Logger:
        """The logger ``sanic.root``."""
        return logging.getLogger("sanic.root")
