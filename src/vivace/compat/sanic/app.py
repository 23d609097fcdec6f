"""The app class under its Sanic name.

Rules of this file: only what a Sanic program can see and a Vivace program should not pay for.
"""

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from vivace.compat.sanic.ext import Extending
from vivace.compat.sanic.pieces import SANIC_PREFIX
from vivace.framework.error_handler import ErrorHandler
from vivace.framework.request import Request

__all__ = ["Sanic"]


class Sanic(Extending):
    """`Vivace`, as programs know it that were written for Sanic.

    Args:
        name: A letter or ``_``, then letters, digits, ``_`` and ``-``.
        config: The settings; from files and environment if None.
        ctx: Anything that belongs to the program.
        router: Kept for its place: there is one kind of router.
        signal_router: The same of signals.
        error_handler: Makes responses of exceptions.
        env_prefix: What the names of environment variables begin with that set the configuration.
        request_class: `Request` or a subclass.
        strict_slashes: A trailing slash counts.
        log_config: For `logging.config.dictConfig`.
        configure_logging: Whether `log_config` is used.
        dumps: Writes JSON.
        loads: Reads JSON.
        inspector: No effect: there is no inspector.
        inspector_class: The same.
        certloader_class: No effect: there is no TLS yet.

    Attributes:
        start_method: How workers are started: they are forked, whatever is set.
        START_METHOD_SET: Kept for its name.

    Raises:
        ConfigError: The name is missing or malformed, or a setting cannot be used.
    """

    __slots__ = ()

    tracks_requests = True
    start_method: ClassVar[str] = "fork"
    START_METHOD_SET: ClassVar[bool] = True

    def __init__(
        self,
        name: str,
        config: Any = None,
        ctx: Any = None,
        router: Any = None,
        signal_router: Any = None,
        error_handler: ErrorHandler | None = None,
        env_prefix: str | None = SANIC_PREFIX,
        request_class: type[Request] | None = None,
        strict_slashes: bool = False,
        log_config: dict[str, Any] | None = None,
        configure_logging: bool = True,
        dumps: Callable[..., str | bytes] | None = None,
        loads: Callable[..., Any] | None = None,
        inspector: bool = False,
        inspector_class: Any = None,
        certloader_class: Any = None,
    ) -> None:
        del router, signal_router, inspector_class, certloader_class
        if (
            config is not None and env_prefix == SANIC_PREFIX
        ):  # it has read the environment, or was told not to
            env_prefix = None
        super().__init__(
            name,
            config,
            ctx,
            error_handler=error_handler,
            env_prefix=env_prefix,
            request_class=request_class or Request,
            strict_slashes=strict_slashes,
            log_config=log_config,
            configure_logging=configure_logging,
            dumps=dumps,
            loads=loads,
        )
        if inspector:
            self.config.warnings.append("inspector=True has no effect: there is no inspector")

    @property
    def logger(self) -> logging.Logger:
        """The logger ``sanic.root``."""
        return logging.getLogger("sanic.root")
