"""A reviewer's own page: what is done, how much was read, what one need not judge, language, password."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from sqlalchemy import func, select

from labeling.accounts.passwords import is_password
from labeling.accounts.registering import change_password
from labeling.store.tables import Account, Assignment
from labeling.web.access import Annotator, Data, Visitor, utc_now
from labeling.web.catalogue import LANGUAGES, say, taxonomy_in
from labeling.web.forms import Fields, fields_of
from labeling.web.rendering import back_to, language_of, page
from labeling.work.care import exposure, opt_out, set_daily_limit
from labeling.work.rules import load_project
from models.taxonomy import packaged_taxonomy

router = APIRouter()
Form = Annotated[Fields, Depends(fields_of)]


@router.get("/my-work")
def show(request: Request, visitor: Annotator) -> Response:
    return _show(request, visitor)


def _show(request: Request, visitor: Visitor, problems: tuple[str, ...] = ()) -> Response:
    with request.app.state.database.read() as session:
        account = session.get_one(Account, visitor.id)
        states = select(Assignment.state, func.count()).where(Assignment.account_id == visitor.id).group_by(Assignment.state)
        counts = dict(session.execute(states).tuples().all())
        cared = exposure(session, account, utc_now())
        project = load_project(session)
    return page(
        request,
        "my_work.html",
        visitor,
        problems=problems,
        status=422 if problems else 200,
        counts=counts,
        cared=cared,
        most=project.daily_limit,
        own_limit=account.daily_limit,
        opt_outs=account.opt_outs,
        taxonomy=taxonomy_in(language_of(request, visitor)),
    )


@router.post("/my-work/opt-outs")
def choose_labels(visitor: Annotator, database: Data, form: Form) -> Response:
    with database.write() as session:
        opt_out(session, session.get_one(Account, visitor.id), form.all("label"), packaged_taxonomy(), utc_now())
    return back_to("/my-work", "saved")


@router.post("/my-work/limit")
def choose_limit(visitor: Annotator, database: Data, form: Form) -> Response:
    with database.write() as session:
        set_daily_limit(session, session.get_one(Account, visitor.id), form.whole("limit"), utc_now())
    return back_to("/my-work", "saved")


@router.post("/my-work/language")
def choose_language(visitor: Annotator, database: Data, form: Form) -> Response:
    wanted = form.one("language")
    if wanted in LANGUAGES:
        with database.write() as session:
            session.get_one(Account, visitor.id).language = wanted
    return back_to("/my-work", "saved")


@router.post("/my-work/password")
def choose_password(request: Request, visitor: Annotator, database: Data, form: Form) -> Response:
    """Ends all of one's sessions, this one too."""
    language = language_of(request, visitor)
    if not is_password(form.one("old"), visitor.account.password_hash):
        return _show(request, visitor, (say(language, "my_work.wrong_password"),))
    if form.one("new") != form.one("again"):
        return _show(request, visitor, (say(language, "my_work.passwords_differ"),))
    with database.write() as session:
        change_password(session, session.get_one(Account, visitor.id), form.one("new"), utc_now(), visitor.id)
    return back_to("/sign-in", "password_changed")
