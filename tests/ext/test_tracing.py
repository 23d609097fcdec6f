"""Spans and measurements of requests, as an SDK gets them and as a collector does."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from vivace import Request, Vivace
from vivace.ext.errors import InitError
from vivace.ext.tracing import Tracing
from vivace.testing import SyncClient

pytest.importorskip("opentelemetry.sdk", reason="the SDK of OpenTelemetry is not installed")

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode


class Traced:
    """An app with an SDK of its own."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.app = make_app()
        meters = MeterProvider([self.reader])
        Tracing(self.app, tracer_provider=self.tracers, meter_provider=meters, excluded=["/probe"])

    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def points(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        assert data is not None
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
    assert found.pop("client.address", None)
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
    assert (failed.attributes or {})["error.type"] == "500"
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
    assert by_status[500].attributes["error.type"] == "500"
    assert 0 < by_status[200].sum < 5
    assert by_status[200].explicit_bounds[0] == 0.005
    assert sum(p.value for p in points["http.server.active_requests"]) == 0


def test_without_an_sdk_nothing_is_done() -> None:
    app = make_app()
    Tracing(app, tracer_provider=trace.NoOpTracerProvider())
    fields = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    with SyncClient(app) as client:
        assert client.get("/think", headers=fields).json["trace"] == "0" * 32


def test_without_the_api_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry", None)
    with pytest.raises(InitError, match=r"vivace\[otel\]"):
        Tracing(make_app())


def test_a_collector_gets_the_spans() -> None:
    exporters = pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        provider = TracerProvider()
        address = f"http://127.0.0.1:{server.server_port}/v1/traces"
        provider.add_span_processor(BatchSpanProcessor(exporters.OTLPSpanExporter(address, compression=None)))
        app = make_app()
        Tracing(app, tracer_provider=provider)
        with SyncClient(app) as client:
            client.get("/shop/7")
        provider.shutdown()
        server.shutdown()
        thread.join()
    message = ExportTraceServiceRequest.FromString(b"".join(bodies))
    (span,) = message.resource_spans[0].scope_spans[0].spans
    assert span.name.startswith("GET /shop/<number")
    assert {"key": "url.path", "value": "/shop/7"} in [
        {"key": one.key, "value": one.value.string_value} for one in span.attributes
    ]
