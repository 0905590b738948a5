"""The OpenAPI document, completed: what FastAPI cannot see, because bodies are read by hand and errors are made in one place.

Schemas stand once, under ``components``, and are referred to. The examples are answers of a real server (long lists cut), kept in
``contract_examples.json``; a test holds them against their schemas.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from serving.answers import LineOut
from serving.body import score_request_schema
from serving.keys.admission import scope_of
from serving.problem_document import MEDIA_TYPE, LineProblem, Problem, StreamProblem
from serving.problems import (
    INVALID,
    KEYS_UNAVAILABLE,
    MISDIRECTED,
    MISSING_SCOPE,
    NO_VALID_KEY,
    QUOTA_USED_UP,
    TOO_MANY_REQUESTS,
    UNEXPECTED,
    Kind,
    problem_of,
)
from serving.settings import ServingSettings
from serving.stream import MEDIA_TYPE as NDJSON
from serving.stream import stream_line_schema

EXAMPLES: dict[str, Any] = json.loads(Path(__file__).with_name("contract_examples.json").read_text("utf-8"))
SCHEMAS = "#/components/schemas/"
TRY_AGAIN = frozenset({429, 503})

STREAM_ANSWERS = ("LineOut", "LineProblem", "StreamProblem")
SCORE_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": SCHEMAS + "ScoreRequest"}}}}}
STREAM_BODY = {
    "requestBody": {
        "required": True,
        "description": "NDJSON: one ad a line, as long as you like. The schema is that of a line.",
        "content": {NDJSON: {"schema": {"$ref": SCHEMAS + "StreamLine"}}},
    },
    "responses": {
        "200": {
            "description": "NDJSON: one answer a line, a result or a problem. The schema is that of a line.",
            "content": {NDJSON: {"schema": {"anyOf": [{"$ref": SCHEMAS + name} for name in STREAM_ANSWERS]}}},
        }
    },
}
PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`wait=5`: seconds that the request may wait for its turn (RFC 7240).",
    "schema": {"type": "string"},
    "example": "wait=5",
}
REQUEST_ID = {"$ref": "#/components/parameters/RequestId"}
HEADERS: dict[str, Any] = {
    "X-Request-ID": {
        "description": "Names the request in the service's log: yours when you sent a plain one, else a new one.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
        "example": "6ed97a32513f4bb4a41db8934644ac59",
    },
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 5,
    },
    "Deprecation": {
        "description": "Since when the model that answers is retired (RFC 9745); only then.",
        "schema": {"type": "string"},
        "example": "@1764061200",
    },
    "Sunset": {
        "description": "When a retired model is let go (RFC 8594); only then.",
        "schema": {"type": "string"},
        "example": "Tue, 25 Nov 2025 09:10:00 GMT",
    },
}
LIMITS: dict[str, Any] = {
    "RateLimit-Policy": {
        "description": "The limits of your key, where it has some (draft-ietf-httpapi-ratelimit-headers-11).",
        "schema": {"type": "string"},
        "example": '"ads-per-minute";q=600;qu="ads";w=60, "ads-per-day";q=20000;qu="ads";w=86400',
    },
    "RateLimit": {
        "description": "What is left of them: `r` ads for the next `t` seconds.",
        "schema": {"type": "string"},
        "example": '"ads-per-minute";r=536;t=7, "ads-per-day";r=19936;t=43200',
    },
}
CHALLENGE = {
    "WWW-Authenticate": {
        "description": "What is missing (RFC 6750).",
        "schema": {"type": "string"},
        "example": 'Bearer realm="signaal", error="insufficient_scope", scope="score"',
    }
}
KEY = {"type": "http", "scheme": "bearer", "description": "A key, made by `signaal-serve keys create`: `sgnl_<id>_<secret>`."}
PARAMETER = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "Your name for the request; one that is not plain (letters, digits, `._-`, up to 64) is replaced.",
    "schema": {"type": "string"},
    "example": "crawler-7-000123",
}
RETIRED = ("Deprecation", "Sunset")
LIMITED = frozenset({"scoring", "feedback"})
"""Tags of the operations that count against the limits of a key."""


def problems(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: the problem document for every status that ``kinds`` have."""
    answers: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        answer = answers.setdefault(kind.status, {"description": "", "content": {MEDIA_TYPE: {"examples": {}}}})
        answer["description"] = f"{answer['description']} {kind.title}.".strip()
        media = answer["content"][MEDIA_TYPE]
        media["schema"] = {"$ref": SCHEMAS + "Problem"}
        example = EXAMPLES["problems"].get(kind.slug) or problem_of(kind, f"{kind.title}.").model_dump()
        media["examples"][kind.slug] = {"summary": kind.title, "value": example}
        if kind.status in TRY_AGAIN:
            answer["headers"] = _headers("Retry-After")
    return answers


def complete_contract(app: FastAPI, settings: ServingSettings) -> None:
    """Make ``app.openapi`` give the whole contract, with the limits of ``settings``."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            _complete(document, settings)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any], settings: ServingSettings) -> None:
    components = document["components"]
    schemas = components["schemas"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    _add(schemas, "ScoreRequest", score_request_schema(settings))
    _add(schemas, "StreamLine", stream_line_schema(settings))
    for model in (LineOut, LineProblem, StreamProblem, Problem):
        _add(schemas, model.__name__, _schema_of(model))
    components["headers"] = {**HEADERS, **LIMITS, **CHALLENGE}
    components["parameters"] = {"RequestId": PARAMETER}
    document["tags"] = [
        {"name": "scoring", "description": "Ads in, scores out."},
        {"name": "feedback", "description": "What reviewers found, for the next model."},
        {"name": "facts", "description": "What is scored, by which model, and how well."},
        {"name": "health", "description": "For those who keep it running."},
    ]
    components["securitySchemes"] = {"key": KEY}
    for path, operation in _operations(document):
        responses = operation["responses"]
        if "HTTPValidationError" in str(responses.get("422")):  # FastAPI's own form of an error is not used here
            responses["422"] = problems(INVALID)[422]
        responses.update({str(status): answer for status, answer in problems(UNEXPECTED).items()})
        if not settings.wants_keys:
            responses.update({str(status): answer for status, answer in problems(MISDIRECTED).items()})
        _say_key(path, operation, demanded=settings.wants_keys)
        operation.setdefault("parameters", []).append(REQUEST_ID)
        for answer in responses.values():
            answer["headers"] = {**answer.get("headers", {}), **_headers("X-Request-ID")}
        if "scoring" in operation.get("tags", ()):
            responses["200"]["headers"].update(_headers(*RETIRED))
        _add_examples(operation)


def _add_examples(operation: dict[str, Any]) -> None:
    example = EXAMPLES["operations"].get(operation["operationId"], {})
    ok: dict[str, Any] = next((answer for status, answer in operation["responses"].items() if str(status).startswith("2")), {})
    for name, place in (("request", operation.get("requestBody", {})), ("response", ok)):
        for media in place.get("content", {}).values():
            if name in example:
                media["example"] = example[name]


def _say_key(path: str, operation: dict[str, Any], *, demanded: bool) -> None:
    """Which scope an operation wants, and what is answered without; where no key is demanded, it may be left out."""
    if (wanted := scope_of(path)) is None:
        return
    operation["security"] = [{"key": [wanted]}] if demanded else [{"key": [wanted]}, {}]
    if not demanded:
        return
    responses, is_limited = operation["responses"], bool(LIMITED & set(operation["tags"]))
    kinds = (NO_VALID_KEY, MISSING_SCOPE, KEYS_UNAVAILABLE, *((TOO_MANY_REQUESTS, QUOTA_USED_UP) if is_limited else ()))
    for status, answer in problems(*kinds).items():
        known = responses.setdefault(str(status), answer)
        if known is not answer:  # another reason for the same status
            known["description"] += f" {answer['description']}"
            known["content"][MEDIA_TYPE]["examples"] |= answer["content"][MEDIA_TYPE]["examples"]
    for status in ("401", "403"):
        responses[status]["headers"] = _headers(*CHALLENGE)
    if is_limited:
        for status in responses.keys() & {"200", "202", "429"}:
            responses[status]["headers"] = {**responses[status].get("headers", {}), **_headers(*LIMITS)}


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    # A problem in a stream leaves out what is null, so only what has no default is required of one.
    mode = "serialization" if model is LineOut else "validation"
    return model.model_json_schema(mode=mode, ref_template=SCHEMAS + "{model}")  # type: ignore[arg-type]


def _add(schemas: dict[str, Any], name: str, schema: dict[str, Any]) -> None:
    """Put a schema under ``components``, and beside it what it defines for itself."""
    for other, definition in schema.pop("$defs", {}).items():
        schemas.setdefault(other, definition)
    schemas[name] = schema
