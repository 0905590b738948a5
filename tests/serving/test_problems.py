import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from serving.envelope import Envelope
from serving.fleet import Fleet
from serving.problems import BUSY, INVALID, ProblemError, add_problem_handlers, parse_json
from serving.settings import ServingSettings
from tests.serving.conftest import only

SECRET = "geheimtekst"


@pytest.fixture
def small_app() -> Iterator[TestClient]:
    """Addresses that fail in ways ours do not (yet)."""
    app = FastAPI()
    app.state.fleet = Fleet(only(lambda: pytest.fail("not started")), ServingSettings())
    app.state.settings = ServingSettings()
    app.add_middleware(Envelope)
    add_problem_handlers(app)

    @app.get("/number/{number}")
    async def number(number: int) -> int:
        return number

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, SECRET)

    @app.get("/own")
    async def own() -> None:
        raise ProblemError(BUSY, "Later.", headers={"Retry-After": "9"})

    with TestClient(app) as client:
        yield client


def test_frameworks_own_validation_is_answered_in_the_same_form(small_app: TestClient) -> None:
    answer = small_app.get(f"/number/{SECRET}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["type"] == f"urn:signaal:problem:{INVALID.slug}"
    assert [error["field"] for error in answer.json()["errors"]] == ["path.number"]
    assert SECRET not in answer.text


def test_any_http_error_is_a_problem_without_its_own_words(small_app: TestClient) -> None:
    answer = small_app.get("/teapot")
    assert (answer.status_code, answer.headers["content-type"]) == (418, "application/problem+json")
    assert answer.json()["status"] == 418
    assert answer.json()["model"] is None
    assert SECRET not in answer.text


def test_a_problem_may_bring_headers(small_app: TestClient) -> None:
    answer = small_app.get("/own")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "9")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(json_values)
def test_what_is_json_is_read_as_python_reads_it(value: Any) -> None:
    for raw in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert parse_json(raw.encode()) == json.loads(raw)


@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda text: ('{"a": "' + text).encode()))
def test_what_is_not_json_is_a_value_error_that_repeats_nothing(raw: bytes) -> None:
    found = None
    try:
        parse_json(raw)
    except ValueError as error:
        found = error
    if found is not None:
        assert found.__cause__ is None
        assert found.__suppress_context__ or found.__context__ is None
        assert str(found).isascii()
        assert str(found).endswith(".")
