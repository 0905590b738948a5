"""Signing in and out."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from labeling.accounts.sessions import sign_in, sign_out
from labeling.web.access import FORM_COOKIE, SESSION_COOKIE, Annotator, Data, Settings, utc_now
from labeling.web.catalogue import say
from labeling.web.csrf import check_csrf, csrf_token
from labeling.web.forms import Fields, fields_of
from labeling.web.https import needs_https
from labeling.web.rendering import back_to, language_of, page

router = APIRouter()


def set_cookie(request: Request, response: Response, name: str, value: str, seconds: int | None = None) -> None:
    """A cookie that no script and no other site can use, and no network can read."""
    response.set_cookie(name, value, max_age=seconds, path="/", secure=needs_https(request), httponly=True, samesite="strict")


async def check_form(request: Request) -> None:
    """Of the sign-in form: nobody is signed in yet, so the token goes with a cookie of its own."""
    await check_csrf(request, request.cookies.get(FORM_COOKIE, ""))


@router.get("/")
def home() -> Response:
    return RedirectResponse("/review", 303)


@router.get("/sign-in")
def ask(request: Request) -> Response:
    return _form(request)


@router.post("/sign-in", dependencies=[Depends(check_form)])
def answer(request: Request, database: Data, settings: Settings, form: Annotated[Fields, Depends(fields_of)]) -> Response:
    language = language_of(request, None)
    if request.url.scheme != "https" and needs_https(request):
        return _form(request, (say(language, "sign_in.needs_https"),), 403)
    now = utc_now()
    signed_in = sign_in(database, form.one("name").strip(), form.one("password"), now, settings)
    if signed_in is None:
        return _form(request, (say(language, "sign_in.refused"),), 403)
    response = back_to("/review")
    set_cookie(request, response, SESSION_COOKIE, signed_in.token, int((signed_in.expires_at - now).total_seconds()))
    response.delete_cookie(FORM_COOKIE, path="/")
    return response


@router.post("/sign-out")
def leave(visitor: Annotator, database: Data) -> Response:
    with database.write() as session:
        sign_out(session, visitor.token, utc_now())
    response = back_to("/sign-in", "signed_out")
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


def _form(request: Request, problems: tuple[str, ...] = (), status: int = 200) -> Response:
    # The cookie is kept while it is there, so that a form in another tab stays good.
    cookie = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(32)
    response = page(request, "sign_in.html", None, csrf=csrf_token(cookie), problems=problems, status=status)
    set_cookie(request, response, FORM_COOKIE, cookie)
    return response
