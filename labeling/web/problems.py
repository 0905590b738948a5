"""What a visitor is told when something cannot be done: a page for people, an RFC 9457 problem document for scripts.

None of them repeats what was sent.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from labeling.errors import (
    AccountError,
    ClosedError,
    DraftError,
    LabelingError,
    NotAllowedError,
    NotFoundError,
    StaleVersionError,
    StoreError,
)
from labeling.opinion import StoredOpinion
from labeling.web.access import Visitor
from labeling.web.catalogue import say
from labeling.web.errors import DailyLimitError, ForgedRequestError, SignInNeededError
from labeling.web.rendering import language_of, page

OF_ERROR: Mapping[type[Exception], tuple[int, str]] = {
    SignInNeededError: (401, "sign-in-needed"),
    ForgedRequestError: (403, "forged"),
    DailyLimitError: (403, "daily-limit"),
    NotAllowedError: (403, "not-allowed"),
    NotFoundError: (404, "not-found"),
    StaleVersionError: (409, "stale"),
    ClosedError: (409, "closed"),
    DraftError: (422, "invalid"),
    AccountError: (422, "invalid"),
    StoreError: (503, "no-store"),
}
OF_STATUS = {404: "not-found", 405: "wrong-method"}


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every foreseen error in the visitor's language."""

    def known(request: Request, error: Exception) -> Response:
        status, slug = next((OF_ERROR[kind] for kind in type(error).__mro__ if kind in OF_ERROR), (422, "invalid"))
        if isinstance(error, SignInNeededError) and not _is_api(request):
            return RedirectResponse("/sign-in", 303)
        detail = str(error) if isinstance(error, DraftError) else ""  # our script never sends what breaks a rule
        if isinstance(error, AccountError):
            detail = say(language_of(request, getattr(request.state, "visitor", None)), error.phrase, **error.values)
        extra: dict[str, Any] = {}
        if isinstance(error, StaleVersionError):
            extra["stored"] = as_stored(error)
        return _answer(request, status, slug, detail, extra)

    def invalid(request: Request, error: Exception) -> Response:
        places = error.errors() if isinstance(error, RequestValidationError) else []
        if any(one["loc"][0] in ("path", "query") for one in places):
            return _answer(request, 404, "not-found", "", {})  # no page of ours leads to such an address
        # The place alone: pydantic's own sentences, and its list, have what was sent in them.
        detail = ", ".join(sorted({".".join(str(part)[:40] for part in one["loc"][1:2]) for one in places} - {""}))
        return _answer(request, 422, "invalid", detail, {})

    def other(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return _answer(request, status, OF_STATUS.get(status, "invalid"), "", {})

    app.add_exception_handler(LabelingError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, other)


def as_stored(error: StaleVersionError) -> dict[str, Any]:
    """What is kept, for a script whose version is not that."""
    stored = error.stored
    if not isinstance(stored, StoredOpinion):
        return {"version": 0, "done": False, "annotation": None}
    return {"version": stored.version, "done": error.done, "annotation": stored.draft.model_dump(mode="json")}


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def bare_answer(request: Request, status: int, slug: str) -> Response:
    """For when no page can be made: nothing but the sentence."""
    if _is_api(request):
        return _answer(request, status, slug, "", {})
    return PlainTextResponse(_title(request, slug), status)


def _title(request: Request, slug: str) -> str:
    return say(language_of(request, getattr(request.state, "visitor", None)), f"problem.{slug.replace('-', '_')}")


def _answer(request: Request, status: int, slug: str, detail: str, extra: dict[str, Any]) -> Response:
    title = _title(request, slug)
    if not _is_api(request):
        visitor: Visitor | None = getattr(request.state, "visitor", None)
        return page(request, "problem.html", visitor, status=status, title=title, detail=detail)
    body = {"type": f"urn:signaal:problem:{slug}", "title": title, "status": status, "detail": detail or title, **extra}
    return JSONResponse(body, status, media_type="application/problem+json")
