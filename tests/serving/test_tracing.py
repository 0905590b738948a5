"""Spans of a request and its stages, as an exporter gets them."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from models.runtime import Scorer
from serving.app import create_app
from serving.errors import SettingsError
from serving.settings import ServingSettings
from serving.tracing import ENDPOINTS, Tracing, open_tracing, provider_with
from tests.serving.conftest import Fussy, only, wait_until_ready

ROOT = Path(__file__).parents[2]
SECRET = "geheimtekst"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
STAGES = ["read", "queue", "graph", "answer"]


@contextmanager
def traced(scorer: Scorer) -> Iterator[tuple[TestClient, Callable[[], list[ReadableSpan]]]]:
    """An application, and what gives the spans that it has finished since the last look."""
    exporter = InMemorySpanExporter()
    tracing = Tracing(provider_with(SimpleSpanProcessor(exporter)))

    def take() -> list[ReadableSpan]:
        spans = list(exporter.get_finished_spans())
        exporter.clear()
        return spans

    with TestClient(create_app(only(lambda: scorer), ServingSettings(), tracing=tracing)) as client:
        wait_until_ready(client)
        take()
        yield client, take


def test_a_request_is_a_span_with_its_stages_in_order_within(eager_scorer: Scorer) -> None:
    with traced(eager_scorer) as (client, take):
        texts = ["Je paspoort blijft hier.", "word " * 400]
        windows = eager_scorer.runner.window_maker.windows(texts)
        ads = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
        client.post("/v1/score", json={"ads": ads, "evidence": False})
        spans = take()
    (request,) = [one for one in spans if one.parent is None]
    stages = sorted((one for one in spans if one.parent is not None), key=lambda one: (one.start_time, one.end_time))
    assert request.name == "POST /v1/score"
    assert request.attributes is not None
    assert dict(request.attributes) == {
        "http.request.method": "POST",
        "http.route": "/v1/score",
        "http.response.status_code": 200,
        "signaal.ads": 2,
    }
    assert sorted(one.name for one in stages) == sorted(STAGES)
    ordered = [next(one for one in stages if one.name == name) for name in STAGES]
    for one, following in itertools.pairwise(ordered):
        assert one.end_time == following.start_time
    for one in ordered:
        assert one.parent is not None
        assert one.parent.span_id == request.context.span_id
        assert one.attributes is not None
        assert one.attributes["signaal.texts"] == 2
        assert one.attributes["signaal.windows"] == len(windows) > 2
        assert one.attributes["signaal.tokens"] == sum(map(len, windows))
    assert request.start_time is not None
    assert ordered[0].start_time is not None
    slack = 2_000_000  # two clocks: 2 ms
    assert request.start_time <= ordered[0].start_time + slack


def test_every_line_of_a_stream_has_its_stages_in_the_span_of_the_stream(eager_scorer: Scorer) -> None:
    with traced(eager_scorer) as (client, take):
        body = '{"text": "One ad."}\n{"text": "And quite another."}\n'
        client.post("/v1/score/stream", content=body, headers={"Content-Type": "application/x-ndjson"})
        spans = take()
    (request,) = [one for one in spans if one.parent is None]
    assert request.attributes is not None
    assert request.attributes["signaal.ads"] == 2
    assert sorted(one.name for one in spans if one.parent) == sorted(STAGES * 2)


def test_the_callers_trace_goes_on_and_nothing_else_of_it_is_taken(eager_scorer: Scorer) -> None:
    with traced(eager_scorer) as (client, take):
        headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "tracestate": f"x={SECRET}", "baggage": f"a={SECRET}"}
        client.get("/v1/model", headers=headers)
        (one,) = take()
        client.get("/v1/model", headers={"traceparent": SECRET})
        (other,) = take()
    assert f"{one.context.trace_id:032x}" == TRACE
    assert f"{other.context.trace_id:032x}" != TRACE
    assert SECRET not in one.to_json() + other.to_json()


def test_an_error_is_a_status_without_its_words(eager_scorer: Scorer) -> None:
    with traced(Fussy(eager_scorer, lambda text: SECRET in text)) as (client, take):
        assert client.post("/v1/score", json={"ads": [{"id": "a", "text": SECRET}]}).status_code == 500
        spans = take()
    (request,) = [one for one in spans if one.parent is None]
    assert request.status.status_code is StatusCode.ERROR
    assert [one.name for one in spans if one.parent] == STAGES[:3], "no answer was made"
    assert SECRET not in "".join(one.to_json() for one in spans)
    assert not any(one.events for one in spans)


@pytest.fixture
def no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_endpoint")
def test_traces_are_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def sends(**settings: str) -> bool:
        tracing = open_tracing(ServingSettings(**settings))  # type: ignore[arg-type]
        with tracing.request("") as span:
            recorded = span.is_recording()
            if recorded:
                span._readable_span()  # type: ignore[attr-defined]
        return recorded

    assert not sends()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert sends()
    assert not sends(tracing="off")


def without_extra(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run code in a Python in which the exporter cannot be imported."""
    hide = "import sys; sys.modules['opentelemetry.exporter.otlp.proto.http.trace_exporter'] = None\n"
    return subprocess.run(
        [sys.executable, "-c", hide + code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
        env=os.environ | environment,
    )


def test_without_the_extra_asking_for_traces_is_an_error_that_says_what_to_install() -> None:
    ended = without_extra(
        "import sys; sys.argv = ['signaal-serve', 'api', '--port', '0']\nfrom serving.cli import main; main()",
        SIGNAAL_SERVE_TRACING="on",
    )
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: SIGNAAL_SERVE_TRACING: ")
    assert "pip install '.[tracing]'" in line


def test_without_the_extra_a_variable_meant_for_others_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with open_tracing(ServingSettings()).request("") as span:
        assert not span.is_recording()
    assert "pip install '.[tracing]'" in caplog.text
    with pytest.raises(SettingsError, match="need the extra"):
        open_tracing(ServingSettings(tracing="on"))


def test_what_is_sent_over_otlp_reaches_a_collector(eager_scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real exporter and a real HTTP server, as far as the bytes."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    settings = ServingSettings()
    with TestClient(create_app(only(lambda: eager_scorer), settings, tracing=open_tracing(settings))) as client:
        wait_until_ready(client)
        client.post("/v1/score", json={"ads": [{"id": SECRET, "text": SECRET}], "evidence": False})
    server.shutdown()
    names: list[str] = []
    for path, body in received:
        assert path == "/v1/traces"
        assert SECRET.encode() not in body
        message = ExportTraceServiceRequest.FromString(body)
        names += [span.name for resource in message.resource_spans for scope in resource.scope_spans for span in scope.spans]
    assert set(names) >= {"POST /v1/score", *STAGES}, json.dumps(names)
