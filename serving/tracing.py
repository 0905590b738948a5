"""Traces (OpenTelemetry): a span a request, and within it one a stage: read, queue, graph, answer.

Attributes are counts, and the route, method and status, which are few. FastAPI's ready-made instrumentation is not used: it
writes down addresses, queries and user agents as they were sent. For the same reason only ``traceparent`` is taken over from
a caller, which is hexadecimal, and not ``tracestate`` or ``baggage``, which are anything.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING

from opentelemetry.trace import NoOpTracerProvider, Span, SpanKind, StatusCode, get_current_span, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from serving.batching import Job
from serving.errors import SettingsError
from serving.settings import ServingSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

log = logging.getLogger("signaal.serve")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
TRACEPARENT = "traceparent"
SERVER_ERROR = 500


class Tracing:
    """Makes the spans of one application.

    Args:
        provider: where they go; nowhere when None.
    """

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        self._provider = provider
        self._tracer = (provider or NoOpTracerProvider()).get_tracer("signaal")

    @contextmanager
    def request(self, traceparent: str) -> Iterator[Span]:
        """The span of a request, current as long as it lasts; ``traceparent`` (W3C) may make it part of the caller's trace."""
        context = TraceContextTextMapPropagator().extract({TRACEPARENT: traceparent})
        span = self._tracer.start_span("request", context, SpanKind.SERVER)
        # An error's message may hold a text.
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            yield span

    def stages(self, job: Job, model: str) -> None:
        """The spans of a job, once it is over, within the current span. Stages that it did not come to have none."""
        if not get_current_span().is_recording():
            return
        to_epoch = time.time() - time.monotonic()
        counts = {"signaal.texts": len(job.texts), "signaal.windows": len(job.windows)}
        for name, began, ended in job.stages():
            span = self._tracer.start_span(
                name,
                start_time=_nanoseconds(began + to_epoch),
                attributes={**counts, "signaal.tokens": sum(map(len, job.windows)), "signaal.model": model},
            )
            span.end(_nanoseconds(ended + to_epoch))

    def stop(self) -> None:
        """Send what is left. May take seconds."""
        if self._provider is not None:
            self._provider.shutdown()


def describe(span: Span, method: str, route: str, status: int, ads: int) -> None:
    """What is known of a request at its end."""
    span.update_name(f"{method} {route}")
    span.set_attributes(
        {"http.request.method": method, "http.route": route, "http.response.status_code": status, "signaal.ads": ads}
    )
    if status >= SERVER_ERROR:
        span.set_status(StatusCode.ERROR)


def open_tracing(settings: ServingSettings) -> Tracing:
    """Traces as the settings and OpenTelemetry's own variables ask for.

    Raises:
        SettingsError: they are asked for, and the extra is not installed.
    """
    asked_elsewhere = any(os.environ.get(name) for name in ENDPOINTS)
    if settings.tracing == "off" or (settings.tracing == "auto" and not asked_elsewhere):
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        missing = "Traces need the extra 'tracing': from a checkout, pip install '.[tracing]'"
        if settings.tracing == "on":
            raise SettingsError(f"SIGNAAL_SERVE_TRACING: {missing}, or set it to off.") from error
        log.warning("No traces are sent, though %s is set. %s.", " or ".join(ENDPOINTS), missing)
        return Tracing()
    return Tracing(provider_with(BatchSpanProcessor(OTLPSpanExporter())))


def provider_with(processor: "SpanProcessor") -> "TracerProvider":
    """A provider of this application's own: MLflow has another in the same process."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    resource = Resource.create({"service.name": "signaal", "service.version": metadata.version("signaal")})
    # By hand, and not at exit: a process that ends by a signal runs no exit handlers.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
