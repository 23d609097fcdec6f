"""Protocol classes: a hook around every request of a connection, as Sanic's documents describe it.

>>> class Counting(HttpProtocol):
...     async def http_request_handler(self, request):
...         response = await super().http_request_handler(request)
...         response.headers["X-Server"] = "counting"
...         return response
>>> app.run(protocol=Counting)

Rules of this file:

- The hook runs in a task beside the request: from the outermost request middleware until it calls its parent,
  and from the last response middleware until its end. So it meets every answer, error pages and streams too.
- One object of the class per connection, as long as the connection.
- An app without such a class pays nothing: the two middlewares are there only with one.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from vivace.errors import ConfigError, ServerError
from vivace.framework.middleware import MiddlewareSpec
from vivace.framework.response import HTTPResponse

if TYPE_CHECKING:
    from vivace.framework.request import Request

__all__ = ["HttpProtocol", "WebSocketProtocol", "use_protocol"]

_OUTERMOST: Final = 1 << 29


class HttpProtocol:
    """A connection, as far as programs may take part in it.

    Args:
        loop: The running loop.
        app: The app.
        signal: Kept for its name.
        connections: The same.
        state: The same.
        unix: The same.
        options: The same.

    Attributes:
        app: The app.
        loop: The running loop.
        logger: The app's logger.
        state: A dict for what belongs to the connection.
    """

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        app: Any,
        signal: Any = None,
        connections: Any = None,
        state: dict[str, Any] | None = None,
        unix: str | None = None,
        **options: Any,
    ) -> None:
        self.app = app
        self.loop = loop
        self.logger: logging.Logger = app.logger
        self.signal = signal
        self.connections = connections if connections is not None else set()
        self.state = state if state is not None else {}
        self.unix = unix
        self._calls: dict[int, _Call] = {}

    async def http_request_handler(self, request: "Request") -> Any:
        """Answer a request: override it, and call it by ``super()`` for the app's answer.

        What the overriding method returns is sent; fields may be changed until then, also those of a response
        whose body is a stream.

        Raises:
            ServerError: It was called for a request that has been answered.
        """
        call = self._calls.get(id(request))
        if call is None:
            raise ServerError("http_request_handler() of a request that is not being answered")
        if not call.asked.done():
            call.asked.set_result(None)
        return await asyncio.shield(call.answer)


class WebSocketProtocol(HttpProtocol):
    """The same for connections that may become WebSockets, which all may here."""

    def __init__(
        self,
        *args: Any,
        websocket_timeout: float = 10.0,
        websocket_max_size: int | None = None,
        websocket_ping_interval: float | None = 20.0,
        websocket_ping_timeout: float | None = 20.0,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.websocket_timeout = websocket_timeout
        self.websocket_max_size = websocket_max_size
        self.websocket_ping_interval = websocket_ping_interval
        self.websocket_ping_timeout = websocket_ping_timeout


class _Call:
    """A request under way between the hook and the app."""

    __slots__ = ("answer", "asked", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.asked: asyncio.Future[None] = loop.create_future()
        self.answer: asyncio.Future[HTTPResponse] = loop.create_future()
        self.task: asyncio.Task[Any] | None = None

    def end(self, _: object) -> None:
        """The request is over, however it ended."""
        self.answer.cancel()
        self.asked.cancel()
        if self.task is not None and not self.task.done():
            self.task.cancel()


def use_protocol(app: Any, kind: Any, state: dict[str, Any] | None = None) -> None:
    """Let the requests of an app go through the hook of a protocol class.

    Args:
        app: The app.
        kind: `HttpProtocol` or a subclass; one that overrides nothing changes nothing.
        state: A dict that all connections share; one each if None.

    Raises:
        ConfigError: It is no subclass of `HttpProtocol`.
    """
    if not (isinstance(kind, type) and issubclass(kind, HttpProtocol)):
        raise ConfigError(f"protocol={kind!r}: expected a subclass of HttpProtocol")
    others = [
        spec for spec in app.middleware_specs if isinstance(getattr(spec.function, "__self__", None), _Hook)
    ]
    for spec in others:  # of an earlier run
        app.middleware_specs.remove(spec)
    if kind.http_request_handler is HttpProtocol.http_request_handler:
        return
    hook = _Hook(app, kind, state)
    app.middleware_specs.insert(0, MiddlewareSpec(hook.before, "request", _OUTERMOST))
    app.middleware_specs.insert(0, MiddlewareSpec(hook.after, "response", -_OUTERMOST))
    app.changed()


class _Hook:
    """The two middlewares."""

    def __init__(self, app: Any, kind: type[HttpProtocol], state: dict[str, Any] | None) -> None:
        self._app = app
        self._kind = kind
        self._state = state

    async def before(self, request: "Request") -> Any:
        """Run the hook until it wants the app's answer, or has one of its own."""
        protocol = self._protocol(request)
        call = _Call(protocol.loop)
        protocol._calls[id(request)] = call
        call.task = protocol.loop.create_task(protocol.http_request_handler(request))
        current = asyncio.current_task()
        if current is not None:
            current.add_done_callback(call.end)
            current.add_done_callback(lambda _: protocol._calls.pop(id(request), None))
        await asyncio.wait((call.task, call.asked), return_when=asyncio.FIRST_COMPLETED)
        if not call.task.done():
            return None
        del protocol._calls[id(request)]
        answer = call.task.result()
        if answer is None:
            raise ServerError(f"{self._kind.__name__}.http_request_handler() returned no response")
        return answer

    async def after(self, request: "Request", response: HTTPResponse) -> Any:
        """Give the hook the app's answer and take its own."""
        protocol = self._protocol(request)
        call = protocol._calls.pop(id(request), None)
        if call is None or call.task is None:
            return None
        call.answer.set_result(response)
        return await call.task

    def _protocol(self, request: "Request") -> HttpProtocol:
        """The object of the request's connection."""
        stream = request._transport
        if not isinstance(stream.memo, HttpProtocol):
            loop = asyncio.get_running_loop()
            stream.memo = self._kind(loop=loop, app=self._app, connections=set(), state=self._state)
        return stream.memo
