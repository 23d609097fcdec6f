"""The app class under its Sanic name.

Rules of this file: only what a Sanic program can see and a Vivace program should not pay for.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Any, ClassVar, Final

from vivace.compat.sanic.around import Around
from vivace.compat.sanic.blueprint import Blueprint
from vivace.compat.sanic.config import SANIC_PREFIX, Config
from vivace.compat.sanic.declaring import Declaring, SanicTypes
from vivace.compat.sanic.ext import Extending
from vivace.compat.sanic.greeting import log_after, log_before
from vivace.compat.sanic.handlers import ErrorHandler
from vivace.compat.sanic.log import configure
from vivace.compat.sanic.overriding import Overridable
from vivace.compat.sanic.preparing import Preparing
from vivace.compat.sanic.request import Request
from vivace.compat.sanic.response import HTTPResponse, JSONResponse, coerce
from vivace.compat.sanic.router import AskingRouter, Router
from vivace.compat.sanic.serving import REPLContext, Serving
from vivace.compat.sanic.shared import SharedContext
from vivace.compat.sanic.signals import SignalRouter
from vivace.errors import BadMethod, DeclarationError
from vivace.framework.pattern import TypeTable
from vivace.framework.route import Route
from vivace.framework.spec import Placement, RouteSpec

__all__ = ["Sanic"]

_SHARED_NAMES: Final = (
    "Duplicate route names detected: {}. You should rename one or more of them explicitly by using the "
    "`name` param, or changing the implicit name derived from the class and function name. For more "
    "details, please see https://sanic.dev/en/guide/release-notes/v23.3.html#duplicated-route-names-are-no-longer-allowed"
)

_ADDED: Final = [
    "host",
    "strict_slashes",
    "stream",
    "ignore_body",
    "version",
    "name",
    "unquote",
    "static",
    "version_prefix",
    "error_format",
]
"""What a router is told of a route besides path, methods and handler."""


class Sanic(Around, Declaring, Overridable, Preparing, Serving, Extending):  # pyright: ignore[reportIncompatibleMethodOverride]
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
        log_config: For `logging.config.dictConfig`, instead of `LOGGING_CONFIG_DEFAULTS`.
        configure_logging: False: leave the loggers as they are.
        dumps: Writes JSON.
        loads: Reads JSON.
        inspector: No effect: there is no inspector.
        inspector_class: The same.
        certloader_class: No effect: `run` takes certificates.

    Attributes:
        start_method: How workers are started: they are forked, whatever is set.
        START_METHOD_SET: Kept for its name.

    Raises:
        ConfigError: The name is missing or malformed, or a setting cannot be used.
    """

    __slots__ = ("_adding", "_sanic_router", "configure_logging", "repl_ctx")

    name_rule = Blueprint.name_rule
    start_hint = (
        "App instantiation must occur outside if __name__ == '__main__' block or by using an AppLoader.\n"
        "See https://sanic.dev/en/guide/deployment/app-loader.html for more details."
    )
    tracks_requests = True
    config_class = Config
    response_kinds = (HTTPResponse, JSONResponse)
    coerce_result = staticmethod(coerce)
    mixes_hosts = False
    checks_handlers = False
    test_mode: ClassVar[bool] = False
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
        del inspector_class, certloader_class
        if config is not None:  # it has read the environment, or was told not to
            if env_prefix != SANIC_PREFIX:
                raise DeclarationError(
                    "When instantiating Sanic with config, you cannot also pass env_prefix"
                )
            env_prefix = None
        super().__init__(
            name,
            config,
            ctx,
            error_handler=error_handler or ErrorHandler(),
            env_prefix=env_prefix,
            request_class=request_class or Request,
            strict_slashes=strict_slashes,
            dumps=dumps,
            loads=loads,
        )
        self._types = SanicTypes()
        self.shared_ctx = SharedContext()
        self._adding = False
        self.configure_logging = configure_logging
        self.repl_ctx = REPLContext()
        self._sanic_router = Router() if router is None else router
        self._sanic_router.ctx.app = self
        self.signal_router = SignalRouter() if signal_router is None else signal_router
        if configure_logging:
            configure(log_config)
        if inspector:
            self.config.warnings.append("inspector=True has no effect: there is no inspector")

    def __class_getitem__(cls, _types: Any) -> type["Sanic"]:
        """The class itself: `Sanic[Config, Context]` may stand in annotations and be called."""
        return cls

    @property
    def router(self) -> Any:
        """The routes, as Sanic's programs look at them."""
        return self._sanic_router

    def finalize(self) -> None:
        """Compile what is declared, and show paths as Sanic does: without a slash at their beginning."""
        super().finalize()
        for route in self.compiled_router.routes:
            route.path = _shown_path(route)
            route.uri = f"/{route.path}"
        if type(self._sanic_router).get is not Router.get:
            self._ask_router()

    def _ask_router(self) -> None:
        """Let the program's own router find the route of every request."""
        compiled = self.compiled_router
        asking = AskingRouter(compiled.routes, compiled.automatic, "HEAD" in self._automatic)
        asking.static = {}
        asking.asked = self._sanic_router
        self._dispatcher.take_router(asking)

    def _declare(self, spec: RouteSpec) -> None:
        if type(self._sanic_router).add is Router.add or self._adding:
            super()._declare(spec)
            return
        given = {name: getattr(spec, name) for name in _ADDED}
        self._sanic_router.add(spec.uri, spec.methods, spec.handler, overwrite=False, **given)

    def add_declared(
        self, uri: str, methods: Iterable[str], handler: Callable[..., Any], options: dict[str, Any]
    ) -> RouteSpec:
        """Declare a route for `Router.add`."""
        self._adding = True
        try:
            self.route(uri, methods, **options)(handler)
        finally:
            self._adding = False
        return self.route_specs[-1]

    def _known_types(self) -> TypeTable:
        return self._types

    def _claim_all(self, specs: Iterable[RouteSpec], place: Placement) -> None:
        for spec in specs:
            allowed = self._sanic_router.ALLOWED_METHODS
            bad = sorted(spec.methods.difference(allowed))
            if bad:
                raise BadMethod(f"Bad method: {bad}. Must be one of: {allowed}")
        super()._claim_all(specs, place)

    async def run_listeners(self, stage: str, changed: Collection[str] = ()) -> None:
        """Run the listeners of a stage; before the server starts, refuse names that two routes share.

        Raises:
            DeclarationError: There are such names.
            StartupError: A listener of a start stage failed.
        """
        if stage == "before_server_start":
            self._check_route_names()
        elif stage == "before_server_stop":
            self._sanic_router.reset()
        log_before(self, stage)
        await super().run_listeners(stage, changed)
        log_after(self, stage)

    def _check_route_names(self) -> None:
        names = Counter(route.name for route in self.router.routes)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise DeclarationError(_SHARED_NAMES.format(", ".join(twice)))

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop.

        Raises:
            DeclarationError: None is running.
        """
        try:
            return super().loop
        except RuntimeError:
            raise DeclarationError(
                "Loop can only be retrieved after the app has started running. Not supported with "
                "`create_server` function"
            ) from None

    @property
    def logger(self) -> logging.Logger:
        """The logger ``sanic.root``."""
        return logging.getLogger("sanic.root")


def _shown_path(route: Route) -> str:
    parts = (
        part if segment.literal is None else segment.literal
        for part, segment in zip(route.parts, route.segments, strict=False)
    )
    path = "/".join(parts)
    return path if route.strict else path.rstrip("/")
