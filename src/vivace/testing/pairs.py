"""The clients of sanic_testing: every call gives ``(request, response)``.

`SanicTestClient` serves the app on a real port for each call, `ReusableClient` for as long as its block,
`SanicASGITestClient` calls it in this process.

Rules of this file:

- The app starts and stops with each call, its listeners included; what it answers, a 500 too, is the answer.
- Requests are noted by a middleware that is there for the call only and goes before all others.
- Names, arguments and defaults are those of sanic_testing's documentation.
"""

import asyncio
import copy
import logging
import socket
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, Self, TypeVar

from vivace.config import Config
from vivace.errors import ConfigError, StartupError, VivaceError
from vivace.framework.app import Vivace
from vivace.framework.middleware import MiddlewareSpec
from vivace.framework.request import Request
from vivace.interfaces.native import NativeInterface
from vivace.server import Server, bind_tcp, bind_unix, make_tls
from vivace.testing.answers import TestingHeaders, TestingResponse, TestingURL
from vivace.testing.client import Client, ClientOptions
from vivace.testing.mimic import Mimic, WebsocketProxy, websocket_proxy
from vivace.testing.sockets import Sockets

__all__ = [
    "ASGI_BASE_URL",
    "ASGI_HOST",
    "ASGI_PORT",
    "HOST",
    "PORT",
    "ReusableClient",
    "SanicASGITestClient",
    "SanicTestClient",
    "TestingHeaders",
    "TestingResponse",
    "TestingURL",
]

logger = logging.getLogger("vivace.testing")

HOST: Final = "127.0.0.1"
"""Where the servers of tests listen."""
PORT: Final = None
"""Their port: a free one."""
ASGI_HOST: Final = "mockserver"
"""The host that an app sees that is called in this process."""
ASGI_PORT: Final = 1234
"""Its port."""
ASGI_BASE_URL: Final = f"http://{ASGI_HOST}:{ASGI_PORT}"
"""Both, before paths."""

T = TypeVar("T")
Pair = tuple[Request | None, TestingResponse | None]
Conversation = tuple[Request | None, WebsocketProxy]
_FIRST: Final = 1 << 30
_BACKLOG: Final = 128
_OPTIONS: Final = ClientOptions.__optional_keys__
_OURS: Final = frozenset({"unix", "sock", "protocol", "host", "port"})


def _enter_test_mode(app: Vivace[Any, Any]) -> None:
    """Set `test_mode` of the class that declares it, as programs expect that look at it."""
    kind = next(kind for kind in type(app).__mro__ if "test_mode" in kind.__dict__)
    kind.test_mode = True  # type: ignore[attr-defined]


class _Methods:
    """A method for each of HTTP, on top of `request`."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request; see `SanicTestClient.request`."""
        raise NotImplementedError

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """`request` with GET."""
        return self.request("get", *args, **kwargs)

    def post(self, *args: Any, **kwargs: Any) -> Any:
        """`request` with POST."""
        return self.request("post", *args, **kwargs)

    def put(self, *args: Any, **kwargs: Any) -> Any:
        """`request` with PUT."""
        return self.request("put", *args, **kwargs)

    def patch(self, *args: Any, **kwargs: Any) -> Any:
        """`request` with PATCH."""
        return self.request("patch", *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        """`request` with DELETE."""
        return self.request("delete", *args, **kwargs)

    def head(self, *args: Any, **kwargs: Any) -> Any:
        """`request` with HEAD."""
        return self.request("head", *args, **kwargs)

    def options(self, *args: Any, **kwargs: Any) -> Any:
        """`request` with OPTIONS."""
        return self.request("options", *args, **kwargs)

    def websocket(self, *args: Any, **kwargs: Any) -> Any:
        """Open a WebSocket; see `SanicTestClient.websocket`."""
        raise NotImplementedError


class SanicTestClient(_Methods):
    """Serves the app on a port of its own for each request.

    Args:
        app: The app.
        port: Where; a free one for each request if None.
        host: The address.

    Attributes:
        app: The app.
        host: The address.
        port: That of the last request.
    """

    def __init__(self, app: Vivace[Any, Any], port: int | None = None, host: str = HOST) -> None:
        _enter_test_mode(app)
        self.app = app
        self.host = host
        self.port = port
        self._given_port = port

    def request(
        self,
        method: str = "get",
        uri: str = "/",
        gather_request: bool = True,
        debug: bool = False,
        server_kwargs: dict[str, Any] | None = None,
        host: str | None = None,
        allow_none: bool = False,
        **options: Any,
    ) -> Pair:
        """Start the app, send a request, stop the app.

        Args:
            method: In any case.
            uri: A path, or an absolute URL.
            gather_request: Give the request as the app saw it; else None.
            debug: DEBUG for this request.
            server_kwargs: As for `app.run`: ``protocol unix sock ssl``, and settings in lower case.
            host: Instead of the client's.
            allow_none: No error if there was no answer.
            options: What the request carries, see `vivace.testing.client.ClientOptions`; also
                ``allow_redirects`` and ``raw_cookies``.

        Raises:
            ValueError: There was no answer, or no request for it.
            Exception: What a listener of the start raised.
        """
        served = _Served(self.app, host or self.host, self._given_port, debug, server_kwargs or {})
        with _noting(self.app, gather_request) as seen:
            response = _run(self._exchange(served, method, uri, _translate(options)))
        return _pair(seen, response, gather_request, allow_none)

    _sanic_endpoint_test = request

    def websocket(
        self,
        uri: str = "/",
        mimic: Mimic | None = None,
        gather_request: bool = True,
        debug: bool = False,
        server_kwargs: dict[str, Any] | None = None,
        host: str | None = None,
        **options: Any,
    ) -> Conversation:
        """Start the app, open a WebSocket, let `mimic` use it, stop the app.

        Args:
            uri: A path, or an absolute URL.
            mimic: A coroutine function that gets the WebSocket; what it sends and receives is noted.
            gather_request: As for `request`; so are the others that are not said here.
            debug: DEBUG for this request.
            server_kwargs: As for `app.run`.
            host: Instead of the client's.
            options: Those of `vivace.testing.Client.websocket`.

        Raises:
            WebSocketRefused: The answer was another one.
        """
        served = _Served(self.app, host or self.host, self._given_port, debug, server_kwargs or {})
        with _noting(self.app, gather_request) as seen:
            proxy = _run(self._converse(served, uri, mimic, options))
        return (seen[0] if seen else None), proxy

    async def _converse(
        self, served: "_Served", uri: str, mimic: Mimic | None, options: dict[str, Any]
    ) -> WebsocketProxy:
        async with served, served.client() as client:
            self.port = served.port
            return await websocket_proxy(client, _place(uri), mimic, **options)

    async def _exchange(
        self, served: "_Served", method: str, uri: str, options: dict[str, Any]
    ) -> "TestingResponse | None":
        async with served, served.client(follow_redirects=True) as client:
            self.port = served.port
            return await _send(client, method, uri, options)


class ReusableClient(_Methods):
    """Serves the app once for many requests: ``with ReusableClient(app) as client``.

    Args:
        app: The app.
        host: Where it listens.
        port: The same; a free one if None.
        loop: Runs everything; a new one if None.
        server_kwargs: As for `app.run`.
        client_kwargs: As for `vivace.testing.Client`.
    """

    def __init__(
        self,
        app: Vivace[Any, Any],
        host: str = HOST,
        port: int | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        server_kwargs: dict[str, Any] | None = None,
        client_kwargs: dict[str, Any] | None = None,
    ) -> None:
        _enter_test_mode(app)
        self.app = app
        self.host = host
        self.port = port
        self.debug = False
        self._loop = loop
        self._own_loop = loop is None
        self._server_kwargs = server_kwargs or {}
        self._client_kwargs = client_kwargs or {}
        self._served: _Served | None = None
        self._client: Client | None = None

    def __enter__(self) -> Self:
        self.run()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self) -> None:
        """Start the app.

        Raises:
            StartupError: It does not start.
        """
        self._loop = self._loop or asyncio.new_event_loop()
        self._served = _Served(self.app, self.host, self.port, self.debug, self._server_kwargs)
        self._wait(self._served.__aenter__())
        self.port = self._served.port
        self._client = self._served.client(**{"follow_redirects": True, **self._client_kwargs})
        self._wait(self._client.__aenter__())

    def stop(self) -> None:
        """Stop the app."""
        assert self._loop is not None
        assert self._client is not None
        assert self._served is not None
        self._wait(self._client.__aexit__())
        self._wait(self._served.__aexit__())
        self._wait(self._loop.shutdown_asyncgens())
        if self._own_loop:
            self._loop.close()
            self._loop = None

    def _wait(self, step: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None
        return self._loop.run_until_complete(step)

    def request(
        self,
        method: str = "get",
        uri: str = "/",
        gather_request: bool = True,
        debug: bool = False,
        server_kwargs: dict[str, Any] | None = None,
        host: str | None = None,
        allow_none: bool = False,
        **options: Any,
    ) -> Pair:
        """Send a request; the arguments are those of `SanicTestClient.request`.

        Raises:
            RuntimeError: The client was not entered.
        """
        if self._client is None:
            raise RuntimeError("the app does not run yet: use `with ReusableClient(app) as client`")
        with _noting(self.app, gather_request) as seen:
            response = self._wait(_send(self._client, method, uri, _translate(options)))
        return _pair(seen, response, gather_request, allow_none)

    _sanic_endpoint_test = request

    def websocket(
        self, uri: str = "/", mimic: Mimic | None = None, gather_request: bool = True, **options: Any
    ) -> Conversation:
        """Open a WebSocket; see `SanicTestClient.websocket`."""
        if self._client is None:
            raise RuntimeError("the app does not run yet: use `with ReusableClient(app) as client`")
        with _noting(self.app, gather_request) as seen:
            proxy = self._wait(websocket_proxy(self._client, _place(uri), mimic, **options))
        return (seen[0] if seen else None), proxy


class SanicASGITestClient(_Methods):
    """Calls the app in this process: ``await app.asgi_client.get("/")``.

    Args:
        app: The app.
        base_url: Before paths.
        suppress_exceptions: Kept for its name: an exception of a handler is answered with a 500 either way.
    """

    def __init__(
        self, app: Vivace[Any, Any], base_url: str = ASGI_BASE_URL, suppress_exceptions: bool = False
    ) -> None:
        _enter_test_mode(app)
        self.app = app
        self.base_url = base_url
        self.suppress_exceptions = suppress_exceptions

    async def request(
        self, method: str = "get", url: str = "/", gather_request: bool = True, **options: Any
    ) -> Pair:
        """Start the app, send a request, stop the app; arguments as those of `SanicTestClient.request`."""
        place = (ASGI_HOST, ASGI_PORT)
        client = Client(self.app, base_url=self.base_url, raise_exceptions=False, client=place)
        with _noting(self.app, gather_request) as seen:
            async with client:
                response = await _send(client, method, url, _translate(options))
        return _pair(seen, response, gather_request, allow_none=True)

    async def websocket(
        self, uri: str = "/", mimic: Mimic | None = None, gather_request: bool = True, **options: Any
    ) -> Conversation:
        """Open a WebSocket; see `SanicTestClient.websocket`."""
        place = (ASGI_HOST, ASGI_PORT)
        client = Client(self.app, base_url=self.base_url, raise_exceptions=False, client=place)
        with _noting(self.app, gather_request) as seen:
            async with client:
                proxy = await websocket_proxy(client, _place(uri), mimic, **options)
        return (seen[0] if seen else None), proxy


class _Served:
    """An app that is served in the running loop.

    Args:
        app: The app.
        host: Where it listens.
        port: The same; 0 or None takes a free one.
        debug: DEBUG while it is served.
        given: As for `app.run`.
    """

    def __init__(
        self, app: Vivace[Any, Any], host: str, port: int | None, debug: bool, given: dict[str, Any]
    ) -> None:
        self._app = app
        self._host = given.get("host") or host
        self._unix: str | None = given.get("unix")
        self._sock: socket.socket | None = given.get("sock")
        self._debug = debug or bool(given.get("debug"))
        self._settings = _settings(given)
        self._ssl: Any = given.get("ssl")
        self._server: Server | None = None
        self._sockets: list[socket.socket] = []
        self._before: dict[str, Any] = {}
        self.port = port or given.get("port") or 0

    async def __aenter__(self) -> Self:
        self._listen()
        app = self._app
        self._before = {name: app.config[name] for name in ("DEBUG", *self._settings)}
        vars(app.config).update(self._settings, DEBUG=self._debug or app.config.DEBUG)
        app.stopper = _ignore_stop
        logged = app.debug or ("ACCESS_LOG" in app.config.sources and app.config.ACCESS_LOG)
        recorder = type(app).access_recorder if logged else None  # pyright: ignore[reportAttributeAccessIssue]
        access = recorder() if recorder is not None else None
        try:
            tls = make_tls(app.config, self._ssl)
            config = _quiet(app.config)
            self._server = Server(NativeInterface(app), config, self._sockets, access=access, tls=tls)
            await self._server.start()
        except BaseException as error:
            await self.__aexit__()
            if isinstance(error, (ConfigError, StartupError)) and error.__cause__ is not None:
                raise error.__cause__ from None  # what a listener or `ssl` raised, as Sanic's tests expect it
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._server is not None:
                await self._server.stop()
        finally:
            self._app.stopper = None
            vars(self._app.config).update(self._before)
            for one in self._sockets:
                one.close()

    def _listen(self) -> None:
        if self._unix is not None:
            self._sockets = [bind_unix(self._unix, 0o600, _BACKLOG)]
            return
        if self._sock is not None:
            self._sock.listen(_BACKLOG)
            self._sock.setblocking(False)
            self._sockets = [self._sock]
        else:
            self._sockets = bind_tcp(self._host, self.port, _BACKLOG)
        self.port = self._sockets[0].getsockname()[1]

    def client(self, **options: Any) -> Client:
        """A client for it."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        url = f"http://{host}:{self.port}" if self._unix is None else "http://localhost"
        return Client(Sockets(self._unix, verify=False, takes_broken=True), base_url=url, **options)


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """Of the arguments of `app.run`, the settings."""
    known = Config()
    return {k.upper(): v for k, v in given.items() if k not in _OURS and k.upper() in known}


def _quiet(config: Config) -> Config:
    """The configuration for the server of a test: it writes no access log."""
    quiet = copy.copy(config)
    vars(quiet).update(ACCESS_LOG=False, sources=dict(config.sources))
    return quiet


def _ignore_stop() -> None:
    """`app.stop()` within a test's request: the app stops after it anyway."""


def _translate(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a request by the names of our client."""
    if "allow_redirects" in options:
        options["follow_redirects"] = options.pop("allow_redirects")
    options.pop("raw_cookies", None)  # they are always there
    options.pop("session_kwargs", None)
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        error = TypeError(f"request() got an unexpected keyword argument {unknown[0]!r}")
        raise ValueError(f"Exception during request: {[error]}")
    return options


def _place(url: str) -> str:
    """A path with the slash that tests may leave out, or the absolute URL."""
    return url if url.startswith(("http:", "https:", "ws:", "wss:", "/")) else f"/{url}"


async def _send(client: Client, method: str, url: str, options: dict[str, Any]) -> "TestingResponse | None":
    url = _place(url)
    began = time.perf_counter()
    try:
        response = TestingResponse.adopt(await client.request(method, url, **options))
        response.elapsed = timedelta(seconds=time.perf_counter() - began)
        return response
    except (OSError, ValueError, VivaceError) as error:
        logger.error("%s %s had no answer: %r", method.upper(), url, error)  # noqa: TRY400  # one line tells it
        return None


@contextmanager
def _noting(app: Vivace[Any, Any], wanted: bool) -> Iterator[list[Request]]:
    """Note the requests that the app sees in the block."""
    seen: list[Request] = []
    if not wanted:
        yield seen
        return

    def note(request: Request) -> None:
        seen.append(request)

    spec = MiddlewareSpec(note, "request", _FIRST)
    app.middleware_specs.insert(0, spec)
    app.changed()
    try:
        yield seen
    finally:
        app.middleware_specs.remove(spec)
        app.changed()


def _pair(
    seen: list[Request], response: "TestingResponse | None", gather_request: bool, allow_none: bool
) -> Pair:
    request = seen[0] if seen else None
    if not allow_none and (response is None or (gather_request and request is None)):
        raise ValueError(f"Request and response object expected, got ({[request, response]}): see the log")
    return request, response


def _run(step: Coroutine[Any, Any, T]) -> T:
    """Run it on a loop of its own."""
    if asyncio._get_running_loop() is None:
        return asyncio.run(step)
    step.close()
    raise RuntimeError(
        "a loop runs in this thread: use `await app.asgi_client.get(...)` in coroutine functions"
    )
