"""Which names the server answers to. A page on another name (DNS rebinding) must get nothing, whatever it asks."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from models.runtime import Scorer
from serving.app import create_app
from serving.keys.store import KeyStore
from serving.settings import ServingSettings
from tests.serving.conftest import only
from tests.serving.exposition import Exposition
from tests.serving.listening import listening

OpenClient = Callable[..., TestClient]

FOREIGN = [
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example:8080",
    "192.168.1.5:8080",
    "[::2]:8080",
    "[::1].evil.example",
    "localhost:8080:8080",
    "evil@localhost",
    "::1",
    "",
]


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8080", "127.0.0.1:8080", "127.8.8.8", "[::1]", "[::1]:8080"])
def test_it_answers_to_this_machines_own_names(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_it_answers_to_no_other_name(client: TestClient, host: str) -> None:
    answer = client.get("/healthz", headers={"Host": host, "X-Request-ID": "mine"})
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "mine"
    assert answer.json()["type"] == "urn:signaal:problem:misdirected-request"
    assert "SIGNAAL_SERVE_HOSTS" in answer.json()["detail"]
    assert "evil" not in answer.text


def test_no_address_is_left_out_and_nothing_is_scored_or_stored(
    open_client: OpenClient, eager_scorer: Scorer, tmp_path: Path
) -> None:
    client = open_client(lambda: eager_scorer, feedback_dir=tmp_path / "feedback", cors_origins="http://evil.example")
    ads = {"ads": [{"id": "a", "text": "An ad."}]}
    item = {"items": [{"id": "a", "labels": {"debt_or_fees": "present"}}]}
    evil = {"Host": "evil.example", "Origin": "http://evil.example"}
    asked = [
        client.post("/v1/score", json=ads, headers=evil),
        client.post("/v1/score/stream", content=b'{"text": "x"}', headers={**evil, "Content-Type": "application/x-ndjson"}),
        client.post("/v1/feedback", json=item, headers={**evil, "Idempotency-Key": "1"}),
        client.options("/v1/score", headers={**evil, "Access-Control-Request-Method": "POST"}),
        *(
            client.get(path, headers=evil)
            for path in ("/", "/playground/app.js", "/openapi.json", "/metrics", "/v1/model", "/no")
        ),
    ]
    assert {answer.status_code for answer in asked} == {421}
    assert not any("access-control-allow-origin" in answer.headers for answer in asked)
    found = Exposition(client)
    assert found.value("signaal_ads_total") == 0
    assert found.value("signaal_rejected_total", reason="misdirected-request") == len(asked)
    assert not (tmp_path / "feedback").exists()


def test_other_names_can_be_named(open_client: OpenClient, eager_scorer: Scorer) -> None:
    client = open_client(lambda: eager_scorer, wait=False, hosts="desk.example.org, [fd00::1]")
    for host in ("desk.example.org", "Desk.example.org:443", "[fd00::1]:8080", "localhost"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200
    assert client.get("/healthz", headers={"Host": "other.example.org"}).status_code == 421


def test_where_callers_need_keys_any_name_will_do(open_client: OpenClient, eager_scorer: Scorer, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/keys.db"
    KeyStore(address).close()
    client = open_client(lambda: eager_scorer, wait=False, auth="keys", database_url=address)
    assert client.get("/healthz", headers={"Host": "signaal.example.org"}).status_code == 200
    assert "421" not in client.get("/openapi.json").json()["paths"]["/v1/score"]["post"]["responses"]


def test_a_request_over_the_wire_that_names_no_host_is_refused(eager_scorer: Scorer) -> None:
    with listening(create_app(only(lambda: eager_scorer), ServingSettings())) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as raw:
            raw.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 421 ")
