"""What surrounds every answer, and that no log ever holds an ad."""

import logging
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from models.runtime import Scorer
from tests.serving.conftest import Fussy

OpenClient = Callable[..., TestClient]

SECRET = "geheimtekst"


def everything_logged(caplog: pytest.LogCaptureFixture) -> str:
    formatter = logging.Formatter()
    return "\n".join(formatter.format(record) for record in caplog.records)


@pytest.mark.parametrize("address", ["/", "/healthz", "/v1/indicators", "/v1/nowhere", "/openapi.json"])
def test_every_answer_has_an_id_and_safe_headers(client: TestClient, address: str) -> None:
    headers = client.get(address).headers
    assert len(headers["x-request-id"]) == 32
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("no-cache" if address == "/" else "no-store")


def test_a_callers_plain_id_is_kept_and_another_replaced(client: TestClient) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "crawl-7.3"}).headers["x-request-id"] == "crawl-7.3"
    for other in ("a b", "x" * 65, "<script>", "a/b", ""):
        assert len(client.get("/healthz", headers={"X-Request-ID": other}).headers["x-request-id"]) == 32


def test_the_access_log_holds_id_method_route_and_status_only(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    body = {"ads": [{"id": f"id-{SECRET}", "text": f"Hello {SECRET}"}], "evidence": False}
    client.post(f"/v1/score?{SECRET}=1", json=body, headers={"X-Request-ID": "r1"})
    client.get(f"/{SECRET}", headers={"X-Request-ID": "r2"})
    client.get(f"/playground/{SECRET}", headers={"X-Request-ID": "r3"})
    noted = [record.__dict__ for record in caplog.records if record.name == "signaal.access"]
    lines = [[one.get(field) for field in ("request_id", "method", "route", "status", "ads", "problem")] for one in noted]
    assert lines == [
        ["r1", "POST", "/v1/score", 200, 1, None],
        ["r2", "GET", "-", 404, None, "not-found"],
        ["r3", "GET", "/playground", 404, None, "not-found"],
    ]
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert not any(SECRET in logging.Formatter().format(record) for record in ours)


def test_a_refused_request_leaves_nothing_in_the_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for ads in ([{"id": SECRET, "text": SECRET, SECRET: SECRET}], [{"id": SECRET, "text": [SECRET]}], SECRET):
        client.post("/v1/score", json={"ads": ads, "indicators": [SECRET]})
    client.post("/v1/score", content=f'{{"ads": "{SECRET}'.encode() + b"\xff", headers={"Content-Type": "application/json"})
    assert SECRET not in everything_logged(caplog)


def test_an_error_that_holds_the_text_is_logged_without_it(
    open_client: OpenClient, eager_scorer: Scorer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    client = open_client(lambda: Fussy(eager_scorer, lambda text: SECRET in text))
    body = {"ads": [{"id": "a1", "text": f"Hello {SECRET}"}]}
    answer = client.post("/v1/score", json=body, headers={"X-Request-ID": "r9"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["request_id"] == "r9"
    assert answer.json()["type"] == "urn:signaal:problem:unexpected"
    assert SECRET not in answer.text
    logged = everything_logged(caplog)
    assert "r9: unforeseen RuntimeError" in logged
    assert "in answer" in logged
    assert SECRET not in logged
    assert SECRET not in "".join(capfd.readouterr())
    after = {"ads": [{"id": "a1", "text": "Hello"}], "evidence": False}
    assert client.post("/v1/score", json=after).status_code == 200, "one error must not stop the line"
