"""Which address wants which key, as a caller sees it."""

import logging
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Mount

from serving.keys.admission import OPEN, SCOPES, scope_of
from serving.keys.secret import new_key_id, new_token
from serving.keys.store import KeyStore, Scope
from tests.serving.keys.conftest import bearer

OpenKeyed = Callable[..., TestClient]

OPEN_ROUTES = {"/openapi.json", "/playground"}
"""Those that are not in the hands of ``admit``; each is named here, so that a new one is seen."""


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    for route in app.routes:
        if isinstance(route, APIRoute):
            for method in sorted(route.methods):
                yield method, route.path
        else:
            assert getattr(route, "path", None) in OPEN_ROUTES, route
            assert isinstance(route, Mount) or route.name == "openapi"  # type: ignore[attr-defined]


def test_every_route_is_open_or_wants_its_scope_and_no_other_will_do(keyed: OpenKeyed, sqlite_store: KeyStore) -> None:
    client = keyed()
    tokens = {scope: sqlite_store.create(scope, {scope})[1] for scope in Scope}
    walked = list(routes_of(client.app))  # type: ignore[arg-type]
    assert len(walked) > 6
    for method, path in walked:
        assert path in OPEN or path in SCOPES, f"{path} is listed nowhere"
        wanted = scope_of(path)
        without = client.request(method, path)
        if wanted is None:
            assert without.status_code == 200
            continue
        assert (without.status_code, without.headers["www-authenticate"]) == (401, 'Bearer realm="signaal"'), path
        assert without.json()["type"] == "urn:signaal:problem:no-valid-key"
        for scope in Scope:
            answer = client.request(method, path, headers=bearer(tokens[scope]))
            if scope == wanted or (scope, wanted) == (Scope.ADMIN, Scope.METRICS):
                assert answer.status_code in (200, 400, 415), path  # the latter: it was let in, and had brought nothing
            else:
                assert answer.status_code == 403, path
                assert answer.json()["type"] == "urn:signaal:problem:missing-scope"
                assert answer.json()["detail"] == f"This needs the scope '{wanted}'."
                assert f'error="insufficient_scope", scope="{wanted}"' in answer.headers["www-authenticate"]


def test_a_key_for_the_figures_opens_them_and_no_other_address_that_wants_a_key(keyed: OpenKeyed, sqlite_store: KeyStore) -> None:
    client = keyed()
    _, token = sqlite_store.create("prometheus", {Scope.METRICS})
    answers = {path: client.request(method, path, headers=bearer(token)) for method, path in routes_of(client.app)}  # type: ignore[arg-type]
    assert {path for path, one in answers.items() if one.status_code != 403} == {*OPEN, "/metrics"}
    assert "signaal_state" in answers["/metrics"].text


def test_an_address_that_nobody_listed_wants_the_scope_admin(keyed: OpenKeyed, sqlite_store: KeyStore) -> None:
    client = keyed()

    @client.app.get("/v1/forgotten")  # type: ignore[attr-defined]
    async def forgotten() -> str:
        return "in"

    assert client.get("/v1/forgotten").status_code == 401
    for scope, status in ((Scope.SCORE, 403), (Scope.FEEDBACK, 403), (Scope.METRICS, 403), (Scope.ADMIN, 200)):
        _, token = sqlite_store.create("desk", {scope})
        assert client.get("/v1/forgotten", headers=bearer(token)).status_code == status


def test_the_page_its_files_and_the_contract_are_open(keyed: OpenKeyed) -> None:
    client = keyed()
    for address in ("/", "/playground/app.js", "/openapi.json", "/healthz", "/readyz"):
        assert client.get(address).status_code == 200


@pytest.mark.parametrize(
    "said", ["", "Bearer", "Bearer ", "Basic c2dubA==", "Bearer sgnl_x_y", "{}", "Bearer {} {}", "bearer\t{}", "Bearer: {}"]
)
def test_what_is_no_bearer_key_is_refused(keyed: OpenKeyed, sqlite_store: KeyStore, said: str) -> None:
    _, token = sqlite_store.create("desk", {Scope.SCORE})
    refused = keyed().get("/v1/model", headers={"Authorization": said.replace("{}", token)})
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    assert token not in refused.text


def test_a_key_is_refused_before_the_body_is_read(keyed: OpenKeyed) -> None:
    answer = keyed().post("/v1/score/stream", content=b"x" * 10_000_000)
    assert answer.status_code == 401, "not 413 or 415"
    assert keyed().post("/v1/score", json={"ads": "nonsense"}).status_code == 401, "not 422"


def test_the_scheme_is_written_in_any_case_and_a_rotated_key_goes_on(keyed: OpenKeyed, sqlite_store: KeyStore) -> None:
    made, token = sqlite_store.create("desk", {Scope.SCORE})
    client = keyed()
    assert client.get("/v1/model", headers={"Authorization": f"bearer  {token}"}).status_code == 200
    _, new = sqlite_store.rotate(made.id, timedelta(hours=1))
    for one in (token, new):
        assert client.get("/v1/model", headers=bearer(one)).status_code == 200


def test_where_sign_in_is_off_nothing_is_asked_and_no_database_is_made(client: TestClient) -> None:
    assert client.app.state.guard is None  # type: ignore[attr-defined]
    assert client.get("/v1/model").status_code == 200
    assert client.get("/v1/model", headers=bearer("rubbish")).status_code == 200


def test_no_key_gets_into_the_log(keyed: OpenKeyed, sqlite_store: KeyStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    made, good = sqlite_store.create("desk", {Scope.SCORE}, ads_per_day=10, ads_per_minute=10)
    wrong, unknown = new_token(made.id), new_token(new_key_id())
    client = keyed()
    ads = {"ads": [{"id": "a1", "text": "Hello"}], "evidence": False}
    for token in (good, wrong, unknown):
        client.post("/v1/score", json=ads, headers=bearer(token))
        client.get(f"/v1/model?key={token}", headers=bearer(token))
        client.post("/v1/score/stream", content=b'{"text": "x"}', headers=bearer(token))
    formatter = logging.Formatter()
    ours = [one for one in caplog.records if not one.name.startswith(("httpx", "httpcore"))]
    logged = "\n".join(f"{formatter.format(record)} {vars(record)}" for record in ours)
    asked = [vars(record) for record in ours if record.name == "signaal.access"]
    assert [one.get("key_id") for one in asked if one["route"] == "/v1/score"] == [made.id, None, None]
    for token in (good, wrong, unknown):
        assert token.rsplit("_", 1)[1] not in logged


@pytest.mark.parametrize("demanded", [True, False])
def test_the_openapi_document_says_which_scope_each_operation_wants(keyed: OpenKeyed, client: TestClient, demanded: bool) -> None:
    document: dict[str, Any] = (keyed() if demanded else client).get("/openapi.json").json()
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    scheme = document["components"]["securitySchemes"]["key"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, operations in document["paths"].items():
        for operation in operations.values():
            wanted, told = scope_of(path), {"401", "403"} & set(operation["responses"])
            if wanted is None:
                assert ("security" in operation, told) == (False, set())
            elif demanded:
                assert (operation["security"], told) == ([{"key": [wanted]}], {"401", "403"})
                unavailable = operation["responses"]["503"]["content"]["application/problem+json"]["examples"]
                assert {"keys-unavailable", "stopping"} <= set(unavailable), "all reasons for the status"
            else:
                assert (operation["security"], told) == ([{"key": [wanted]}, {}], set())
    if demanded:
        sent = document["paths"]["/v1/feedback"]["post"]["responses"]
        assert all({"RateLimit", "RateLimit-Policy"} <= set(sent[status]["headers"]) for status in ("202", "429"))
    limited = {path for path, methods in document["paths"].items() if "429" in str(methods)}
    assert limited == ({"/v1/score", "/v1/score/stream", "/v1/feedback"} if demanded else set())


def test_no_other_origin_may_call_unless_it_is_named(keyed: OpenKeyed) -> None:
    asking = {"Origin": "https://desk.example.org", "Access-Control-Request-Method": "POST"}
    asking["Access-Control-Request-Headers"] = "authorization, content-type"
    closed = keyed().options("/v1/score", headers=asking)
    assert "access-control-allow-origin" not in closed.headers
    client = keyed(cors_origins="https://desk.example.org, https://other.example.org")
    opened = client.options("/v1/score", headers=asking)
    assert opened.status_code == 200
    assert opened.headers["access-control-allow-origin"] == "https://desk.example.org"
    assert "access-control-allow-credentials" not in opened.headers
    refused = client.get("/v1/model", headers={"Origin": "https://desk.example.org"})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://desk.example.org", "so that its page can tell why"
    assert "Retry-After" in refused.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in client.get("/healthz", headers={"Origin": "https://evil.example"}).headers


def test_the_page_may_use_nothing_of_the_machine(client: TestClient) -> None:
    allowed = client.get("/").headers["permissions-policy"]
    assert re.findall(r"(\w[\w-]*)=\(\)", allowed)
    assert not re.findall(r"=\([^)]", allowed)
