"""The OpenAPI document: valid, complete, and true to what the service says."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from serving import problems
from serving.contract import EXAMPLES

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document(client: TestClient) -> Document:
    body: Document = client.get("/openapi.json").json()
    return body


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def fits(document: Document, schema: Document, value: Any) -> list[str]:
    """What is wrong with a value, by a schema that refers to the document's components."""
    whole = {**schema, "components": document["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def examples(media: Document) -> list[Any]:
    return [*([media["example"]] if "example" in media else []), *(one["value"] for one in media.get("examples", {}).values())]


def test_the_document_is_valid_openapi(document: Document) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_operation_says_what_it_is(document: Document) -> None:
    ids = []
    for name, operation in operations(document):
        assert {"summary", "description", "operationId", "tags"} <= set(operation), name
        assert re.fullmatch(r"[a-z]+[A-Z][A-Za-z]+", operation["operationId"]), name
        assert set(operation["tags"]) <= {tag["name"] for tag in document["tags"]}, name
        ids.append(operation["operationId"])
    assert len(ids) == len(set(ids))


def test_every_operation_tells_every_error_as_a_problem_document_and_names_the_request(document: Document) -> None:
    for name, operation in operations(document):
        assert "500" in operation["responses"], name
        for status, answer in operation["responses"].items():
            assert "X-Request-ID" in answer["headers"], (name, status)
            if int(status) >= 400:
                (media,) = answer["content"].values()
                assert media["schema"] == {"$ref": "#/components/schemas/Problem"}, (name, status)
                assert answer["description"]
            if status in {"429", "503"}:
                assert "Retry-After" in answer["headers"], (name, status)
    score = document["paths"]["/v1/score"]["post"]["responses"]
    assert set(score) == {"200", "400", "408", "413", "415", "421", "422", "500", "503"}
    stream = document["paths"]["/v1/score/stream"]["post"]["responses"]
    assert set(stream) == {"200", "415", "421", "422", "500", "503"}


def test_every_request_and_answer_has_an_example_that_fits_its_schema(document: Document) -> None:
    for name, operation in operations(document):
        places = [("request", operation["requestBody"])] if "requestBody" in operation else []
        for place, body in places + list(operation["responses"].items()):
            for media in body.get("content", {}).values():
                assert examples(media), (name, place)
                for example in examples(media):
                    assert fits(document, media["schema"], example) == [], (name, place)


def test_the_check_of_examples_can_fail(document: Document) -> None:
    broken = EXAMPLES["operations"]["scoreAds"]["response"] | {"results": [{"id": 5}]}
    assert fits(document, {"$ref": "#/components/schemas/ScoreAnswer"}, broken)


def test_the_examples_of_requests_are_answered_in_the_form_of_the_examples_of_answers(client: TestClient) -> None:
    def form(value: Any) -> Any:
        return {key: form(one) for key, one in value.items()} if isinstance(value, dict) else type(value).__name__

    example = EXAMPLES["operations"]["scoreAds"]
    answer = client.post("/v1/score", json=example["request"])
    assert answer.status_code == 200
    (said,), (shown,) = answer.json()["results"], example["response"]["results"]
    assert form(said) == form(shown)
    line = json.dumps(EXAMPLES["operations"]["scoreStream"]["request"]).encode()
    stream = client.post("/v1/score/stream", content=line, headers={"Content-Type": "application/x-ndjson"})
    assert set(json.loads(stream.text)) == set(EXAMPLES["operations"]["scoreStream"]["response"])


def test_the_examples_of_problems_are_what_the_service_calls_them() -> None:
    kinds = {one.slug: one for one in vars(problems).values() if isinstance(one, problems.Kind)}
    for slug, example in EXAMPLES["problems"].items():
        assert example["type"] == f"urn:signaal:problem:{slug}"
        assert (example["title"], example["status"]) == (kinds[slug].title, kinds[slug].status)


def test_schemas_stand_once_and_are_referred_to(document: Document) -> None:
    assert "$defs" not in str(document)
    body = document["paths"]["/v1/score"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/ScoreRequest"}
    schemas = document["components"]["schemas"]
    assert schemas["ScoreRequest"]["properties"]["ads"]["maxItems"] == 64
    assert schemas["Ad"]["properties"]["text"]["maxLength"] == 20_000
    assert {"Problem", "FieldError", "LineOut", "LineProblem", "StreamLine"} <= set(schemas)
