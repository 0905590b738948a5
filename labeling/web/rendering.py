"""Turns a template and its values into a page, in the visitor's language. Everything that is filled in is escaped."""

from functools import partial
from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from labeling.accounts.roles import Role, allows
from labeling.web.access import Visitor, database_of
from labeling.web.catalogue import LANGUAGES, NAMES, chosen_language, phrases, say
from labeling.work.rules import load_project

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
PAGES = (
    ("/review", "page.review", Role.ANNOTATOR),
    ("/my-work", "page.my_work", Role.ANNOTATOR),
    ("/adjudication", "page.adjudication", Role.ADJUDICATOR),
    ("/dashboard", "page.dashboard", Role.ADJUDICATOR),
    ("/project", "page.project", Role.ADMIN),
    ("/accounts", "page.accounts", Role.ADMIN),
    ("/help", "page.help", Role.ANNOTATOR),
)
"""What stands in the navigation: address, key of its name, and the role that it needs."""


def language_of(request: Request, visitor: Visitor | None) -> str:
    """The account's language; the browser's while nobody is signed in."""
    wanted = visitor.account.language if visitor else chosen_language(request.headers.get("Accept-Language", ""))
    return wanted if wanted in LANGUAGES else LANGUAGES[0]


def page(
    request: Request,
    template: str,
    visitor: Visitor | None,
    *,
    csrf: str | None = None,
    problems: tuple[str, ...] = (),
    status: int = 200,
    **values: object,
) -> HTMLResponse:
    """A page.

    Args:
        csrf: the token for its forms; the visitor's own when None.
        problems: sentences, already in the visitor's language, that stand above it.
        values: what the template fills in.
    """
    language = language_of(request, visitor)
    note = request.query_params.get("note", "")
    with database_of(request).read() as session:
        support_text = load_project(session).support_text if visitor else ""
    pages = [(address, key) for address, key, role in PAGES if visitor and allows(visitor.account.role, role)]
    html = _templates.get_template(template).render(
        t=partial(say, language),
        language=language,
        languages=NAMES,
        account=visitor and {"name": visitor.account.name, "pages": pages},
        here=request.url.path,
        csrf=csrf or (visitor.csrf if visitor else ""),
        notice=phrases(language).get(f"note.{note}", ""),
        problems=problems,
        support_text=support_text,
        **values,
    )
    return HTMLResponse(html, status)


def back_to(address: str, note: str = "") -> RedirectResponse:
    """After something was changed: the page to see it on, so that reloading changes nothing twice."""
    return RedirectResponse(f"{address}?note={note}" if note else address, 303)
