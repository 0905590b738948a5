"""The admin's page of accounts: who works here, with which role."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from labeling.accounts.registering import all_accounts, change_password, change_role, make_account, set_active
from labeling.accounts.roles import Role
from labeling.errors import AccountError, NotFoundError
from labeling.store.tables import Account
from labeling.web.access import Admin, Data, Visitor, utc_now
from labeling.web.catalogue import say
from labeling.web.forms import Fields, fields_of
from labeling.web.rendering import back_to, language_of, page

router = APIRouter()
Form = Annotated[Fields, Depends(fields_of)]


@router.get("/accounts")
def show(request: Request, visitor: Admin) -> Response:
    return _show(request, visitor)


def _show(request: Request, visitor: Visitor, problem: AccountError | None = None) -> Response:
    with request.app.state.database.read() as session:
        accounts = all_accounts(session)
    problems = (say(language_of(request, visitor), problem.phrase, **problem.values),) if problem else ()
    status = 422 if problem else 200
    return page(
        request, "accounts.html", visitor, problems=problems, status=status, accounts=accounts, roles=list(Role), now=utc_now()
    )


@router.post("/accounts")
def add(request: Request, visitor: Admin, database: Data, form: Form) -> Response:
    try:
        with database.write() as session:
            make_account(session, form.one("name").strip(), form.one("password"), _role(form), utc_now(), visitor.id)
    except AccountError as problem:
        return _show(request, visitor, problem)
    return back_to("/accounts", "account_made")


@router.post("/accounts/{account_id}/role")
def set_role(account_id: str, request: Request, visitor: Admin, database: Data, form: Form) -> Response:
    try:
        with database.write() as session:
            change_role(session, _account(session, account_id), _role(form), utc_now(), visitor.id)
    except AccountError as problem:
        return _show(request, visitor, problem)
    return back_to("/accounts", "saved")


@router.post("/accounts/{account_id}/password")
def set_password(account_id: str, request: Request, visitor: Admin, database: Data, form: Form) -> Response:
    try:
        with database.write() as session:
            change_password(session, _account(session, account_id), form.one("password"), utc_now(), visitor.id)
    except AccountError as problem:
        return _show(request, visitor, problem)
    return back_to("/accounts", "saved")


@router.post("/accounts/{account_id}/active")
def open_or_close(account_id: str, request: Request, visitor: Admin, database: Data, form: Form) -> Response:
    try:
        with database.write() as session:
            set_active(session, _account(session, account_id), form.one("active") == "yes", utc_now(), visitor.id)
    except AccountError as problem:
        return _show(request, visitor, problem)
    return back_to("/accounts", "saved")


def _account(session: Session, account_id: str) -> Account:
    account = session.get(Account, account_id)
    if account is None:
        raise NotFoundError("There is no such account.")
    return account


def _role(form: Fields) -> Role:
    try:
        return Role(form.one("role"))
    except ValueError as error:
        raise AccountError("There is no such role.", "role") from error
