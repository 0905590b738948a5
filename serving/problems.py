"""Errors as RFC 9457 problem documents (``application/problem+json``).

A problem names the fields that are wrong in ``errors``. It never repeats what was sent: pydantic's own errors carry the
input, and FastAPI's default handlers would send it back, so neither is used here.
"""

import codecs
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json
from starlette.exceptions import HTTPException

from serving.answers import ModelOut
from serving.errors import (
    CallerLeftError,
    LineFullError,
    LineStoppedError,
    NotReadyError,
    ServingError,
    UnknownModelError,
)
from serving.problem_document import MEDIA_TYPE, FieldError, Problem
from serving.request_entry import note_problem
from serving.schemas import Ad, ScoreRequest, is_plain_name, nearest

MOST_ERRORS = 50
CLIENT_CLOSED_REQUEST = 499
"""For the log alone, as in nginx: nobody is there to read it."""
KNOWN_FIELDS = (*ScoreRequest.model_fields, *Ad.model_fields)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: the last part of its ``type`` URI, its HTTP status and its title."""

    slug: str
    status: int
    title: str


NOT_HTTP = Kind("not-http", 400, "The request is not HTTP/1.1")
NOT_JSON = Kind("not-json", 400, "The body is not JSON")
NO_IDEMPOTENCY_KEY = Kind("no-idempotency-key", 400, "The request needs an Idempotency-Key")
NO_VALID_KEY = Kind("no-valid-key", 401, "A valid key is needed")
MISSING_SCOPE = Kind("missing-scope", 403, "The key is not for this")
NOT_FOUND = Kind("not-found", 404, "There is nothing at this address")
WRONG_METHOD = Kind("method-not-allowed", 405, "This address does not take that method")
TOO_SLOW = Kind("too-slow", 408, "The body came too slowly")
TOO_LARGE = Kind("too-large", 413, "The body is too large")
WRONG_MEDIA_TYPE = Kind("unsupported-media-type", 415, "The body is not sent as JSON")
MISDIRECTED = Kind("misdirected-request", 421, "The request is for another host")
INVALID = Kind("invalid-request", 422, "The request does not fit the contract")
UNSCORABLE = Kind("invalid-line", 422, "The line cannot be scored")
KEY_REUSED = Kind("idempotency-key-reused", 422, "The Idempotency-Key was used before, for something else")
TOO_MANY_REQUESTS = Kind("too-many-requests", 429, "Too many ads in a minute")
QUOTA_USED_UP = Kind("quota-used-up", 429, "The quota of the day is used up")
HEAD_TOO_LARGE = Kind("head-too-large", 431, "The head of the request is too large")
UNEXPECTED = Kind("unexpected", 500, "Something went wrong in the service")
BROKEN = Kind("broken", 503, "The service must be started again")
BUSY = Kind("busy", 503, "Too many requests wait already")
KEYS_UNAVAILABLE = Kind("keys-unavailable", 503, "Keys cannot be checked")
NOT_READY = Kind("not-ready", 503, "The model is not ready")
STOPPING = Kind("stopping", 503, "The service is being stopped")
NOT_STORED = Kind("not-stored", 503, "The feedback could not be stored")

_OF_STATUS = {
    404: (NOT_FOUND, "GET /openapi.json lists the addresses that there are."),
    405: (WRONG_METHOD, "GET /openapi.json says which methods it takes."),
}


class ProblemError(ServingError):
    """Ends a request with a problem document."""

    def __init__(
        self, kind: Kind, detail: str, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.errors, self.headers = kind, detail, list(errors), dict(headers or {})


def told(error: ServingError, retry_after_seconds: int) -> ProblemError:
    """What a caller is told of an error that is not the request's alone.

    Args:
        error: one of ``ProblemError``, ``LineFullError``, ``NotReadyError``, ``UnknownModelError``.
        retry_after_seconds: after which to try again where the error does not say.
    """
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, LineFullError):
        return ProblemError(BUSY, str(error), headers={"Retry-After": str(error.retry_after)})
    if isinstance(error, UnknownModelError):  # let go while the request waited; before, the request itself is refused
        return ProblemError(INVALID, "See errors.", [FieldError(field="model", detail=str(error))])
    again = {"Retry-After": str(retry_after_seconds)}
    if isinstance(error, LineStoppedError):
        return ProblemError(STOPPING, str(error), headers=again | {"Connection": "close"})
    return ProblemError(NOT_READY, str(error), headers=again)


def parse_json(raw: bytes) -> Any:
    """Decode JSON text (UTF-8, a byte order mark is tolerated).

    Raises:
        ValueError: it is not JSON; the message says where and repeats nothing of it.
    """
    raw = raw.removeprefix(codecs.BOM_UTF8)
    if not raw.strip():
        raise ValueError("It is empty.")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        # ``from None``: the error object holds the bytes, and a traceback may be logged.
        raise ValueError(f"Byte {error.start} is not UTF-8.") from None
    try:
        # "keys": the parser would otherwise keep short strings, and so parts of ads, in a cache.
        return from_json(raw, cache_strings="keys", allow_inf_nan=False)
    except ValueError as error:
        said = str(error)
        if "hex escape" in said:
            said += "; half of a surrogate pair is no character"
        raise ValueError(f"{said[:1].upper()}{said[1:]}.") from None


def field_errors(
    error: ValidationError | RequestValidationError, known_fields: Collection[str] = KNOWN_FIELDS
) -> list[FieldError]:
    """What is wrong, in words, without the input; at most ``MOST_ERRORS``. A wrong name may mean one of ``known_fields``."""
    return [_field_error(one, known_fields) for one in error.errors()[:MOST_ERRORS]]


def _field_error(error: ErrorDetails, known_fields: Collection[str]) -> FieldError:
    place = [*error["loc"], *error.get("ctx", {}).get("at", [])]
    detail = _IN_WORDS.get(error["type"], error["msg"].rstrip(".") + ".")
    if error["type"] == "extra_forbidden":
        name = str(place.pop())
        if is_plain_name(name):
            detail = f"There is no field '{name}' in the contract.{nearest(name, known_fields)}"
    place = _sayable(place)
    return FieldError(field=_dotted(place), pointer=_pointer(place), detail=detail)


_IN_WORDS = {
    "missing": "This field is required.",
    "extra_forbidden": "There is a field that is not in the contract.",
    "string_type": "This must be a string.",
    "bool_type": "This must be true or false.",
    "list_type": "This must be a list.",
    "model_type": "This must be an object.",
    "dict_type": "This must be an object.",
    "string_pattern_mismatch": "This must be an ISO 639 code of two or three small letters, such as 'nl'.",
}


def _sayable(place: Sequence[str | int]) -> list[str | int]:
    """The place as far as it can be repeated: the key of an object is the caller's, and might be a misplaced text."""
    keys = [part for part in place if part != "[key]"]  # so pydantic marks that the key is wrong, not its value
    return list(itertools.takewhile(lambda part: isinstance(part, int) or is_plain_name(part), keys))


def _pointer(place: Sequence[str | int]) -> str:
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)


def _dotted(place: Sequence[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".") or "body"


def problem_of(
    kind: Kind, detail: str, errors: Sequence[FieldError] = (), *, request_id: str | None = None, model: ModelOut | None = None
) -> Problem:
    """The document of a kind of problem."""
    slug = f"urn:signaal:problem:{kind.slug}"
    return Problem(
        type=slug, title=kind.title, status=kind.status, detail=detail, errors=list(errors), request_id=request_id, model=model
    )


def problem_response(
    request: Request,
    kind: Kind,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer that says what is wrong; like every answer it names the loaded model."""
    note_problem(kind.slug)
    request_id = getattr(request.state, "request_id", None)
    problem = problem_of(kind, detail, errors, request_id=request_id, model=request.app.state.fleet.model)
    return Response(problem.model_dump_json(), kind.status, dict(headers or {}), media_type=MEDIA_TYPE)


def unexpected_response(request: Request) -> Response:
    """For an error that nobody foresaw; its message stays here, because it may hold a text."""
    detail = "The error was written to the service's log under this request id. The text was not."
    return problem_response(request, UNEXPECTED, detail)


def add_problem_handlers(app: FastAPI) -> None:
    """Make every error of ``app`` a problem document (unforeseen ones are caught by the envelope)."""

    def of_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, ServingError)
        known = told(error, request.app.state.settings.retry_after_seconds)
        return problem_response(request, known.kind, known.detail, known.errors, known.headers)

    def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        phrase = HTTPStatus(error.status_code).phrase
        other = Kind(phrase.lower().replace(" ", "-"), error.status_code, phrase), f"{phrase}."
        kind, detail = _OF_STATUS.get(error.status_code, other)
        return problem_response(request, kind, detail, headers=error.headers)

    def of_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_response(request, INVALID, "See errors.", field_errors(error))

    def of_departure(_: Request, __: Exception) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    app.add_exception_handler(ProblemError, of_problem)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(CallerLeftError, of_departure)
    app.add_exception_handler(LineFullError, of_problem)
    app.add_exception_handler(NotReadyError, of_problem)
    app.add_exception_handler(UnknownModelError, of_problem)
