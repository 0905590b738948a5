"""Bad input: always a problem document that says what and where, never a 500, and never the text again."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from models.runtime import Scorer

OpenClient = Callable[..., TestClient]

SECRET = "geheimtekst"
JSON = {"Content-Type": "application/json"}


def ad(**changes: object) -> dict[str, object]:
    return {"id": "a1", "text": f"We keep your passport, {SECRET}."} | changes


def send(client: TestClient, body: bytes | str, headers: dict[str, str] = JSON) -> Any:
    return client.post("/v1/score", content=body, headers=headers)


def problem(answer: Any, status: int) -> dict[str, Any]:
    """The problem document of an answer, after the checks that hold for every one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert SECRET not in answer.text
    body: dict[str, Any] = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "errors", "request_id", "model"}
    assert body["type"].startswith("urn:signaal:problem:")
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["model"]["name"]
    assert body["title"]
    assert body["detail"]
    return body


NOT_JSON: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "It is empty."),
    "blank": (b" \n\t", "It is empty."),
    "only a byte order mark": (b"\xef\xbb\xbf", "It is empty."),
    "invalid UTF-8": (b'{"ads": [{"id": "a1", "text": "geheimtekst \xff"}]}', "Byte 43 is not UTF-8."),
    "UTF-8 cut short": ('{"ads": [{"id": "a1", "text": "é'.encode()[:-1], "is not UTF-8."),
    "an encoded surrogate": (b'{"ads": [{"id": "a1", "text": "\xed\xa0\x80"}]}', "is not UTF-8."),
    "UTF-16": ('{"ads": []}'.encode("utf-16"), "is not UTF-8."),
    "a lone surrogate": (rb'{"ads": [{"id": "a1", "text": "geheimtekst \ud800"}]}', "half of a surrogate pair"),
    "a lone surrogate at the end": (rb'{"ads": [{"id": "a1", "text": "\udc00"}]}', "surrogate"),
    "NUL, raw": (b'{"ads": [{"id": "a1", "text": "geheimtekst \x00"}]}', "ontrol character"),
    "NaN": (b'{"ads": NaN}', "line 1"),
    "Infinity": (b'{"ads": -Infinity}', "line 1"),
    "cut short": (b'{"ads": [{"id": "a1", "text": "geheimtekst', "EOF"),
    "two values": (b'{"ads": []} {"ads": []}', "railing"),
    "single quotes": (b"{'ads': 'geheimtekst'}", "line 1"),
    "text alone": (b"geheimtekst", "line 1"),
    "lists, deeply nested": (b"[" * 100_000 + b"]" * 100_000, "ecursion limit"),
    "objects, deeply nested": (b'{"ads":' * 100_000 + b"1" + b"}" * 100_000, "ecursion limit"),
}


@pytest.mark.parametrize("case", NOT_JSON)
def test_what_is_not_json_is_refused_with_the_place(client: TestClient, case: str) -> None:
    raw, says = NOT_JSON[case]
    found = problem(send(client, raw), 400)
    assert found["type"] == "urn:signaal:problem:not-json"
    assert says in found["detail"]
    assert [(error["field"], error["pointer"]) for error in found["errors"]] == [("body", "#")]


INVALID: dict[str, tuple[object, str, str, str]] = {
    "a list": ([], "body", "#", "must be an object"),
    "null": (None, "body", "#", "must be an object"),
    "a string": (SECRET, "body", "#", "must be an object"),
    "a number": (1e300, "body", "#", "must be an object"),
    "an empty object": ({}, "ads", "#/ads", "required"),
    "no ads": ({"ads": []}, "ads", "#/ads", "at least 1"),
    "ads null": ({"ads": None}, "ads", "#/ads", "must be a list"),
    "ads an object": ({"ads": ad()}, "ads", "#/ads", "must be a list"),
    "an ad that is a string": ({"ads": [SECRET]}, "ads[0]", "#/ads/0", "must be an object"),
    "an ad that is a list": ({"ads": [[SECRET]]}, "ads[0]", "#/ads/0", "must be an object"),
    "65 ads": ({"ads": [ad(id=str(i)) for i in range(65)]}, "ads", "#/ads", "has 65 ads; at most 64"),
    "20,001 characters": ({"ads": [ad(text=SECRET + "x" * 19_990)]}, "ads[0].text", "#/ads/0/text", "has 20001 characters"),
    "20,001 emoji": ({"ads": [ad(text="🙂" * 20_001)]}, "ads[0].text", "#/ads/0/text", "has 20001 characters"),
    "an empty text": ({"ads": [ad(text="")]}, "ads[0].text", "#/ads/0/text", "blank"),
    "a blank text": ({"ads": [ad(), ad(id="b", text=" \n\u200b")]}, "ads[1].text", "#/ads/1/text", "blank"),
    "a text of NUL": ({"ads": [ad(text="\x00\x00")]}, "ads[0].text", "#/ads/0/text", "blank"),
    "no text": ({"ads": [{"id": "a1"}]}, "ads[0].text", "#/ads/0/text", "required"),
    "no id": ({"ads": [{"text": SECRET}]}, "ads[0].id", "#/ads/0/id", "required"),
    "a text that is a number": ({"ads": [ad(text=5)]}, "ads[0].text", "#/ads/0/text", "must be a string"),
    "a text that is null": ({"ads": [ad(text=None)]}, "ads[0].text", "#/ads/0/text", "must be a string"),
    "a text that is a list": ({"ads": [ad(text=[SECRET])]}, "ads[0].text", "#/ads/0/text", "must be a string"),
    "an id that is a number": ({"ads": [ad(id=7)]}, "ads[0].id", "#/ads/0/id", "must be a string"),
    "an empty id": ({"ads": [ad(id="")]}, "ads[0].id", "#/ads/0/id", "at least 1"),
    "an id of 201 characters": ({"ads": [ad(id=SECRET * 20)]}, "ads[0].id", "#/ads/0/id", "at most 200"),
    "the same id twice": ({"ads": [ad(id=SECRET), ad(id=SECRET)]}, "ads[1].id", "#/ads/1/id", "same as that of ads[0]"),
    "a language name": ({"ads": [ad(language=SECRET)]}, "ads[0].language", "#/ads/0/language", "ISO 639"),
    "a language in capitals": ({"ads": [ad(language="NL")]}, "ads[0].language", "#/ads/0/language", "ISO 639"),
    "a language with a line break": ({"ads": [ad(language="nl\n")]}, "ads[0].language", "#/ads/0/language", "ISO 639"),
    "a language that is a number": ({"ads": [ad(language=1)]}, "ads[0].language", "#/ads/0/language", "must be a string"),
    "a field too many": ({"ads": [ad()], "indicator": ["x"]}, "body", "#", "no field 'indicator' in the contract. Did you mean"),
    "a field too many in an ad": ({"ads": [ad(txet="x")]}, "ads[0]", "#/ads/0", "no field 'txet' in the contract. Did you mean"),
    "a text for a field name": ({"ads": [ad(**{f"{SECRET} en meer": 1})]}, "ads[0]", "#/ads/0", "not in the contract"),
    "far too many fields": ({"ads": [ad(**{f"f{i}": 1 for i in range(30)})]}, "ads[0]", "#/ads/0", "far more fields"),
    "indicators a string": ({"ads": [ad()], "indicators": SECRET}, "indicators", "#/indicators", "must be a list"),
    "indicators empty": ({"ads": [ad()], "indicators": []}, "indicators", "#/indicators", "at least 1"),
    "indicators too many": ({"ads": [ad()], "indicators": ["x"] * 18}, "indicators", "#/indicators", "longer than the 17"),
    "an indicator that is null": ({"ads": [ad()], "indicators": [None]}, "indicators[0]", "#/indicators/0", "must be a string"),
    "evidence a string": ({"ads": [ad()], "evidence": "true"}, "evidence", "#/evidence", "true or false"),
    "evidence a number": ({"ads": [ad()], "evidence": 1}, "evidence", "#/evidence", "true or false"),
    "evidence null": ({"ads": [ad()], "evidence": None}, "evidence", "#/evidence", "true or false"),
}


@pytest.mark.parametrize("case", INVALID)
def test_what_breaks_the_contract_is_refused_with_its_field(client: TestClient, case: str) -> None:
    data, field, pointer, says = INVALID[case]
    found = problem(send(client, json.dumps(data)), 422)
    assert found["type"] == "urn:signaal:problem:invalid-request"
    (error,) = found["errors"]
    assert set(error) == {"field", "pointer", "detail"}
    assert (error["field"], error["pointer"]) == (field, pointer)
    assert says in error["detail"]


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1" * 5000, b"1." + b"1" * 5000])
def test_numbers_without_measure_are_refused(client: TestClient, number: bytes) -> None:
    body = b'{"ads": [{"id": "a1", "text": ' + number + b"}]}"
    assert send(client, body).status_code in (400, 422)
    problem(send(client, body), send(client, body).status_code)


def test_an_unknown_indicator_gets_a_suggestion(client: TestClient) -> None:
    wanted = {"ads": [ad()], "indicators": ["states_limits", "debts_or_fee"]}
    (error,) = problem(client.post("/v1/score", json=wanted), 422)["errors"]
    assert (error["field"], error["pointer"]) == ("indicators[1]", "#/indicators/1")
    assert "'debts_or_fee' is not an indicator of this model. Did you mean 'debt_or_fees'?" in error["detail"]


def test_a_text_in_the_place_of_an_indicator_is_not_repeated(client: TestClient) -> None:
    wanted = {"ads": [ad()], "indicators": [f"{SECRET} en nog veel meer woorden"]}
    (error,) = problem(client.post("/v1/score", json=wanted), 422)["errors"]
    assert error["detail"].startswith("This is not an indicator of this model.")


def test_an_indicator_listed_twice_is_named(client: TestClient) -> None:
    wanted = {"ads": [ad()], "indicators": ["debt_or_fees", "debt_or_fees"]}
    (error,) = problem(client.post("/v1/score", json=wanted), 422)["errors"]
    assert (error["field"], error["detail"]) == ("indicators[1]", "'debt_or_fees' is listed twice.")


def test_several_errors_are_all_listed(client: TestClient) -> None:
    wanted = {"ads": [ad(id=""), ad(text=" "), ad(id="c", language="x")], "evidence": 5}
    found = problem(client.post("/v1/score", json=wanted), 422)
    assert [error["field"] for error in found["errors"]] == ["ads[0].id", "ads[1].text", "ads[2].language", "evidence"]
    assert found["detail"].startswith("4 things are wrong")


def test_a_hundred_errors_are_counted_and_fifty_listed(client: TestClient) -> None:
    found = problem(client.post("/v1/score", json={"ads": [{}] * 60}), 422)
    assert len(found["errors"]) == 50
    assert found["detail"] == "120 things are wrong; see errors. The first 50 are listed."


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"Content-Type": "text/plain"}, "Content-Type"),
        ({"Content-Type": ""}, "Content-Type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "Content-Type"),
        ({"Content-Type": "application/json; charset=latin-1"}, "Content-Type"),
        (JSON | {"Content-Encoding": "gzip"}, "Content-Encoding"),
    ],
)
def test_another_media_type_is_refused(client: TestClient, headers: dict[str, str], field: str) -> None:
    found = problem(send(client, json.dumps({"ads": [ad()]}), headers), 415)
    assert [error["field"] for error in found["errors"]] == [field]


def test_a_form_with_a_file_is_refused(client: TestClient) -> None:
    problem(client.post("/v1/score", files={"ads": SECRET.encode()}), 415)


def test_a_body_too_large_is_refused_announced_or_not(open_client: OpenClient, eager_scorer: Scorer) -> None:
    client = open_client(lambda: eager_scorer, max_body_bytes=2000)
    body = json.dumps({"ads": [ad(text=SECRET * 200)]}).encode()

    def in_pieces() -> Any:
        for start in range(0, len(body), 500):
            yield body[start : start + 500]

    for content in (body, in_pieces()):
        answer = client.post("/v1/score", content=content, headers=JSON)
        found = problem(answer, 413)
        assert "2000 bytes" in found["detail"]
        assert [error["field"] for error in found["errors"]] == ["body"]
        assert answer.headers["connection"] == "close"


def test_limits_are_those_of_the_settings(open_client: OpenClient, eager_scorer: Scorer) -> None:
    client = open_client(lambda: eager_scorer, max_ads=1, max_characters=40)
    assert client.get("/v1/model").json()["limits"]["max_ads"] == 1
    (error,) = problem(client.post("/v1/score", json={"ads": [ad(), ad(id="b")]}), 422)["errors"]
    assert "at most 1" in error["detail"]
    (error,) = problem(client.post("/v1/score", json={"ads": [ad(text=SECRET * 4)]}), 422)["errors"]
    assert "at most 40" in error["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/v1/{SECRET}", 404),
        ("POST", "/v2/score", 404),
        ("GET", f"/playground/{SECRET}.html", 404),
        ("GET", "/playground/../settings.py", 404),
        ("GET", "/playground/%2e%2e/settings.py", 404),
        ("GET", f"/v1/score?text={SECRET}", 405),
        ("DELETE", "/v1/model", 405),
        ("POST", "/readyz", 405),
        ("TRACE", "/v1/score", 405),
    ],
)
def test_a_wrong_address_or_method_is_a_problem_too(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    problem(answer, status)
    if status == 405:
        assert answer.headers["allow"]


values: SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
nearly_ads = st.dictionaries(st.sampled_from(["id", "text", "language", "extra"]), values, max_size=4)
nearly_requests = st.fixed_dictionaries(
    {},
    optional={
        "ads": st.lists(nearly_ads, max_size=3) | values,
        "indicators": st.lists(st.sampled_from(["debt_or_fees", "debt"]) | values, max_size=3) | values,
        "evidence": values,
        "more": values,
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values | nearly_requests)
def test_no_json_whatever_gives_a_500(client: TestClient, data: object) -> None:
    answer = send(client, json.dumps(data))
    assert answer.status_code in (200, 400, 422)
    if answer.status_code != 200:
        problem(answer, answer.status_code)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_no_bytes_whatever_give_a_500(client: TestClient, body: bytes) -> None:
    answer = send(client, body)
    problem(answer, answer.status_code)
    assert answer.status_code in (400, 422)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60), ad_id=st.text(min_size=1, max_size=200))
def test_any_text_is_scored_or_blank_and_its_offsets_hold(client: TestClient, text: str, ad_id: str) -> None:
    answer = client.post("/v1/score", json={"ads": [{"id": ad_id, "text": text}], "indicators": ["debt_or_fees"]})
    if answer.status_code == 422:
        assert [error["field"] for error in problem(answer, 422)["errors"]] == ["ads[0].text"]
        return
    assert answer.status_code == 200
    (result,) = answer.json()["results"]
    assert result["id"] == ad_id
    for span in result["indicators"]["debt_or_fees"]["evidence"]:
        assert text[span["start"] : span["end"]] == span["text"]
