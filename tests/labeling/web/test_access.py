"""Every route there is, walked: who may ask it, and that nothing is changed without the page's token."""

import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from labeling.accounts.roles import Role, allows
from labeling.settings import LabelingSettings
from labeling.store.database import Database
from labeling.web.access import SESSION_COOKIE, Needs
from labeling.web.app import create_app
from labeling.web.csrf import SAFE
from tests.labeling.web.conftest import Site

OPEN_TO_ALL = {("GET", "/"), ("GET", "/sign-in"), ("POST", "/sign-in")}
NAME_OF = {Role.ANNOTATOR: "ana", Role.ADJUDICATOR: "judy", Role.ADMIN: "root"}
EXPECTED = {
    Role.ADMIN: {
        ("GET", "/project"),
        ("POST", "/project"),
        ("GET", "/accounts"),
        ("POST", "/accounts"),
        ("POST", "/accounts/{account_id}/role"),
        ("POST", "/accounts/{account_id}/password"),
        ("POST", "/accounts/{account_id}/active"),
    },
    Role.ADJUDICATOR: {
        ("GET", "/adjudication"),
        ("GET", "/adjudication/next"),
        ("GET", "/adjudication/{number}"),
        ("PUT", "/api/adjudication/{number}"),
        ("GET", "/dashboard"),
    },
}


def needed(dependant: Dependant) -> Iterator[Role]:
    if isinstance(dependant.call, Needs):
        yield dependant.call.role
    for one in dependant.dependencies:
        yield from needed(one)


def routes(database: Database) -> dict[tuple[str, str], Role | None]:
    """Method and path of every route, with the role that it says it needs."""
    app: FastAPI = create_app(database, LabelingSettings())
    found: dict[tuple[str, str], Role | None] = {}

    def walk(parts: list[object]) -> None:
        for route in parts:
            if isinstance(route, APIRoute):
                for method in route.methods:
                    found[method, route.path] = next(needed(route.dependant), None)
            elif hasattr(route, "original_router"):
                walk(route.original_router.routes)

    walk(list(app.routes))
    return found


@pytest.fixture
def table(sqlite_database: Database) -> dict[tuple[str, str], Role | None]:
    return routes(sqlite_database)


def filled(path: str) -> str:
    return re.sub(r"\{\w+\}", "1", path)


def test_every_route_but_signing_in_says_which_role_it_needs(table: dict[tuple[str, str], Role | None]) -> None:
    assert len(table) > 25
    assert {route for route, role in table.items() if role is None} == OPEN_TO_ALL
    for role, expected in EXPECTED.items():
        assert {route for route, needed_role in table.items() if needed_role == role} == expected


def test_nobody_gets_anywhere_without_signing_in(site: Site, table: dict[tuple[str, str], Role | None]) -> None:
    visitor = site.visitor()
    for method, path in table.keys() - OPEN_TO_ALL:
        for token in ("", "made-up"):
            visitor.cookies.set(SESSION_COOKIE, token)
            answer = visitor.act(method, filled(path))
            if path.startswith("/api/"):
                assert (path, answer.status_code) == (path, 401)
                assert answer.json()["type"] == "urn:signaal:problem:sign-in-needed"
            else:
                assert (path, answer.status_code, answer.headers.get("location")) == (path, 303, "/sign-in")


@pytest.mark.parametrize("role", [Role.ANNOTATOR, Role.ADJUDICATOR])
def test_a_lower_role_is_refused_whatever_it_sends(site: Site, table: dict[tuple[str, str], Role | None], role: Role) -> None:
    visitor = site.visitor(NAME_OF[role])
    refused = [route for route, needed_role in table.items() if needed_role and not allows(role, needed_role)]
    assert refused
    for method, path in refused:
        answer = visitor.act(method, filled(path))
        assert (path, answer.status_code) == (path, 403)


def test_nothing_is_changed_without_the_token_of_the_session(site: Site, table: dict[tuple[str, str], Role | None]) -> None:
    visitor, other = site.visitor("root"), site.visitor("root")
    changing = [route for route, role in table.items() if route[0] not in SAFE and role]
    assert len(changing) > 12
    for method, path in changing:
        for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": other.csrf}):
            answer = visitor.request(method, filled(path), headers=headers)
            assert (path, answer.status_code) == (path, 403)
        form = visitor.request(method, filled(path), data={"csrf": other.csrf})
        assert (path, form.status_code) == (path, 403)
        crossed = visitor.request(method, filled(path), headers={"X-CSRF-Token": visitor.csrf, "Sec-Fetch-Site": "cross-site"})
        assert (path, crossed.status_code) == (path, 403)


def test_every_page_has_the_headers_and_is_kept_by_no_cache(site: Site) -> None:
    visitor = site.visitor("ana")
    for path in ("/sign-in", "/review", "/api/next", "/nothing", "/static/style.css"):
        headers = visitor.get(path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == ("no-cache" if path.startswith("/static/") else "no-store")


def test_a_request_that_is_too_large_is_refused(site: Site) -> None:
    visitor = site.visitor("ana")

    def endless() -> Iterator[bytes]:
        for _ in range(5):
            yield b"x" * 100_000

    refused = visitor.act("PUT", "/api/assignments/1/annotation", content=b"x" * 300_000)
    assert (refused.status_code, refused.json()["detail"]) == (413, "That is too large to send.")
    page = visitor.request("POST", "/my-work/limit", content=b"x" * 300_000, headers={"Accept-Language": "nl"})
    assert (page.status_code, page.text) == (413, "Dat is te groot om te sturen.")
    assert visitor.act("PUT", "/api/assignments/1/annotation", content=endless()).status_code in (400, 413)
