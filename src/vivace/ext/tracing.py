"""OpenTelemetry: a span for each request, and how long requests take, by the HTTP semantic conventions.

How to use it: ``Tracing(app)`` once, before the app is served. Where spans go is the business of the
OpenTelemetry SDK, which the program sets up, be it after this; until there is one nothing is done.

Rules of this file:

- An app that is not traced pays nothing; opentelemetry is imported when a `Tracing` is made.
- No query and no field that may hold secrets becomes an attribute.
- What the program does in a handler belongs to the span: it is the current one.
- Follows the OpenTelemetry semantic conventions for HTTP (stable), W3C Trace Context.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import TYPE_CHECKING, Any, Final

from vivace.ext.errors import InitError
from vivace.framework.mount import MountTable
from vivace.protocols.stream import Stream

if TYPE_CHECKING:
    from vivace.framework.app import Vivace

__all__ = ["BUCKETS", "Tracing"]

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds at which the histogram of durations is divided; the conventions advise these."""
_METHODS: Final = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"))
_OTHER: Final = "_OTHER"


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
            from opentelemetry import metrics, propagate, trace
        except ImportError as error:
            raise InitError('Tracing needs opentelemetry: pip install "vivace[otel]"') from error
        self._app = app
        self._api = trace
        self._providers = (
            lambda: tracer_provider or trace.get_tracer_provider(),
            lambda: meter_provider or metrics.get_meter_provider(),
        )
        self._on = False
        self._extract = propagate.extract
        self._tracer = trace.get_tracer("vivace", tracer_provider=tracer_provider)
        meter = metrics.get_meter("vivace", meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._active = meter.create_up_down_counter(
            "http.server.active_requests",
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
            work = handle(stream)
            return self._trace(stream, work) if self._wants(stream) else work

        return traced

    def _around_answer(
        self, answer: Callable[[MountTable, Stream], Coroutine[Any, Any, None] | None]
    ) -> Callable[[MountTable, Stream], Coroutine[Any, Any, None] | None]:
        def traced(mounts: MountTable, stream: Stream) -> Coroutine[Any, Any, None] | None:
            work = answer(mounts, stream)
            if work is None or not self._wants(stream):  # None: threads of a mounted app answer
                return work
            return self._trace(stream, work)

        return traced

    def _wants(self, stream: Stream) -> bool:
        """Whether somebody wants to know of a request."""
        if not self._on:  # asked again each time: an SDK is often set up in a listener, after the fork
            self._on = any(_is_real(provider()) for provider in self._providers)
        return self._on and stream.head.path not in self._excluded

    async def _trace(self, stream: Stream, work: Awaitable[None]) -> None:
        head = stream.head
        method = head.method if head.method in _METHODS else _OTHER
        brief: dict[str, Any] = {"http.request.method": method, "url.scheme": stream.scheme}
        route = self._route_of(stream)
        name = "HTTP" if method is _OTHER else method
        fields = {key.decode("latin-1"): value.decode("latin-1") for key, value in head.fields()}
        span = self._tracer.start_span(
            f"{name} {route}" if route else name,
            context=self._extract(fields),
            kind=self._api.SpanKind.SERVER,
            attributes={**brief, **_about(stream, fields, route, method)},
        )
        self._active.add(1, brief)
        began = time.perf_counter()
        try:
            with self._api.use_span(span, end_on_exit=False):
                await work
        finally:
            self._active.add(-1, brief)
            seen = {**brief, "network.protocol.version": head.http_version, **_outcome(stream)}
            if route:
                seen["http.route"] = route
            self._duration.record(time.perf_counter() - began, seen)
            span.set_attributes(_outcome(stream))
            if "error.type" in seen:
                span.set_status(self._api.StatusCode.ERROR)
            span.end()

    def _route_of(self, stream: Stream) -> str:
        """The route as it was declared: few values where paths have many. Empty if there is none."""
        head = stream.head
        found = self._app.router.find(head.path, head.method, head.host)
        return found.uri if found is not None else ""


def _is_real(provider: object) -> bool:
    """Whether a provider is more than the API's own, which only stand in for one."""
    return not type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))


def _about(stream: Stream, fields: dict[str, str], route: str, method: str) -> dict[str, Any]:
    """The attributes that are known when a request arrives."""
    head = stream.head
    found: dict[str, Any] = {
        "url.path": head.path.decode("latin-1"),
        "network.protocol.version": head.http_version,
    }
    host, _, port = head.host.decode("latin-1").partition(":") if head.host else ("", "", "")
    if host and not host.startswith("["):
        found["server.address"] = host
        if port.isdigit():
            found["server.port"] = int(port)
    if stream.client:
        found["client.address"] = str(stream.client[0])
    if agent := fields.get("user-agent"):
        found["user_agent.original"] = agent
    if route:
        found["http.route"] = route
    if method is _OTHER:
        found["http.request.method_original"] = head.method
    return found


def _outcome(stream: Stream) -> dict[str, Any]:
    """The status, and what went wrong; a client that left before an answer has neither."""
    status = int(getattr(stream, "status", 0))
    found: dict[str, Any] = {"http.response.status_code": status} if status else {}
    return {**found, "error.type": str(status)} if status >= 500 else found
