"""The greeting, traced: by OpenTelemetry's API alone, or with an SDK that forgets the spans (``SDK=1``)."""

import os
from collections.abc import Sequence

from vivace import Request, Vivace, text
from vivace.ext.tracing import Tracing

app = Vivace("traced")

if os.environ.get("SDK"):
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        """Takes spans and forgets them."""

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(Nowhere()))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))

Tracing(app)


@app.get("/")
async def hello(request: Request) -> object:
    return text("Hello, World!")
