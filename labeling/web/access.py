"""Who asks, and whether they may. Every route but those of signing in takes one of ``Annotator``, ``Adjudicator``, ``Admin``."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Path, Query, Request

from labeling.accounts.roles import Role, demand
from labeling.accounts.sessions import account_of, mark_seen, needs_mark
from labeling.settings import LabelingSettings
from labeling.store.database import Database
from labeling.store.tables import Account
from labeling.web.csrf import check_csrf, csrf_token
from labeling.web.errors import SignInNeededError

SESSION_COOKIE = "signaal_session"
FORM_COOKIE = "signaal_form"
_BIGGEST = 2**31 - 1
Number = Annotated[int, Path(ge=1, le=_BIGGEST)]
"""In an address, of an ad or an assignment; what no database can hold is not found."""
After = Annotated[int, Query(ge=0, le=_BIGGEST)]


def utc_now() -> datetime:
    """The moment, with its time zone."""
    return datetime.now(UTC)


def database_of(request: Request) -> Database:
    """The open database."""
    database: Database = request.app.state.database
    return database


def settings_of(request: Request) -> LabelingSettings:
    """The room's settings."""
    settings: LabelingSettings = request.app.state.settings
    return settings


Data = Annotated[Database, Depends(database_of)]
Settings = Annotated[LabelingSettings, Depends(settings_of)]


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is signed in. The account is a copy: to change it, fetch it anew in a writing session."""

    account: Account
    token: str

    @property
    def id(self) -> str:
        return self.account.id

    @property
    def csrf(self) -> str:
        return csrf_token(self.token)


def signed_in(request: Request, database: Data, settings: Settings) -> Visitor:
    """Whose session the cookie is."""
    token, now = request.cookies.get(SESSION_COOKIE, ""), utc_now()
    with database.read() as session:
        account = account_of(session, token, now, settings)
        stale = account is not None and needs_mark(session, token, now)
    if account is None:
        raise SignInNeededError
    if stale:
        with database.write() as session:
            mark_seen(session, token, now)
    visitor = Visitor(account, token)
    request.state.visitor = visitor  # for pages that tell of an error, which have no dependencies
    return visitor


class Needs:
    """A dependency: the visitor, when their role reaches the needed one and the request comes from one of our pages.

    Raises:
        SignInNeededError: nobody is signed in.
        NotAllowedError: the role does not reach.
        ForgedRequestError: it changes something without the session's token.
    """

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, request: Request, visitor: Annotated[Visitor, Depends(signed_in)]) -> Visitor:
        demand(visitor.account, self.role)
        await check_csrf(request, visitor.token)
        return visitor


Annotator = Annotated[Visitor, Depends(Needs(Role.ANNOTATOR))]
Adjudicator = Annotated[Visitor, Depends(Needs(Role.ADJUDICATOR))]
Admin = Annotated[Visitor, Depends(Needs(Role.ADMIN))]
