"""POST /v1/feedback as a caller sees it. No model is needed for it: here it is being loaded all the time."""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.types import Receive, Scope, Send

from models.runtime import Scorer
from models.taxonomy import PACKAGED, load_taxonomy
from serving.app import create_app
from serving.feedback.outbox import Outbox
from serving.settings import ServingSettings
from tests.serving.feedback.conftest import ad_ids, records
from tests.waiting import until

OpenClient = Callable[..., TestClient]

SECRET = "geheimtekst"
TEXT = f"Je paspoort blijft op kantoor, {SECRET}. 🙂"
TAXONOMY = load_taxonomy(PACKAGED)


def forever_loading() -> Scorer:
    threading.Event().wait()
    raise AssertionError("not reached")


@pytest.fixture
def client(open_client: OpenClient, folder: Path) -> TestClient:
    return open_client(forever_loading, wait=False, feedback_dir=folder)


@pytest.fixture
def accepting(open_client: OpenClient, folder: Path) -> TestClient:
    """Of a server that takes texts and notes."""
    settings = {"feedback_dir": folder, "feedback_text": "accept", "feedback_note": "accept", "max_characters": 100}
    return open_client(forever_loading, wait=False, **settings)


def item(**changes: object) -> dict[str, object]:
    return {"id": "a1", "labels": {"debt_or_fees": "present"}} | changes


def send(client: TestClient, *items: object, key: str = "k1", **fields: object) -> Any:
    return client.post("/v1/feedback", json={"items": list(items), **fields}, headers={"Idempotency-Key": key})


def problem(answer: Any, status: int, slug: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert SECRET not in answer.text
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"urn:signaal:problem:{slug}"
    return body


def test_what_is_sent_is_stored_with_where_it_came_from(client: TestClient, folder: Path) -> None:
    full = item(
        model="9f3c",
        labels={"debt_or_fees": "present", "minor_age_cue": "absent", "states_limits": "unsure"},
        document_type="recruitment_post",
        language="nl",
        reviewer="desk-2",
        found_at="2026-11-25T15:03:00+01:00",
    )
    answer = send(client, full, item(id="a2"))
    assert answer.status_code == 202
    assert answer.json() == {"accepted": 2, "first": 1, "last": 2}
    first, second = records(folder)
    assert first.item is not None
    assert first.item.model_dump(mode="json", exclude_none=True) == full | {"found_at": "2026-11-25T14:03:00Z"}
    assert second.item is not None
    assert second.item.model_dump(exclude_none=True) == item(id="a2")
    assert (first.seq, first.synced, first.request.part, first.request.parts) == (1, 0, 1, 2)
    assert (second.seq, second.synced, second.request.part, second.request.parts) == (2, 0, 2, 2)
    assert first.request.id == second.request.id
    assert first.taxonomy == TAXONOMY.version
    assert first.key is None


def test_null_is_the_same_as_left_out(client: TestClient, folder: Path) -> None:
    names = ("model", "document_type", "text", "spans", "language", "reviewer", "note", "found_at")
    assert send(client, item(**dict.fromkeys(names))).status_code == 202
    (record,) = records(folder)
    assert record.item is not None
    assert record.item.model_dump(exclude_none=True) == item()


def test_a_text_and_a_note_are_stored_where_both_sides_want_it(accepting: TestClient, folder: Path) -> None:
    spans = [{"label": "debt_or_fees", "start": 0, "end": len(TEXT)}]
    sent = item(text=TEXT, spans=spans, note="Seen 2026-11-25, twice.")
    assert send(accepting, sent).status_code == 202
    (record,) = records(folder)
    assert record.item is not None
    assert record.item.model_dump(exclude_none=True) == sent


def test_a_text_or_a_note_is_refused_by_default_and_nothing_is_stored(client: TestClient, folder: Path) -> None:
    spans = [{"label": "debt_or_fees", "start": 0, "end": 3}]
    found = problem(send(client, item(text=TEXT, spans=spans), item(id="a2", note=SECRET)), 422, "invalid-request")
    assert [error["field"] for error in found["errors"]] == ["items[0].text", "items[1].note"]
    assert "stores no texts (SIGNAAL_SERVE_FEEDBACK_TEXT is 'refuse')" in found["errors"][0]["detail"]
    assert "stores no notes (SIGNAAL_SERVE_FEEDBACK_NOTE is 'refuse')" in found["errors"][1]["detail"]
    assert send(client, item(text=None), key="k2").json()["first"] == 1
    assert ad_ids(folder) == ["a1"]


LONG_KEY = "k" * 41
WRONG: dict[str, tuple[dict[str, object], str, str]] = {
    "no labels": ({"labels": {}}, "items[0].labels", "at least 1"),
    "labels as a list": ({"labels": ["debt_or_fees"]}, "items[0].labels", "must be an object"),
    "a label with a slip": (
        {"labels": {"debts_or_fee": "present"}},
        "items[0].labels.debts_or_fee",
        "Did you mean 'debt_or_fees'",
    ),
    "a text as a label": ({"labels": {f"{SECRET} and more": "present"}}, "items[0].labels", "This is not an indicator"),
    "a long label": ({"labels": {LONG_KEY: "present"}}, "items[0].labels", "This is not an indicator"),
    "a verdict of its own": ({"labels": {"debt_or_fees": SECRET}}, "items[0].labels.debt_or_fees", "'present', 'absent' or"),
    "a document type with a slip": (
        {"document_type": "recruitment_pos"},
        "items[0].document_type",
        "Did you mean 'recruitment_post'",
    ),
    "a text as a document type": ({"document_type": f"{SECRET} it is"}, "items[0].document_type", "This is not a document type"),
    "an empty id": ({"id": ""}, "items[0].id", "at least 1"),
    "a number as id": ({"id": 1}, "items[0].id", "must be a string"),
    "a long model": ({"model": "m" * 101}, "items[0].model", "at most 100"),
    "a language in words": ({"language": "Dutch"}, "items[0].language", "ISO 639"),
    "an e-mail address": ({"reviewer": f"{SECRET}@example.org"}, "items[0].reviewer", "Leave it out"),
    "a handle": ({"reviewer": f"@{SECRET}"}, "items[0].reviewer", "Leave it out"),
    "a phone number": ({"reviewer": "06 12 34 56 78"}, "items[0].reviewer", "Leave it out"),
    "a phone number in a note": ({"note": "ring +31-20-1234567"}, "items[0].note", "Leave it out"),
    "a long reviewer": ({"reviewer": "r" * 65}, "items[0].reviewer", "at most 64"),
    "a long note": ({"note": "n " * 251}, "items[0].note", "at most 500"),
    "a time without offset": ({"found_at": "2026-11-25T14:03:00"}, "items[0].found_at", "a time with its offset"),
    "a time as a number": ({"found_at": 1_700_000_000}, "items[0].found_at", "a time with its offset"),
    "a time before all time": ({"found_at": "0001-01-01T00:00:00+14:00"}, "items[0].found_at", "a time with its offset"),
    "a blank text": ({"text": " "}, "items[0].text", "empty or blank"),
    "a long text": ({"text": "x" * 101}, "items[0].text", "101 characters; at most 100"),
    "spans without a text": ({"spans": [{"label": "debt_or_fees", "start": 0, "end": 1}]}, "items[0].spans", "send the text"),
    "a span beyond the text": (
        {"text": "abc", "spans": [{"label": "debt_or_fees", "start": 0, "end": 4}]},
        "items[0].spans[0]",
        "does not lie in the text",
    ),
    "an empty span": (
        {"text": "abc", "spans": [{"label": "debt_or_fees", "start": 1, "end": 1}]},
        "items[0].spans[0]",
        "not lie",
    ),
    "a span of another label": (
        {"text": "abc", "spans": [{"label": "minor_age_cue", "start": 0, "end": 1}]},
        "items[0].spans[0].label",
        "not 'present' in labels",
    ),
    "a field with a slip": ({"reviewr": "desk-2"}, "items[0]", "Did you mean 'reviewer'"),
    "a text as a field": ({f"{SECRET} here": 1}, "items[0]", "There is a field that is not in the contract"),
    "too many fields": ({f"f{i}": 1 for i in range(30)}, "items[0]", "far more fields"),
    "too many labels": ({"labels": {f"l{i}": "absent" for i in range(100)}}, "items[0].labels", "at most 17"),
    "too many spans": ({"text": "abc", "spans": [{}] * 201}, "items[0].spans", "at most 200"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_breaks_the_contract_is_named_and_not_repeated(accepting: TestClient, folder: Path, case: str) -> None:
    changes, field, says = WRONG[case]
    found = problem(send(accepting, item(**changes)), 422, "invalid-request")
    (error,) = found["errors"]
    assert error["field"] == field
    assert says in error["detail"]
    assert LONG_KEY not in json.dumps(found)
    assert not folder.exists() or ad_ids(folder) == []


def test_a_request_holds_1_to_64_items_each_of_another_ad_or_reviewer(client: TestClient) -> None:
    for items in ([], [item(id=str(i)) for i in range(65)]):
        found = problem(send(client, *items), 422, "invalid-request")
        assert [error["field"] for error in found["errors"]] == ["items"]
    found = problem(send(client, item(), item(id="a2"), item()), 422, "invalid-request")
    assert [error["field"] for error in found["errors"]] == ["items[2].id"]
    assert send(client, *[item(reviewer=f"r{i}") for i in range(64)]).json() == {"accepted": 64, "first": 1, "last": 64}


def test_the_body_is_read_as_that_of_a_scoring_request(client: TestClient) -> None:
    headers = {"Idempotency-Key": "k1", "Content-Type": "application/json"}
    problem(client.post("/v1/feedback", content=b"{", headers=headers), 400, "not-json")
    problem(client.post("/v1/feedback", content=b"{}", headers={"Idempotency-Key": "k1"}), 415, "unsupported-media-type")
    problem(client.post("/v1/feedback", content=b"[" * 9_000_000, headers=headers), 413, "too-large")
    problem(client.get("/v1/feedback"), 405, "method-not-allowed")


@pytest.mark.parametrize("key", [None, "", " ", "k" * 201, '"open', '"in"side"', '""', "käse", '"tab\t"', '"' + "k" * 201 + '"'])
def test_a_request_without_a_good_key_is_refused(client: TestClient, folder: Path, key: str | None) -> None:
    headers = {} if key is None else {"Idempotency-Key": key.encode("latin-1")}
    answer = client.post("/v1/feedback", json={"items": [item()]}, headers=headers)  # type: ignore[arg-type]
    found = problem(answer, 400, "no-idempotency-key")
    assert [error["field"] for error in found["errors"]] == ["Idempotency-Key"]
    assert not folder.exists()


def test_two_keys_are_none(client: TestClient) -> None:
    headers = [("Idempotency-Key", "k1"), ("Idempotency-Key", "k2")]
    problem(client.post("/v1/feedback", json={"items": [item()]}, headers=headers), 400, "no-idempotency-key")


def test_the_same_key_and_body_are_answered_as_the_first_time_and_stored_once(client: TestClient, folder: Path) -> None:
    first = send(client, item(labels={"debt_or_fees": "present", "minor_age_cue": "absent"}))
    send(client, item(id="a2"), key="k2")
    body = b'{ "items": [{"labels": {"minor_age_cue": "absent", "debt_or_fees": "present"}, "id": "a1"}]}'
    for key in ("k1", '"k1"'):  # bare, and as the draft writes it; other white space and order are the same body
        again = client.post("/v1/feedback", content=body, headers={"Idempotency-Key": key, "Content-Type": "application/json"})
        assert (again.status_code, again.json()) == (202, first.json())
    assert ad_ids(folder) == ["a1", "a2"]


def test_the_same_key_with_another_body_is_refused(client: TestClient, folder: Path) -> None:
    assert send(client, item()).status_code == 202
    found = problem(send(client, item(labels={"debt_or_fees": "absent"})), 422, "idempotency-key-reused")
    assert [error["field"] for error in found["errors"]] == ["Idempotency-Key"]
    assert ad_ids(folder) == ["a1"]


def test_the_callers_key_id_is_stored_and_each_caller_has_keys_of_its_own(folder: Path) -> None:
    app = create_app(forever_loading, ServingSettings(feedback_dir=folder))

    async def signed_in(scope: Scope, receive: Receive, send: Send) -> None:
        """As a check of API keys leaves it."""
        if scope["type"] == "http":
            scope.setdefault("state", {})["key_id"] = dict(scope["headers"])[b"x-caller"].decode()
        await app(scope, receive, send)

    with TestClient(signed_in) as client:
        for caller, ad in (("desk", "a1"), ("crawler", "a2"), ("desk", "a1")):
            answer = client.post(
                "/v1/feedback", json={"items": [item(id=ad)]}, headers={"Idempotency-Key": "1", "X-Caller": caller}
            )
            assert answer.status_code == 202
    assert [(record.key, record.item and record.item.id) for record in records(folder)] == [("desk", "a1"), ("crawler", "a2")]


def test_labels_are_those_of_the_loaded_model(open_client: OpenClient, folder: Path, eager_scorer: Scorer) -> None:
    fewer = eager_scorer.taxonomy.model_copy(update={"indicators": eager_scorer.taxonomy.indicators[:2], "version": "0.9"})

    class Older(Scorer):
        def __init__(self) -> None:
            self.__dict__.update(eager_scorer.__dict__)
            self.of_before = fewer

        taxonomy = property(lambda self: self.of_before)  # type: ignore[assignment]

    client = open_client(Older, wait=False, feedback_dir=folder)
    until(lambda: client.get("/healthz").json()["model"] is not None)
    problem(send(client, item()), 422, "invalid-request")
    assert send(client, item(labels={fewer.indicators[0].id: "unsure"})).status_code == 202
    assert [record.taxonomy for record in records(folder)] == ["0.9"]


def test_a_folder_that_cannot_be_used_is_a_problem_and_the_rest_goes_on(
    client: TestClient, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Outbox(folder)
    other.open()
    answer = send(client, item())
    problem(answer, 503, "not-stored")
    assert int(answer.headers["retry-after"]) > 0
    assert "Another server keeps its feedback in" in caplog.text
    assert client.get("/healthz").status_code == 200
    other.close()
    assert send(client, item()).status_code == 202


def test_no_text_comes_into_the_log(accepting: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert send(accepting, item(id=SECRET, text=TEXT, note=SECRET, reviewer=SECRET), key=SECRET).status_code == 202
    send(accepting, item(id=SECRET, text=TEXT * 5, note=SECRET), key=SECRET + "2")
    send(accepting, item(id=SECRET, text=TEXT), key=SECRET)
    noted = [record.__dict__ for record in caplog.records if record.name == "signaal.access"]
    assert [(one["route"], one["status"]) for one in noted] == [
        ("/v1/feedback", 202),
        ("/v1/feedback", 422),
        ("/v1/feedback", 422),
    ]
    assert not any(SECRET in str(one) for one in noted)
    assert SECRET not in caplog.text


def test_the_openapi_document_holds_the_request_with_its_limits(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v1/feedback"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert "$ref" not in str(schema)
    assert schema["properties"]["items"]["maxItems"] == 64
    assert schema["properties"]["items"]["items"]["properties"]["text"]["anyOf"][0]["maxLength"] == 20_000
    key = next(one for one in operation["parameters"] if one.get("name") == "Idempotency-Key")
    assert (key["name"], key["in"], key["required"]) == ("Idempotency-Key", "header", True)
    assert "202" in operation["responses"]
