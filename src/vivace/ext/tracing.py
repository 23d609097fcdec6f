"""OpenTelemetry: a span for each request, and how long requests take, by the HTTP semantic conventions.

How to use it: ``Tracing(app)`` once, before the app is served. Where spans go is the business of the
OpenTelemetry SDK, which the program sets up, be it after this; until there is one nothing is done.

Rules of this file:

- An app that is not traced pays nothing; opentelemetry is imported when a `Tracing` is made.
- No query and no field that may hold secrets becomes an attribute.
- What the program does in a handler belongs to the span: it is the current one.
- What proxies say of a client counts where the app believes them, and nowhere else.
- Follows the OpenTelemetry semantic conventions for HTTP (stable), W3C Trace Context.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import vivace
from vivace.errors import ClientDisconnected, HTTPException
from vivace.ext.errors import InitError
from vivace.framework.forwarded import split_host
from vivace.framework.mount import MountTable
from vivace.framework.request import Request
from vivace.protocols.events import RequestReceived
from vivace.protocols.stream import Stream

if TYPE_CHECKING:
    from vivace.framework.app import Vivace

__all__ = ["BUCKETS", "Tracing"]

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds at which the histogram of durations is divided; the conventions advise these."""
SCHEMA: Final = "https://opentelemetry.io/schemas/1.30.0"
"""The version of the conventions whose names are used."""
_METHODS: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
_OTHER: Final = "_OTHER"
_PORTS: Final = {"http": 80, "https": 443}
_EAGERLY: Final = 100
"""So many requests look whether there is an SDK by now; after that each hundredth does."""
_errors: "ContextVar[list[BaseException] | None]" = ContextVar("vivace_tracing_errors", default=None)
"""The exceptions of the request that the running code belongs to."""


class Tracing:
    """Traces the requests of an app.

    Args:
        app: Not served yet.
        tracer_provider: Makes spans; None: the global one.
        meter_provider: Measures; None: the global one.
        excluded: Paths that are neither traced nor measured, such as those of probes.

    Raises:
        InitError: opentelemetry-api is not installed.
    """

    def __init__(
        self,
        app: "Vivace[Any, Any]",
        *,
        tracer_provider: Any = None,
        meter_provider: Any = None,
        excluded: Collection[str] = (),
    ) -> None:
        try:
            from opentelemetry import context, metrics, propagate, trace
        except ImportError as error:
            raise InitError('Tracing needs opentelemetry: pip install "vivace[otel]"') from error
        self._app = app
        self._api, self._context = trace, context
        self._probes = (
            lambda: (tracer_provider or trace.get_tracer_provider()).get_tracer("vivace"),
            lambda: (meter_provider or metrics.get_meter_provider()).get_meter("vivace"),
        )
        self._on = False
        self._asked = 0
        self._noted: Any = None
        self._extract: Any = propagate.extract
        self._tracer = trace.get_tracer(
            "vivace", vivace.__version__, tracer_provider=tracer_provider, schema_url=SCHEMA
        )
        meter = metrics.get_meter("vivace", vivace.__version__, meter_provider, SCHEMA)
        self._duration = meter.create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._observe = metrics.Observation
        self._active: dict[tuple[str, str], int] = {}
        meter.create_observable_up_down_counter(
            "http.server.active_requests",
            [self._tell_active],
            unit="{request}",
            description="Number of active HTTP server requests.",
        )
        self._excluded = frozenset(path.encode() for path in excluded)
        app.handle_stream = self._around_handle(app.handle_stream)
        app.answer_stream = self._around_answer(app.answer_stream)

    def _around_handle(
        self, handle: Callable[[Stream], Coroutine[Any, Any, None]]
    ) -> Callable[[Stream], Coroutine[Any, Any, None]]:
        def traced(stream: Stream) -> Coroutine[Any, Any, None]:
            if (self._on or self._is_due()) and stream.head.path not in self._excluded:
                return self._trace(stream, handle(stream))
            return handle(stream)

        return traced

    def _around_answer(
        self, answer: Callable[[MountTable, Stream], Coroutine[Any, Any, None] | None]
    ) -> Callable[[MountTable, Stream], Coroutine[Any, Any, None] | None]:
        def traced(mounts: MountTable, stream: Stream) -> Coroutine[Any, Any, None] | None:
            work = answer(mounts, stream)
            if work is None:  # threads of a mounted app answer
                return work
            if (self._on or self._is_due()) and stream.head.path not in self._excluded:
                return self._trace(stream, work)
            return work

        return traced

    def _is_due(self) -> bool:
        """Whether there is an SDK by now: it is often set up in a listener, after the fork."""
        self._asked += 1
        if self._asked <= _EAGERLY or not self._asked % _EAGERLY:
            self._on = any(_is_real(probe()) for probe in self._probes)
        return self._on

    async def _trace(self, stream: Stream, work: Awaitable[None]) -> None:
        head = stream.head
        request = self._app.request_class(self._app, stream, None, {})
        method = head.method if head.method in _METHODS else _OTHER
        brief: dict[str, Any] = {"http.request.method": method, "url.scheme": request.scheme}
        lasting: dict[str, Any] = {"network.protocol.version": head.http_version}
        route = self._route_of(stream)
        if route:
            lasting["http.route"] = route
        name = "HTTP" if method is _OTHER else method
        came = self._extract(head, getter=_Fields())
        span = self._tracer.start_span(
            f"{name} {route}" if route else name,
            context=came,
            kind=self._api.SpanKind.SERVER,
            attributes={**brief, **lasting, **_about(request, method)},
        )
        errors: list[BaseException] = []
        self._note_errors()
        token = self._context.attach(self._api.set_span_in_context(span, came))
        _errors.set(errors)
        kind = method, brief["url.scheme"]
        self._active[kind] = self._active.get(kind, 0) + 1
        began = time.perf_counter()
        try:
            await work
        except BaseException as error:
            errors.append(error)
            raise
        finally:
            self._active[kind] -= 1
            seen = _outcome(stream, errors)
            if seen.get("http.response.status_code") != 101:  # a WebSocket lives as long as it likes
                self._duration.record(time.perf_counter() - began, {**brief, **lasting, **seen})
            self._context.detach(token)
            self._end(span, seen, errors)

    def _end(self, span: Any, seen: dict[str, Any], errors: list[BaseException]) -> None:
        span.set_attributes(seen)
        if "error.type" in seen:
            if errors and isinstance(errors[-1], Exception):
                span.record_exception(errors[-1])
            span.set_status(self._api.StatusCode.ERROR)
        span.end()

    def _tell_active(self, _options: object) -> Iterable[Any]:
        """The requests in progress, when somebody collects; to count them up and down is dear."""
        for (method, scheme), count in list(self._active.items()):
            yield self._observe(count, {"http.request.method": method, "url.scheme": scheme})

    def _note_errors(self) -> None:
        """Hear of the exceptions that the app makes answers of; it may have got another handler of them."""
        handler = self._app.error_handler
        if handler is not self._noted:
            self._noted = handler
            vars(handler).update(answer=_noting(handler.answer), late=_noting(handler.late))

    def _route_of(self, stream: Stream) -> str:
        """The route as it was declared: few values where paths have many. Empty if there is none."""
        head = stream.head
        found = self._app.router.find(head.path, head.method, head.host)
        return found.uri if found is not None else ""


class _Fields:
    """Reads the fields of a head for a propagator."""

    def get(self, carrier: RequestReceived, key: str) -> list[str] | None:
        """The values of a field; None if there is none, or two where one must say it (W3C Trace Context)."""
        name = key.lower().encode("latin-1", "replace")
        found = [value.decode("latin-1") for field, value in carrier.fields() if field == name]
        return None if name == b"traceparent" and len(found) > 1 else found or None

    def keys(self, carrier: RequestReceived) -> list[str]:
        """The names of all fields."""
        return [name.decode("latin-1") for name, _ in carrier.fields()]


def _noting(tell: Callable[[Request, Any], Any]) -> Callable[[Request, Any], Any]:
    """What hears of an exception, and keeps it for the span of its request."""

    def note(request: Request, exception: Any) -> Any:
        errors = _errors.get()
        if errors is not None:
            errors.append(exception)
        return tell(request, exception)

    return note


def _is_real(tool: object) -> bool:
    """Whether a tracer or meter is more than one of the API's own, which only stand in for one."""
    return not type(tool).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))


def _about(request: Request, method: str) -> dict[str, Any]:
    """The attributes that are known when a request arrives, beside those of measurements."""
    found: dict[str, Any] = {"url.path": request.path}
    host, port = split_host(request.host)
    if host:
        found["server.address"] = host.strip("[]")
        found["server.port"] = port or _PORTS.get(request.scheme, 0)
    if request.ip:
        found["network.peer.address"] = request.ip
        found["network.peer.port"] = request.port
    if request.client_ip:
        found["client.address"] = request.client_ip
    if agent := request.headers.get("user-agent"):
        found["user_agent.original"] = agent
    if method is _OTHER:
        found["http.request.method_original"] = request.head.method
    return found


def _outcome(stream: Stream, errors: list[BaseException]) -> dict[str, Any]:
    """The status, and what went wrong, if anything did.

    That is an exception of the program by its class, else the status; or that the client left before it had
    an answer.
    """
    status = int(getattr(stream, "status", 0))
    found: dict[str, Any] = {"http.response.status_code": status} if status else {}
    error = errors[-1] if errors else None
    if status != 101 and not stream.complete and stream.disconnected:
        found["error.type"] = _class_of(ClientDisconnected)
    elif error is not None and not isinstance(error, HTTPException):
        if status >= 500 or status == 101 or not stream.complete:
            found["error.type"] = _class_of(type(error))
    elif status >= 500:
        found["error.type"] = str(status)
    return found


def _class_of(kind: type) -> str:
    """The name of a class as the conventions want it: in full, but for those that Python has itself."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
