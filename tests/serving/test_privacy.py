"""Nothing that a caller sends is in the log, the metrics or the traces: every route, every field."""

import json
import logging
import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.routing import Mount, Route

from models.runtime import Scorer
from serving.app import create_app
from serving.logs import formatter
from serving.settings import ServingSettings
from serving.tracing import Tracing, provider_with
from tests.serving.conftest import Fussy, only, wait_until_ready

SECRET = "geheimtekst"
LETTERS = "ghm"
"""As much of a secret as fits in a language code."""

HEADERS = {
    "X-Request-ID": f"{SECRET} with a space",
    "User-Agent": SECRET,
    "Referer": f"http://{SECRET}/",
    "Cookie": f"{SECRET}={SECRET}",
    "Authorization": f"Bearer {SECRET}",
    "X-Forwarded-For": SECRET,
    "Accept-Language": SECRET,
    "Prefer": f"wait=5, {SECRET}",
    "traceparent": SECRET,
    "tracestate": f"{SECRET}={SECRET}",
    "baggage": f"{SECRET}={SECRET}",
    f"X-{SECRET}": SECRET,
}
SCORED = {"ads": [{"id": SECRET, "text": f"Een {SECRET}.", "language": LETTERS}]}
BODIES = [
    SCORED,
    {"ads": [{"id": SECRET, "text": f"Poison {SECRET}."}]},
    {"ads": [{"id": SECRET, "text": [SECRET], SECRET: SECRET}], SECRET: SECRET},
    {"ads": SECRET, "indicators": [SECRET], "evidence": SECRET, "model": SECRET},
    {"ads": [{"id": "a", "text": "b"}], "indicators": [SECRET]},
    [SECRET],
    SECRET,
]


def addresses(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and address of every route; what is added later is driven, too."""
    for route in app.routes:
        if isinstance(route, Mount):
            yield "GET", f"{route.path}/{SECRET}"
        elif isinstance(route, Route):
            for method in route.methods or {"GET"}:
                yield method, re.sub(r"\{.*?\}", SECRET, route.path)
    yield "GET", f"/{SECRET}"
    yield SECRET.upper(), "/v1/score"


def drive(client: TestClient) -> int:
    """Send the secret everywhere; returns how many requests were made."""
    made = 0
    for method, path in addresses(client.app):  # type: ignore[arg-type]
        for query in ("", f"?{SECRET}={SECRET}&indicators={SECRET}&model={SECRET}&order={SECRET}"):
            client.request(method, path + query, headers=HEADERS)
            made += 1
            for media_type in ("application/json", "application/x-ndjson", f"text/{SECRET}; charset={SECRET}"):
                for body in (*[json.dumps(one).encode() for one in BODIES], f'{{"text": "{SECRET}'.encode() + b"\xff"):
                    client.request(method, path + query, content=body, headers=HEADERS | {"Content-Type": media_type})
                    made += 1
    lines = b"".join(
        json.dumps(one).encode() + b"\n" for one in ({"text": SECRET, "id": SECRET}, {"text": f"Poison {SECRET}"}, SECRET)
    )
    client.post("/v1/score/stream", content=lines, headers=HEADERS | {"Content-Type": "application/x-ndjson"})
    return made + 1


def test_nothing_sent_is_in_log_metrics_or_traces(
    eager_scorer: Scorer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    exporter = InMemorySpanExporter()
    tracing = Tracing(provider_with(SimpleSpanProcessor(exporter)))
    scorer = Fussy(eager_scorer, lambda text: "Poison" in text)
    with TestClient(create_app(only(lambda: scorer), ServingSettings(), tracing=tracing)) as client:
        wait_until_ready(client)
        made = drive(client)
        metrics = client.get("/metrics").text
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]  # the caller's own
    access = [record for record in ours if record.name == "signaal.access"]
    assert len(access) > made > 200
    assert {record.status for record in access} >= {200, 404, 405, 415, 422, 500}  # type: ignore[attr-defined]
    spans = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert '"name": "graph"' in spans
    logged = "\n".join(formatter(form).format(record) for record in ours for form in ("json", "text"))  # type: ignore[arg-type]
    assert "unforeseen RuntimeError" in logged
    assert 'signaal_ads_total{language="other"' in metrics
    for where, what in {"log": logged, "metrics": metrics, "traces": spans, "output": "".join(capfd.readouterr())}.items():
        assert SECRET not in what.lower(), where
        assert f'"{LETTERS}"' not in what, where
