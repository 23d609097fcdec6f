"""The app: what is declared on it, compiled into what answers requests.

Rules of this file:

- Declarations are cheap and in any order; `finalize` compiles all of them into new tables and swaps them in,
  so that it may run again at any time, also while requests are answered.
- Apps are found by name through weak references: a second app of a name replaces the first.
- Nothing of the server is imported before `run`.
"""

import asyncio
import logging
import logging.config
import re
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic

from vivace.config import Config
from vivace.config.setting import PREFIX
from vivace.errors import DeclarationError
from vivace.framework.alarms.declare import Alarmed
from vivace.framework.announce import announce_stage, make_announcer
from vivace.framework.automatic import AUTOMATIC, Automatic
from vivace.framework.background import Background
from vivace.framework.beside import Beside, Companion
from vivace.framework.budget import Budgeted
from vivace.framework.compiler import compile_app, gather_listeners, gather_signals
from vivace.framework.dispatch import Dispatcher
from vivace.framework.error_handler import ErrorHandler
from vivace.framework.extensible import Amender, Extensible
from vivace.framework.graphql import Queryable
from vivace.framework.hubs import Grouped
from vivace.framework.lifespan import run_stage
from vivace.framework.middleware import Chain
from vivace.framework.mount import Mount, MountTable, check_prefix
from vivace.framework.named import Named
from vivace.framework.parts import Composed
from vivace.framework.pattern import TypeTable
from vivace.framework.pickled import Pickled
from vivace.framework.ready import Checked, ReadyChecks
from vivace.framework.request import Request
from vivace.framework.response import HTTPResponse, JSONResponse, coerce, expect_other_encoders
from vivace.framework.route import Route
from vivace.framework.router import Router
from vivace.framework.shared import SharedContext
from vivace.framework.signals import RESERVED_NAMESPACES, SignalRouter, event_name
from vivace.framework.state import AppState
from vivace.framework.tasks import TaskGroup
from vivace.framework.urls import build_url, find_route
from vivace.protocols.stream import Stream

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    ConfigT = TypeVar("ConfigT", bound=Config, default=Config)
    CtxT = TypeVar("CtxT", default=Any)
else:
    from typing import TypeVar

    ConfigT = TypeVar("ConfigT")
    CtxT = TypeVar("CtxT")

__all__ = ["Vivace"]

_ELSEWHERE: Final = {
    "m": "write app.restart(), app.scale(3) or app.stop()",
    "multiplexer": "write app.restart(), app.scale(3) or app.stop()",
    "inspector": "there is none; `vivace ctl` asks and commands a server",
    "ext": "the app is not extended yet; from vivace.ext import Extend; Extend(app)",
    "extend": "write Extend(app); from vivace.ext import Extend",
    "websocket_handshake": "write @app.websocket(path); the handshake is done before the handler",
}

ReporterT = TypeVar("ReporterT", bound=Callable[..., Any])


class Vivace(
    Composed,
    Alarmed,
    Background,
    Beside,
    Budgeted,
    Checked,
    Grouped,
    Extensible,
    Named,
    Queryable,
    Pickled,
    Generic[ConfigT, CtxT],
):
    """An app.

    Args:
        name: Such as ``__name__``: a letter or ``_``, then letters, digits, ``_``, ``-`` and dots.
        config: The settings; read from files and environment if None.
        ctx: Anything that belongs to the program; a plain namespace if None.
        error_handler: Makes responses of exceptions.
        request_class: `Request` or a subclass.
        strict_slashes: A trailing slash counts.
        env_prefix: Take over the variables of the environment that begin with it, besides ``VIVACE_``.
        log_config: Given to `logging.config.dictConfig`.
        configure_logging: False: leave `log_config` alone.
        dumps: Encodes the JSON of responses instead of msgspec.
        loads: Decodes the JSON of requests instead of msgspec.

    Attributes:
        config: The settings.
        ctx: Anything that belongs to the program.
        error_handler: Makes responses of exceptions.
        strict_slashes: For routes that do not say it.
        dumps: Encodes the JSON of responses; None: msgspec.
        loads: Decodes the JSON of requests; None: msgspec.
        shared_ctx: What all worker processes share.
        state: What is going on.
        signal_router: The signals.
        blueprints: The blueprints by name.
        alarm_functions: What is called for alarms, each with its events (`on_alarm`).
        companions: What runs in processes beside the workers (`vivace.framework.beside`).
        ready_checks: What says whether it can do its work (`vivace.framework.ready`).
        placed: The same by the name with its prefix, as routes know it.

    Raises:
        ConfigError: The name is missing or malformed, or a setting cannot be used.
    """

    __slots__ = (
        "_amenders",
        "_amending",
        "_automatic",
        "_dispatcher",
        "_ext",
        "_guest",
        "_home",
        "_hub",
        "_mounts",
        "_router",
        "_running",
        "_tasks",
        "_work",
        "alarm_functions",
        "answer_stream",
        "companions",
        "config",
        "dumps",
        "error_handler",
        "handle_stream",
        "loads",
        "ready_checks",
        "refuse_stream",
        "request_class",
        "response_chain",
        "shared_ctx",
        "signal_router",
        "state",
    )

    name_rule = (
        re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*"),
        "Names must begin with a character and may only contain alphanumeric characters, _, -, or dots.",
    )
    tracks_requests: ClassVar[bool] = False
    """Whether `Request.get_current` works: a subclass says True, and each request pays for it."""
    response_kinds: ClassVar[tuple[type[HTTPResponse], type[HTTPResponse]]] = (HTTPResponse, JSONResponse)
    """The classes whose responses go out by the short way: what `text` and `json` make."""
    coerce_result: ClassVar[Any] = staticmethod(coerce)
    """Makes a response of what a handler or middleware returned."""

    automatic_methods: ClassVar[Automatic] = AUTOMATIC
    """What is answered where no route declares it, until `answer_automatically` says otherwise."""
    checks_handlers: ClassVar[bool] = True
    """Whether a handler must take the parameters of its path."""
    config_class: ClassVar[type[Config]] = Config
    """Of the settings where none are given."""

    access_recorder: ClassVar[Callable[[], Any] | None] = None
    """Makes the access log of Sanic's test clients; None: they have none."""

    config: ConfigT
    ctx: CtxT
    handle_stream: Callable[[Stream], Coroutine[Any, Any, None]]
    """Answers one exchange; raises nothing but cancellation."""
    refuse_stream: Callable[[Stream, Exception], Coroutine[Any, Any, None]]
    """Answers a message that is no request, with a stream that stands for it."""
    _dispatcher: Dispatcher
    answer_stream: Callable[[MountTable, Stream], Coroutine[Any, Any, None] | None]
    """Answers one exchange by a route or a mount that serves; see `mount`."""

    def __init__(
        self,
        name: str,
        config: ConfigT | None = None,
        ctx: CtxT | None = None,
        *,
        error_handler: ErrorHandler | None = None,
        request_class: type[Request] = Request,
        strict_slashes: bool = False,
        env_prefix: str | None = None,
        log_config: dict[str, Any] | None = None,
        configure_logging: bool = True,
        dumps: Callable[..., str | bytes] | None = None,
        loads: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(name, ctx, strict_slashes)
        self.config = _make_config(self.config_class, config, env_prefix)
        if log_config is not None and configure_logging:
            logging.config.dictConfig(log_config)
        self.dumps: Callable[..., str | bytes] | None = dumps
        if dumps is not None:
            expect_other_encoders()
        self.loads: Callable[..., Any] | None = loads
        self.shared_ctx = SharedContext()
        self.state = AppState(self)
        self.error_handler = error_handler or ErrorHandler()
        self.response_chain: Chain = ()
        self.companions: list[Companion] = []
        self.alarm_functions: list[Any] = []
        self.ready_checks = ReadyChecks()
        self._amenders: list[Amender] = []
        self._amending = False
        self._automatic = dict(self.automatic_methods)
        self._ext: Any = None
        self._guest: Any = None
        self._home = self._hub = None
        self._mounts: list[Mount] = []
        self._running = False
        self._router: Router | None = None
        self._tasks = TaskGroup()
        self._work: Any = None
        self.signal_router = SignalRouter()
        self.request_class = request_class
        self._connect(request_class)
        self.register_app(self)

    def update_config(self, config: Any) -> None:
        """Set what a mapping, an object, a class, or a file of Python says; see `Config.update_config`."""
        self.config.update_config(config)

    if not TYPE_CHECKING:  # type checkers know the attributes

        def __getattr__(self, name: str) -> Any:
            # Reached for missing attributes only: a word for those that Sanic's programs expect.
            word = _ELSEWHERE.get(name)
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}" + (f": {word}" if word else "")
            )

    def access_log(self) -> Any:
        """What a server logs the requests by if ACCESS_LOG is on; None: by its own log."""
        return None

    # Parts

    def mount(self, prefix: str, other: Any, *, kind: str | None = None) -> None:
        """Let another app answer everything below a path that no route of this one answers.

        Of a route and a mount that both fit, the one with the longer literal beginning answers, on a tie the
        route: below a mount at ``/`` routes take over one by one. The other app's lifespan or listeners run
        with the server; this app's middleware and error handlers do not see its requests; RESPONSE_TIMEOUT of
        this app counts. A Vivace app keeps its own settings. Paths stay whole: they begin with the prefix,
        which the other app is told (``root_path``, SCRIPT_NAME, `url_for`). A path that is the prefix and no
        more goes there too: what becomes of the missing slash is the other app's business.

        Args:
            prefix: Such as ``/old``, written decoded; ``/`` for everything.
            other: A Vivace, ASGI or WSGI app.
            kind: ``native``, ``asgi``, ``asgi2`` or ``wsgi`` if it cannot be found out.

        Raises:
            ConfigError: The prefix is malformed or taken, `other` is no app, or the server runs already.
        """
        spec = Mount(check_prefix(prefix), other, kind)
        if self._running:
            raise DeclarationError(f"mount {prefix!r} comes too late: its app must start with the server")
        if any(spec.prefix == known.prefix for known in self._mounts):
            raise DeclarationError(f"two apps are mounted at {prefix!r}")
        if not callable(other):
            raise DeclarationError(
                f"mount {prefix!r}: {other!r} is no app; expected a Vivace, ASGI or WSGI app"
            )
        if isinstance(other, Vivace) and self in other.mounted_apps():
            raise DeclarationError(f"mount {prefix!r}: {other.name} would be mounted in itself")
        self._mounts.append(spec)

    @property
    def mounts(self) -> list[Mount]:
        """The mounts in order of declaration."""
        return list(self._mounts)

    def mounted_apps(self) -> "list[Vivace[Any, Any]]":
        """This app and the Vivace apps that are mounted in it, at any depth."""
        apps = [mount.app for mount in self._mounts if isinstance(mount.app, Vivace)]
        return [self, *(found for app in apps for found in app.mounted_apps())]

    def place_at(self, root: str) -> None:
        """Put a path before every route: where the app is mounted; the server says it at the start.

        Raises:
            ConfigError: The app is served already, at another place.
        """
        if self._running and root != self._root:
            raise DeclarationError(
                f"{self.name} is served at {self._root or '/'!r} already: an app has one place"
            )
        self._root = root

    def changed(self) -> None:
        """Compile again if the server is running already."""
        if not self._running:
            self._router = None
        elif not self._amending:
            self.finalize()

    @contextmanager
    def amend(self) -> Iterator[None]:
        """Declare several things on a running app and compile them once: ``with app.amend(): ...``.

        Raises:
            ConfigError: Something of it cannot be; the app goes on with the routes that it had.
        """
        before = list(self.route_specs)
        self._amending = True
        try:
            yield
            self._amending = False
            self.changed()
        except DeclarationError:
            self.route_specs[:] = before
            self._claims = None
            raise
        finally:
            self._amending = False

    def signals_changed(self) -> None:
        """Take over what signals there are by now, and tell of requests if somebody listens."""
        self.signal_router.update(gather_signals(self, self._parts()[1]))
        self.changed()

    def finalize(self) -> None:
        """Compile routes, middleware and exception handlers: before serving, and again after late changes.

        Raises:
            ConfigError: Two routes claim the same path and method, or a handler does not take its parameters.
        """
        place, parts = self._parts()
        announcer = make_announcer(self.signal_router)
        compiled = compile_app(
            self,
            place,
            parts,
            self._types,
            announcer,
            short=self.dumps is None,
            amenders=self._amenders,
            automatic=self._automatic,
            checked=self.checks_handlers,
        )
        for scope, exception, handler in compiled.exception_handlers:
            names = [route.name for route in compiled.router.routes if route.blueprint == scope]
            self.error_handler.add(exception, handler, names if scope else None)
        self._router = compiled.router
        self.response_chain = compiled.response_chain
        self._dispatcher.update(compiled.router, compiled.request_chain, announcer)

    def register_pattern(
        self, label: str, cast: Callable[[str], Any], pattern: str | re.Pattern[str]
    ) -> None:
        """Declare a parameter type ``<name:label>``: what matches `pattern` entirely, converted by `cast`.

        `cast` raises ValueError for a text that is not of the type; the route does not match then.

        Raises:
            ConfigError: The label is taken or no identifier.
        """
        self._types.add(label, cast, pattern)

    def _known_types(self) -> TypeTable:
        return self._types

    def _is_complete(self) -> bool:
        return not self._amenders  # they may give a handler more than the values of its path

    @property
    def router(self) -> Router:
        """The compiled routes."""
        if self._router is None:
            self.finalize()
        assert self._router is not None
        return self._router

    @property
    def routes(self) -> list[Route]:
        """Every route, in the order of declaration."""
        return self.router.routes

    def url_for(self, view_name: str, **values: Any) -> str:
        """The URL of a route by its name: ``handler``, ``blueprint.handler`` or ``static``.

        Args:
            view_name: The name; that of the app may stand before it.
            values: Of the path parameters (for static files ``filename``); the rest becomes the query.
                ``name`` chooses among static routes. ``_external=True`` gives an absolute URL (see
                SERVER_NAME), ``_scheme`` and ``_server`` choose its parts, ``_anchor`` follows the ``#``.

        Raises:
            URLBuildError: No such route, or a value is missing or not of its type.
        """
        if view_name == "static" or view_name.endswith(".static"):
            view_name = view_name.removesuffix("static") + (values.pop("name", None) or "static")
        route = find_route(self.routes, self.name, view_name)
        return build_url(route, values, self.config.SERVER_NAME, self.config.ROOT_PATH)

    # Signals

    async def dispatch(
        self,
        event: str | Enum,
        *,
        context: Mapping[str, Any] | None = None,
        condition: Mapping[str, Any] | None = None,
        fail_not_found: bool = True,
        inline: bool = False,
        reverse: bool = False,
    ) -> Any:
        """Let the functions hear an event that were declared for it by `signal`.

        Args:
            event: Its name.
            context: Becomes their keyword arguments.
            condition: Only those are meant whose condition equals it.
            fail_not_found: Raise if no signal of that name is declared.
            inline: Wait for them; else they run in a task of their own.
            reverse: The lowest priority first.

        Returns:
            The task, which may be awaited; with `inline` what the first function returned that returned
            something, which ends the dispatch.

        Raises:
            NotFound: Nobody declared a signal for the event.
        """
        return await self.signal_router.dispatch(
            event,
            context=context,
            condition=condition,
            fail_not_found=fail_not_found,
            inline=inline,
            reverse=reverse,
        )

    async def event(
        self,
        event: str | Enum,
        timeout: float | None = None,
        *,
        condition: Mapping[str, Any] | None = None,
        exclusive: bool = True,
    ) -> dict[str, Any]:
        """Wait for the next dispatch of an event.

        Args:
            event: Its name.
            timeout: Seconds; None waits for ever.
            condition: Only a dispatch under exactly this condition counts.
            exclusive: False: one without any condition counts too.

        Returns:
            The context of the dispatch.

        Raises:
            NotFound: Nobody declared a signal for it, and EVENT_AUTOREGISTER is not set.
            TimeoutError: It did not come in time.
        """
        name = event_name(event)
        if name not in self.signal_router.awaited and name.partition(".")[0] in RESERVED_NAMESPACES:
            self.signal_router.awaited.add(name)
            self.changed()
        register = bool(self.config.get("EVENT_AUTOREGISTER"))
        return await self.signal_router.wait(name, timeout, condition, exclusive, register)

    def report_exception(self, handler: ReporterT) -> ReporterT:
        """Declare ``async (app, exception)`` to be told of exceptions of requests and tasks."""
        self.catch_exception(handler)
        return handler

    def signalize(self) -> None:
        """Nothing is left to do: signals take effect when they are declared. Sanic's programs call it."""

    # Life

    @property
    def asgi(self) -> bool:
        """Whether another server calls it as an ASGI app."""
        return self._guest is not None

    @property
    def auto_reload(self) -> bool:
        """AUTO_RELOAD."""
        return self.config.AUTO_RELOAD

    @auto_reload.setter
    def auto_reload(self, value: bool) -> None:
        self.config.AUTO_RELOAD = value

    @property
    def websocket_enabled(self) -> bool:
        """Whether there is a route for WebSockets."""
        return any(route.websocket for route in self.routes)

    async def run_listeners(self, stage: str, changed: Collection[str] = ()) -> None:
        """Run the listeners of a stage; background tasks start and end with the server.

        Args:
            stage: Its name.
            changed: Files, for ``after_reload_trigger``.

        Raises:
            StartupError: A listener of a start stage failed.
        """
        if stage == "before_server_start":
            self._running = True
            self.enter_groups()
            self.shared_ctx.lock()
            self.finalize()
        elif stage == "after_server_stop":
            await self._tasks.shut_down()
        self.state.enter(stage)
        listeners = gather_listeners(self, self._registrations)
        if stage.endswith("_stop"):
            await announce_stage(self, stage)
            await run_stage(self, listeners, stage)
        else:
            await run_stage(self, listeners, stage, changed)
            await announce_stage(self, stage)
        self.state.leave(stage)
        if stage == "before_server_start":
            self._tasks.start_waiting(self)
            await asyncio.sleep(0)  # they have begun when the server has
        elif stage == "after_server_stop":
            self._running = False
            self._dispatcher.close()
            await self.leave_groups()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop.

        Raises:
            RuntimeError: None is running: use a listener.
        """
        return asyncio.get_running_loop()

    @property
    def debug(self) -> bool:
        """DEBUG."""
        return self.config.DEBUG

    @property
    def logger(self) -> logging.Logger:
        """Where the program may write its log."""
        return logging.getLogger("vivace.app")

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Serve a scope of ASGI 3: so an app runs under any other server, and inside other ASGI apps.

        Args:
            scope: Of the type ``http``, ``lifespan`` or ``websocket``.
            receive: Gives the next event of the server.
            send: Takes an event for the server.

        Raises:
            NotImplementedError: The scope is of another type.
            BrokenResourceError: The response broke off; the server has to cut the connection.
        """
        if self._guest is None:
            from vivace.interfaces.guest import Guest  # an upward edge, like those of `Runnable`

            self._guest = Guest(self)
        await self._guest(scope, receive, send)

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __repr__(self) -> str:
        return f'{type(self).__name__}(name="{self.name}")'


def _make_config(kind: type[Config], config: Any, env_prefix: str | None) -> Any:
    if config is None:
        config = kind.load()
        if env_prefix and env_prefix != PREFIX:
            config.load_environment_vars(env_prefix)
    elif env_prefix:
        raise DeclarationError("with a config given, env_prefix cannot be: Config(env_prefix=...) has both")
    return config
