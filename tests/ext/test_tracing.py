"""Spans and measurements of requests, as an SDK gets them and as a collector does."""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.supervisor.serving import until
from vivace import Request, ServiceUnavailable, Vivace, Websocket
from vivace.config.redact import Redaction
from vivace.errors import WebsocketClosed
from vivace.ext.errors import InitError
from vivace.ext.tracing import BUCKETS, SCHEMA, Tracing
from vivace.server.logs.schema import fields_of
from vivace.testing import SyncClient, live

pytest.importorskip("opentelemetry.sdk", reason="the SDK of OpenTelemetry is not installed")

from opentelemetry import baggage, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode


class Traced:
    """An app with an SDK of its own."""

    def __init__(self, **settings: object) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.app = make_app()
        self.app.config.update(settings)
        meters = MeterProvider([self.reader])
        Tracing(self.app, tracer_provider=self.tracers, meter_provider=meters, excluded=["/probe"])

    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def points(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        (scope,) = data.resource_metrics[0].scope_metrics
        return {metric.name: list(metric.data.data_points) for metric in scope.metrics}


def make_app() -> Vivace:
    app = Vivace("traced")

    @app.get("/shop/<number:int>")
    async def shop(request: Request, number: int) -> dict[str, object]:
        context = trace.get_current_span().get_span_context()
        return {"number": number, "trace": f"{context.trace_id:032x}"}

    @app.get("/think")
    def think(request: Request) -> dict[str, object]:
        return {"trace": f"{trace.get_current_span().get_span_context().trace_id:032x}"}

    @app.get("/fail")
    async def fail(request: Request) -> None:
        raise RuntimeError("as asked")

    @app.get("/busy")
    async def busy(request: Request) -> None:
        raise ServiceUnavailable("later")

    @app.get("/bag")
    async def bag(request: Request) -> dict[str, object]:
        return {"user": baggage.get_baggage("user")}

    @app.get("/stream")
    async def stream(request: Request) -> None:
        response = await request.respond(content_type="text/plain")
        for _ in range(3):
            await response.send("piece")
        if request.args.get("break"):
            raise ValueError("as asked")

    @app.get("/hold")
    async def hold(request: Request) -> None:
        await asyncio.sleep(60)

    @app.websocket("/talk")
    async def talk(request: Request, ws: Websocket) -> None:
        await ws.send(str(await ws.recv()))
        if await ws.recv() == "fail":
            raise ValueError("as asked")

    @app.get("/probe")
    async def probe(request: Request) -> dict[str, object]:
        return {}

    return app


@pytest.fixture
def traced() -> Iterator[Traced]:
    made = Traced()
    yield made
    made.tracers.shutdown()


def test_a_request_is_a_span_with_the_names_of_the_conventions(traced: Traced) -> None:
    with SyncClient(traced.app, raise_exceptions=False) as client:
        response = client.get("/shop/3?password=x", headers={"user-agent": "me/1", "host": "shop.example:81"})
        assert response.status == 200
        given = response.json["trace"]
    (span,) = traced.spans()
    assert span.name == f"GET {_route(span)}"
    assert span.kind is SpanKind.SERVER
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == given
    found = dict(span.attributes or {})
    assert found.pop("client.address", None) == found.pop("network.peer.address", None) != None  # noqa: E711
    assert found.pop("network.peer.port")
    assert found == {
        "http.request.method": "GET",
        "http.route": _route(span),
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/shop/3",
        "network.protocol.version": "1.1",
        "server.address": "shop.example",
        "server.port": 81,
        "user_agent.original": "me/1",
    }
    assert "<number" in _route(span)
    assert span.status.status_code is StatusCode.UNSET


def _route(span: ReadableSpan) -> str:
    return str((span.attributes or {})["http.route"])


def test_a_trace_that_began_elsewhere_goes_on_also_into_threads(traced: Traced) -> None:
    ours = "0af7651916cd43dd8448eb211c80319c"
    with SyncClient(traced.app, raise_exceptions=False) as client:
        fields = {"traceparent": f"00-{ours}-b7ad6b7169203331-01"}
        assert client.get("/think", headers=fields).json["trace"] == ours
        assert client.get("/think").json["trace"] != ours
    first, second = traced.spans()
    assert first.parent is not None
    assert f"{first.parent.span_id:016x}" == "b7ad6b7169203331"
    assert second.parent is None


def test_errors_unknown_paths_and_methods(traced: Traced) -> None:
    with SyncClient(traced.app, raise_exceptions=False) as client:
        assert client.get("/fail").status == 500
        assert client.get("/nowhere").status == 404
        assert client.request("BREW", "/pot").status in (404, 405, 501)
        assert client.get("/probe").status == 200
    failed, missing, odd = traced.spans()
    assert failed.status.status_code is StatusCode.ERROR
    assert (failed.attributes or {})["error.type"] == "RuntimeError"
    (event,) = failed.events
    assert event.name == "exception"
    assert (event.attributes or {})["exception.message"] == "as asked"
    assert missing.events == ()
    assert (missing.name, missing.status.status_code) == ("GET", StatusCode.UNSET)
    assert "http.route" not in (missing.attributes or {})
    assert odd.name == "HTTP"
    assert (odd.attributes or {})["http.request.method_original"] == "BREW"


def test_durations_and_requests_in_progress_are_measured(traced: Traced) -> None:
    with SyncClient(traced.app, raise_exceptions=False) as client:
        for path in ("/shop/1", "/shop/2", "/fail"):
            client.get(path)
    points = traced.points()
    by_status = {p.attributes["http.response.status_code"]: p for p in points["http.server.request.duration"]}
    assert by_status[200].count == 2
    assert by_status[500].attributes["error.type"] == "RuntimeError"
    assert 0 < by_status[200].sum < 5
    assert by_status[200].explicit_bounds[0] == 0.005
    assert sum(p.value for p in points["http.server.active_requests"]) == 0


def test_without_an_sdk_nothing_is_done() -> None:
    app = make_app()
    Tracing(app, tracer_provider=trace.NoOpTracerProvider())
    fields = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    with SyncClient(app) as client:
        assert client.get("/think", headers=fields).json["trace"] == "0" * 32


def test_an_error_that_the_app_answers_by_itself_is_told_by_its_status(traced: Traced) -> None:
    with SyncClient(traced.app, raise_exceptions=False) as client:
        assert client.get("/busy").status == 503
    (span,) = traced.spans()
    assert (span.attributes or {})["error.type"] == "503"
    assert span.status.status_code is StatusCode.ERROR


def test_an_error_handler_of_the_app_takes_nothing_from_the_span(traced: Traced) -> None:
    @traced.app.exception(RuntimeError)
    async def handle(request: Request, error: RuntimeError) -> tuple[dict[str, object], int]:
        return {"sorry": True}, 500

    with SyncClient(traced.app) as client:
        assert client.get("/fail").status == 500
    (span,) = traced.spans()
    assert (span.attributes or {})["error.type"] == "RuntimeError"


def test_a_streamed_response_is_one_span_and_one_that_breaks_off_failed(traced: Traced) -> None:
    with live(traced.app) as server, SyncClient(server.url) as client:
        assert client.get("/stream").text == "piece" * 3
        with pytest.raises(Exception):  # noqa: B017 - whatever the client makes of half a response
            client.get("/stream?break=1")
    whole, broken = traced.spans()
    assert (whole.attributes or {})["http.response.status_code"] == 200
    assert "error.type" not in (whole.attributes or {})
    assert (broken.attributes or {})["error.type"] == "ValueError"
    assert broken.status.status_code is StatusCode.ERROR


def test_a_client_that_leaves_is_told_from_an_error_of_the_program(traced: Traced) -> None:
    with live(traced.app) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
            until(lambda: any(p.value for p in traced.points().get("http.server.active_requests", ())))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        until(lambda: bool(traced.spans()))
    (span,) = traced.spans()
    found = dict(span.attributes or {})
    assert found["error.type"] == "vivace.errors.ClientDisconnected"
    assert "http.response.status_code" not in found
    assert span.events == ()
    assert sum(p.value for p in traced.points()["http.server.active_requests"]) == 0


@pytest.mark.parametrize("last", ["bye", "fail"])
@pytest.mark.parametrize("by_server", [False, True])
def test_a_websocket_is_a_span_as_long_as_it_lives_and_no_duration(
    traced: Traced, last: str, by_server: bool
) -> None:
    with ExitStack() as stack:
        target = stack.enter_context(live(traced.app)).url if by_server else traced.app
        client = stack.enter_context(SyncClient(target, raise_exceptions=False))
        with client.websocket("/talk") as ws:
            ws.send("hello")
            assert ws.recv() == "hello"
            assert traced.spans() == []
            ws.send(last)
            with pytest.raises(WebsocketClosed):
                ws.recv()
    (span,) = traced.spans()
    found = dict(span.attributes or {})
    assert (found["http.response.status_code"], found["http.route"]) == (101, "/talk")
    assert found.get("error.type") == ("ValueError" if last == "fail" else None)
    assert "http.server.request.duration" not in traced.points()


TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("fields", "goes_on"),
    [
        ([("traceparent", f"00-{TRACE}-{PARENT}-01")], True),
        ([("Traceparent", f"00-{TRACE}-{PARENT}-00")], True),
        ([("traceparent", f"cc-{TRACE}-{PARENT}-01-more")], True),
        ([("traceparent", f"00-{TRACE}-{PARENT}-01-more")], False),
        ([("traceparent", f"ff-{TRACE}-{PARENT}-01")], False),
        ([("traceparent", f"00-{'0' * 32}-{PARENT}-01")], False),
        ([("traceparent", f"00-{TRACE}-{'0' * 16}-01")], False),
        ([("traceparent", f"00-{TRACE.upper()}-{PARENT}-01")], False),
        ([("traceparent", "nonsense \xff")], False),
        ([("traceparent", "")], False),
        ([("traceparent", f"cc-{TRACE}-{PARENT}-01-" + "x" * 6000)], False),
        ([("traceparent", f"00-{TRACE}-{PARENT}-01"), ("traceparent", f"00-{'1' * 32}-{PARENT}-01")], False),
        ([("traceparent", f"00-{TRACE}-{PARENT}-01"), ("tracestate", "a=" + "b" * 6000)], True),
        ([("traceparent", f"00-{TRACE}-{PARENT}-01"), ("tracestate", "==,,\xff=")], True),
    ],
)
def test_only_a_proper_traceparent_is_gone_on_with(
    traced: Traced, fields: list[tuple[str, str]], goes_on: bool
) -> None:
    """W3C Trace Context, sections 3.2 and 3.3."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    head = f"GET /think HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n"
    with live(traced.app) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            client.sendall(head.encode("latin-1"))
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert (f'"trace":"{TRACE}"'.encode() in answer) is goes_on
        assert answer.startswith(b"HTTP/1.1 200 ")
    sampled = not fields[0][1].endswith("-00")
    assert len(traced.spans()) == int(sampled)


def test_baggage_of_the_client_reaches_the_handler(traced: Traced) -> None:
    with SyncClient(traced.app) as client:
        assert client.get("/bag", headers={"baggage": "user=me"}).json == {"user": "me"}


def test_what_a_trusted_proxy_says_of_the_client_counts() -> None:
    traced = Traced(PROXIES_COUNT=1)
    fields = {
        "x-forwarded-for": "203.0.113.9",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "[2001:db8::1]",
    }
    with SyncClient(traced.app) as client:
        client.get("/think", headers=fields)
    (span,) = traced.spans()
    found = dict(span.attributes or {})
    assert found["client.address"] == "203.0.113.9"
    assert found["network.peer.address"] != "203.0.113.9"
    assert (found["url.scheme"], found["server.address"]) == ("https", "2001:db8::1")
    assert found["server.port"] == 443
    traced.tracers.shutdown()


def test_an_sdk_that_is_switched_off_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    app = make_app()
    tracing = Tracing(app, tracer_provider=TracerProvider(), meter_provider=MeterProvider())
    with SyncClient(app) as client:
        for _ in range(3):
            client.get("/think")
    assert not tracing._on


@pytest.mark.parametrize("served", [0, 99, 100, 250])
def test_an_sdk_may_come_later(served: int, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app()
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    given: list[Any] = [trace.NoOpTracerProvider()]
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: given[0])
    tracing = Tracing(app)
    with SyncClient(app) as client:
        for _ in range(served):
            client.get("/probe")
        given[0] = provider
        for _ in range(100):
            client.get("/probe")
    assert tracing._on


def test_a_log_line_names_the_span_that_it_was_written_in() -> None:
    record = logging.makeLogRecord({"msg": "hello"})
    assert not {"trace_id", "span_id"} & fields_of(record, Redaction()).keys()
    provider = TracerProvider()
    with provider.get_tracer("test").start_as_current_span("work") as span:
        found = fields_of(record, Redaction())
    context = span.get_span_context()
    assert found["trace_id"] == f"{context.trace_id:032x}"
    assert found["span_id"] == f"{context.span_id:016x}"


def test_without_the_api_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry", None)
    with pytest.raises(InitError, match=r"vivace\[otel\]"):
        Tracing(make_app())


@contextmanager
def collecting() -> Iterator[tuple[str, dict[str, list[bytes]]]]:
    """A collector: its address, and the bodies that it got, by path."""
    bodies: dict[str, list[bytes]] = {}

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.setdefault(self.path, []).append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", bodies
        server.shutdown()
        thread.join()


def test_a_collector_gets_the_spans_and_the_measurements() -> None:
    spans = pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    metrics = pytest.importorskip("opentelemetry.exporter.otlp.proto.http.metric_exporter")
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    with collecting() as (place, bodies):
        tracers = TracerProvider()
        exporter = spans.OTLPSpanExporter(f"{place}/v1/traces", compression=None)
        tracers.add_span_processor(BatchSpanProcessor(exporter))
        reader = PeriodicExportingMetricReader(metrics.OTLPMetricExporter(f"{place}/v1/metrics"))
        meters = MeterProvider([reader])
        app = make_app()
        Tracing(app, tracer_provider=tracers, meter_provider=meters)
        with SyncClient(app) as client:
            client.get("/shop/7")
        tracers.shutdown()
        meters.shutdown()
    traces = ExportTraceServiceRequest.FromString(b"".join(bodies["/v1/traces"]))
    (scope,) = traces.resource_spans[0].scope_spans
    assert (scope.scope.name, scope.schema_url) == ("vivace", SCHEMA)
    (span,) = scope.spans
    assert span.name.startswith("GET /shop/<number")
    assert {"key": "url.path", "value": "/shop/7"} in [
        {"key": one.key, "value": one.value.string_value} for one in span.attributes
    ]
    measured = ExportMetricsServiceRequest.FromString(bodies["/v1/metrics"][0])
    found = {one.name: one for one in measured.resource_metrics[0].scope_metrics[0].metrics}
    duration = found["http.server.request.duration"]
    assert duration.unit == "s"
    (point,) = duration.histogram.data_points
    assert (point.count, tuple(point.explicit_bounds)) == (1, BUCKETS)
    assert {one.key for one in point.attributes} == {
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "network.protocol.version",
        "url.scheme",
    }
