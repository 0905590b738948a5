"""``POST /v1/feedback``: from the request to the outbox, and what the caller is told."""

import asyncio
import logging
import re
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request

from models.taxonomy import PACKAGED, Taxonomy, load_taxonomy
from serving.answers import FeedbackAnswer
from serving.body import checked, read_json
from serving.contract import problems
from serving.errors import KeyReusedError, NotReadyError, NotStoredError, OutboxError
from serving.feedback.outbox import RETRY_DISK, Outbox, Receipt, Submission
from serving.feedback.schemas import KNOWN_FIELDS, MOST_SPANS, FeedbackLimits, FeedbackRequest
from serving.keys.allowance import spending
from serving.problem_document import FieldError
from serving.problems import (
    BUSY,
    INVALID,
    KEY_REUSED,
    NO_IDEMPOTENCY_KEY,
    NOT_JSON,
    NOT_STORED,
    STOPPING,
    TOO_LARGE,
    TOO_SLOW,
    WRONG_MEDIA_TYPE,
    ProblemError,
)
from serving.settings import ServingSettings

log = logging.getLogger("signaal.serve")

HEADER = "Idempotency-Key"
_BARE = re.compile(r"[\x20\x21\x23-\x7e][\x20-\x7e]{0,199}")
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,200})"')
_ESCAPED = re.compile(r"\\(.)")


def add_feedback(app: FastAPI, outbox: Outbox, settings: ServingSettings) -> None:
    """Add the address to ``app``."""
    schema = {"content": {"application/json": {"schema": feedback_request_schema(settings)}}, "required": True}
    key = {
        "name": HEADER,
        "in": "header",
        "required": True,
        "description": "New for each request, such as a UUID; the same when a request is sent again.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    }
    extra = {"requestBody": schema, "parameters": [key]}

    @app.post(
        "/v1/feedback",
        operation_id="sendFeedback",
        summary="Tell what a reviewer found",
        tags=["feedback"],
        status_code=202,
        responses=problems(
            NOT_JSON, NO_IDEMPOTENCY_KEY, TOO_SLOW, TOO_LARGE, WRONG_MEDIA_TYPE, INVALID, KEY_REUSED, BUSY, NOT_STORED, STOPPING
        ),
        openapi_extra=extra,
    )
    async def feedback(request: Request, submission: Annotated[Submission, Depends(read_submission)]) -> FeedbackAnswer:
        """Stored for labelling, so that the next model learns from it. 202 means that it is on disk for good."""
        async with spending(request.state.allowance, len(submission.items)):
            receipt = await _stored(outbox, submission)
        return FeedbackAnswer(accepted=receipt.last - receipt.first + 1, first=receipt.first, last=receipt.last)


async def read_submission(request: Request) -> Submission:
    """The request's feedback, checked.

    Raises:
        ProblemError: the key or the body cannot be used; says what and where.
    """
    settings: ServingSettings = request.app.state.settings
    key = idempotency_key(request.headers.getlist(HEADER))
    taxonomy = _taxonomy(request)
    limits = FeedbackLimits(
        max_ads=settings.max_ads,
        max_characters=settings.max_characters,
        label_ids=taxonomy.label_ids,
        document_type_ids=taxonomy.document_type_ids,
        text_accepted=settings.feedback_text == "accept",
        note_accepted=settings.feedback_note == "accept",
    )
    body = await read_json(request)
    wanted = checked(FeedbackRequest, body, limits, KNOWN_FIELDS)
    # Whoever checks API keys leaves the id of the caller's key here; without such a check every caller is the same.
    caller: str | None = getattr(request.state, "key_id", None)
    return Submission.of(key, body, caller, taxonomy.version, wanted.items)


def idempotency_key(given: list[str]) -> str:
    """The key: a string in quotes, as draft-ietf-httpapi-idempotency-key-header-07 writes it, or the bare words.

    Args:
        given: the values of all headers of that name.

    Raises:
        ProblemError: there is none (400, as the draft says), or more than one, or it is too long or not printable.
    """
    value = given[0].strip() if len(given) == 1 else ""
    if quoted := _QUOTED.fullmatch(value):
        return _ESCAPED.sub(r"\1", quoted[1])
    if _BARE.fullmatch(value):
        return value
    detail = f"Send one header {HEADER} with 1 to 200 printable ASCII characters, such as a UUID; the same when you send again."
    raise ProblemError(NO_IDEMPOTENCY_KEY, detail, [FieldError(field=HEADER, detail=detail)])


def feedback_request_schema(settings: ServingSettings) -> dict[str, Any]:
    """JSON Schema of the request with this server's limits; OpenAPI cannot see a body that is read by hand."""
    schema = FeedbackRequest.model_json_schema()
    parts = schema.pop("$defs")
    item = parts["FeedbackItem"]
    item["properties"]["spans"]["anyOf"][0] |= {"items": parts["FeedbackSpan"], "maxItems": MOST_SPANS}
    item["properties"]["text"]["anyOf"][0] |= {"minLength": 1, "maxLength": settings.max_characters}
    schema["properties"]["items"] |= {"items": item, "maxItems": settings.max_ads}
    return schema


def _taxonomy(request: Request) -> Taxonomy:
    try:
        taxonomy: Taxonomy = request.app.state.fleet.scorer.taxonomy
    except NotReadyError:  # a finding does not have to wait for the model
        return load_taxonomy(PACKAGED)
    return taxonomy


async def _stored(outbox: Outbox, submission: Submission) -> Receipt:
    try:
        if not outbox.is_open:
            await asyncio.to_thread(outbox.open)
        return await asyncio.wrap_future(outbox.submit(submission))
    except KeyReusedError as error:
        raise ProblemError(KEY_REUSED, str(error), [FieldError(field=HEADER, detail=str(error))]) from None
    except NotStoredError as error:
        raise ProblemError(NOT_STORED, str(error), headers={"Retry-After": str(error.retry_after)}) from None
    except OutboxError as error:
        log.error("%s", error)
        detail = "The folder of feedback cannot be used; the service's log says why."
        raise ProblemError(NOT_STORED, detail, headers={"Retry-After": str(RETRY_DISK)}) from None
