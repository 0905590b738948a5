"""Reads the body of a request: media type, size, JSON, contract, in that order."""

import asyncio
from collections.abc import Collection
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from serving.errors import UnknownModelError
from serving.fleet import Fleet, Served
from serving.problem_document import FieldError
from serving.problems import (
    INVALID,
    KNOWN_FIELDS,
    MOST_ERRORS,
    NOT_JSON,
    TOO_LARGE,
    TOO_SLOW,
    WRONG_MEDIA_TYPE,
    ProblemError,
    field_errors,
    parse_json,
)
from serving.schemas import Limits, ScoreRequest
from serving.settings import ServingSettings
from serving.under_way import Holding

Contract = TypeVar("Contract", bound=BaseModel)


async def read_score_request(request: Request) -> ScoreRequest:
    """The request for scores, checked.

    Raises:
        NotReadyError: no model yet, so the labels are not known.
        ProblemError: the body cannot be used; says what and where.
    """
    settings: ServingSettings = request.app.state.settings
    fleet: Fleet = request.app.state.fleet
    fleet.pick()  # before the body is read: without a model there is nothing to read it for
    data = await read_json(request)
    limits = Limits(settings.max_ads, settings.max_characters, _served(fleet, data).scorer.taxonomy.label_ids)
    return checked(ScoreRequest, data, limits, KNOWN_FIELDS)


async def read_json(request: Request) -> Any:
    """The body as JSON, no larger and no slower than the settings allow.

    Raises:
        ProblemError: it cannot be read; says why.
    """
    settings: ServingSettings = request.app.state.settings
    check_media_type(request, "application/json")
    raw = await _read(request, settings)
    try:
        return parse_json(raw)
    except ValueError as error:
        raise _not_json(f"The body must be JSON. {error}") from None


def checked(contract: type[Contract], data: Any, limits: Limits, known_fields: Collection[str]) -> Contract:
    """``data`` as the contract has it.

    Args:
        contract: the model of the body.
        data: the body's JSON.
        limits: the context of the validation.
        known_fields: all names in the contract, to tell which one may be meant.

    Raises:
        ProblemError: lists what is wrong and where.
    """
    try:
        return contract.model_validate(data, context=limits)
    except ValidationError as error:
        count = error.error_count()
        detail = "One thing is wrong; see errors." if count == 1 else f"{count} things are wrong; see errors."
        if count > MOST_ERRORS:
            detail += f" The first {MOST_ERRORS} are listed."
        raise ProblemError(INVALID, detail, field_errors(error, known_fields)) from None


def _served(fleet: Fleet, data: Any) -> Served:
    """The model that the request names, whose labels it must keep to; the champion where it names none in the right form."""
    name = data.get("model") if isinstance(data, dict) else None
    return pick_or_refuse(fleet, name if isinstance(name, str) else None, "#/model")


def pick_or_refuse(fleet: Fleet, name: str | None, pointer: str | None = None) -> Served:
    """As ``Fleet.pick``.

    Raises:
        ProblemError: no model of that name is in service.
    """
    try:
        return fleet.pick(name)
    except UnknownModelError as error:
        raise ProblemError(INVALID, "See errors.", [FieldError(field="model", pointer=pointer, detail=str(error))]) from None


def score_request_schema(settings: ServingSettings) -> dict[str, Any]:
    """JSON Schema of the request with this server's limits; OpenAPI cannot see a body that is read by hand."""
    schema = ScoreRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    schema["$defs"]["Ad"]["properties"]["text"] |= {"minLength": 1, "maxLength": settings.max_characters}
    schema["properties"]["ads"]["maxItems"] = settings.max_ads
    return schema


def check_media_type(request: Request, *taken: str) -> None:
    """Refuse a body that is announced as anything but one of ``taken``, or as compressed, or as not UTF-8.

    Raises:
        ProblemError: says what to send.
    """
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if media_type.strip().lower() not in taken:
        _refuse_header("Content-Type", f"Send the body as 'Content-Type: {taken[0]}'.")
    charset = parameters.replace('"', "").replace(" ", "").lower()
    if charset.startswith("charset=") and charset not in ("charset=utf-8", "charset=utf8"):
        _refuse_header("Content-Type", "JSON is UTF-8; leave the charset out.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        _refuse_header("Content-Encoding", "Send the body uncompressed.")


def _refuse_header(name: str, detail: str) -> None:
    raise ProblemError(WRONG_MEDIA_TYPE, detail, [FieldError(field=name, detail=detail)])


async def _read(request: Request, settings: ServingSettings) -> bytes:
    """The body, read no further than the settings allow, and than there is room for beside all others."""
    limit, idle_seconds, seconds = settings.max_body_bytes, settings.body_idle_seconds, settings.max_body_seconds
    holding: Holding = request.state.holding
    announced = request.headers.get("content-length", "")
    if announced.isdecimal():
        if int(announced[:20]) > limit:
            raise _too_large(limit)
        holding.check_room(int(announced))
    body, chunks = bytearray(), request.stream()
    try:
        async with asyncio.timeout(seconds) as whole:
            while True:
                async with asyncio.timeout(idle_seconds):
                    part = await anext(chunks)
                if len(body) + len(part) > limit:
                    raise _too_large(limit)
                holding.check_room(len(part))  # again: what is announced need not be what comes
                holding.add(len(part))
                body += part
    except StopAsyncIteration:
        return bytes(body)
    except TimeoutError:
        detail = f"No part of the body came for {idle_seconds:g} s."
        if whole.expired():
            detail = f"The body took more than {seconds:g} s."
        raise ProblemError(TOO_SLOW, detail, headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise _not_json("The body ended before it was complete.") from None


def _not_json(detail: str) -> ProblemError:
    return ProblemError(NOT_JSON, detail, [FieldError(field="body", pointer="#", detail=detail)])


def _too_large(limit: int) -> ProblemError:
    detail = f"The body may have {limit} bytes; send less at once."
    # The rest of the body is not read, so the connection cannot be used again.
    return ProblemError(TOO_LARGE, detail, [FieldError(field="body", pointer="#", detail=detail)], {"Connection": "close"})
