from typing import Any

from labeling.store.tables import Ad
from tests.labeling.conftest import add_ads
from tests.labeling.web.conftest import Site

SEEN: dict[str, Any] = {
    "labels": {"debt_or_fees": True},
    "spans": [{"start": 0, "end": 7, "label": "debt_or_fees"}],
    "document_type": "recruitment_post",
}
NOT_SEEN: dict[str, Any] = {"labels": {}, "document_type": "recruitment_post"}


def disagree(site: Site) -> int:
    """Number of an ad on which ana and bea are done and do not agree."""
    add_ads(site.database, 1)
    for name, said in (("ana", SEEN), ("bea", NOT_SEEN)):
        visitor = site.visitor(name)
        assert visitor.save(visitor.get("/api/next").json()["assignment"], 0, **said, comment=f"by {name}", done=True).is_success
    with site.database.read() as session:
        return session.query(Ad).one().number


def test_a_case_is_listed_without_its_text_and_shown_without_names(site: Site) -> None:
    number = disagree(site)
    judy = site.visitor("judy")
    listed = judy.get("/adjudication").text
    assert f"/adjudication/{number}" in listed
    assert "Debt or fees" in listed
    assert "Pickers" not in listed
    shown = judy.get(f"/adjudication/{number}").text
    assert shown.count("Reviewer A") >= 2
    assert shown.count("Reviewer B") >= 2
    assert '<mark data-kind="indicator" data-keys="9">Pickers</mark>' in shown
    assert site.ids["ana"] not in shown


def test_a_decision_ends_the_case_and_a_later_one_replaces_it(site: Site) -> None:
    number = disagree(site)
    judy = site.visitor("judy")
    assert judy.act("PUT", f"/api/adjudication/{number}", json={"version": 0, **SEEN}).json() == {"version": 1}
    assert "disagree: 0" in judy.get("/adjudication").text
    assert judy.get("/adjudication/next").headers["location"] == "/adjudication?note=resolved"
    stale = judy.act("PUT", f"/api/adjudication/{number}", json={"version": 0, **NOT_SEEN})
    assert stale.status_code == 409
    assert stale.json()["stored"]["annotation"]["spans"] == SEEN["spans"]
    assert judy.act("PUT", f"/api/adjudication/{number}", json={"version": 1, **NOT_SEEN}).json() == {"version": 2}
    assert "Decided already" in judy.get(f"/adjudication/{number}").text


def test_a_case_that_does_not_exist_is_not_found(site: Site) -> None:
    judy = site.visitor("judy")
    for number in (99, 0, -1, 2**31, 10**20, "one"):
        assert (number, judy.get(f"/adjudication/{number}").status_code) == (number, 404)
        assert (number, judy.act("PUT", f"/api/adjudication/{number}", json={"version": 0, **SEEN}).status_code) == (number, 404)
    for after in (-1, 10**20, "one"):
        for address in ("/adjudication", "/adjudication/next"):
            assert (after, judy.get(f"{address}?after={after}").status_code) == (after, 404)
