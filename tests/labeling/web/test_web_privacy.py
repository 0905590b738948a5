"""No word of an ad, and none that a reviewer typed, is in the log, whatever goes wrong."""

import logging

import pytest

from labeling.store.database import Database
from tests.labeling.conftest import add_ads
from tests.labeling.web.conftest import serving_pages

SECRET = "zebrafinch"


def test_what_is_read_and_typed_is_in_no_log(
    sqlite_database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("tests.labeling.conftest.TEXT", f"Pickers wanted, {SECRET} {{}}.")
    with serving_pages(sqlite_database) as site:
        add_ads(site.database, 1, prefix=f"id-{SECRET}")
        ana, judy = site.visitor("ana"), site.visitor("judy")
        shown = ana.get("/api/next").json()
        assert SECRET in shown["ad"]["text"]
        said = {"labels": {"debt_or_fees": True}, "comment": SECRET}
        assert ana.save(shown["assignment"], 0, **said).is_success
        assert ana.save(shown["assignment"], 0, **said, document_type="other").status_code == 409
        assert ana.save(shown["assignment"], 1, labels={SECRET: True}).status_code == 422
        assert ana.act("PUT", f"/api/assignments/{SECRET}/annotation", json={SECRET: SECRET}).status_code == 404
        assert ana.get(f"/{SECRET}?{SECRET}={SECRET}").status_code == 404
        assert ana.request(SECRET.upper(), "/review").status_code in (400, 405)  # by the parser of HTTP, or by the pages
        assert judy.get("/adjudication/1").status_code == 409

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError(f"something about {SECRET}")

        monkeypatch.setattr("labeling.web.pages.review.next_assignment", fail)
        broken = ana.get("/api/next")
        assert (broken.status_code, SECRET in broken.text) == (500, False)
        assert broken.json()["type"] == "urn:signaal:problem:broken"
    ours = [record for record in caplog.records if record.name.startswith(("signaal", "uvicorn", "sqlalchemy", "alembic"))]
    written = "\n".join(f"{record.getMessage()} {record.exc_text or ''}" for record in ours)
    assert "unforeseen RuntimeError" in written
    assert "route=/api/assignments/{assignment_id}/annotation" in written
    assert SECRET not in written.lower()
