"""A real server with the labelling pages, on SQLite and on PostgreSQL, with an account for each role and two annotators."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn

from labeling.accounts.roles import Role
from labeling.settings import LabelingSettings
from labeling.store.database import Database
from labeling.store.tables import Ad, Suggestion
from labeling.web.access import utc_now
from labeling.web.app import create_app
from tests.labeling.conftest import PASSWORD, add_account, set_project

PEOPLE = {"ana": Role.ANNOTATOR, "bea": Role.ANNOTATOR, "judy": Role.ADJUDICATOR, "root": Role.ADMIN}
TOKEN = re.compile(r'name="csrf" value="(\w+)"')


class Visitor(httpx.Client):
    """A browser without a screen: keeps cookies, follows no redirect, sends the page's token with what changes something."""

    csrf = ""

    def sign_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        answer = self.post("/sign-in", data={"csrf": self.form_token("/sign-in"), "name": name, "password": password})
        if answer.status_code == 303:
            self.csrf = self.get("/api/session").json()["csrf"]
        return answer

    def form_token(self, address: str) -> str:
        found = TOKEN.search(self.get(address).text)
        assert found
        return found[1]

    def act(self, method: str, address: str, **content: Any) -> httpx.Response:
        return self.request(method, address, headers={"X-CSRF-Token": self.csrf}, **content)

    def save(self, assignment: int, version: int, **said: Any) -> httpx.Response:
        return self.act("PUT", f"/api/assignments/{assignment}/annotation", json={"version": version, **said})


@dataclass
class Site:
    """The server's address, its database, and the ids of its accounts by name."""

    address: str
    database: Database
    ids: dict[str, str]

    def visitor(self, name: str = "") -> Visitor:
        """Someone new, signed in when named."""
        visitor = Visitor(base_url=self.address, timeout=60)
        if name:
            assert visitor.sign_in(name).status_code == 303
        return visitor


def suggest(database: Database, ad_id: str, labels: dict[str, Any]) -> None:
    """Store what a model is to have said of an ad."""
    with database.write() as session:
        ad = session.query(Ad).filter(Ad.id == ad_id).one()
        ad.suggestion = Suggestion(
            bundle_digest="0" * 64,
            model="test",
            labels=labels,
            document_type="other",
            document_type_probability=0.5,
            scored_at=utc_now(),
        )


@contextmanager
def serving_pages(database: Database, settings: LabelingSettings | None = None) -> Iterator[Site]:
    """The pages on a free port."""
    ids = {name: add_account(database, name, role) for name, role in PEOPLE.items()}
    set_project(database)
    app = create_app(database, settings or LabelingSettings())
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + 60
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        yield Site(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", database, ids)
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def site(database: Database) -> Iterator[Site]:
    with serving_pages(database) as served:
        yield served
